// What the server saw cross the sockets of a session's lanes, as it happens; and what was published. Over a WebSocket, which
// does not count towards the six connections of HTTP/1.1.

const AGAIN_MS = 1000;

// Watches a session until the page ends, and calls `told` with each message; gives a way to begin anew.
export function watch(session, told) {
  // Whoever is told of something is told in which watch: beyond a watch's end, another server may count anew.
  let watches = 0;
  let socket;
  let wanted = true;
  const open = () => {
    const number = (watches += 1);
    const token = session.token ? `&token=${session.token}` : '';
    socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/watch?session=${session.id}${token}`);
    socket.onopen = () => told({ kind: 'there' });
    socket.onmessage = ({ data }) => {
      const message = { ...JSON.parse(data), watch: number };
      if (message.kind === 'crossing') message.data = Uint8Array.from(message.data.match(/../g) ?? [], (digits) => parseInt(digits, 16));
      if (message.at_ns) message.at = message.at_ns / 1e6;
      told(message);
    };
    socket.onclose = () => {
      if (wanted) told({ kind: 'away' });
      wanted = true;
      setTimeout(open, AGAIN_MS);
    };
  };
  open();
  const again = () => {
    wanted = false;
    socket.close();
  };
  return { again };
}
