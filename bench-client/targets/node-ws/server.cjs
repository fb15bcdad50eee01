// WebSocket with the library ws (npm install ws). The argument is the port.

const http = require('node:http');
const { WebSocketServer } = require('ws');

const server = http.createServer((request, response) => {
  if (request.method !== 'POST' || request.url !== '/publish') return response.writeHead(404).end();
  let message = '';
  request.setEncoding('utf8');
  request.on('data', (part) => (message += part));
  request.on('end', () => {
    for (const socket of sockets.clients) socket.send(message);
    response.writeHead(202, { 'content-length': 0 }).end();
  });
});

const sockets = new WebSocketServer({ server, path: '/ws' });
server.listen(Number(process.argv[2]), '127.0.0.1');
