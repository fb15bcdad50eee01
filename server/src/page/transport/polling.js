// Polling: sends a request at each interval, whether or not there is an event.
//
// Each request has the cursor of the last event received. A poll that takes longer than the interval delays the next one.

import { pause, poll } from './request.js';

// How long to wait for a response, in ms.
const TIMEOUT_MS = 10_000;

export async function subscribe(lane, signal) {
  // The second poll comes after a random part of the interval, so that clients which start together do not poll together.
  let part = Math.random();
  while (!signal.aborted) {
    const due = performance.now() + part * lane.pollInterval();
    part = 1;
    await poll(lane, signal, TIMEOUT_MS);
    await pause(due - performance.now(), signal);
  }
}
