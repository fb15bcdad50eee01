// What the server saw cross the sockets of this page's lanes, as it happens; and what was published. Over a WebSocket, which
// does not count towards the six connections of HTTP/1.1.

const AGAIN_MS = 1000;

export function watch(session, told) {
  // Whoever is told of something is told in which watch: beyond a watch's end, another server may count anew.
  let watches = 0;
  const address = `/watch?session=${session}`;
  // A browser does not say why a WebSocket was not opened; a plain request hears it.
  const refused = () =>
    fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(AGAIN_MS) }).then(({ status }) => status === 409, () => false);
  const open = () => {
    const number = (watches += 1);
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}${address}`);
    socket.onmessage = ({ data }) => {
      const message = { ...JSON.parse(data), watch: number };
      if (message.kind === 'crossing') {
        message.data = Uint8Array.from(message.data.match(/../g) ?? [], (digits) => parseInt(digits, 16));
        message.at = message.at_ns / 1e6;
      } else if (message.kind === 'published') {
        message.at = message.at_ns / 1e6;
      }
      // The settings come first, and only once the server watches.
      if (message.kind === 'settings') told({ kind: 'there' });
      told(message);
    };
    socket.onclose = async () => {
      told({ kind: (await refused()) ? 'refused' : 'away' });
      setTimeout(open, AGAIN_MS);
    };
  };
  open();
}
