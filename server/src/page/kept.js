// A user's choices in local storage, where the browser offers it: in a private window it may not, and access to it then throws.

// The stored choice of that name; null if there is none.
export function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

// Stores a choice.
export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Without storage, the choice lasts until the page is closed.
  }
}
