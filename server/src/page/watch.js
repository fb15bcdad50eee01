// What the server saw cross the sockets of a session's lanes, as it happens; and what was published. Over a WebSocket, which
// does not count towards the six connections of HTTP/1.1.

const AGAIN_MS = 1000;

// Watches a session until the page ends, and calls `told` with each message; gives a way to begin anew.
export function watch(session, told) {
  // Whoever is told of something is told in which watch: beyond a watch's end, another server may count anew.
  let watches = 0;
  let socket;
  let left = null;
  let address;
  // A browser does not say why a WebSocket was not opened; a plain request hears it.
  const refused = () =>
    fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(AGAIN_MS) }).then(({ status }) => status === 409, () => false);
  const open = () => {
    const number = (watches += 1);
    // A new name for each watch, so that a name known from an earlier one cannot be taken first. Lanes open anew with it.
    session.id = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, '0')).join('');
    address = `/watch?session=${session.id}`;
    const opened = new WebSocket(`${location.origin.replace(/^http/, 'ws')}${address}`);
    let there = false;
    socket = opened;
    opened.onmessage = ({ data }) => {
      const message = { ...JSON.parse(data), watch: number };
      if (message.kind === 'crossing') message.data = Uint8Array.from(message.data.match(/../g) ?? [], (digits) => parseInt(digits, 16));
      if (message.at_ns) message.at = message.at_ns / 1e6;
      // The settings come first, and only once the server watches.
      if (message.kind === 'settings' && !there) {
        there = true;
        told({ kind: 'there' });
      }
      told(message);
    };
    opened.onclose = async () => {
      if (opened !== left) told({ kind: (await refused()) ? 'refused' : 'away' });
      setTimeout(open, AGAIN_MS);
    };
  };
  open();
  const again = () => {
    left = socket;
    left.close();
  };
  return { again };
}
