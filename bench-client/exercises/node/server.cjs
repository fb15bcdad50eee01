// A server to complete, on Node without a library. What is missing is marked TODO, in the order of the exercises.
// Run it as: node server.cjs PORT. Check an exercise with: bench-client check http://127.0.0.1:PORT --exercise polling

const http = require('node:http');

// --- The feed: all events, and those who want to know of new ones. It is complete.

const events = [];
const listeners = new Set();

function publish(data) {
  const seq = events.length + 1;
  const event = { seq, json: JSON.stringify({ seq, at: Date.now(), data }) };
  events.push(event);
  for (const listener of [...listeners]) listener(event);
  return seq;
}

// The events after a cursor; null if the feed has never had it.
function since(after) {
  return after > events.length ? null : events.slice(after);
}

function respond(response, status, body = '', headers = {}) {
  response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers }).end(body);
}

// --- Publishing.

function receive(request, response) {
  let text = '';
  request.setEncoding('utf8');
  request.on('data', (part) => (text += part));
  // TODO publishing: refuse more than 64 KiB (413), and bytes that are not UTF-8 (400).
  request.on('end', () => respond(response, 202, JSON.stringify({ seq: publish(text) })));
}

// --- Exercises.

function poll(response, after) {
  // TODO polling: the events after the cursor as lines of JSON, with the header Cursor; 204 if there is none; 410 with a gap if since() is null.
  respond(response, 501, 'polling is still to be written\n');
}

function longPoll(response, after) {
  // TODO long polling: as poll(), but wait for the next event if there is none. Mind a client that goes away while it waits.
  respond(response, 501, 'long polling is still to be written\n');
}

function stream(response, after) {
  // TODO ndjson: a response that does not end, with a line for each event, old ones first, and a blank line now and then.
  respond(response, 501, 'HTTP streaming is still to be written\n');
}

function sse(response, after, lastEventId) {
  // TODO sse: the same as server-sent events, each with its id; a browser resumes with Last-Event-ID.
  respond(response, 501, 'server-sent events are still to be written\n');
}

function websocket(request, socket) {
  // TODO websocket: the handshake (RFC 6455, section 4.2), then a text frame for each event. Read frames, too: messages, pings and the close.
  socket.end('HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n');
}

// --- Routes.

const server = http.createServer((request, response) => {
  const url = new URL(`http://localhost${request.url}`);
  if (url.pathname === '/publish' && request.method === 'POST') return receive(request, response);
  // TODO publishing: 405 for another method. TODO polling: 400 if after is not a number.
  const after = Number(url.searchParams.get('after') ?? events.length);
  if (url.pathname === '/poll') return poll(response, after);
  if (url.pathname === '/long-poll') return longPoll(response, after);
  if (url.pathname === '/stream') return stream(response, after);
  if (url.pathname === '/sse') return sse(response, after, request.headers['last-event-id']);
  respond(response, 404, 'nothing here\n');
});

server.on('upgrade', websocket);
server.listen(Number(process.argv[2] ?? 8000), '127.0.0.1');
