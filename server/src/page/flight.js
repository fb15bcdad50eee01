// How one event has travelled to a phone, as its lane and the server's trace measured it. All times are in ms of the server's clock.

// What is known of the event's way over `lane`:
// `leftAt`      when the server sent the bytes with the event, for the first time if they were lost
// `arrivedAt`   when the page received it
// `asked`       the request that fetched it, { sentAt, at }, where each response needs one
// Each is undefined as long as it is unknown.
export function flight(lane, event) {
  const carrier = lane.chunks.find(
    ({ up, seqs, traceSession }) => !up && seqs && traceSession === event.traceSession && seqs[0] <= event.seq && event.seq <= seqs[1],
  );
  const delivery = lane.deliveries.findLast(({ seq, at }) => seq === event.seq && Math.abs(at - event.at) < 1);
  const leftAt = carrier?.at;
  const asked = leftAt === undefined ? undefined : lane.chunks.findLast((chunk) => isRequest(chunk) && chunk.at <= leftAt);
  return { leftAt, arrivedAt: delivery?.receivedAt, delay: delivery?.latency, asked };
}

// Whether these bytes begin a request, and not for example a frame.
export function isRequest({ up, data }) {
  return up && /^(GET |POST |CONNE)/.test(String.fromCharCode(...data.subarray(0, 5)));
}

// What there is of a request and its response at `time`: 'held' if the request is at the server, 'coming' or 'answered' if it or the response is
// on its way, or 'none'.
export function requestOf(lane, time) {
  const last = lane.chunks.findLast(({ at }) => at <= time);
  if (last?.up) return 'held';
  const isUnderWay = ({ sentAt, arrivedAt, lostAt }) => sentAt <= time && time < (arrivedAt ?? lostAt ?? Infinity);
  const underWay = lane.chunks.findLast(isUnderWay);
  if (!underWay) return 'none';
  return underWay.up ? 'coming' : 'answered';
}

// The phones that have heard of the event, from the first to the last.
export function inOrder(flights) {
  return flights.filter(({ flight }) => flight.arrivedAt !== undefined).toSorted((a, b) => a.flight.delay - b.flight.delay);
}
