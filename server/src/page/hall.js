// The hall on the big screen: the phones, their delays, the server's requests per second, and the questions to the audience.

import { delayClass, delayClasses, inWords } from './delay.js';
import { answers, curve, distribution } from './hall_charts.js';
import { asked, choiceName, measuredWords, scale } from './hall_question.js';
import { connectHeader, drawCode, showRights } from './header.js';
import { text, translate } from './text.js';
import { TRANSPORTS } from './transports.js';

const STATE_MS = 250;
const INTERVALS_MS = [500, 1000, 2000, 5000, 10_000];
const RATES = [0, 0.2, 1, 2, 5, 10];
// The sizes of a dot, in pixels.
const [MIN_DOT, MAX_DOT] = [10, 110];
const READY = ['last', 'longest', 'requests'];

const get = (id) => document.getElementById(id);
const reduced = matchMedia('(prefers-reduced-motion: reduce)');
const rows = TRANSPORTS.filter(({ family }) => family === 'today');
const colourOf = (transport) => {
  const { light, dark } = rows.find(({ name }) => name === transport).colours;
  return `light-dark(${light}, ${dark})`;
};
const make = (name, content, details = {}) => Object.assign(document.createElement(name), { textContent: content, ...details });

// What the server said last, and whether it responds.
let hall = null;
let server = 'connected';
// The dots, by the phones' numbers, each with the last event that it has shown.
const dots = new Map();
// What the charts show, so that they are drawn again only when that changes.
const drawn = {};

async function post(path, body) {
  const response = await fetch(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }).catch(() => null);
  get('refused').hidden = Boolean(response?.ok);
  get('refused').textContent = response ? await response.text() : text('away');
}

const change = (changes) => post('/hall/control', changes);

async function follow() {
  for (;;) {
    try {
      hall = await (await fetch('/hall/state', { cache: 'no-store' })).json();
      server = 'connected';
    } catch {
      server = 'unreachable';
    }
    show();
    await new Promise((resolve) => setTimeout(resolve, STATE_MS));
  }
}

function show() {
  showRights({ server, settings: hall && { control: hall.control } });
  if (!hall) return;
  const { joined, received, missed, repeated, refused, head, requests, requests_per_second: rate } = hall;
  for (const button of get('transports').querySelectorAll('button')) {
    button.setAttribute('aria-pressed', String(button.dataset.transport === hall.transport));
  }
  choose('interval', hall.poll_interval_ms);
  choose('rate', hall.rate);
  get('counts').textContent = text('hallCounts')({ joined, received, missed, repeated, refused, head });
  showPhones();
  get('requests').textContent = String(Math.round(rate));
  get('apart').textContent = text('apart')(hall.apart_per_second.toFixed(1));
  get('curve-max').textContent = String(curve(get('curve'), requests));
  if (isNew('summary', [hall.summary, text('language')])) {
    distribution(get('distribution'), hall, colourOf);
    get('summary').replaceChildren(...hall.summary.map(summaryRow));
  }
  get('record').textContent = hall.left_out > 0 ? text('recordFull')(hall.left_out) : '';
  showQuestion();
}

// Whether a part of the state differs from what its chart shows.
function isNew(name, value) {
  const state = JSON.stringify(value);
  const is = drawn[name] !== state;
  drawn[name] = state;
  return is;
}

// Selects a value in a list, and adds it if it is not there.
function choose(id, value) {
  const list = get(id);
  if (list === document.activeElement) return;
  const name = String(value);
  if (![...list.options].some((option) => option.value === name)) list.append(option(id, value));
  list.value = name;
}

function option(id, value) {
  const label = id === 'interval' ? `${value / 1000} ${text('s')}` : value === 0 ? text('none') : String(value);
  return make('option', label, { value: String(value) });
}

function showPhones() {
  const { phones } = hall;
  get('invitation').hidden = phones.length > 0;
  const container = get('phones');
  fitDots(container, phones.length);
  for (const [number, dot] of dots) {
    if (phones.some((phone) => phone.number === number)) continue;
    dot.element.remove();
    dots.delete(number);
  }
  for (const { number, here, event, delay_ms: delay } of phones) {
    if (!dots.has(number)) {
      const element = make('span', String(number), { className: 'dot' });
      container.append(element);
      dots.set(number, { element, event });
    }
    const dot = dots.get(number);
    const { element } = dot;
    element.dataset.here = here;
    element.dataset.last = event > 0 && event === hall.head;
    if (delay === null) delete element.dataset.delay;
    else element.dataset.delay = delayClass(delay);
    if (event > dot.event && !reduced.matches) element.animate([{ transform: 'scale(1.35)', filter: 'brightness(1.6)' }, { transform: 'none', filter: 'none' }], { duration: 600 });
    dot.event = event;
  }
}

// Makes the dots as large as the area allows.
function fitDots(container, count) {
  const { clientWidth: width, clientHeight: height } = container;
  if (!count || !isNew('dots', [count, width, height])) return;
  const gap = count <= 100 ? 6 : 2;
  const fits = (size) => Math.floor((width - 10) / (size + gap)) * Math.floor((height - 16) / (size + gap)) >= count;
  let size = MAX_DOT;
  while (size > MIN_DOT && !fits(size)) size -= 1;
  container.style.setProperty('--size', `${size}px`);
  container.style.setProperty('--gap', `${gap}px`);
  container.dataset.numbered = size >= 28;
}

function summaryRow({ transport, count, median_ms: median, p95_ms: p95, clock_bound_ms: bound, requests_per_event: perEvent }) {
  const row = document.createElement('tr');
  const name = make('th', text(transport), { scope: 'row' });
  name.style.color = colourOf(transport);
  const value = (ms) => (ms === null ? '\u2013' : inWords(ms));
  const clock = bound === null ? '' : ` \u00b1${bound.toFixed(1)}`;
  row.append(name, make('td', String(count)), make('td', value(median) + clock), make('td', value(p95)), make('td', perEvent === null ? '\u2013' : perEvent.toFixed(2)));
  return row;
}

function showQuestion() {
  const { question } = hall;
  get('question').hidden = !question;
  document.body.dataset.asking = Boolean(question);
  if (!question || !isNew('question', [question, text('language')])) return;
  get('asked').textContent = asked(question);
  const { unit, digits } = scale(question);
  // What others have predicted of a goal is not shown before it.
  const counts = question.counts ?? question.choices.map(() => 0);
  answers(get('answers'), { ...question, counts }, { nameOf: (index) => choiceName(question, index), digits });
  const median = question.median_seconds === null ? '' : ` ${text('middle')}: ${question.median_seconds} ${text('s')}.`;
  get('answer-count').textContent = text('answerCount')(question.answers, question.max === null ? '' : unit) + median;
  // A goal is measured in the opening scene.
  const isMeasurable = !['free', 'goal'].includes(question.kind);
  const words = measuredWords(question);
  get('measured').textContent = question.shown && isMeasurable ? (words ? text('measuredIs')(words) : text('nothingMeasured')) : '';
  get('show').firstElementChild.textContent = text(isMeasurable ? 'showMeasurement' : 'endAnswers');
}

// Prints the figures and all questions, on paper or as a file.
async function printReport() {
  const { questions } = await (await fetch('/hall/run.json', { cache: 'no-store' })).json();
  get('all-questions').replaceChildren(...questions.map(report));
  const { dataset } = document.documentElement;
  const { theme } = dataset;
  dataset.theme = 'light';
  print();
  if (theme) dataset.theme = theme;
  else delete dataset.theme;
}

// A question with its answers and what was measured.
function report(question) {
  const part = make('section', '', { className: 'asked' });
  const bars = make('div', '', { className: 'bars' });
  answers(bars, question, { nameOf: (index) => choiceName(question, index), digits: scale(question).digits });
  const words = measuredWords(question);
  part.append(make('h2', asked(question)), bars, make('p', words ? text('measuredIs')(words) : ''));
  return part;
}

function connectControls() {
  rows.forEach(({ name }, index) => {
    const button = document.createElement('button');
    Object.assign(button.dataset, { transport: name, control: '', key: String(index + 1) });
    const label = document.createElement('span');
    label.dataset.text = name;
    button.append(label, make('kbd', String(index + 1)));
    button.style.borderBottomColor = colourOf(name);
    button.addEventListener('click', () => change({ transport: name }));
    get('transports').append(button);
  });
  get('interval').addEventListener('change', () => change({ poll_interval_ms: Number(get('interval').value) }));
  // Periodic events could come in step with the polls, which would then always wait equally long.
  get('rate').addEventListener('change', () => post('/control', { rate: Number(get('rate').value), schedule: 'poisson' }));
  get('publish').addEventListener('click', () => post('/publish', new Date().toLocaleTimeString()));
  // If the server is away, the page says so.
  get('print').addEventListener('click', () => printReport().catch(() => {}));
  get('clear').addEventListener('click', () => change({ clear: true }));
  get('ask').addEventListener('click', () => get('asking').showModal());
  get('show').addEventListener('click', () => change({ show: true, question: hall?.question?.id }));
  get('close').addEventListener('click', () => change({ close: true, question: hall?.question?.id }));
  get('asking').addEventListener('click', ({ target }) => target === get('asking') && get('asking').close());
  get('free').addEventListener('submit', () => {
    const form = new FormData(get('free'));
    const choices = form.getAll('choice').map((choice) => choice.trim()).filter((choice) => choice);
    ask({ kind: 'free', text: form.get('text'), choices });
  });
}

function ask(question) {
  get('asking').close();
  change({ ask: question });
}

// Shows everything in the chosen language that does not come with the state.
function showTexts() {
  translate();
  get('ready').replaceChildren(
    ...READY.map((kind) => {
      const button = make('button', asked({ kind, phones: hall?.joined ?? 0 }));
      button.addEventListener('click', () => ask({ kind }));
      return button;
    }),
  );
  get('interval').replaceChildren(...INTERVALS_MS.map((value) => option('interval', value)));
  get('rate').replaceChildren(...RATES.map((value) => option('rate', value)));
  get('delays').replaceChildren(...delayClasses().map((words, index) => {
    const entry = make('span', words);
    entry.dataset.delay = index;
    return entry;
  }));
  show();
}

async function start() {
  connectControls();
  connectHeader(showTexts);
  get('ask').addEventListener('click', showTexts);
  showTexts();
  follow();
  const { join, modules } = await (await fetch('/viewers', { cache: 'no-store' })).json();
  get('address').textContent = join;
  drawCode(get('code'), modules);
}

start();
