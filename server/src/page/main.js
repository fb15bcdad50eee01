// The live page: five lanes, each a real subscription; what the server saw on their sockets; and the controls.

import { Clock } from './clock.js';
import { Lane } from './lane.js';
import { axis, distribution, draw } from './ladder.js';
import { freeConnections } from './tabs.js';
import { switchLanguage, text, translate } from './text.js';
import { watch } from './watch.js';
import { showCrossing, showHandshake } from './wire.js';
import { subscribe as polling } from './transport/polling.js';
import { subscribe as longPolling } from './transport/long_polling.js';
import { subscribe as ndjson } from './transport/ndjson.js';
import { subscribe as sse } from './transport/sse.js';
import { subscribe as websocket } from './transport/websocket.js';

const FIGURES_MS = 500;
const parameters = new URLSearchParams(location.search);
const get = (id) => document.getElementById(id);
const clock = new Clock();
const page = {
  session: Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, '0')).join(''),
  clock,
  pollInterval: Number(get('interval').value),
};
// The lanes from top to bottom; those that hold a connection of HTTP/1.1 each are marked.
const all = [
  [new Lane('polling', polling, page), false],
  [new Lane('long_polling', longPolling, page), true],
  [new Lane('ndjson', ndjson, page), true],
  [new Lane('sse', sse, page), true],
  [new Lane('websocket', websocket, page), false],
].map(([lane, holds]) => Object.assign(lane, { holds }));
// The address may name some of them.
const named = all.filter((lane) => parameters.get('lanes')?.split(',').includes(lane.name));
const lanes = named.length > 0 ? named : all;
const published = [];
const rows = new Map();
let paused = null;
let span = Number(get('span').value) * 1000;
let shown = null;
let handshake = null;

function row(lane) {
  const made = get('lane').content.firstElementChild.cloneNode(true);
  made.dataset.lane = lane.name;
  made.style.setProperty('--lane', `var(--${lane.name})`);
  const part = (name) => made.querySelector(`.${name}`);
  part('name').dataset.text = lane.name;
  const pick = part('pick');
  pick.addEventListener('change', () => (pick.checked ? start(lane) : lane.stop()));
  part('send').addEventListener('click', () => send(lane));
  const canvas = part('ladder');
  canvas.addEventListener('click', ({ offsetX }) => {
    const near = (hit) => Math.abs(hit.x - offsetX);
    const hit = rows.get(lane).hits.toSorted((a, b) => near(a) - near(b))[0];
    if (hit) open(lane, hit.crossing);
  });
  canvas.addEventListener('keydown', ({ key }) => {
    if (key === 'Enter' || key === ' ') open(lane, lane.crossings.at(-1));
    if (key === 'ArrowLeft') step(-1);
    if (key === 'ArrowRight') step(1);
  });
  get('lanes').append(made);
  rows.set(lane, { made, part, canvas, pick, hits: [] });
}

let connections = { free: 0, hold() {} };

function start(lane) {
  const holding = lanes.filter((other) => other.holds && other.state !== 'off' && other.state !== 'full').length;
  if (lane.holds && holding >= connections.free) {
    lane.state = 'full';
    return;
  }
  connections.hold(holding + (lane.holds ? 1 : 0));
  lane.run();
}

// Publishes over the lane's own way up: a frame where the connection takes one, a request of its own where not.
function send(lane) {
  const words = `${text(lane.name)} ${new Date().toLocaleTimeString()}`;
  if (lane.send) lane.send(words);
  else post(`/publish?lane=${lane.id}`, words);
}

function post(path, body) {
  return fetch(path, { method: 'POST', body }).catch(() => {});
}

function open(lane, crossing) {
  if (!crossing) return;
  shown = { lane, crossing };
  showCrossing(get('crossing'), lane, crossing);
}

function step(by) {
  if (!shown) return open(lanes[0], lanes[0].crossings.at(-1));
  const { crossings } = shown.lane;
  open(shown.lane, crossings[crossings.indexOf(shown.crossing) + by]);
}

// The colours of the theme, looked up anew with the figures: asking for them at each frame would be half of the painting.
let palette = null;

function colours(lane) {
  palette ??= getComputedStyle(document.documentElement);
  const of = (name) => palette.getPropertyValue(name).trim();
  const known = rows.get(lane);
  return (known.colours ??= { ink: of('--ink'), grid: of('--grid'), faint: of('--faint'), faintInk: of('--faint-ink'), lane: of(`--${lane.name}`) });
}

function paint() {
  const now = paused ?? clock.now();
  for (const lane of lanes) {
    const found = rows.get(lane);
    found.hits = draw(found.canvas, lane, { now, span, published, colours: colours(lane) });
  }
  axis(get('axis'), { now, span, colours: colours(lanes[0]), unit: { now: text('now'), s: text('s') } });
}

const short = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const many = (value) => value.toLocaleString('en-US');

function figures() {
  const now = clock.now();
  published.splice(0, Math.max(0, published.findIndex((event) => event.at > now - 60_000)));
  for (const lane of lanes) {
    lane.forget(now);
    const known = rows.get(lane);
    const { made, part, pick } = known;
    known.colours = null;
    const set = (name, value) => {
      const place = part(name);
      if (place.textContent !== value) place.textContent = value;
    };
    const late = lane.deliveries.map((delivery) => delivery.late);
    const sorted = late.toSorted((a, b) => a - b);
    made.dataset.state = lane.state;
    pick.checked = lane.state !== 'off' && lane.state !== 'full';
    set('state', text(lane.state));
    set('why', lane.state === 'full' ? text('fullWhy') : '');
    set('late', late.length ? `${short(late.at(-1))} ms` : '\u2013');
    set('median', sorted.length ? `${short(sorted[Math.floor(sorted.length / 2)])} ms` : '\u2013');
    set('received', many(lane.received));
    set('requests', many(lane.requests));
    set('connections', many(lane.connections.size));
    set('up', many(lane.bytes.up));
    set('down', many(lane.bytes.down));
    const all = lane.bytes.up + lane.bytes.down;
    set('overhead', all ? `${Math.round(((all - lane.bytes.event) / all) * 100)} %` : '\u2013');
    const faults = ['missed', 'repeated'].filter((what) => lane[what]).map((what) => `${lane[what]} ${text(what)}`);
    if (lane.reconnects) faults.push(`${lane.reconnects} ${text('resumed')}`);
    set('faults', faults.join(', '));
    distribution(part('distribution'), late, colours(lane).lane);
  }
  const list = get('notes');
  const notes = lanes.flatMap((lane) => lane.notes.map((note) => ({ lane, ...note }))).toSorted((a, b) => b.at - a.at);
  list.replaceChildren(
    ...notes.slice(0, 8).map(({ lane, what }) => Object.assign(document.createElement('li'), { textContent: `${text(lane.name)}: ${what}` })),
  );
  const newest = lanes.flatMap((lane) => lane.deliveries.slice(-1).map((delivery) => ({ lane, ...delivery })));
  const last = newest.toSorted((a, b) => b.there - a.there)[0];
  // Spoken no more often than it can be listened to.
  if (last && now - figures.spoken > 3000) {
    figures.spoken = now;
    get('spoken').textContent = text('announced')(text(last.lane.name), last.seq, short(last.late));
  }
}
figures.spoken = -Infinity;

function told(message) {
  if (message.kind === 'crossing') {
    const lane = lanes.find((lane) => lane.name === message.lane);
    if (!lane) return;
    lane.crossed(message);
    if (lane.name === 'websocket') learn(lane);
  } else if (message.kind === 'published') {
    published.push(message);
  } else if (message.kind === 'settings') {
    get('rate').value = message.rate;
    get('payload').value = message.payload_bytes;
    document.body.dataset.control = message.control;
    for (const control of document.querySelectorAll('[data-control]')) control.disabled = !message.control;
    get('watching').hidden = message.control;
  }
  // Nobody says any more what this page may do.
  if (message.kind === 'away' || message.kind === 'refused') {
    get('away').hidden = message.kind !== 'away';
    get('unwatched').hidden = message.kind !== 'refused';
    for (const control of document.querySelectorAll('[data-control]')) control.disabled = true;
  }
  if (message.kind === 'there' && !(get('away').hidden && get('unwatched').hidden)) {
    get('away').hidden = get('unwatched').hidden = true;
    openAgain();
  }
}

// Nobody saw what was opened while the watcher was away, and so nobody would see what crosses it.
function openAgain() {
  const running = lanes.filter((lane) => lane.state !== 'off' && lane.state !== 'full');
  for (const lane of running) lane.stop();
  setTimeout(() => running.forEach(start), 100);
}

// Keeps the two heads of the WebSocket's handshake, the newest of each.
function learn(lane) {
  const crossing = lane.crossings.at(-1);
  if (crossing.data[0] !== 71 && crossing.data[0] !== 72) return;
  if (crossing.up) handshake = { request: crossing };
  else if (handshake) handshake.response = crossing;
  if (handshake?.response) showHandshake(get('steps'), handshake.request, handshake.response);
}

function controls() {
  const on = (id, what, kind = 'click') => get(id).addEventListener(kind, what);
  on('publish', () => post('/publish', new Date().toLocaleTimeString()));
  on('burst', () => post('/control', JSON.stringify({ burst: 100 })));
  on('cut', () => post('/control', JSON.stringify({ cut: page.session })));
  const settings = () => post('/control', JSON.stringify({ rate: Number(get('rate').value), payload: Number(get('payload').value) }));
  on('rate', settings, 'change');
  on('payload', settings, 'change');
  on('interval', () => (page.pollInterval = Math.max(20, Number(get('interval').value))), 'change');
  on('span', () => (span = Number(get('span').value) * 1000), 'change');
  on('pause', () => {
    paused = paused === null ? clock.now() : null;
    get('pause').dataset.text = paused === null ? 'pause' : 'resume';
    get('pause').setAttribute('aria-pressed', String(paused !== null));
    translate();
  });
  on('afresh', () => {
    lanes.forEach((lane) => lane.reset());
    published.length = 0;
  });
  on('previous', () => step(-1));
  on('next', () => step(1));
  on('language', () => {
    switchLanguage();
    figures();
    if (shown) open(shown.lane, shown.crossing);
    if (handshake?.response) showHandshake(get('steps'), handshake.request, handshake.response);
  });
  const root = document.documentElement;
  on('projector', () => get('projector').setAttribute('aria-pressed', String(root.classList.toggle('projector'))));
  on('theme', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });
  on('viewers', showViewers);
  on('join', () => get('join').close());
  // A letter for each control, where no field is being typed in.
  document.addEventListener('keydown', (event) => {
    if (event.target.matches('button') && (event.key === ' ' || event.key === 'Enter')) return;
    if (event.target.matches('input, canvas') || event.ctrlKey || event.metaKey || event.altKey) return;
    press(event.key);
  });
  addEventListener('message', ({ origin, data }) => origin === location.origin && press(data.key));
}

// A key that means nothing here is for the slide that this page is part of, if it is.
function press(key) {
  const control = document.querySelector(`[data-key="${CSS.escape(key.toLowerCase())}"]`);
  if (control?.checkVisibility()) control.click();
  else if (window.parent !== window) window.parent.postMessage({ key }, location.origin);
}

// How those who only watch get here: the address, and its QR code.
async function showViewers() {
  const { url, this_machine_only: only, modules } = await (await fetch('/viewers', { cache: 'no-store' })).json();
  get('join-url').textContent = url;
  get('join-only').hidden = !only;
  const canvas = get('join-code');
  const MARGIN = 4;
  canvas.width = canvas.height = modules.length + 2 * MARGIN;
  const pen = canvas.getContext('2d');
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = '#000';
  modules.forEach((row, y) => [...row].forEach((module, x) => module === '1' && pen.fillRect(x + MARGIN, y + MARGIN, 1, 1)));
  get('join').showModal();
}

async function begin() {
  translate();
  lanes.forEach(row);
  translate();
  controls();
  if (parameters.has('projector')) get('projector').click();
  // Within a slide: that part of the page alone, and large.
  if (parameters.has('embed')) {
    document.body.dataset.embed = parameters.get('embed');
    document.documentElement.classList.add('projector');
  }
  if (parameters.has('theme')) document.documentElement.dataset.theme = parameters.get('theme');
  if (parameters.has('network')) {
    get('network').hidden = false;
    get('network-name').textContent = parameters.get('network');
  }
  // A browser may keep a page that was left, and its connections with it: six are all there are.
  addEventListener('pagehide', () => lanes.forEach((lane) => lane.stop()));
  addEventListener('pageshow', (event) => event.persisted && location.reload());
  watch(page.session, told);
  await clock.set().catch(() => {});
  clock.keep((error) => (get('error').textContent = `${text('clock')} \u00b1${short(error)} ms`));
  connections = await freeConnections();
  // All lanes begin behind the same event.
  const { head, epoch } = await (await fetch('/load', { cache: 'no-store' })).json();
  for (const lane of lanes) Object.assign(lane, { cursor: head, epoch });
  // A turn behind the watcher, so that the first bytes of each lane are seen.
  setTimeout(() => lanes.forEach(start), 100);
  setInterval(figures, FIGURES_MS);
  // Where motion is unwelcome, the picture stands still and is renewed now and then.
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) setInterval(paint, 1000);
  else {
    // Thirty a second are smooth enough, and leave the thread to the events.
    let painted = 0;
    const frame = (at) => {
      if (at - painted > 30) {
        painted = at;
        paint();
      }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }
}

// For whoever tests the page.
window.lab = { lanes, page, published, clock };
begin();
