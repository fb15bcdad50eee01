// HTTP streaming: one request, and then a line for each event, for as long as the response goes on.

export async function subscribe(lane, signal) {
  lane.asked();
  const answer = await fetch(lane.address('/stream'), { signal, cache: 'no-store' });
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  lane.answered();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
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
