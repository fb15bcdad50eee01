// WebTransport with a datagram for each event. A gap, and an event that is too long for a datagram, come on streams.

import { eachStream, opened, received } from './session.js';

export async function subscribe(lane, signal) {
  const session = await opened(lane, signal);
  const decoder = new TextDecoder();
  const datagrams = async () => {
    const reader = session.datagrams.readable.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error('the session ended');
      received(decoder.decode(value), lane);
    }
  };
  await Promise.race([datagrams(), eachStream(session, lane)]);
}
