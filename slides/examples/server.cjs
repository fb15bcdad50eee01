// The lecture's small server: one feed over polling, long polling, server-sent events and WebSocket, on Node without a library. It leaves out
// what a real server needs: limits, heartbeats, slow clients, an end of the history. Run it as: node slides/examples/server.cjs 8000

const crypto = require('node:crypto');
const http = require('node:http');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const events = [];
const listeners = new Set();

function publish(data) {
  events.push({ seq: events.length + 1, data });
  for (const listener of [...listeners]) listener();
}

function poll(response, after) {
  const found = events.slice(after);
  response.setHeader('Cursor', events.length);
  if (found.length === 0) return response.writeHead(204).end();
  response.end(found.map((event) => JSON.stringify(event) + '\n').join(''));
}

function longPoll(response, after) {
  if (after < events.length) return poll(response, after);
  const answer = () => {
    listeners.delete(answer);
    poll(response, after);
  };
  listeners.add(answer);
  response.on('close', () => listeners.delete(answer));
}

// Calls `write` with each event after the cursor, old and new ones, until the connection closes.
function follow(connection, after, write) {
  const writeNew = () => {
    events.slice(after).forEach(write);
    after = events.length;
  };
  listeners.add(writeNew);
  connection.on('close', () => listeners.delete(writeNew));
  writeNew();
}

function sse(response, after) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.flushHeaders();
  follow(response, after, (event) => {
    response.write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`);
  });
}

function websocket(request, socket) {
  const key = request.headers['sec-websocket-key'];
  const accept = crypto.createHash('sha1').update(key + GUID).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\n' +
    'Upgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  follow(socket, cursor(request), (event) => socket.write(frame(JSON.stringify(event))));
}

function frame(text) {
  const payload = Buffer.from(text);
  if (payload.length > 125) throw new RangeError('a longer header is needed');
  return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
}

function cursor(request) {
  const url = new URL(request.url, 'http://localhost');
  return Number(request.headers['last-event-id'] ?? url.searchParams.get('after') ?? 0);
}

const server = http.createServer((request, response) => {
  const path = request.url.split('?')[0];
  const after = cursor(request);
  if (path === '/poll') return poll(response, after);
  if (path === '/long-poll') return longPoll(response, after);
  if (path === '/sse') return sse(response, after);
  if (path !== '/publish' || request.method !== 'POST') return response.writeHead(404).end();
  let text = '';
  request.on('data', (part) => (text += part));
  request.on('end', () => {
    publish(text);
    response.writeHead(202).end();
  });
});
server.on('upgrade', websocket);
server.listen(Number(process.argv[2] ?? 8000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
