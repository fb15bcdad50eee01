// Socket.IO (npm install socket.io). The argument is the port.

const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer((request, response) => {
  if (request.method !== 'POST' || request.url !== '/publish') return;
  let message = '';
  request.setEncoding('utf8');
  request.on('data', (part) => (message += part));
  request.on('end', () => {
    // The load client looks for events with this name.
    io.emit('event', JSON.parse(message));
    response.writeHead(202, { 'content-length': 0 }).end();
  });
});

const io = new Server(server, { serveClient: false });
server.listen(Number(process.argv[2]), '127.0.0.1');
