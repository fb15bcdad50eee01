// STOMP: a WebSocket with a sub-protocol. The client connects, subscribes to a destination, and receives frames with headers.

const frame = (command, headers, body = '') =>
  `${command}\n${Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join('')}\n${body}\0`;

export function subscribe(lane, signal) {
  return new Promise((_, reject) => {
    lane.requested();
    const socket = new WebSocket(lane.url('/ws', {}).replace(/^http/, 'ws'), 'v12.stomp');
    signal.addEventListener('abort', () => socket.close(1000), { once: true });
    const send = (text) => socket.send(frame('SEND', { destination: '/feed' }, text));
    socket.onopen = () => {
      lane.responded();
      lane.note('open');
      socket.send(frame('CONNECT', { 'accept-version': '1.2', host: location.hostname, 'heart-beat': '0,0' }));
    };
    socket.onmessage = ({ data }) => {
      const command = data.slice(0, data.indexOf('\n'));
      const body = data.slice(data.indexOf('\n\n') + 2, -1);
      if (command === 'CONNECTED') {
        socket.send(frame('SUBSCRIBE', { id: '0', destination: '/feed', after: lane.bookmark }));
        lane.send = send;
      } else if (command === 'MESSAGE') {
        const { gap } = JSON.parse(body);
        if (gap) lane.gap(gap);
        else lane.event(body);
      } else if (command === 'ERROR') {
        lane.note('error');
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
