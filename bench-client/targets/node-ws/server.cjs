// WebSocket with the library ws (npm install ws). What a client sends goes to all others, and is acknowledged. The argument is the port.

const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), path: '/ws' });

server.on('connection', (sender) => {
  sender.on('message', (message) => {
    for (const client of server.clients) if (client !== sender) client.send(message, { binary: false });
    sender.send('{"sent":true}');
  });
  sender.on('error', () => sender.terminate());
});
