// One answer of a language model, asked for in several ways at the same time: as a whole, by polls, and as a stream. Each way has a line in
// which its text is typed out as it comes.

import { text } from './text.js';

// Slow enough to be read along.
const QUESTION = { prompt: 'Polling, long polling, HTTP streaming or WebSocket?', tokens: 60, rate: 20 };
const POLL_MS = 1000;
// The data of the event after the last token.
const DONE = '[DONE]';

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function post(more, accept = '*/*') {
  const response = await fetch('/answer', { method: 'POST', headers: { accept }, body: JSON.stringify({ ...QUESTION, ...more }) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response;
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split('\n');
    rest = whole.pop();
    yield* whole.filter((line) => line.trim());
  }
}

// The answer goes on in the background, and its events are polled for.
async function poll(type, path, pause) {
  const { answer } = await (await post({ background: true })).json();
  for (let after = 0; ; ) {
    const response = await fetch(`${answer}/${path}?after=${after}`, { cache: 'no-store' });
    if (response.status === 200) {
      for (const line of (await response.text()).trim().split('\n')) {
        const { seq, data } = JSON.parse(line);
        if (data === DONE) return;
        type(data);
        after = seq;
      }
    } else if (response.status !== 204) throw new Error(`status ${response.status}`);
    await wait(pause);
  }
}

// The ways, in the order of their lines. Each calls `type` with the text that has come.
const WAYS = {
  whole: async (type) => type((await (await post({})).json()).text),
  polling: (type) => poll(type, 'poll', POLL_MS),
  long_polling: (type) => poll(type, 'long-poll', 0),
  ndjson: async (type) => {
    for await (const line of lines(await post({ stream: true }, 'application/x-ndjson'))) {
      const { data } = JSON.parse(line);
      if (data === DONE) return;
      type(data);
    }
    throw new Error('ended early');
  },
  sse: async (type) => {
    for await (const line of lines(await post({ stream: true }))) {
      if (!line.startsWith('data:')) continue;
      const { data } = JSON.parse(line.slice('data:'.length));
      if (data === DONE) return;
      type(data);
    }
    throw new Error('ended early');
  },
  websocket: (type) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/answer/ws`);
      socket.onopen = () => socket.send(JSON.stringify(QUESTION));
      socket.onclose = ({ code }) => reject(new Error(`close code ${code}`));
      socket.onmessage = (message) => {
        const { data } = JSON.parse(message.data);
        if (data !== DONE) return type(data);
        resolve();
        socket.close(1000);
      };
    }),
};

// Asks in every way at once, and types each answer out in a line of `container`. Ends when all have ended.
export async function ask(container) {
  const began = performance.now();
  const rows = Object.entries(WAYS).map(([name, answer]) => ({ answer, row: addRow(name) }));
  container.replaceChildren(...rows.map(({ row }) => row.element));
  const one = async ({ answer, row }) => {
    const since = () => `${((performance.now() - began) / 1000).toFixed(2)} s`;
    try {
      await answer((part) => {
        if (!row.typed.textContent) row.first.textContent = since();
        row.typed.textContent += part;
      });
      row.last.textContent = since();
      row.element.dataset.state = 'complete';
    } catch (error) {
      row.last.textContent = error.message;
    }
  };
  await Promise.all(rows.map(one));
}

function addRow(name) {
  const element = document.getElementById('answer-row').content.firstElementChild.cloneNode(true);
  element.dataset.way = name;
  const part = (name) => element.querySelector(`.${name}`);
  part('name').dataset.text = name;
  part('name').textContent = text(name);
  return { element, first: part('first'), last: part('last'), typed: part('typed') };
}
