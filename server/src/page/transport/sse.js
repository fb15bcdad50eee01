// Server-sent events: the browser's own EventSource, which reads the stream and takes it up again by itself.
//
// We do not leave that to it: the cursor is ours, so that what this lane shows is what the others show.

export function subscribe(lane, signal) {
  return new Promise((_, reject) => {
    lane.asked();
    const source = new EventSource(lane.address('/sse'));
    const end = (why) => {
      source.close();
      reject(why);
    };
    signal.addEventListener('abort', () => end(signal.reason), { once: true });
    source.onopen = () => {
      lane.answered();
      lane.note('open');
    };
    source.onmessage = ({ data }) => lane.event(data);
    source.addEventListener('gap', ({ data }) => lane.gap(JSON.parse(data).gap));
    source.onerror = () => {
      lane.note('error');
      end(new Error('the stream ended'));
    };
  });
}
