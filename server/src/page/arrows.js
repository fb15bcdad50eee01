// The arrows of a lane's ladder diagram: what crossed the wire, and when, by the server's trace and the page's own measurement. All times are
// in ms of the server's clock.

import { isRequest } from './flight.js';

// The arrows of the bytes that were under way after `since`, as { chunk, kind, from, ends, isLost, events }: `from` is when the bytes were sent,
// and `ends` are the times at which they arrived. Bytes with several events have an end for each event; those still under way end `now`, and
// lost ones when the connection did. `kind` is 'request', 'response', 'event' or, for other bytes, null. `events` is the number of events.
export function arrows(lane, { since, now }) {
  const found = [];
  for (const chunk of lane.chunks) {
    const { sentAt, arrivedAt, lostAt, seqs } = chunk;
    const end = arrivedAt ?? lostAt ?? now;
    if (end < since) continue;
    const events = seqs === null ? 0 : seqs[1] - seqs[0] + 1;
    const isLost = lostAt !== null;
    const ends = events > 1 && arrivedAt !== null ? arrivals(chunk, lane.deliveries) : [];
    found.push({ chunk, kind: kindOf(chunk), from: sentAt, ends: ends.length > 0 ? ends : [end], isLost, events });
  }
  return found;
}

// How the lane went on after each cut: { cutAt, at, after, eventAt }. `at` is when the server received the request that resumed, `after` the
// cursor in it, and `eventAt` when the event of that number was due; each is undefined as long as it is unknown.
export function resumptions(lane, published) {
  return lane.cuts.map(({ at: cutAt }, index) => {
    const next = lane.cuts[index + 1]?.at ?? Infinity;
    const request = lane.chunks.find((chunk) => isRequest(chunk) && chunk.at > cutAt && chunk.at < next);
    const after = /[?&]after=(\d+)/.exec(request ? new TextDecoder().decode(request.data.subarray(0, 500)) : '')?.[1];
    const event = published.findLast(({ seq, at }) => seq === Number(after) && at < request.at);
    return { cutAt, at: request?.at, after: after === undefined ? undefined : Number(after), eventAt: event?.at };
  });
}

// When the events of a chunk arrived, of which the first did at its `arrivedAt`. Deliveries are in the order of their times.
function arrivals({ arrivedAt, seqs }, deliveries) {
  let [first, end] = [0, deliveries.length];
  while (first < end) {
    const middle = (first + end) >> 1;
    if (deliveries[middle].receivedAt < arrivedAt) first = middle + 1;
    else end = middle;
  }
  // The last events of the chunk before it may have come at the same time.
  while (deliveries[first]?.receivedAt === arrivedAt && deliveries[first].seq < seqs[0]) first += 1;
  const found = [];
  for (; deliveries[first]?.seq >= seqs[0] && deliveries[first].seq <= seqs[1]; first += 1) found.push(deliveries[first].receivedAt);
  return found;
}

function kindOf(chunk) {
  if (chunk.up) return isRequest(chunk) ? 'request' : null;
  return chunk.seqs ? 'event' : chunk.isResponse ? 'response' : null;
}
