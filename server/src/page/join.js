// A phone's page: it subscribes over the transport that the presenter has chosen, and reports the delay of each event.
//
// The reports and the presenter's settings have requests of their own, which the server counts apart from those of the subscription.

import { Clock } from './clock.js';
import { delayClass, inWords } from './delay.js';
import { asked, choiceName, scale } from './hall_question.js';
import { Lane } from './lane.js';
import { switchLanguage, text, translate } from './text.js';
import { TRANSPORTS } from './transports.js';

const RETRY_MS = 1000;
// The reports of events that come together are sent together.
const TOGETHER_MS = 200;
const MAX_BATCH = 100;

const get = (id) => document.getElementById(id);
const reduced = matchMedia('(prefers-reduced-motion: reduce)');
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const post = (path, body) => fetch(path, { method: 'POST', body: JSON.stringify(body), cache: 'no-store' });

// What the lane needs: see lane.js. `id` names this phone in the requests of its subscription.
const session = { id: '', clock: new Clock(), pollInterval: 2000, origin: location.origin, delay: 0 };
// What the server told when this phone joined: { number, id, token }. A page that is loaded again is the same phone.
let phone = JSON.parse(stored() ?? 'null');
// What the server told last.
let view = null;
// 'joining', 'on', 'full' or 'away'.
let state = 'joining';
let lane = null;
let last = null;
// The question whose answer is being sent.
let sending = 0;
// What has not been reported yet.
const unreported = { reports: [], missed: 0, repeated: 0 };
let known = { missed: 0, repeated: 0 };
let batch = null;
let reporting = false;

// Without storage, a page that is loaded again is another phone.
function stored() {
  try {
    return sessionStorage.getItem('phone');
  } catch {
    return null;
  }
}

function store() {
  try {
    sessionStorage.setItem('phone', JSON.stringify(phone));
  } catch {
    // See above.
  }
}

// Joins the hall, unless this phone has.
async function join() {
  while (!start) await begin();
  while (!phone) {
    const response = await post('/hall/join', {}).catch(() => null);
    if (response?.ok) {
      phone = await response.json();
      store();
    } else {
      state = response?.status === 429 ? 'full' : 'away';
      show();
      await pause(RETRY_MS);
    }
  }
  session.id = phone.id;
}

// Follows the presenter's settings.
async function follow() {
  for (;;) {
    await join();
    const response = await post('/hall/phone', { token: phone.token, version: view?.version ?? 0 }).catch(() => null);
    if (response?.ok) {
      view = await response.json();
      state = 'on';
      subscribe();
    } else if (response?.status === 403) {
      // The server was restarted, or this phone was gone for long.
      phone = view = start = null;
      state = 'joining';
      lane?.stop();
      lane = null;
    } else {
      state = response ? state : 'away';
      await pause(RETRY_MS);
    }
    show();
  }
}

// Subscribes over the chosen transport, after the last event that came over the one before.
function subscribe() {
  const { transport, poll_interval_ms: interval } = view;
  const isOther = lane?.name !== transport;
  const isUnchanged = session.pollInterval === interval || transport !== 'polling';
  session.pollInterval = interval;
  if (!isOther && isUnchanged) return;
  if (isOther) {
    const before = lane ?? start;
    lane?.stop();
    const next = new Lane(TRANSPORTS.find(({ name }) => name === transport), session, (entry) => next === lane && happened(entry));
    Object.assign(next, { cursor: before.cursor, epoch: before.epoch });
    lane = next;
    known = { missed: 0, repeated: 0 };
  }
  lane.run();
}

function happened({ kind, seq, latency }) {
  if (kind !== 'delivery') return;
  last = latency;
  unreported.reports.push({
    event: seq,
    transport: lane.name,
    delay_ms: Number(latency.toFixed(2)),
    clock_bound_ms: Number(session.clock.error.toFixed(2)),
  });
  count();
  report();
  flash();
  show();
}

// Counts what the lane has missed and received again since the last time.
function count() {
  const { missed, repeated } = lane.figures;
  unreported.missed += missed - known.missed;
  unreported.repeated += repeated - known.repeated;
  known = { missed, repeated };
}

// Reports what has not been reported. A report whose response is lost is sent again, with the same number; a page that is loaded again goes on from the time.
async function report() {
  if (reporting) return;
  reporting = true;
  while (unreported.reports.length > 0 || batch) {
    await pause(TOGETHER_MS);
    if (!batch) {
      const { missed, repeated } = unreported;
      batch = { batch: Date.now(), reports: unreported.reports.splice(0, MAX_BATCH), missed, repeated };
      Object.assign(unreported, { missed: 0, repeated: 0 });
    }
    const response = phone && (await post('/hall/report', { token: phone.token, ...batch }).catch(() => null));
    // One that the server does not accept would not be accepted later, either.
    if (response?.ok || [400, 403, 413].includes(response?.status)) batch = null;
    else await pause(RETRY_MS);
  }
  reporting = false;
}

// Sends the answer: the index of a choice or a value on the slider; for a goal, the choice and the seconds after it.
async function answer(value, seconds) {
  const { id } = view.question;
  sending = id;
  show();
  const response = await post('/hall/answer', { token: phone.token, question: id, answer: value, seconds }).catch(() => null);
  if (view?.question?.id === id && (response?.ok || response?.status === 409)) view.answered = response.ok || (await response.text()).includes('already');
  sending = 0;
  show();
}

function flash() {
  if (reduced.matches) return;
  get('dot').animate([{ transform: 'scale(1.12)', filter: 'brightness(1.5)' }, { transform: 'none', filter: 'none' }], { duration: 500 });
}

function show() {
  const dot = get('dot');
  dot.dataset.state = state === 'on' ? (lane?.state === 'lost' ? 'away' : 'on') : state;
  if (last !== null) dot.dataset.delay = delayClass(last);
  get('last-delay').textContent = state === 'on' && last !== null ? inWords(last) : '';
  get('said').textContent = state === 'on' ? text(last === null ? 'waitsForEvent' : 'afterPublication') : text(`phone ${state}`);
  get('number').textContent = phone ? text('phone')(phone.number) : 'Transport Lab';
  get('transport').textContent = view ? `${text(view.transport)}: ${how(view)}` : '';
  showQuestion();
}

function how({ transport, poll_interval_ms: interval }) {
  const words = text(transport === 'sse' ? 'how ndjson' : `how ${transport}`);
  return typeof words === 'function' ? words(interval / 1000) : words;
}

// The question whose controls are shown, and the choice that has been made for a goal, which also needs the slider.
let shown = null;
let chosen = null;

const sliderMax = ({ max, max_seconds: seconds }) => max ?? seconds;

function showQuestion() {
  const question = view?.question;
  get('question').hidden = !question;
  if (!question) return;
  get('asked').textContent = asked(question);
  const done = view.answered || question.shown;
  get('answered').hidden = !done;
  get('answered').dataset.text = view.answered ? 'answered' : 'answersEnded';
  get('answered').textContent = text(get('answered').dataset.text);
  get('choices').hidden = done || question.choices.length === 0;
  const max = sliderMax(question);
  get('slider').hidden = done || max === null;
  if (shown !== question.id) {
    shown = question.id;
    chosen = null;
    get('choices').replaceChildren(...question.choices.map((_, index) => choice(index)));
    if (max !== null) Object.assign(get('guess'), { step: scale(question).step, max, value: max / 2 });
  }
  [...get('choices').children].forEach((button, index) => {
    button.textContent = choiceName(question, index);
    button.setAttribute('aria-pressed', String(index === chosen));
  });
  for (const button of get('question').querySelectorAll('button')) button.disabled = sending === question.id;
  if (question.kind === 'goal') get('send').disabled ||= chosen === null;
  if (max !== null) showValue();
}

function choice(index) {
  const button = document.createElement('button');
  button.addEventListener('click', () => {
    if (view.question.kind !== 'goal') return answer(index);
    chosen = index;
    show();
  });
  return button;
}

function showValue() {
  const { unit, digits } = scale(view.question);
  get('value').textContent = `${Number(get('guess').value).toFixed(digits)} ${unit}`;
}

// Where the first subscription starts: events from before this phone joined are not its own.
let start = null;

async function begin() {
  try {
    await session.clock.synchronize();
    const { head, epoch } = await (await fetch('/load', { cache: 'no-store' })).json();
    start = { cursor: head, epoch };
  } catch {
    state = 'away';
    show();
    await pause(RETRY_MS);
  }
}

async function run() {
  translate();
  get('language').addEventListener('click', () => {
    switchLanguage();
    show();
  });
  get('guess').addEventListener('input', showValue);
  get('send').addEventListener('click', () => {
    const value = Number(get('guess').value);
    if (view.question.kind === 'goal') answer(chosen, value);
    else answer(value);
  });
  show();
  while (!start) await begin();
  session.clock.keepSynchronized();
  // While a phone sleeps, its clock may stop.
  document.addEventListener('visibilitychange', () => document.hidden || session.clock.synchronize().catch(() => {}));
  addEventListener('pageshow', (event) => event.persisted && location.reload());
  setInterval(show, RETRY_MS);
  setInterval(() => lane?.discardOld(), RETRY_MS);
  follow();
}

run();
