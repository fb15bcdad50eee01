// The live page: the lanes as they are drawn, and the controls. What is drawn comes from the subscriptions that all tabs share.

import { axis, distribution, draw } from './ladder.js';
import { Shared } from './shared.js';
import { switchLanguage, text, translate } from './text.js';
import { showCrossing, showHandshake } from './wire.js';

const FIGURES_MS = 500;
const BURST = 100;
const parameters = new URLSearchParams(location.search);
const get = (id) => document.getElementById(id);
const shared = new Shared(common);
let lanes = [];
const rows = new Map();
let paused = null;
let span = Number(get('span').value) * 1000;
let shown = null;
// The type size, in pixels.
let em = 15;

function row(lane) {
  const made = get('lane').content.firstElementChild.cloneNode(true);
  made.dataset.lane = lane.name;
  made.style.setProperty('--lane', `var(--${lane.name})`);
  const part = (name) => made.querySelector(`.${name}`);
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
  const now = paused ?? shared.now();
  const { published } = shared;
  for (const lane of lanes) {
    const found = rows.get(lane);
    found.hits = draw(found.canvas, lane, { now, span, published, colours: colours(lane), em });
  }
  axis(get('axis'), { span, colours: colours(lanes[0]), unit: { now: text('now'), s: text('s') }, em });
}

const short = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const many = (value) => value.toLocaleString('en-US');

function figures() {
  const now = shared.now();
  em = parseFloat(getComputedStyle(document.documentElement).fontSize);
  for (const lane of lanes) {
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
    pick.checked = lane.wanted;
    set('state', text(lane.state));
    set('late', late.length ? `${short(late.at(-1))} ms` : '\u2013');
    set('median', sorted.length ? `${short(sorted[Math.floor(sorted.length / 2)])} ms` : '\u2013');
    set('received', many(lane.received));
    set('requests', many(lane.requests));
    set('connections', many(lane.connections));
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

// Switches the controls on that this browser may use; while the server is away, nobody says which these are.
function permit() {
  const may = shared.server === 'there' && shared.settings?.control;
  for (const control of document.querySelectorAll('[data-control]')) control.disabled = !may;
}

// Shows what all tabs have in common, where it has changed.
function common() {
  const { pollInterval, handshake, server, error } = shared;
  const settings = JSON.stringify(shared.settings);
  get('away').hidden = server !== 'away';
  get('unwatched').hidden = server !== 'refused';
  if (error !== null) get('error').textContent = `${text('clock')} \u00b1${short(error)} ms`;
  if (pollInterval !== common.pollInterval) get('interval').value = pollInterval;
  if (shared.settings && settings !== common.settings) {
    const { rate, payload_bytes: payload, control } = shared.settings;
    get('rate').value = rate;
    get('payload').value = payload;
    document.body.dataset.control = control;
    get('watching').hidden = control;
  }
  if (settings !== common.settings || server !== common.server) permit();
  if (handshake?.response && handshake.response !== common.response) showHandshake(get('steps'), handshake);
  Object.assign(common, { pollInterval, settings, server, response: handshake?.response });
}

function controls() {
  const on = (id, what, kind = 'click') => get(id).addEventListener(kind, what);
  on('publish', () => shared.order('publish'));
  on('burst', () => shared.order('burst', { events: BURST }));
  on('cut', () => shared.order('cut'));
  const settings = () => shared.order('settings', { rate: Number(get('rate').value), payload: Number(get('payload').value) });
  on('rate', settings, 'change');
  on('payload', settings, 'change');
  on('interval', () => shared.order('pollInterval', { ms: Number(get('interval').value) }), 'change');
  on('span', () => (span = Number(get('span').value) * 1000), 'change');
  on('pause', () => {
    paused = paused === null ? shared.now() : null;
    get('pause').dataset.text = paused === null ? 'pause' : 'resume';
    get('pause').setAttribute('aria-pressed', String(paused !== null));
    translate();
  });
  on('afresh', () => shared.order('afresh'));
  on('previous', () => step(-1));
  on('next', () => step(1));
  on('language', () => {
    switchLanguage();
    figures();
    if (shown) open(shown.lane, shown.crossing);
    if (shared.handshake?.response) showHandshake(get('steps'), shared.handshake);
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
  // A page that the browser kept knows nothing of what happened since it was left.
  addEventListener('pageshow', (event) => event.persisted && location.reload());
  await shared.ready;
  // The address may name some of the lanes.
  const named = shared.lanes.filter((lane) => parameters.get('lanes')?.split(',').includes(lane.name));
  lanes = named.length > 0 ? named : shared.lanes;
  lanes.forEach(row);
  permit();
  translate();
  figures();
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

// For tests of the page.
window.lab = shared;
begin();
