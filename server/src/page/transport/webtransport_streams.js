// WebTransport with a stream for each event.

import { eachStream, opened } from './session.js';

export async function subscribe(lane, signal) {
  await eachStream(await opened(lane, signal), lane);
}
