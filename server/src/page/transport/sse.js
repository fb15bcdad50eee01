// Server-sent events: the browser's EventSource reads the stream.
//
// EventSource would also reconnect and resume by itself. Here the lane does that, so that it has the same cursor and shows the same things
// as the other lanes.

export function subscribe(lane, signal) {
  return new Promise((_, reject) => {
    lane.requested();
    const source = new EventSource(lane.requestUrl());
    const end = (reason) => {
      source.close();
      reject(reason);
    };
    signal.addEventListener('abort', () => end(signal.reason), { once: true });
    source.onopen = () => {
      lane.responded();
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
