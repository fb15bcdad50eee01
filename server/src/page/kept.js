// What the browser keeps of a reader's choices, where it keeps anything: a private window may have no storage, and asking for it
// then throws.

export function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The choice holds until the page is left.
  }
}
