// The player: shows one slide at a time, an overview of all slides, or the presenter view. It is controlled by keys, buttons and the
// fragment of the address: `#10`, or `#10.2` for the tenth slide after two of its steps.

const root = document.documentElement;
const get = (id) => document.getElementById(id);
const texts = JSON.parse(get('texts').textContent);
const slides = [...document.querySelectorAll('.slide')];
const parameters = new URLSearchParams(location.search);
const presenting = parameters.has('presenter');
// Whether the slides come from the server, so that the live page is available.
const served = root.dataset.live === 'yes';
const startedAt = Date.now();
let current = 0;
// How many steps of the current slide are shown.
let step = 0;
// The window that shows the same slide: the presenter view, or the window that opened it.
let other = presenting ? window.opener : null;

// The steps of a slide, each a list of the elements that appear with it: the steps of its chart, the items of its lists (of a claim only what
// follows it, so that a class can vote), and the text below a chart. A slide without the class `steps` has none.
function stepsOf(slide) {
  if (!slide.matches('.steps')) return [];
  const parts = [...slide.querySelectorAll('[data-step]')];
  const charted = [...new Set(parts.map((part) => Number(part.dataset.step)))].sort((one, other) => one - other);
  const items = [...slide.querySelectorAll('.body li')].map((item) => item.querySelector('.answer') ?? item);
  return [
    ...charted.map((number) => parts.filter((part) => Number(part.dataset.step) === number)),
    ...[...items, ...slide.querySelectorAll('.chart ~ p')].map((part) => [part]),
  ];
}

// What a step says, for screen readers: its texts, after the name of the row that they belong to.
const said = (step) => {
  const rows = step.filter((part) => part.textContent.trim()).map((part) => part.parentElement.closest('g') ?? part);
  return rows.map((row) => row.textContent.replace(/\s+/g, ' ').trim()).join('; ');
};

// Shows a slide with some of its steps, here and, if `notify` is set, in the other window. Other slides have all of their steps, since they
// are seen in the overview and in print.
function show(index, shown = 0, notify = true) {
  current = Math.min(slides.length - 1, Math.max(0, index));
  slides.forEach((slide, at) => slide.classList.toggle('current', at === current));
  const steps = stepsOf(slides[current]);
  step = Math.min(shown, steps.length);
  document.querySelectorAll('.later').forEach((part) => part.classList.remove('later'));
  steps.slice(step).flat().forEach((part) => part.classList.add('later'));
  history.replaceState(null, '', `${location.search}#${current + 1}${step ? `.${step}` : ''}`);
  get('position').textContent = `${current + 1} / ${slides.length}${steps.length ? ` · ${step} / ${steps.length}` : ''}`;
  get('said').textContent = step ? said(steps[step - 1]) : '';
  document.title = `${slides[current].querySelector('h1').textContent} – Transport Lab`;
  if (presenting) updatePresenterView();
  else updateLiveFrames();
  if (notify) other?.postMessage({ slide: current, step }, '*');
}

// Shows the next step, or the next slide if there is none.
function forward() {
  if (step < stepsOf(slides[current]).length) show(current, step + 1);
  else show(current + 1);
}

// Shows the slide before, with all of its steps.
const back = () => show(current - 1, Infinity);

// Shows what the fragment of the address names.
function showAddress(notify) {
  const [slide, step] = location.hash.slice(1).split('.');
  show((Number(slide) || 1) - 1, Number(step) || 0, notify);
}

// Adds the live page to the current slide, and removes it from the others: each live page keeps connections open, and a browser opens only
// six to a host.
function updateLiveFrames() {
  const talk = document.body.classList.contains('talk');
  for (const container of document.querySelectorAll('.live')) {
    const wanted = served && talk && slides[current].contains(container);
    const frame = container.querySelector('iframe');
    if (wanted && !frame) {
      const made = document.createElement('iframe');
      const query = new URLSearchParams(container.dataset.query);
      query.set('lang', root.lang);
      if (root.dataset.theme) query.set('theme', root.dataset.theme);
      made.src = `/?${query}`;
      if (query.get('embed') === 'wire') made.addEventListener('load', () => showFirstBytes(made));
      made.title = container.title;
      container.append(made);
    } else if (!wanted) frame?.remove();
  }
}

// The slide with the bytes on the wire works without a mouse: these keys act on the lanes' canvases as keys that are pressed in them.
function pressInLane(frame, lane, key) {
  const canvas = frame?.contentDocument?.querySelectorAll('canvas.ladder')[lane];
  canvas?.dispatchEvent(new frame.contentWindow.KeyboardEvent('keydown', { key }));
  return Boolean(canvas);
}

// Shows the bytes of a message as soon as there is one, so that the slide is not empty.
function showFirstBytes(frame) {
  if (!frame.isConnected || frame.contentDocument.querySelector('#chunk pre')) return;
  pressInLane(frame, 0, 'Enter');
  setTimeout(() => showFirstBytes(frame), 200);
}

const BYTES_KEYS = { 1: [0, 'Enter'], 2: [1, 'Enter'], ',': [0, 'ArrowLeft'], '.': [0, 'ArrowRight'] };

// A copy of a slide without the live page; a message instead if there is no slide.
function copy(slide) {
  const made = slide?.cloneNode(true) ?? document.createElement('p');
  made.querySelectorAll('iframe').forEach((frame) => frame.remove());
  if (!slide) made.textContent = texts.end;
  made.removeAttribute('id');
  return made;
}

// Shows the current slide, the next one, and the notes.
function updatePresenterView() {
  get('current-slide').replaceChildren(copy(slides[current]));
  get('next-slide').replaceChildren(copy(slides[current + 1]));
  get('speaker-notes').innerHTML = slides[current].querySelector('.notes').innerHTML;
}

// Shows the time since the start, the position and the time of day.
function updateClock() {
  const seconds = Math.floor((Date.now() - startedAt) / 1000);
  const two = (number) => String(number).padStart(2, '0');
  get('clock').querySelector('strong').textContent = `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  get('clock').querySelector('span').textContent = `${current + 1} / ${slides.length} · ${new Date().toLocaleTimeString()}`;
}

// Scales the slides to the window.
function fit() {
  root.style.setProperty('--scale', Math.min(innerWidth / 1280, innerHeight / 720));
  root.style.setProperty('--zoom', Math.min((innerWidth * 0.61) / 1280, (innerHeight * 0.6) / 720));
}

// Shows or leaves the overview.
function showOverview(wanted) {
  if (presenting) return;
  document.body.classList.toggle('overview', wanted);
  document.body.classList.toggle('talk', !wanted);
  updateLiveFrames();
  if (wanted) slides[current].scrollIntoView({ block: 'center' });
}

function openPresenter() {
  const query = new URLSearchParams(parameters);
  query.set('presenter', '');
  other = window.open(`${location.pathname}?${query}${location.hash}`, 'presenter', 'width=1280,height=800');
}

function switchTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  document.querySelectorAll('.live iframe').forEach((frame) => frame.remove());
  if (!presenting) updateLiveFrames();
}

const KEYS = {
  ArrowRight: forward,
  PageDown: forward,
  ' ': forward,
  ArrowLeft: back,
  PageUp: back,
  Home: () => show(0),
  End: () => show(slides.length - 1),
  o: () => showOverview(!document.body.classList.contains('overview')),
  Escape: () => showOverview(false),
  Enter: () => showOverview(false),
  n: openPresenter,
  t: switchTheme,
  l: () => (location.href = `${root.dataset.other}.html${location.search}${location.hash}`),
  f: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()),
  '?': () => (get('keys').open ? get('keys').close() : get('keys').showModal()),
};

const action = (key) => KEYS[key] ?? KEYS[key.toLowerCase()];

// Handles a key; returns whether the player uses it. Other keys are passed to the live page, if the slide contains it.
function handleKey(key) {
  const act = action(key);
  const bytes = slides[current].querySelector('.live[data-query*="embed=wire"] iframe');
  if (act) act();
  else if (bytes && BYTES_KEYS[key]) return pressInLane(bytes, ...BYTES_KEYS[key]);
  else slides[current].querySelector('.live iframe')?.contentWindow.postMessage({ key }, location.origin);
  return Boolean(act);
}

// Handles a key that a live page has passed on, since it has no meaning there.
function receiveKey(key) {
  if (action(key) || BYTES_KEYS[key]) handleKey(key);
}

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input')) return;
  if (event.target.matches('a, button') && (event.key === ' ' || event.key === 'Enter')) return;
  if (handleKey(event.key)) event.preventDefault();
});
addEventListener('message', ({ data, source }) => {
  const frames = [...document.querySelectorAll('.live iframe')].map((frame) => frame.contentWindow);
  if (frames.includes(source) && typeof data.key === 'string') receiveKey(data.key);
  else if (source === other && Number.isInteger(data.slide)) show(data.slide, data.step, false);
});
addEventListener('hashchange', () => showAddress(true));
addEventListener('resize', fit);
slides.forEach((slide, index) =>
  slide.addEventListener('click', () => {
    if (!document.body.classList.contains('overview')) return;
    show(index);
    showOverview(false);
  }),
);
for (const [id, label, act] of [
  ['previous', texts.previous, KEYS.ArrowLeft],
  ['next', texts.next, KEYS.ArrowRight],
  ['overview', texts.overview, KEYS.o],
  ['notes', texts.notes, KEYS.n],
  ['help', '?', KEYS['?']],
]) {
  Object.assign(get(id), { title: label, ariaLabel: label });
  get(id).addEventListener('click', act);
}
for (const [key, meaning] of texts.keys) {
  get('keys').firstElementChild.append(
    Object.assign(document.createElement('dt'), { textContent: key }),
    Object.assign(document.createElement('dd'), { textContent: meaning }),
  );
}
get('keys').addEventListener('click', () => get('keys').close());
if (!served) {
  for (const recording of document.querySelectorAll('.recorded')) {
    recording.append(Object.assign(document.createElement('p'), { className: 'hint', textContent: texts.liveIsServed }));
  }
}
if (parameters.has('theme')) root.dataset.theme = parameters.get('theme');
document.body.classList.add(presenting ? 'speaker' : 'talk');
get('presenter').hidden = !presenting;
if (presenting) setInterval(updateClock, 250);
fit();
showAddress(false);
