// The server through SockJS's own client, over each of its transports that run outside of a browser. The argument is the server's URL.

const assert = require('node:assert/strict');
const SockJS = require('sockjs-client');

const url = process.argv[2];
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Subscribes after event `after` over one transport; returns { socket, seqs, opened, closed }.
function connect(transport, after) {
  const socket = new SockJS(`${url}/sockjs?after=${after}`, null, { transports: transport });
  const seqs = [];
  socket.onmessage = ({ data }) => seqs.push(JSON.parse(data).seq);
  const opened = new Promise((resolve) => (socket.onopen = resolve));
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  return { socket, seqs, opened, closed };
}

async function deliversAndPublishes(transport, already) {
  const { socket, seqs, opened, closed } = connect(transport, 0);
  await opened;
  assert.equal(socket.transport, transport);
  for (let number = 0; number < 20; number += 1) socket.send(`"${number}" < \u2028`);
  const last = already + 20;
  while (seqs.at(-1) !== last) await wait(5);
  assert.deepEqual(seqs, Array.from({ length: last }, (_, index) => index + 1));
  socket.close();
  await closed;
  // A new session resumes at the cursor.
  const resumed = connect(transport, last - 3);
  while (resumed.seqs.length < 3) await wait(5);
  assert.deepEqual(resumed.seqs, [last - 2, last - 1, last]);
  resumed.socket.close();
  await resumed.closed;
  return last;
}

async function main() {
  let last = 0;
  for (const transport of ['websocket', 'xhr-streaming', 'xhr-polling', 'eventsource']) {
    last = await deliversAndPublishes(transport, last);
    console.log(`ok ${transport}`);
  }
  const refused = await connect('websocket', 'nonsense').closed;
  assert.equal(refused.wasClean, false);
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
