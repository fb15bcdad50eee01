// Long polling: sends a request, which the server responds to when there is an event, and then at once the next request.

import { poll } from './request.js';

// How long to wait for a response, in ms: longer than the server waits for an event.
const TIMEOUT_MS = 40_000;

export async function subscribe(lane, signal) {
  while (!signal.aborted) await poll(lane, signal, TIMEOUT_MS);
}
