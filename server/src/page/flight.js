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

// Whether a request was waiting at the server at `time`.
export function hasRequest(lane, time) {
  const last = lane.chunks.findLast(({ at }) => at <= time);
  return last !== undefined && last.up;
}

// Which phone heard of the event last: { lane, flight, by }, where `by` is how much later than the one before it; null if none has.
export function lastOf(flights) {
  const arrived = flights.filter(({ flight }) => flight.arrivedAt !== undefined).toSorted((a, b) => b.flight.delay - a.flight.delay);
  const [last, before] = arrived;
  return last ? { ...last, by: before ? last.flight.delay - before.flight.delay : 0 } : null;
}
