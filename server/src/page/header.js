// What both views of the page have in common: the header's buttons, the keys, and what a browser without the presenter's rights sees.

import { switchLanguage } from './text.js';

const get = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);

// Connects the header's buttons and the keys; `onLanguage` is called when the language has changed.
export function connectHeader(onLanguage) {
  const root = document.documentElement;
  get('language').addEventListener('click', () => {
    switchLanguage();
    onLanguage();
  });
  get('theme').addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });
  if (parameters.has('theme')) root.dataset.theme = parameters.get('theme');
  // The address names a network that another program models.
  if (parameters.has('network')) {
    get('network').hidden = false;
    get('network-name').textContent = parameters.get('network');
  }
  get('viewers').addEventListener('click', showViewers);
  get('join').addEventListener('click', () => get('join').close());
  // Each control has a key, which works unless the focus is in a field that uses it. One that is held down works once, except for arrows.
  document.addEventListener('keydown', (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches('input:not([type=range]), select, canvas')) return;
    if (target.matches('button, a, summary') && (key === ' ' || key === 'Enter')) return;
    const isHeld = event.repeat && !key.startsWith('Arrow');
    if ((isHeld ? controlOf(key) : handleKey(key)) && key === ' ') event.preventDefault();
  });
  addEventListener('message', ({ origin, data }) => origin === location.origin && handleKey(data.key));
  // A page that the browser restores from its cache has missed what happened since it was left.
  addEventListener('pageshow', (event) => event.persisted && location.reload());
}

// The control that a key operates now.
function controlOf(key) {
  const controls = document.querySelectorAll(`[data-key~="${key === ' ' ? 'space' : CSS.escape(key.toLowerCase())}"]`);
  // Behind a dialog, nothing has a key.
  const dialog = document.querySelector('dialog:modal');
  return [...controls].find((found) => found.checkVisibility() && !found.disabled && (!dialog || dialog.contains(found)));
}

// Handles a key, and returns whether it has a meaning here. One without is passed to the slide that contains this page, if one does.
function handleKey(key) {
  const control = controlOf(key);
  if (control) control.click();
  else if (window.parent !== window) window.parent.postMessage({ key }, location.origin);
  return Boolean(control);
}

// Shows what this browser may do, and whether the server can be reached. Controls that only the presenter has are hidden from viewers, and
// disabled while the server is unreachable.
export function showRights({ server, settings }) {
  get('away').hidden = server !== 'unreachable';
  get('unwatched').hidden = server !== 'refused';
  if (settings) {
    document.body.dataset.control = settings.control;
    get('watching').hidden = settings.control;
  }
  const may = server === 'connected' && settings?.control;
  for (const control of document.querySelectorAll('[data-control]')) control.disabled = !may;
}

// Shows how phones join, with a QR code, and how viewers reach this page.
async function showViewers() {
  const { url, join, this_machine_only: only, modules } = await (await fetch('/viewers', { cache: 'no-store' })).json();
  get('join-url').textContent = join;
  if (get('watch-url')) get('watch-url').textContent = url;
  get('join-only').hidden = !only;
  drawCode(get('join-code'), modules);
  get('join').showModal();
}

// Draws a QR code, with the margin that it needs.
export function drawCode(canvas, modules) {
  const MARGIN = 4;
  canvas.width = canvas.height = modules.length + 2 * MARGIN;
  const pen = canvas.getContext('2d');
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = '#000';
  modules.forEach((row, y) => [...row].forEach((module, x) => module === '1' && pen.fillRect(x + MARGIN, y + MARGIN, 1, 1)));
}
