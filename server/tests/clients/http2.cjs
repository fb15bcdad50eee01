// Node's own client of HTTP/2: requests, a stream of server-sent events, and WebSockets on one connection (RFC 8441). And the library ws with
// compression, which it negotiates itself.

const assert = require('node:assert');
const http2 = require('node:http2');
const { WebSocket } = require('ws');

const server = process.argv[2];
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
const session = http2.connect(server, { rejectUnauthorized: false, settings: { enableConnectProtocol: true } });

// Sends a request; resolves with its stream and the headers of the response.
const open = (headers, body) => new Promise((resolve, reject) => {
  const stream = session.request(headers, { endStream: body === undefined && headers[':method'] !== 'CONNECT' });
  stream.on('error', reject);
  stream.on('response', (response) => resolve({ stream, response }));
  if (body !== undefined) stream.end(body);
});

const text = async (stream) => {
  stream.setEncoding('utf8');
  let all = '';
  for await (const part of stream) all += part;
  return all;
};

const publish = async (data) => {
  const { stream, response } = await open({ ':method': 'POST', ':path': '/publish' }, data);
  assert.strictEqual(response[':status'], 202);
  await text(stream);
};

// Reads the data of events from an event stream until there are that many.
const events = (stream, count) => new Promise((resolve, reject) => {
  const found = [];
  let left = '';
  stream.setEncoding('utf8');
  stream.on('error', reject);
  stream.on('data', (part) => {
    const blocks = (left + part).split('\n\n');
    left = blocks.pop();
    for (const block of blocks) {
      const data = block.split('\n').find((line) => line.startsWith('data: '));
      if (data) found.push(JSON.parse(data.slice(6)).data);
    }
    if (found.length >= count) resolve(found);
  });
});

// A WebSocket on a stream of HTTP/2: sends each text as a frame once the one before has come back, and closes. Resolves with what came.
const overHttp2 = async (path, texts) => {
  const { stream, response } = await open({
    ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13',
  });
  assert.strictEqual(response[':status'], 200);
  assert.strictEqual(response['sec-websocket-accept'], undefined);
  assert.strictEqual(response.upgrade, undefined);
  const received = [];
  // Masked with zeros.
  const frame = (opcode, payload) => {
    const long = payload.length > 125;
    const header = Buffer.alloc(long ? 14 : 6);
    header[0] = 0x80 | opcode;
    header[1] = 0x80 | (long ? 127 : payload.length);
    if (long) header.writeBigUInt64BE(BigInt(payload.length), 2);
    return Buffer.concat([header, payload]);
  };
  const send = () => {
    const next = texts[received.length];
    stream.write(next === undefined ? frame(8, Buffer.from([3, 232])) : frame(1, Buffer.from(next)));
  };
  send();
  let left = Buffer.alloc(0);
  for await (const part of stream) {
    left = Buffer.concat([left, part]);
    for (;;) {
      if (left.length < 2) break;
      const [header, length] =
        left[1] === 126 ? [4, left.length < 4 ? Infinity : left.readUInt16BE(2)]
          : left[1] === 127 ? [10, left.length < 10 ? Infinity : Number(left.readBigUInt64BE(2))]
            : [2, left[1]];
      if (left.length < header + length) break;
      const payload = left.subarray(header, header + length);
      if (left[0] === 0x88) assert.strictEqual(payload.readUInt16BE(0), 1000);
      else received.push(payload.toString());
      if (left[0] !== 0x88) send();
      left = left.subarray(header + length);
    }
  }
  return received;
};

// Sends each text once the one before has come back, and closes.
const echoed = (socket, texts) => new Promise((resolve, reject) => {
  const received = [];
  const send = () => (received.length < texts.length ? socket.send(texts[received.length]) : socket.close(1000));
  socket.on('error', reject);
  socket.on('message', (message) => {
    received.push(message.toString());
    send();
  });
  socket.on('close', (code) => (code === 1000 ? resolve(received) : reject(new Error(`close code ${code}`))));
  socket.on('open', send);
});

async function main() {
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  assert.strictEqual(session.remoteSettings.enableConnectProtocol, true);

  const empty = await open({ ':path': '/poll?after=0' });
  assert.strictEqual(empty.response[':status'], 204);

  const { stream, response } = await open({ ':path': '/sse?after=0' });
  assert.strictEqual(response['content-type'], 'text/event-stream');
  const waiting = open({ ':path': '/long-poll?after=0&wait=10s' });
  const read = events(stream, 2);
  for (const data of ['first', 'second']) await publish(data);
  assert.deepStrictEqual(await read, ['first', 'second']);
  const polled = await waiting;
  assert.match(await text(polled.stream), /"data":"first"/);
  stream.close(http2.constants.NGHTTP2_CANCEL);

  const texts = ['a', 'Grüße', 'x'.repeat(70_000), ''];
  assert.deepStrictEqual(await overHttp2('/echo', texts), texts);
  const [event] = await overHttp2('/ws', ['published over the socket']);
  assert.strictEqual(JSON.parse(event).data, 'published over the socket');
  session.close();

  const offers = [
    true,
    { serverNoContextTakeover: true, clientNoContextTakeover: true },
    { serverMaxWindowBits: 9, clientMaxWindowBits: 10 },
  ];
  for (const perMessageDeflate of offers) {
    const socket = new WebSocket(`${server.replace(/^http/, 'ws')}/echo`, { perMessageDeflate: { threshold: 0, ...(perMessageDeflate === true ? {} : perMessageDeflate) } });
    const many = [...texts, ...texts, 'the same again', 'the same again'];
    assert.deepStrictEqual(await echoed(socket, many), many);
    assert.match(socket.extensions, /permessage-deflate/);
  }
  for (const compression of ['shared', 'takeover']) {
    const url = `${server.replace(/^http/, 'ws')}/ws?after=0&compression=${compression}`;
    const socket = new WebSocket(url, { perMessageDeflate: true });
    const received = await new Promise((resolve, reject) => {
      const all = [];
      socket.on('error', reject);
      socket.on('message', (message) => all.push(JSON.parse(message).data) === 3 && resolve(all));
    });
    assert.deepStrictEqual(received, ['first', 'second', 'published over the socket']);
    assert.match(socket.extensions, /permessage-deflate/);
    socket.close();
  }
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
