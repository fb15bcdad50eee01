// WebTransport: a session over HTTP/3, and the events as lines of one stream that the server opens.

import { lines, opened } from './session.js';

export async function subscribe(lane, signal) {
  const session = await opened(lane, signal);
  const { value: stream } = await session.incomingUnidirectionalStreams.getReader().read();
  await lines(stream, lane);
  throw new Error('the stream ended');
}
