// The player: shows one slide at a time, all at a glance, or what the speaker needs; keys, buttons and the address lead.

const root = document.documentElement;
const get = (id) => document.getElementById(id);
const words = JSON.parse(get('words').textContent);
const slides = [...document.querySelectorAll('.slide')];
const parameters = new URLSearchParams(location.search);
const speaks = parameters.has('presenter');
const served = root.dataset.live === 'yes';
const began = Date.now();
let current = 0;
// The other window: the presenter's, or the one that opened it.
let other = speaks ? window.opener : null;

function show(index, tell = true) {
  current = Math.min(slides.length - 1, Math.max(0, index));
  slides.forEach((slide, at) => slide.classList.toggle('current', at === current));
  history.replaceState(null, '', `${location.search}#${current + 1}`);
  get('where').textContent = `${current + 1} / ${slides.length}`;
  document.title = `${slides[current].querySelector('h1').textContent} – Transport Lab`;
  if (speaks) brief();
  else live();
  if (tell) other?.postMessage({ slide: current }, '*');
}

// Live lanes run on the slide that is shown, and nowhere else: they hold connections, of which a browser has six.
function live() {
  const talk = document.body.classList.contains('talk');
  for (const place of document.querySelectorAll('.live')) {
    const wanted = served && talk && slides[current].contains(place);
    const frame = place.querySelector('iframe');
    if (wanted && !frame) {
      const made = document.createElement('iframe');
      const query = new URLSearchParams(place.dataset.query);
      query.set('lang', root.lang);
      if (root.dataset.theme) query.set('theme', root.dataset.theme);
      made.src = `/?${query}`;
      made.title = place.title;
      place.append(made);
    } else if (!wanted) frame?.remove();
  }
}

function copy(slide) {
  const made = slide?.cloneNode(true) ?? document.createElement('p');
  made.querySelectorAll('iframe').forEach((frame) => frame.remove());
  if (!slide) made.textContent = words.ends;
  made.removeAttribute('id');
  return made;
}

function brief() {
  get('now').replaceChildren(copy(slides[current]));
  get('then').replaceChildren(copy(slides[current + 1]));
  get('said').innerHTML = slides[current].querySelector('.notes').innerHTML;
}

function tick() {
  const seconds = Math.floor((Date.now() - began) / 1000);
  const two = (number) => String(number).padStart(2, '0');
  get('clock').querySelector('strong').textContent = `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  get('clock').querySelector('span').textContent = `${current + 1} / ${slides.length} · ${new Date().toLocaleTimeString()}`;
}

function fit() {
  root.style.setProperty('--scale', Math.min(innerWidth / 1280, innerHeight / 720));
  root.style.setProperty('--zoom', Math.min((innerWidth * 0.61) / 1280, (innerHeight * 0.6) / 720));
}

function glance(wanted) {
  if (speaks) return;
  document.body.classList.toggle('glance', wanted);
  document.body.classList.toggle('talk', !wanted);
  live();
  if (wanted) slides[current].scrollIntoView({ block: 'center' });
}

function openPresenter() {
  const query = new URLSearchParams(parameters);
  query.set('presenter', '');
  other = window.open(`${location.pathname}?${query}#${current + 1}`, 'presenter', 'width=1280,height=800');
}

function switchTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  document.querySelectorAll('.live iframe').forEach((frame) => frame.remove());
  if (!speaks) live();
}

const KEYS = {
  ArrowRight: () => show(current + 1),
  PageDown: () => show(current + 1),
  ' ': () => show(current + 1),
  ArrowLeft: () => show(current - 1),
  PageUp: () => show(current - 1),
  Home: () => show(0),
  End: () => show(slides.length - 1),
  o: () => glance(!document.body.classList.contains('glance')),
  Escape: () => glance(false),
  Enter: () => glance(false),
  n: openPresenter,
  t: switchTheme,
  l: () => (location.href = `${root.dataset.other}.html${location.search}${location.hash}`),
  f: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()),
  '?': () => (get('keys').open ? get('keys').close() : get('keys').showModal()),
};

const meaning = (key) => KEYS[key] ?? KEYS[key.toLowerCase()];

// A key that means nothing here is for the live lanes, where there are any. Gives whether it did mean something.
function press(key) {
  const act = meaning(key);
  if (act) act();
  else slides[current].querySelector('.live iframe')?.contentWindow.postMessage({ key }, location.origin);
  return Boolean(act);
}

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input')) return;
  if (event.target.matches('button') && (event.key === ' ' || event.key === 'Enter')) return;
  if (press(event.key)) event.preventDefault();
});
addEventListener('message', ({ data, source }) => {
  const frames = [...document.querySelectorAll('.live iframe')].map((frame) => frame.contentWindow);
  if (frames.includes(source) && typeof data.key === 'string') meaning(data.key)?.();
  else if (source === other && Number.isInteger(data.slide)) show(data.slide, false);
});
addEventListener('hashchange', () => show(Number(location.hash.slice(1)) - 1));
addEventListener('resize', fit);
slides.forEach((slide, index) =>
  slide.addEventListener('click', () => {
    if (!document.body.classList.contains('glance')) return;
    show(index);
    glance(false);
  }),
);
for (const [id, label, act] of [
  ['previous', words.previous, KEYS.ArrowLeft],
  ['next', words.next, KEYS.ArrowRight],
  ['overview', words.overview, KEYS.o],
  ['notes', words.notes, KEYS.n],
  ['help', '?', KEYS['?']],
]) {
  Object.assign(get(id), { title: label, ariaLabel: label });
  get(id).addEventListener('click', act);
}
for (const [key, meaning] of words.keys) {
  get('keys').firstElementChild.append(
    Object.assign(document.createElement('dt'), { textContent: key }),
    Object.assign(document.createElement('dd'), { textContent: meaning }),
  );
}
get('keys').addEventListener('click', () => get('keys').close());
if (!served) {
  for (const place of document.querySelectorAll('.recorded')) {
    place.append(Object.assign(document.createElement('p'), { className: 'how', textContent: words.liveIsServed }));
  }
}
if (parameters.has('theme')) root.dataset.theme = parameters.get('theme');
document.body.classList.add(speaks ? 'speaker' : 'talk');
get('presenter').hidden = !speaks;
if (speaks) setInterval(tick, 250);
fit();
show((Number(location.hash.slice(1)) || 1) - 1, false);
