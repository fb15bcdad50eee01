// Socket.IO: opens a session by long polling, connects to the namespace, and continues on a WebSocket. The digits before each packet are the
// types of Engine.IO and Socket.IO.

const EVENT = '42["event",';
const GAP = '42["gap",';

export async function subscribe(lane, signal) {
  const polling = { EIO: 4, transport: 'polling' };
  const { sid } = JSON.parse((await request(lane, polling, signal)).slice(1));
  await request(lane, { ...polling, sid }, signal, `40${JSON.stringify({ after: lane.bookmark })}`);
  await request(lane, { ...polling, sid }, signal);
  await new Promise((_, reject) => {
    lane.requested();
    const socket = new WebSocket(lane.url('/socket.io/', { EIO: 4, transport: 'websocket', sid }).replace(/^http/, 'ws'));
    signal.addEventListener('abort', () => socket.close(1000), { once: true });
    const send = (text) => socket.send(`42${JSON.stringify(['publish', text])}`);
    socket.onopen = () => {
      lane.responded();
      socket.send('2probe');
    };
    socket.onmessage = ({ data }) => {
      if (data === '3probe') {
        socket.send('5');
        lane.note('upgraded');
        lane.send = send;
      } else if (data === '2') {
        socket.send('3');
      } else if (data.startsWith(EVENT)) {
        lane.event(data.slice(EVENT.length, -1));
      } else if (data.startsWith(GAP)) {
        lane.gap(JSON.parse(data.slice(GAP.length, -1)).gap);
      }
    };
    socket.onerror = () => lane.note('error');
    socket.onclose = ({ code }) => {
      if (lane.send === send) lane.send = null;
      lane.note(`close ${code}`);
      reject(signal.aborted ? signal.reason : new Error(`close code ${code}`));
    };
  });
}

// Sends a request of the session's opening: a POST if it has a body. Returns the text of the response.
async function request(lane, parameters, signal, body) {
  lane.requested();
  const method = body === undefined ? 'GET' : 'POST';
  const response = await fetch(lane.url('/socket.io/', parameters), { method, body, signal, cache: 'no-store' });
  const text = await response.text();
  lane.responded();
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return text;
}
