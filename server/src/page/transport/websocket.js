// WebSocket: one upgrade, and then frames, either way.

export function subscribe(lane, signal) {
  return new Promise((_, reject) => {
    lane.asked();
    const socket = new WebSocket(lane.address('/ws').replace(/^http/, 'ws'));
    signal.addEventListener('abort', () => socket.close(1000), { once: true });
    const send = (text) => socket.send(text);
    lane.send = send;
    socket.onopen = () => {
      lane.answered();
      lane.note('open');
    };
    socket.onmessage = ({ data }) => lane.event(data);
    socket.onerror = () => lane.note('error');
    socket.onclose = ({ code, reason }) => {
      // The lane may have opened another one meanwhile.
      if (lane.send === send) lane.send = null;
      lane.note(`close ${code}`);
      const [, cursor, epoch] = /^gap: go on after=(\d+)-(\d+)$/.exec(reason) ?? [];
      if (cursor) lane.gap({ oldest: Number(cursor) + 1, epoch: Number(epoch) });
      reject(signal.aborted ? signal.reason : new Error(`close code ${code}`));
    };
  });
}
