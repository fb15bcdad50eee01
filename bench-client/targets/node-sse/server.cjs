// Polling, long polling, lines of an endless response and server-sent events, with what Node has itself. The argument is the port.

const http = require('node:http');

// The newest messages, and how many there have been. A client that has received N of them asks for those after N.
const history = [];
let count = 0;

function publish(request, response) {
  let message = '';
  request.setEncoding('utf8');
  request.on('data', (part) => (message += part));
  request.on('end', () => {
    history.push(message);
    count += 1;
    if (history.length > 10_000) history.shift();
    for (const { wrap, open } of Object.values(streams)) for (const subscriber of open) subscriber.write(wrap(message));
    for (const { response, after } of waiting.splice(0)) sendAfter(response, after);
    response.writeHead(202, { 'content-length': 0 }).end();
  });
}

// For each path, the type of its response, and how a message is written to it.
const streams = {
  '/events': { type: 'text/event-stream', wrap: (message) => `data: ${message}\n\n`, open: new Set() },
  '/lines': { type: 'application/x-ndjson', wrap: (message) => `${message}\n`, open: new Set() },
};

function stream({ type, open }, request, response) {
  response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' });
  response.flushHeaders();
  request.socket.setNoDelay(true);
  open.add(response);
  response.on('close', () => open.delete(response));
}

// Long polls for which there is nothing yet.
const waiting = [];

function sendAfter(response, after) {
  const missing = Math.min(Math.max(count - after, 0), history.length);
  const messages = missing > 0 ? history.slice(-missing) : [];
  const body = `{"next":${count},"messages":[${messages.join()}]}`;
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
}

function longPoll(response, after) {
  if (after < count) return sendAfter(response, after);
  const poll = { response, after };
  waiting.push(poll);
  const end = () => waiting.includes(poll) && waiting.splice(waiting.indexOf(poll), 1);
  const timeout = setTimeout(() => end() && sendAfter(response, after), 25_000);
  response.on('close', () => clearTimeout(timeout) || end());
}

const server = http.createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const after = Number(searchParams.get('after') ?? count);
  if (request.method === 'POST' && pathname === '/publish') return publish(request, response);
  if (request.method !== 'GET') return response.writeHead(405).end();
  if (pathname === '/poll') return sendAfter(response, after);
  if (pathname === '/long-poll') return longPoll(response, after);
  if (streams[pathname]) return stream(streams[pathname], request, response);
  response.writeHead(404).end();
});

server.listen(Number(process.argv[2]), '127.0.0.1');
