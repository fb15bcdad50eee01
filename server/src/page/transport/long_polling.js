// Long polling: sends a request, which the server responds to when there is an event, and then at once the next request.

import { poll } from './request.js';

export async function subscribe(lane, signal) {
  while (!signal.aborted) await poll(lane, signal);
}
