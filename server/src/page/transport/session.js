// Sessions of WebTransport, and the lines that come over their streams.

// Says on the lane why there can be no session, and waits until the lane ends.
async function impossible(lane, signal, reason) {
  lane.note(reason);
  await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

// Opens a session for a lane. The server has another port for HTTP/3, whose certificate is trusted by its hash.
export async function opened(lane, signal) {
  if (!('WebTransport' in globalThis)) {
    await impossible(lane, signal, 'no WebTransport here: it needs https or localhost');
  }
  // The certificate changes with each start of the server.
  const rows = await (await fetch('/transports', { signal, cache: 'no-store' })).json();
  const row = rows.find(({ name }) => name === lane.name);
  if (!row) await impossible(lane, signal, 'no WebTransport here: this server cannot offer it');
  const { url, certificate_hash: hash } = row;
  const value = Uint8Array.from(hash.match(/../g), (digits) => parseInt(digits, 16));
  const session = new WebTransport(`${url}?after=${lane.bookmark}`, { serverCertificateHashes: [{ algorithm: 'sha-256', value }] });
  signal.addEventListener('abort', () => session.close(), { once: true });
  session.closed.catch(() => {}).then(() => (lane.send = null));
  await session.ready;
  lane.responded();
  lane.note('ready');
  lane.send = async (text) => {
    const writer = (await session.createUnidirectionalStream()).getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  };
  return session;
}

// Passes the lines of a stream on to the lane, until the stream ends.
export async function lines(stream, lane) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (text + value).split('\n');
    text = whole.pop();
    for (const line of whole) received(line, lane);
  }
}

// Passes the lines of all streams on to the lane, as they come; fails when the session has ended.
export async function eachStream(session, lane) {
  const reader = session.incomingUnidirectionalStreams.getReader();
  for (;;) {
    const { value: stream, done } = await reader.read();
    if (done) throw new Error('the session ended');
    lines(stream, lane).catch(() => {});
  }
}

// Passes a line on to the lane: an event or a gap. An empty line is a heartbeat.
export function received(line, lane) {
  if (!line.trim()) return;
  const { gap } = JSON.parse(line);
  if (gap) lane.gap(gap);
  else lane.event(line);
}
