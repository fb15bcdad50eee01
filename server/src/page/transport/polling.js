// Polling: ask each interval, event or not.
//
// Each answer names the cursor to go on from. A poll that takes longer than the interval delays the next one.

import { ask, pause } from './request.js';

export async function subscribe(lane, signal) {
  while (!signal.aborted) {
    const due = performance.now() + lane.pollInterval();
    await ask(lane, '/poll', signal);
    await pause(due - performance.now(), signal);
  }
}
