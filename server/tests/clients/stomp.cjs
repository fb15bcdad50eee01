// The server through stompjs. The argument is the server's URL.

const assert = require('node:assert/strict');
const { Client } = require('@stomp/stompjs');
global.WebSocket = require('ws');

const url = `${process.argv[2].replace(/^http/, 'ws')}/ws`;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function connect(options = {}) {
  const client = new Client({ brokerURL: url, reconnectDelay: 0, heartbeatIncoming: 10_000, heartbeatOutgoing: 10_000, ...options });
  const connected = new Promise((resolve) => (client.onConnect = resolve));
  const failed = new Promise((resolve) => (client.onStompError = resolve));
  client.activate();
  return { client, connected, failed };
}

async function main() {
  const { client, connected } = connect();
  const frame = await connected;
  assert.equal(frame.headers.version, '1.2');
  const seqs = [];
  const subscription = client.subscribe('/feed', ({ body, headers }) => {
    const { seq } = JSON.parse(body);
    assert.equal(Number(headers['message-id']), seq);
    seqs.push(seq);
  }, { after: '0' });
  const receipt = new Promise((resolve) => client.watchForReceipt('r:1', resolve));
  for (let number = 0; number < 20; number += 1) {
    const headers = number === 19 ? { receipt: 'r:1' } : {};
    client.publish({ destination: '/feed', body: `"${number}" \u20ac`, headers });
  }
  await receipt;
  while (seqs.length < 20) await wait(5);
  assert.deepEqual(seqs, Array.from({ length: 20 }, (_, index) => index + 1));

  subscription.unsubscribe();
  client.publish({ destination: '/feed', body: 'not seen' });
  const again = [];
  client.subscribe('/feed', ({ body }) => again.push(JSON.parse(body).seq), { after: '19' });
  while (again.length < 2) await wait(5);
  assert.deepEqual([seqs.length, again], [20, [20, 21]]);

  // Errors are ERROR frames with a message.
  for (const [act, message] of [
    [(other) => other.subscribe('/nowhere', () => {}), /only destination/],
    [(other) => other.publish({ destination: '/nowhere', body: '' }), /only destination/],
    [(other) => other.begin(), /no transactions/],
    [(other) => other.subscribe('/feed', () => {}, { ack: 'client' }), /ack must be auto/],
  ]) {
    const other = connect();
    await other.connected;
    act(other.client);
    assert.match((await other.failed).headers.message, message);
    await other.client.deactivate();
  }

  const disconnected = new Promise((resolve) => (client.onDisconnect = resolve));
  await client.deactivate();
  await disconnected;
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
