// The solution of the exercises on Node, without a library: one feed over polling, long polling, HTTP streaming, server-sent events and WebSocket.
// Run it as: node solution.cjs PORT. Check it with: bench-client check http://127.0.0.1:PORT

const crypto = require('node:crypto');
const http = require('node:http');

const MAX_BYTES = 64 << 10;
const KEPT = 1000;
const HEARTBEAT_MS = 10_000;
// What a slow client may leave unread, before it is disconnected.
const MAX_UNREAD = 16 << 20;

// --- The feed: the newest events, and those who want to know of new ones.

const events = [];
const listeners = new Set();
let head = 0;

function publish(data) {
  head += 1;
  const event = { seq: head, json: JSON.stringify({ seq: head, at: Date.now(), data }) };
  events.push(event);
  if (events.length > KEPT) events.shift();
  for (const listener of [...listeners]) listener(event);
  return head;
}

// The events after a cursor; null if some of them are not kept any more, or the feed has never had the cursor.
function since(after) {
  if (after > head || after < head - events.length) return null;
  return events.slice(events.length - (head - after));
}

const gap = (after) => JSON.stringify({ gap: { after, oldest: head - events.length + 1 } });

// --- HTTP.

function respond(response, status, body, headers = {}) {
  response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers }).end(body);
}

function receive(request, response) {
  const parts = [];
  let length = 0;
  request.on('data', (part) => {
    length += part.length;
    if (length <= MAX_BYTES) parts.push(part);
  });
  request.on('end', () => {
    if (length > MAX_BYTES) return respond(response, 413, 'at most 65536 bytes\n');
    let text;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
    } catch {
      return respond(response, 400, 'not UTF-8\n');
    }
    respond(response, 202, JSON.stringify({ seq: publish(text) }), { 'Content-Type': 'application/json' });
  });
}

// The cursor of a request: the newest event if it names none, null if it is not a number.
function cursor(url, header) {
  const text = header ?? url.searchParams.get('after');
  if (text === null || text === undefined) return head;
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

// --- Polling and long polling.

function answer(response, after, found) {
  const last = found.at(-1)?.seq ?? after;
  const body = found.map(({ json }) => `${json}\n`).join('');
  if (found.length === 0) return response.writeHead(204, { Cursor: after }).end();
  respond(response, 200, body, { 'Content-Type': 'application/x-ndjson', Cursor: last });
}

function poll(response, after) {
  const found = since(after);
  if (!found) return respond(response, 410, `${gap(after)}\n`, { 'Content-Type': 'application/json' });
  answer(response, after, found);
}

function longPoll(response, after) {
  const found = since(after);
  if (!found || found.length > 0) return poll(response, after);
  const done = () => {
    clearTimeout(timer);
    listeners.delete(listener);
  };
  const listener = (event) => {
    done();
    answer(response, after, [event]);
  };
  const timer = setTimeout(() => {
    done();
    answer(response, after, []);
  }, 25_000);
  listeners.add(listener);
  response.on('close', done);
}

// --- Streams.

function stream(response, after, { type, wrap, tellGap, heartbeat }) {
  response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  response.flushHeaders();
  const write = (text) => {
    response.write(text);
    if (response.writableLength > MAX_UNREAD) response.destroy();
  };
  const found = since(after);
  if (found) found.forEach((event) => write(wrap(event)));
  else write(tellGap(after));
  const listener = (event) => write(wrap(event));
  const timer = setInterval(() => write(heartbeat), HEARTBEAT_MS);
  listeners.add(listener);
  response.on('close', () => {
    clearInterval(timer);
    listeners.delete(listener);
  });
}

const LINES = {
  type: 'application/x-ndjson',
  wrap: ({ json }) => `${json}\n`,
  tellGap: (after) => `${gap(after)}\n`,
  heartbeat: '\n',
};

const SSE = {
  type: 'text/event-stream',
  wrap: ({ seq, json }) => `id: ${seq}\ndata: ${json}\n\n`,
  tellGap: (after) => `event: gap\ndata: ${gap(after)}\n\n`,
  heartbeat: ':\n\n',
};

// --- WebSocket (RFC 6455).

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

function accept(key) {
  return crypto.createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

function frame(opcode, payload) {
  const length = payload.length;
  const header =
    length < 126 ? Buffer.from([0, length]) : length < 65536 ? Buffer.alloc(4) : Buffer.alloc(10);
  if (length >= 65536) {
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  } else if (length >= 126) {
    header[1] = 126;
    header.writeUInt16BE(length, 2);
  }
  header[0] = 0x80 | opcode;
  return Buffer.concat([header, payload]);
}

// The first frame of the bytes, with its length; null while it is incomplete, and an error code if it is wrong.
function parse(bytes) {
  if (bytes.length < 2) return null;
  const [first, second] = bytes;
  if (first & 0x70) return { error: 1002 };
  if (!(second & 0x80)) return { error: 1002 };
  let length = second & 0x7f;
  let start = 2;
  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    start = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    length = Number(bytes.readBigUInt64BE(2));
    start = 10;
  }
  if (length > MAX_BYTES) return { error: 1009 };
  if (bytes.length < start + 4 + length) return null;
  const mask = bytes.subarray(start, start + 4);
  const payload = Buffer.from(bytes.subarray(start + 4, start + 4 + length));
  for (let index = 0; index < payload.length; index += 1) payload[index] ^= mask[index % 4];
  return { fin: Boolean(first & 0x80), opcode: first & 0xf, payload, length: start + 4 + length };
}

function upgrade(request, socket) {
  socket.on('error', () => {});
  const refuse = (status, headers = '') => socket.end(`HTTP/1.1 ${status}\r\n${headers}Content-Length: 0\r\nConnection: close\r\n\r\n`);
  const url = new URL(`http://localhost${request.url}`);
  if (url.pathname !== '/ws') return refuse('404 Not Found');
  if (request.headers['sec-websocket-version'] !== '13') return refuse('426 Upgrade Required', 'Sec-WebSocket-Version: 13\r\n');
  const key = request.headers['sec-websocket-key'];
  if (!key || Buffer.from(key, 'base64').length !== 16) return refuse('400 Bad Request');
  const after = cursor(url);
  if (after === null) return refuse('400 Bad Request');
  socket.setNoDelay(true);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(key)}\r\n\r\n`,
  );
  serve(socket, after);
}

function serve(socket, after) {
  let received = Buffer.alloc(0);
  let message = null;
  let closing = false;
  const send = (opcode, payload) => {
    if (closing || socket.destroyed) return;
    socket.write(frame(opcode, Buffer.from(payload)));
    if (socket.writableLength > MAX_UNREAD) socket.destroy();
  };
  const close = (code) => {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    send(CLOSE, payload);
    closing = true;
    socket.end();
  };
  const handle = ({ fin, opcode, payload }) => {
    if (opcode === CLOSE) return close(payload.length >= 2 ? payload.readUInt16BE(0) : 1000);
    if (opcode === PING) return send(PONG, payload);
    if (opcode === PONG) return;
    message = message ? Buffer.concat([message, payload]) : payload;
    if (message.length > MAX_BYTES) return close(1009);
    if (!fin) return;
    const whole = message;
    message = null;
    try {
      publish(new TextDecoder('utf-8', { fatal: true }).decode(whole));
    } catch {
      close(1007);
    }
  };
  socket.on('data', (part) => {
    received = Buffer.concat([received, part]);
    for (let found = parse(received); found && !closing; found = parse(received)) {
      if (found.error) return close(found.error);
      received = received.subarray(found.length);
      handle(found);
    }
  });
  const found = since(after);
  if (!found) return close(4410);
  found.forEach(({ json }) => send(TEXT, json));
  const listener = ({ json }) => send(TEXT, json);
  const timer = setInterval(() => send(PING, ''), HEARTBEAT_MS);
  listeners.add(listener);
  socket.on('end', () => socket.end());
  socket.on('close', () => {
    clearInterval(timer);
    listeners.delete(listener);
  });
}

// --- Routes.

const server = http.createServer((request, response) => {
  const url = new URL(`http://localhost${request.url}`);
  if (url.pathname === '/publish') {
    return request.method === 'POST' ? receive(request, response) : respond(response, 405, 'POST only\n', { Allow: 'POST' });
  }
  const routes = {
    '/poll': poll,
    '/long-poll': longPoll,
    '/stream': (response, after) => stream(response, after, LINES),
    '/sse': (response, after) => stream(response, after, SSE),
    '/ws': (response) => respond(response, 426, 'a WebSocket\n', { Upgrade: 'websocket' }),
  };
  const route = routes[url.pathname];
  if (!route) return respond(response, 404, 'nothing here\n');
  if (request.method !== 'GET') return respond(response, 405, 'GET only\n', { Allow: 'GET' });
  const after = cursor(url, url.pathname === '/sse' ? request.headers['last-event-id'] : undefined);
  if (after === null) return respond(response, 400, 'after is a number\n');
  request.socket.setNoDelay(true);
  route(response, after);
});

server.on('upgrade', upgrade);
server.keepAliveTimeout = 60_000;
server.listen(Number(process.argv[2] ?? 8000), '127.0.0.1');
