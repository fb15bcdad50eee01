// Multipart streaming: one request, and a response with a part for each event. Browsers once showed each part in place of the one before it;
// today, a page reads the parts itself.

const DELIMITER = '\r\n--event\r\n';

export async function subscribe(lane, signal) {
  lane.requested();
  const response = await fetch(lane.requestUrl(), { signal, cache: 'no-store' });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  lane.responded();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  // The first delimiter has no line end before it.
  let text = '\r\n';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error('the stream ended');
    const parts = (text + value).split(DELIMITER);
    text = parts.pop();
    for (const part of parts) {
      // The headers of a part end with an empty line. A part without a body is a heartbeat.
      const body = part.slice(part.indexOf('\r\n\r\n') + 4);
      if (!part.includes('\r\n\r\n') || !body) continue;
      const { gap } = JSON.parse(body);
      if (gap) lane.gap(gap);
      else lane.event(body);
    }
  }
}
