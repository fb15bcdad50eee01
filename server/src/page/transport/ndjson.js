// HTTP streaming: one request, and a response that does not end, with a line for each event.

export async function subscribe(lane, signal) {
  lane.requested();
  const response = await fetch(lane.requestUrl(), { signal, cache: 'no-store' });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  lane.responded();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error('the stream ended');
    const lines = (text + value).split('\n');
    text = lines.pop();
    // An empty line is a heartbeat.
    for (const line of lines.filter((line) => line)) {
      const { gap } = JSON.parse(line);
      if (gap) lane.gap(gap);
      else lane.event(line);
    }
  }
}
