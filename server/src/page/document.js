// Elements that only a document can make. The lanes run in a worker, so a tab makes the elements for them.

// After this time without a poll, a tab is regarded as closed, in ms.
const TAB_TIMEOUT_MS = 3000;
const CHECK_MS = 500;

// The port of the tab that makes the elements, and when it polled last.
let tab = null;
let polledAt = -Infinity;
let requests = 0;
const open = new Map();

// Worker: remembers a tab that polls. The same tab makes all elements until it polls no more.
export function tabPolled(port) {
  const now = performance.now();
  if (port === tab || now - polledAt > TAB_TIMEOUT_MS) {
    tab = port;
    polledAt = now;
  }
}

// Worker: handles a message of a tab about an element.
export function elementReported({ id, call, ended, failed }) {
  const request = open.get(id);
  if (!request) return;
  if (call !== undefined) request.onCall(call);
  if (ended) request.resolve();
  if (failed) request.reject(new Error('the element could not be loaded'));
}

// Worker: has a tab make an element of that kind ('script' or 'iframe') for `url`, and calls `onCall` with the argument of each call that it
// makes. Resolves when the element has been loaded completely.
export function inDocument(kind, url, onCall, signal) {
  const id = (requests += 1);
  const used = tab;
  return new Promise((resolve, reject) => {
    if (!used) throw new Error('no tab is open');
    open.set(id, { onCall, resolve, reject });
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    used.postMessage({ element: { id, kind, url } });
    // A tab that was closed takes its elements with it.
    const timer = setInterval(() => {
      if (!open.has(id)) clearInterval(timer);
      else if (tab !== used || performance.now() - polledAt > TAB_TIMEOUT_MS) reject(new Error('the tab was closed'));
    }, CHECK_MS);
  }).finally(() => {
    open.delete(id);
    used?.postMessage({ element: { id, remove: true } });
  });
}

// Tab: makes or removes an element; `report` sends a message to the worker.
const elements = new Map();
export function makeElement({ id, kind, url, remove }, report) {
  const callback = `on_${id}`;
  if (remove) {
    elements.get(id)?.remove();
    elements.delete(id);
    delete window[callback];
    return;
  }
  window[callback] = (call) => report({ id, call });
  const element = document.createElement(kind);
  element.hidden = true;
  element.src = `${url}&callback=${callback}`;
  element.onload = () => report({ id, ended: true });
  element.onerror = () => report({ id, failed: true });
  elements.set(id, element);
  document.body.append(element);
}
