// In which condition a lane is: whether it is connected, what it misses, and how it has recovered.

import { text } from './text.js';

// That a lane has reconnected within this time, in ms, is not worth a word: it also does so when the network is set.
const RECONNECTION_MS = 2_500;
// How long it stays shown that a lane has recovered, in ms.
const SHOWN_MS = 20_000;

// How late an event or a response may come before that counts as a failure, in ms.
function patience(lane, { pollInterval, settings }) {
  const ways = settings?.delay_ms ?? 0;
  return 1500 + 4 * ways + (lane.name === 'polling' ? pollInterval : 0);
}

export class Condition {
  #askingSince = null;
  // When the failure began, and how many events had been missed by then.
  #failed = null;
  #recovered = null;
  // Whether it has worked since the page was opened.
  #hasWorked = false;

  // Updates and returns the condition of a lane of the shared subscriptions as { kind, and what its text needs }.
  update(lane, shared) {
    const now = shared.now();
    this.#askingSince = lane.state === 'asking' ? (this.#askingSince ?? now) : null;
    const failure = this.#failure(lane, now, shared.published, patience(lane, shared));
    if (failure) {
      this.#failed ??= { at: now, missed: lane.missed };
      this.#failed.isNoticed ||= failure.kind !== 'lost' || now - this.#failed.at > RECONNECTION_MS;
      this.#recovered = null;
      return failure;
    }
    if (this.#failed && lane.state === 'on') {
      if (this.#hasWorked && this.#failed.isNoticed) this.#recovered = recovery(lane, now, this.#failed, shared.faultEndedAt);
      this.#failed = null;
    }
    this.#hasWorked ||= lane.state === 'on';
    if (this.#recovered && now - this.#recovered.at < SHOWN_MS) return this.#recovered;
    return { kind: lane.state };
  }

  #failure(lane, now, published, patience) {
    const isUnanswered = this.#askingSince !== null && now - this.#askingSince > patience;
    if (lane.state === 'lost' || isUnanswered || (this.#failed && lane.state === 'asking')) {
      const status = refused(lane, now);
      return status ? { kind: 'refused', status } : { kind: isUnanswered ? 'unanswered' : 'lost' };
    }
    const latest = published.at(-1)?.traceSession;
    const due = ({ seq, at, traceSession }) => traceSession === latest && seq > lane.cursor && now - at > patience;
    const overdue = lane.state === 'on' ? published.filter(due).length : 0;
    return overdue ? { kind: 'silent', overdue } : null;
  }
}

// How a lane has recovered: `after` counts from the end of the fault or, if the lane has recovered in spite of it, from the loss of the
// connection; where no connection was lost, from when the first event was missing.
function recovery(lane, now, failed, faultEndedAt) {
  const isOver = faultEndedAt > failed.at;
  const hasReconnected = lane.onSince > failed.at;
  // A lane that was started anew has reconnected without a loss.
  const since = isOver ? faultEndedAt : hasReconnected ? (lane.lostAt ?? failed.at) : failed.at;
  const after = Math.max(0, (hasReconnected ? lane.onSince : now) - since);
  return { kind: 'recovered', at: now, after, isOver, missed: Math.max(0, lane.missed - failed.missed) };
}

// The status with which the server has refused the lane's last request, according to the trace of its bytes.
function refused(lane, now) {
  const last = lane.chunks.findLast(({ up, isResponse }) => !up && isResponse);
  if (!last || last.at < now - 5000) return null;
  const line = new TextDecoder().decode(last.data.subarray(0, 80)).split('\r\n')[0];
  return /^HTTP\/1.1 ([45].*)/.exec(line)?.[1] ?? null;
}

// A condition in words.
export function words(condition) {
  const found = text(`condition ${condition.kind}`);
  return typeof found === 'function' ? found(condition) : found;
}

// Whether it is a failure.
export const isFailure = ({ kind }) => ['lost', 'unanswered', 'refused', 'silent'].includes(kind);
