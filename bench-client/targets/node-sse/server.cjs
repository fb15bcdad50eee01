// Server-sent events and lines of an endless response, with what Node has itself. The argument is the port.

const http = require('node:http');

// For each path, the type of its response, and how a message is written to it.
const streams = {
  '/events': { type: 'text/event-stream', wrap: (message) => `data: ${message}\n\n`, open: new Set() },
  '/lines': { type: 'application/x-ndjson', wrap: (message) => `${message}\n`, open: new Set() },
};

function publish(request, response) {
  let message = '';
  request.setEncoding('utf8');
  request.on('data', (part) => (message += part));
  request.on('end', () => {
    for (const { wrap, open } of Object.values(streams)) for (const subscriber of open) subscriber.write(wrap(message));
    response.writeHead(202, { 'content-length': 0 }).end();
  });
}

const server = http.createServer((request, response) => {
  const stream = streams[request.url];
  if (request.method === 'POST' && request.url === '/publish') return publish(request, response);
  if (request.method !== 'GET' || !stream) return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': stream.type, 'cache-control': 'no-store' });
  response.flushHeaders();
  request.socket.setNoDelay(true);
  stream.open.add(response);
  response.on('close', () => stream.open.delete(response));
});

server.listen(Number(process.argv[2]), '127.0.0.1');
