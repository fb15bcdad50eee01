// One poll, as both polling and long polling make it, and the pause between two polls.

// Requests the events after the lane's cursor, and fails if the response takes longer than `timeout`, in ms. A 200 has one event per line, a 204 has none, and a 410 reports a gap.
export async function poll(lane, signal, timeout) {
  lane.requested();
  const signals = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
  const response = await fetch(lane.requestUrl(), { signal: signals, cache: 'no-store' });
  const text = await response.text();
  lane.responded();
  if (response.status === 200) {
    for (const line of text.split('\n')) if (line) lane.event(line);
  } else if (response.status === 410) {
    lane.gap(JSON.parse(text).gap);
  } else if (response.status !== 204) {
    throw new Error(`status ${response.status}`);
  }
}

// Waits for `ms`; rejects at once when the signal is aborted.
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, Math.max(0, ms));
    signal.addEventListener('abort', stop, { once: true });
  });
}
