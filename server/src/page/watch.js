// What the server saw cross the sockets of this page's lanes, as it happens; and what was published. Over a WebSocket, which
// does not count towards the six connections of HTTP/1.1.

const AGAIN_MS = 1000;

export function watch(session, told) {
  // Whoever is told of something is told in which watch: beyond a watch's end, another server may count anew.
  let watches = 0;
  const open = () => {
    const number = (watches += 1);
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/watch?session=${session}`);
    socket.onopen = () => told({ kind: 'there' });
    socket.onmessage = ({ data }) => {
      const message = { ...JSON.parse(data), watch: number };
      if (message.kind === 'crossing') {
        message.data = Uint8Array.from(message.data.match(/../g) ?? [], (digits) => parseInt(digits, 16));
        message.at = message.at_ns / 1e6;
      } else if (message.kind === 'published') {
        message.at = message.at_ns / 1e6;
      }
      told(message);
    };
    socket.onclose = () => {
      told({ kind: 'away' });
      setTimeout(open, AGAIN_MS);
    };
  };
  open();
}
