// The trace session of this browser: over a WebSocket, the server sends the bytes that cross the sockets of the session's lanes, and
// reports each published event. A WebSocket does not count towards the six connections of HTTP/1.1.

const RECONNECT_MS = 1000;

// Keeps a trace session open, and calls `onMessage` with each message: those of the server, { kind: 'connected' } once it traces, and
// { kind: 'unreachable' } or { kind: 'refused' } when the connection could not be opened or has ended. Returns { reconnect }, which opens
// it anew.
export function watch(session, onMessage) {
  // Trace sessions are numbered, and each message has the number of its session: after a reconnection, the server may be another one, which
  // counts events from 1 again.
  let sessions = 0;
  let socket;
  let abandoned = null;
  let url;
  // The browser does not report why a WebSocket could not be opened, but a plain request to the same URL gets the status.
  const refused = () =>
    fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(RECONNECT_MS) }).then(({ status }) => status === 409, () => false);
  const open = () => {
    const traceSession = (sessions += 1);
    // Each session has a new random name, so that a viewer who saw an earlier name cannot take the new one first. The lanes reconnect with it.
    session.id = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, '0')).join('');
    url = `/watch?session=${session.id}`;
    const opened = new WebSocket(`${location.origin.replace(/^http/, 'ws')}${url}`);
    let connected = false;
    socket = opened;
    opened.onmessage = ({ data }) => {
      const message = { ...JSON.parse(data), traceSession };
      if (message.kind === 'chunk') message.data = Uint8Array.from(message.data.match(/../g) ?? [], (digits) => parseInt(digits, 16));
      if (message.at_ns) message.at = message.at_ns / 1e6;
      // The server sends the settings first, once it traces the session.
      if (message.kind === 'settings' && !connected) {
        connected = true;
        onMessage({ kind: 'connected' });
      }
      onMessage(message);
    };
    opened.onclose = async () => {
      if (opened !== abandoned) onMessage({ kind: (await refused()) ? 'refused' : 'unreachable' });
      setTimeout(open, RECONNECT_MS);
    };
  };
  open();
  const reconnect = () => {
    abandoned = socket;
    abandoned.close();
  };
  return { reconnect };
}
