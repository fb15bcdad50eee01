// The lanes of the live page: draws them, and connects the controls. The data come from the subscriptions that all tabs share.

import { ask } from './answer.js';
import { Condition, isFailure, words } from './condition.js';
import { exactly } from './delay.js';
import { connectHeader, showRights } from './header.js';
import { axis, draw, histogram } from './ladder.js';
import { NetworkControls } from './network.js';
import { SharedSubscriptions } from './shared.js';
import { Slider } from './slider.js';
import { text, translate } from './text.js';
import { TRANSPORTS } from './transports.js';
import { showChunk, showHandshake } from './wire.js';

const FIGURES_MS = 500;
const BURST = 100;
// The positions of the sliders: events per second, and poll intervals in ms.
const RATES = [0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
const INTERVALS_MS = [50, 100, 200, 500, 1000, 2000, 3000, 5000, 10_000];
const parameters = new URLSearchParams(location.search);
const get = (id) => document.getElementById(id);
const shared = new SharedSubscriptions(showShared);
// The lanes that are shown.
const { lanes } = shared;
const rows = new Map();
const tools = new NetworkControls(get('tools'), shared);
const sliders = {
  rate: new Slider(get('rate'), get('rate-value'), {
    values: RATES,
    words: (rate) => text('rateIs')(rate),
    apply: (rate) => shared.order('settings', { rate }),
  }),
  interval: new Slider(get('interval'), get('interval-value'), {
    values: INTERVALS_MS,
    words: exactly,
    apply: (ms) => shared.order('pollInterval', { ms }),
  }),
};
// Whether an answer is being asked for.
let asking = false;
let paused = null;
let span = Number(get('span').value) * 1000;
let shown = null;
// The font size, in pixels.
let em = 15;
// When the last event was announced, in ms of the server's clock.
let announcedAt = -Infinity;

// Adds the row of a lane to the page.
function addRow(lane) {
  const element = get('lane').content.firstElementChild.cloneNode(true);
  element.dataset.lane = lane.name;
  const { colours, marker, carrier } = TRANSPORTS.find(({ name }) => name === lane.name);
  element.style.setProperty('--lane', `light-dark(${colours.light}, ${colours.dark})`);
  const part = (name) => element.querySelector(`.${name}`);
  part('name').dataset.text = lane.name;
  const pick = part('pick');
  pick.addEventListener('change', () => shared.order('pick', { name: lane.name, wanted: pick.checked }));
  part('send').addEventListener('click', () => {
    shared.order('send', { name: lane.name, text: `${text(lane.name)} ${new Date().toLocaleTimeString()}` });
  });
  const canvas = part('ladder');
  canvas.addEventListener('click', ({ offsetX }) => {
    const near = (hit) => Math.abs(hit.x - offsetX);
    const hit = rows.get(lane).hits.toSorted((a, b) => near(a) - near(b))[0];
    if (hit) showBytes(lane, hit.chunk);
  });
  canvas.addEventListener('keydown', ({ key }) => {
    if (key === 'Enter' || key === ' ') showBytes(lane, lane.chunks.at(-1));
    if (key === 'ArrowLeft') step(-1);
    if (key === 'ArrowRight') step(1);
  });
  get('lanes').append(element);
  // QUIC encrypts its packets, so the server's trace has none of them.
  const traced = !carrier.startsWith('h3');
  rows.set(lane, { element, part, canvas, pick, corners: marker, traced, hits: [], named: new Map(), condition: new Condition() });
}

// Shows a lane. One that is not among the usual ones is subscribed by this.
function addLane(lane) {
  if (!lane.wanted) shared.order('pick', { name: lane.name, wanted: true });
  lanes.push(lane);
  addRow(lane);
  listOtherLanes();
}

// Lists the lanes that are not shown, by the generation of their transports.
function listOtherLanes() {
  const list = get('more');
  list.replaceChildren(Object.assign(document.createElement('option'), { value: '' }));
  list.firstChild.dataset.text = 'more';
  for (const { name, family } of TRANSPORTS) {
    if (lanes.some((lane) => lane.name === name)) continue;
    let group = list.querySelector(`[data-family="${family}"]`);
    if (!group) {
      group = document.createElement('optgroup');
      Object.assign(group.dataset, { family, label: family });
      list.append(group);
    }
    const option = Object.assign(document.createElement('option'), { value: name });
    option.dataset.text = name;
    group.append(option);
  }
  list.closest('label').hidden = !list.querySelector('optgroup');
  translate();
}

// Shows the bytes of a chunk.
function showBytes(lane, chunk) {
  if (!chunk) return;
  shown = { lane, chunk };
  showChunk(get('chunk'), lane, chunk);
}

// Shows the next chunk of the same lane, or the previous one for -1.
function step(by) {
  if (!shown) return showBytes(lanes[0], lanes[0].chunks.at(-1));
  const { chunks } = shown.lane;
  showBytes(shown.lane, chunks[chunks.indexOf(shown.chunk) + by]);
}

// The colours of the theme. They are looked up when the figures are updated: to look them up in each frame would take half of the painting
// time.
let palette = null;

function colours(lane) {
  palette ??= getComputedStyle(document.documentElement);
  const of = (name) => palette.getPropertyValue(name).trim();
  const row = rows.get(lane);
  return (row.colours ??= {
    ink: of('--ink'),
    paper: of('--paper'),
    grid: of('--grid'),
    faint: of('--faint'),
    faintInk: of('--faint-ink'),
    bad: of('--bad'),
    lane: getComputedStyle(row.part('name')).color,
  });
}

// Draws the lanes and the time axis.
function paint() {
  const now = paused ?? shared.now();
  const { published } = shared;
  const names = Object.fromEntries(['server', 'browser', 'request', 'response', 'event', 'events', 'resumed'].map((key) => [key, text(`ladder ${key}`)]));
  for (const lane of lanes) {
    const row = rows.get(lane);
    const { corners, traced, named } = row;
    row.hits = draw(row.canvas, lane, { now, span, published, colours: colours(lane), corners, em, traced, names, named });
  }
  axis(get('axis'), { span, colours: colours(lanes[0]), unit: { now: text('now'), s: text('s') }, em });
}

// A number with about three digits.
const short = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const grouped = (value) => value.toLocaleString('en-US');

// Updates the figures of all lanes.
function updateFigures() {
  const now = shared.now();
  em = parseFloat(getComputedStyle(document.documentElement).fontSize);
  for (const lane of lanes) {
    const row = rows.get(lane);
    const { element, part, pick } = row;
    row.colours = null;
    const set = (name, value) => {
      const field = part(name);
      if (field.textContent !== value) field.textContent = value;
    };
    const latencies = lane.deliveries.map(({ latency }) => latency);
    const sorted = latencies.toSorted((a, b) => a - b);
    element.dataset.state = lane.state;
    pick.checked = lane.wanted;
    const condition = row.condition.update(lane, shared);
    element.dataset.condition = condition.kind;
    element.dataset.failed = isFailure(condition);
    set('state', words(condition));
    set('latency', latencies.length ? `${short(latencies.at(-1))} ms` : '\u2013');
    set('median', sorted.length ? `${short(sorted[Math.floor(sorted.length / 2)])} ms` : '\u2013');
    set('received', grouped(lane.received));
    const counted = (count) => (row.traced ? grouped(count) : '\u2013');
    set('requests', counted(lane.requests));
    set('connections', counted(lane.connections));
    set('up', counted(lane.bytes.up));
    set('down', counted(lane.bytes.down));
    const all = lane.bytes.up + lane.bytes.down;
    set('overhead', all ? `${Math.round(((all - lane.bytes.event) / all) * 100)} %` : '\u2013');
    const faults = ['missed', 'repeated'].filter((what) => lane[what]).map((what) => `${text(what)} ${lane[what]}`);
    if (lane.reconnects) faults.push(`${text('resumed')} ${lane.reconnects}`);
    set('faults', faults.join(', '));
    histogram(part('histogram'), latencies, colours(lane).lane);
  }
  const list = get('notes');
  const notes = lanes.flatMap((lane) => lane.notes.map((note) => ({ lane, ...note }))).toSorted((a, b) => b.at - a.at);
  list.replaceChildren(
    ...notes.slice(0, 8).map(({ lane, what }) => Object.assign(document.createElement('li'), { textContent: `${text(lane.name)}: ${what}` })),
  );
  const newest = lanes.flatMap((lane) => lane.deliveries.slice(-1).map((delivery) => ({ lane, ...delivery })));
  const last = newest.toSorted((a, b) => b.receivedAt - a.receivedAt)[0];
  // A screen reader announces an event at most every three seconds.
  if (last && now - announcedAt > 3000) {
    announcedAt = now;
    get('announcement').textContent = text('announced')(text(last.lane.name), last.seq, short(last.latency));
  }
}

// What `showShared` has shown last.
const lastShown = {};

// Shows what all tabs have in common, if it has changed.
function showShared() {
  const { pollInterval, handshake, error } = shared;
  const settings = JSON.stringify(shared.settings);
  showRights(shared);
  get('ask').disabled ||= asking;
  tools.show(shared);
  if (error !== null) get('error').textContent = `${text('clock')} \u00b1${short(error)} ms`;
  sliders.interval.show(pollInterval);
  if (shared.settings) sliders.rate.show(shared.settings.rate);
  if (shared.settings && settings !== lastShown.settings) {
    get('payload').value = shared.settings.payload_bytes;
  }
  if (handshake?.response && handshake.response !== lastShown.response) showHandshake(get('steps'), handshake);
  Object.assign(lastShown, { settings, response: handshake?.response });
}

// Connects the controls and their keys.
function connectControls() {
  const on = (id, what, kind = 'click') => get(id).addEventListener(kind, what);
  on('publish', () => shared.order('publish'));
  on('burst', () => shared.order('burst', { events: BURST }));
  on('cut', () => shared.order('cut'));
  on('payload', () => shared.order('settings', { payload: Number(get('payload').value) }), 'change');
  on('span', () => (span = Number(get('span').value) * 1000), 'change');
  on('pause', () => {
    paused = paused === null ? shared.now() : null;
    get('pause').dataset.text = paused === null ? 'pause' : 'resume';
    get('pause').setAttribute('aria-pressed', String(paused !== null));
    translate();
  });
  on('afresh', () => shared.order('reset'));
  on(
    'more',
    () => {
      const lane = shared.all.find(({ name }) => name === get('more').value);
      if (lane) addLane(lane);
    },
    'change',
  );
  on('previous', () => step(-1));
  on('next', () => step(1));
  const root = document.documentElement;
  on('projector', () => get('projector').setAttribute('aria-pressed', String(root.classList.toggle('projector'))));
  // The lanes belong to all tabs, and go on if this one is closed.
  addEventListener('pagehide', () => asking && shared.order('suspend', { suspended: false }));
  on('ask', async () => {
    if (asking) return;
    asking = true;
    get('answers').closest('table').hidden = false;
    // A browser opens six connections of HTTP/1.1 to a host, and the answers need five of them.
    shared.order('suspend', { suspended: true });
    await ask(get('answers'));
    asking = false;
    shared.order('suspend', { suspended: document.hidden && !window.SharedWorker });
  });
}

// Shows everything in the chosen language.
function showTexts() {
  tools.translate();
  for (const slider of Object.values(sliders)) slider.translate();
  updateFigures();
  if (shown) showBytes(shown.lane, shown.chunk);
  if (shared.handshake?.response) showHandshake(get('steps'), shared.handshake);
}

async function start() {
  translate();
  connectHeader(showTexts);
  connectControls();
  if (parameters.has('projector')) get('projector').click();
  // Within a slide, the address names the part of the page that is shown, which is enlarged.
  if (parameters.has('embed')) {
    document.body.dataset.embed = parameters.get('embed');
    document.documentElement.classList.add('projector');
  }
  await shared.ready;
  // The address may select some of the lanes.
  const named = shared.all.filter((lane) => parameters.get('lanes')?.split(',').includes(lane.name));
  const isToday = ({ name }) => TRANSPORTS.find((transport) => transport.name === name).family === 'today';
  const shownFirst = named.length > 0 ? named : shared.all.filter((lane) => isToday(lane) || lane.wanted);
  shownFirst.forEach(addLane);
  translate();
  updateFigures();
  setInterval(updateFigures, FIGURES_MS);
  // For users who prefer reduced motion, the lanes are redrawn once a second only.
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) setInterval(paint, 1000);
  else {
    // Thirty frames a second are smooth enough, and leave time for other work on this thread.
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

// For tests of the page.
window.livePage = shared;
start();
