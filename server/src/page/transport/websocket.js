// WebSocket: one handshake, and then frames in both directions.

export function subscribe(lane, signal) {
  return new Promise((_, reject) => {
    lane.requested();
    const url = lane.requestUrl({ compression: 'none' });
    const socket = new WebSocket(url.replace(/^http/, 'ws'));
    signal.addEventListener('abort', () => socket.close(1000), { once: true });
    const send = (text) => socket.send(text);
    socket.onopen = () => {
      lane.send = send;
      lane.responded();
      lane.note('open');
    };
    socket.onmessage = ({ data }) => lane.event(data);
    socket.onerror = () => lane.note('error');
    socket.onclose = ({ code, reason }) => {
      // The lane may have opened another connection meanwhile.
      if (lane.send === send) lane.send = null;
      lane.note(`close ${code}`);
      const [, cursor, epoch] = /^gap: go on after=(\d+)-(\d+)$/.exec(reason) ?? [];
      if (cursor) lane.gap({ oldest: Number(cursor) + 1, epoch: Number(epoch) });
      reject(signal.aborted ? signal.reason : new Error(`close code ${code}`));
    };
  });
}
