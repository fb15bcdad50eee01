// The opening scene: a goal is scored, and five phones hear of it. The class predicts which one is last; then one event is published, and
// its way to each phone is shown in slow motion.
//
// Everything is drawn as it was measured: when the server's trace shows that bytes were sent, and when this browser received them. The
// scene runs behind the present, so that it knows where a ball goes before it moves.

import { Condition, isFailure, words } from './condition.js';
import { flight, inOrder, requestOf } from './flight.js';
import { connectHeader, showRights } from './header.js';
import { NetworkControls } from './network.js';
import { SharedSubscriptions } from './shared.js';
import { Slider } from './slider.js';
import { text, translate } from './text.js';
import { TRANSPORTS } from './transports.js';
import { Votes } from './votes.js';
import { drawWire } from './wires.js';

const DELAY_MS = 300;
const POLL_INTERVAL_MS = 3000;
// How far the scene is behind the present, in ms, besides the delay of the network.
const BEHIND_MS = 250;
// How long the picture goes on after the last arrival, in ms of the event's time.
const AFTER_MS = 150;
// How long a phone may take, besides its polls and the network, before the scene ends without it, in ms.
const LIMIT_MS = 4000;
// With reduced motion, the picture changes in steps of this many ms.
const STEP_MS = 500;

const parameters = new URLSearchParams(location.search);
const reduced = matchMedia('(prefers-reduced-motion: reduce)');
// On a narrow screen, the lines lead from left to right.
const narrow = matchMedia('(max-width: 60rem)');
const get = (id) => document.getElementById(id);
const shared = new SharedSubscriptions(update);
const { lanes } = shared;
const tools = new NetworkControls(get('tools'), shared);
// How many times slower than measured the event's way is shown.
const slow = new Slider(get('slow'), get('slow-value'), { values: [1, 2, 5, 10], words: (times) => text('slowIs')(times), apply: showButtons });
const votes = new Votes(showVotes);
const columns = new Map();

// How many goals have been shown.
let goals = 0;
// What the class says: { name, seconds }, the phone that is last and its delay; each is null until it is chosen.
const prediction = { name: null, seconds: null };
// The event that is shown: { event, goal, flights, began, time, done, isBroken, elapsed }, where `goal` is its number among those shown; `began` is
// when the slow motion began, of this page's clock, and `time` the moment that is drawn, of the server's; `isBroken` is whether there has been a
// fault since the event, so that polls are not the only reason for a delay. Null until there is an event.
let play = null;
// Events up to this time, of the server's clock, are not shown.
let ignoredUpTo = Infinity;
let prepared = false;
// The font size, in pixels.
let em = 20;

// Adds the line and the phone of a lane.
function addColumn(lane) {
  const element = get('line').content.firstElementChild.cloneNode(true);
  element.dataset.lane = lane.name;
  const row = TRANSPORTS.find(({ name }) => name === lane.name);
  element.style.setProperty('--lane', `light-dark(${row.colours.light}, ${row.colours.dark})`);
  const part = (name) => element.querySelector(`.${name}`);
  part('name').dataset.text = lane.name;
  const phone = part('phone');
  phone.dataset.key = String(columns.size + 1);
  phone.addEventListener('click', () => {
    prediction.name = lane.name;
    showPrediction();
  });
  get('stage').append(element);
  const polls = ['poll', 'long_poll'].includes(row.exchange);
  columns.set(lane, { element, part, phone, exchange: row.exchange, polls, condition: new Condition(), colours: null });
}

const inSeconds = (ms) => (ms / 1000).toFixed(2);
const inTenths = (seconds) => seconds.toFixed(1);

function set(element, content) {
  if (element.textContent !== content) element.textContent = content;
}

function showPrediction() {
  set(get('said'), prediction.name ? text('lastIs')(text(prediction.name)) : text('pickPhone'));
  set(get('seconds-value'), prediction.seconds === null ? text('howLong') : text('afterGoal')(inTenths(prediction.seconds)));
  for (const [lane, { phone }] of columns) phone.setAttribute('aria-pressed', String(lane.name === prediction.name));
}

// Shows how many phones have predicted and, once they have ended, what.
function showVotes() {
  const { question, count, joined } = votes;
  get('ask-phones').hidden = Boolean(play || question);
  set(get('votes'), question ? text('votes')(count, Math.max(joined, count)) : '');
  const isShown = votes.areKnown;
  for (const [lane, { part, phone }] of columns) {
    phone.toggleAttribute('data-votes', isShown);
    phone.style.setProperty('--share', isShown ? `${(100 * votes.of(lane.name)) / count}%` : '0%');
    set(part('guess'), isShown ? text('votesFor')(votes.of(lane.name)) : text('yourPick'));
  }
  if (play?.done) set(get('verdict'), verdict(allFlights()));
}

// The moment that is drawn, in ms of the server's clock.
function moment() {
  const latest = shared.now() - BEHIND_MS - (shared.settings?.delay_ms ?? 0);
  if (!play) return latest;
  if (play.done) return play.time;
  const { at } = play.event;
  if (latest < at) return latest;
  play.began ??= performance.now();
  return Math.min(latest, at + (performance.now() - play.began) / slow.value);
}

// With reduced motion, the picture changes in steps, and whenever a ball arrives.
function stepped(time, flights) {
  const { at } = play.event;
  const moments = [at + Math.floor((time - at) / STEP_MS) * STEP_MS, ...flights.map(({ flight }) => flight.arrivedAt ?? -Infinity)];
  return Math.max(...moments.filter((moment) => moment <= time));
}

function colours(column) {
  if (column.colours) return column.colours;
  const of = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
  return (column.colours = { ink: of('--ink'), faint: of('--faint'), paper: of('--paper'), lane: getComputedStyle(column.part('name')).color });
}

// How the shown event has travelled to each phone. What is known of a way stays known, although lanes forget after a minute.
function allFlights() {
  return lanes.map((lane) => {
    if (!play) return { lane, flight: {} };
    const known = play.flights.get(lane) ?? {};
    const found = known.leftAt === undefined || known.arrivedAt === undefined ? { ...known, ...definedOf(flight(lane, play.event)) } : known;
    play.flights.set(lane, found);
    return { lane, flight: found };
  });
}

const definedOf = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

// Draws everything as it was at one moment.
function paint() {
  if (!columns.size || !shared.settings) return;
  if (!play) {
    const event = shared.published.find(({ at }) => at > ignoredUpTo);
    if (event) begin(event);
  }
  const flights = allFlights();
  let time = moment();
  if (play && !play.done && time > play.event.at && reduced.matches) time = stepped(time, flights);
  if (play && shared.settings.fault !== 'off') play.isBroken ||= !play.done;
  if (play) finishAt(time, flights);
  for (const { lane, flight } of flights) paintColumn(lane, flight, play?.time ?? time);
}

function paintColumn(lane, { leftAt, arrivedAt, delay }, time) {
  const column = columns.get(lane);
  const { element, part, polls } = column;
  const started = play && time >= play.event.at;
  const arrived = started && arrivedAt !== undefined && time >= arrivedAt;
  const waiting = started && !arrived && !(leftAt !== undefined && time >= leftAt);
  const ball = started ? { label: String(play.goal), leftAt, arrivedAt } : null;
  const failed = element.dataset.failed === 'true';
  const request = requestOf(lane, time);
  const isOpen = !failed && (!polls || request !== 'none');
  drawWire(part('wire'), lane, { time, ball, isOpen, delay: shared.settings.delay_ms, vertical: !narrow.matches, colours: colours(column), em });
  element.dataset.ball = arrived ? 'arrived' : waiting ? 'waiting' : started ? 'moving' : 'none';
  const has = failed ? 'noConnection' : polls ? `request ${request}` : column.exchange === 'socket' ? 'connectionOpen' : 'responseOpen';
  set(part('state'), lane.state === 'on' || play || failed ? text(has) : text(lane.state));
  set(part('waiting'), waiting ? String(play.goal) : '');
  // Over a transport that pushes, it is only there for a moment.
  set(part('counter'), waiting && (polls || time - play.event.at > 50) ? text('inSeconds')(inSeconds(time - play.event.at)) : '');
  set(part('delay'), arrived ? text('inSeconds')(inSeconds(delay)) : play?.done ? '\u2013' : '');
}

// Begins to show an event.
function begin(event) {
  goals += 1;
  play = { event, goal: goals, flights: new Map(), began: null, time: event.at, done: false, isBroken: false };
  set(get('verdict'), '');
  set(get('account'), '');
  showButtons();
}

// Ends the scene once every ball has arrived, or nothing more can be expected. A ball that arrives later is still shown.
function finishAt(time, flights) {
  const { at } = play.event;
  const arrivals = flights.map(({ flight }) => flight.arrivedAt).filter((arrivedAt) => arrivedAt !== undefined);
  const latest = Math.max(at, ...arrivals) + AFTER_MS;
  if (play.done && latest <= play.time) return;
  play.time = play.done ? latest : time;
  const limit = LIMIT_MS + shared.pollInterval + 6 * shared.settings.delay_ms;
  const complete = arrivals.length === flights.length || shared.now() - at > limit;
  if (play.time < latest || !complete) return;
  play.done = true;
  play.elapsed ??= shared.now() - at;
  set(get('verdict'), verdict(flights));
  const parts = inOrder(flights).map(({ lane, flight }) => `${text(lane.name)} ${text('inSeconds')(inSeconds(flight.delay))}`);
  set(get('account'), `${text('account')(play.event.seq)} ${parts.join(', ')}.`);
  showButtons();
}

// Prediction and measurement in one sentence.
function verdict(flights) {
  const seconds = prediction.seconds === null ? null : inTenths(prediction.seconds);
  const own = prediction.name ? `${text('youSaid')(text(prediction.name), seconds)} ` : '';
  const said = votes.areKnown ? `${theySaid()} ` : own;
  const missing = flights.filter(({ flight }) => flight.arrivedAt === undefined);
  if (missing.length) {
    const names = missing.map(({ lane }) => text(lane.name)).join(', ');
    return said + text('notHeard')(names, inSeconds(play.elapsed));
  }
  const order = inOrder(flights);
  const [first, { lane, flight }] = [order[0], order.at(-1)];
  const others = [first, order.at(-2)].map((other) => inSeconds(other.flight.delay));
  // Without the bytes in the trace, the wait was not measured. One that is shown as zero needs no words.
  const waited = flight.leftAt - play.event.at;
  const facts = {
    name: text(lane.name),
    delay: inSeconds(flight.delay),
    others: others[0] === others[1] ? [others[0]] : others,
    waited: waited >= 5 ? inSeconds(waited) : null,
    // What is left of the delay as it is shown.
    travelled: inSeconds(Number(inSeconds(flight.delay)) * 1000 - Number(inSeconds(waited)) * 1000),
  };
  return said + text(lane.name === 'polling' && !play.isBroken && facts.waited ? 'wasPolling' : 'wasOther')(facts);
}

// What most phones have predicted, in words.
function theySaid() {
  const { favourite, count, question } = votes;
  return text('theySaid')({ votes: votes.of(favourite), count, name: text(favourite), seconds: inTenths(question.median_seconds) });
}

function showButtons() {
  get('again').hidden = !play?.done;
  get('goal').hidden = Boolean(play);
  get('seconds').disabled = Boolean(play);
  showVotes();
  document.body.toggleAttribute('data-playing', Boolean(play));
  set(get('pace'), play && !play.done && slow.value > 1 ? text('slower')(slow.value) : '');
}

function again() {
  play = null;
  votes.close();
  ignoredUpTo = shared.now();
  set(get('verdict'), '');
  showButtons();
}

// Shows what all tabs have in common. The presenter's page sets the scene: no events by themselves, and a network with a delay that can be
// seen.
function update() {
  showRights(shared);
  const { settings } = shared;
  tools.show(shared);
  // The event ends the answers, also in a hidden tab, which draws nothing.
  if (shared.published.some(({ at }) => at > ignoredUpTo)) votes.end();
  if (!settings || prepared || shared.server !== 'connected') return;
  prepared = true;
  shared.order('pollInterval', { ms: POLL_INTERVAL_MS });
  if (!settings.control) return;
  if (settings.rate > 0) shared.order('settings', { rate: 0 });
  if (settings.delay_ms === 0 && settings.isDirect) shared.order('network', { delay_ms: DELAY_MS });
}

// Shows in words how each lane is.
function showConditions() {
  em = parseFloat(getComputedStyle(document.documentElement).fontSize);
  for (const [lane, column] of columns) {
    column.colours = null;
    const condition = column.condition.update(lane, shared);
    column.element.dataset.failed = isFailure(condition);
    column.element.dataset.condition = condition.kind;
    const is = isFailure(condition) || condition.kind === 'recovered' ? words(condition) : text(`how ${lane.name}`);
    set(column.part('how'), typeof is === 'function' ? is(shared.pollInterval / 1000) : is);
  }
}

function showTexts() {
  translate();
  tools.translate();
  slow.translate();
  showButtons();
  showPrediction();
  showConditions();
  if (play?.done) set(get('verdict'), verdict(allFlights()));
}

async function start() {
  if (parameters.has('embed')) document.body.dataset.embed = parameters.get('embed');
  slow.show(Number(parameters.get('slow')) || 5);
  connectHeader(showTexts);
  get('goal').addEventListener('click', () => shared.order('publish'));
  get('ask-phones').addEventListener('click', () => votes.ask());
  get('again').addEventListener('click', again);
  // No phone keeps the question when the presenter leaves the scene.
  addEventListener('pagehide', () => votes.close());
  get('seconds').addEventListener('input', () => {
    prediction.seconds = Number(get('seconds').value);
    showPrediction();
  });
  translate();
  await shared.ready;
  const isToday = ({ name }) => TRANSPORTS.find((transport) => transport.name === name).family === 'today';
  shared.all.filter(isToday).forEach((lane) => {
    lanes.push(lane);
    addColumn(lane);
  });
  ignoredUpTo = shared.now();
  showTexts();
  setInterval(showConditions, 500);
  const frame = () => {
    paint();
    requestAnimationFrame(frame);
  };
  frame();
}

// For tests of the page.
window.livePage = shared;
start();
