// The server through Socket.IO's own client. The argument is the server's URL; every feature that the server has is used once.

const assert = require('node:assert/strict');
const { io } = require('socket.io-client');

const url = process.argv[2];
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const event = (socket, name) => new Promise((resolve) => socket.once(name, (...content) => resolve(content)));
const sockets = [];
function connect(options = {}, namespace = '') {
  const socket = io(url + namespace, { forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 200, ...options });
  sockets.push(socket);
  return socket;
}

async function beginsWithPollingAndUpgrades() {
  const socket = connect({ auth: { after: 0 } });
  const transports = [];
  socket.io.on('open', () => transports.push(socket.io.engine.transport.name));
  const upgraded = new Promise((resolve) => socket.io.once('open', () => socket.io.engine.once('upgrade', resolve)));
  await event(socket, 'connect');
  await upgraded;
  assert.deepEqual(transports, ['polling']);
  assert.equal(socket.io.engine.transport.name, 'websocket');
}

async function deliversEveryEventOnceAndInOrder(transports) {
  const [publisher, socket] = [connect({ transports }), connect({ transports, auth: { after: 0 } })];
  const seqs = [];
  socket.on('event', ({ seq }) => seqs.push(seq));
  await Promise.all([event(publisher, 'connect'), event(socket, 'connect')]);
  let last;
  for (let number = 0; number < 20; number += 1) last = await publisher.timeout(2000).emitWithAck('publish', `"${number}" < \u2028`);
  while (seqs.at(-1) !== last) await wait(5);
  assert.deepEqual(seqs, Array.from({ length: last }, (_, index) => index + 1));
}

async function reachesRoomsOthersAndOneSocket(namespace) {
  const [a, b, c] = [connect({}, namespace), connect({}, namespace), connect({}, namespace)];
  await Promise.all([a, b, c].map((socket) => event(socket, 'connect')));
  const received = { a: [], b: [], c: [] };
  a.on('message', (data, { from }) => received.a.push([data, from]));
  b.on('message', (data, { from }) => received.b.push([data, from]));
  c.on('message', (data, { from }) => received.c.push([data, from]));
  assert.equal(await b.timeout(2000).emitWithAck('join', 'red'), true);
  assert.equal(await a.timeout(2000).emitWithAck('broadcast', { text: 'all' }) >= 2, true);
  assert.equal(await a.timeout(2000).emitWithAck('to_room', 'red', 'room'), 1);
  assert.equal(await a.timeout(2000).emitWithAck('to', c.id, 'one'), 1);
  await b.timeout(2000).emitWithAck('leave', 'red');
  assert.equal(await a.timeout(2000).emitWithAck('to_room', 'red', 'nobody'), 0);
  await wait(50);
  assert.deepEqual(received, {
    a: [],
    b: [[{ text: 'all' }, a.id], ['room', a.id]],
    c: [[{ text: 'all' }, a.id], ['one', a.id]],
  });
}

async function onOnceAndOffWork() {
  const socket = connect({ transports: ['websocket'] });
  await event(socket, 'connect');
  const counts = { on: 0, once: 0, off: 0 };
  const off = () => (counts.off += 1);
  socket.on('event', () => (counts.on += 1));
  socket.once('event', () => (counts.once += 1));
  socket.on('event', off);
  socket.off('event', off);
  for (let number = 0; number < 3; number += 1) await socket.timeout(2000).emitWithAck('publish', 'x');
  await wait(50);
  assert.deepEqual(counts, { on: 3, once: 1, off: 0 });
}

async function anUnknownEventIsRefusedAndItsAcknowledgementTimesOut() {
  const socket = connect();
  await event(socket, 'connect');
  const refused = event(socket, 'refused');
  await assert.rejects(socket.timeout(200).emitWithAck('dance'), /timed out/);
  assert.deepEqual(await refused, ['dance', 'there is no such event']);
}

async function aLostConnectionIsResumedAtTheCursor() {
  const publisher = connect();
  const seqs = [];
  let cursor = 0;
  const socket = connect({ auth: (send) => send({ after: cursor }) });
  socket.on('event', ({ seq }) => {
    seqs.push(seq);
    cursor = seq;
  });
  await Promise.all([event(publisher, 'connect'), event(socket, 'connect')]);
  await publisher.timeout(2000).emitWithAck('publish', 'before');
  while (seqs.length === 0) await wait(5);
  // The connection fails without a packet that ends the session.
  const lost = event(socket, 'disconnect');
  socket.io.engine.close();
  await lost;
  let last;
  for (let number = 0; number < 5; number += 1) last = await publisher.timeout(2000).emitWithAck('publish', 'meanwhile');
  socket.connect();
  while (seqs.at(-1) !== last) await wait(5);
  assert.deepEqual(seqs, Array.from({ length: last }, (_, index) => index + 1));
}

async function disconnectEndsTheSubscription() {
  const [publisher, socket] = [connect(), connect()];
  await Promise.all([event(publisher, 'connect'), event(socket, 'connect')]);
  let count = 0;
  socket.on('event', () => (count += 1));
  socket.disconnect();
  await publisher.timeout(2000).emitWithAck('publish', 'x');
  await wait(50);
  assert.equal(count, 0);
}

async function anUnknownNamespaceIsRefused() {
  const [error] = await event(connect({}, '/nowhere'), 'connect_error');
  assert.match(error.message, /there is no such namespace/);
}

async function main() {
  const checks = [
    beginsWithPollingAndUpgrades,
    () => deliversEveryEventOnceAndInOrder(['polling']),
    () => deliversEveryEventOnceAndInOrder(['websocket']),
    () => deliversEveryEventOnceAndInOrder(['polling', 'websocket']),
    () => reachesRoomsOthersAndOneSocket(''),
    () => reachesRoomsOthersAndOneSocket('/chat'),
    onOnceAndOffWork,
    anUnknownEventIsRefusedAndItsAcknowledgementTimesOut,
    aLostConnectionIsResumedAtTheCursor,
    disconnectEndsTheSubscription,
    anUnknownNamespaceIsRefused,
  ];
  for (const check of checks) {
    await check();
    sockets.splice(0).forEach((socket) => socket.disconnect());
    console.log(`ok ${check.name || check}`);
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
