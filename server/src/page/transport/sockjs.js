// SockJS over its WebSocket transport: messages are arrays of strings.

export function subscribe(lane, signal) {
  return new Promise((_, reject) => {
    lane.requested();
    const session = Math.random().toString(36).slice(2, 10);
    const url = lane.url(`/sockjs/000/${session}/websocket`, { after: lane.bookmark });
    const socket = new WebSocket(url.replace(/^http/, 'ws'));
    signal.addEventListener('abort', () => socket.close(1000), { once: true });
    const send = (text) => socket.send(JSON.stringify([text]));
    socket.onopen = () => lane.responded();
    socket.onmessage = ({ data }) => {
      // o opens the session, h is a heartbeat, a has messages, and c closes the session.
      if (data === 'o') {
        lane.note('open');
        lane.send = send;
      }
      if (!data.startsWith('a')) return;
      for (const text of JSON.parse(data.slice(1))) {
        const { gap } = JSON.parse(text);
        if (gap) lane.gap(gap);
        else lane.event(text);
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
