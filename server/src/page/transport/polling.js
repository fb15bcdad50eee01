// Polling: sends a request at each interval, whether or not there is an event.
//
// Each request has the cursor of the last event received. A poll that takes longer than the interval delays the next one.

import { pause, poll } from './request.js';

export async function subscribe(lane, signal) {
  while (!signal.aborted) {
    const due = performance.now() + lane.pollInterval();
    await poll(lane, signal);
    await pause(due - performance.now(), signal);
  }
}
