// Long polling: ask, be answered when there is an event, ask again at once.

import { ask } from './request.js';

export async function subscribe(lane, signal) {
  while (!signal.aborted) await ask(lane, '/long-poll', signal);
}
