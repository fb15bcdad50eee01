// One poll, as polling and long polling both make it; and a pause between two.

// Asks once behind the lane's cursor and hands over what came: the events of a 200, nothing of a 204, the gap of a 410.
export async function ask(lane, path, signal) {
  lane.asked();
  const answer = await fetch(lane.address(path), { signal, cache: 'no-store' });
  const text = await answer.text();
  lane.answered();
  if (answer.status === 200) {
    for (const line of text.split('\n')) if (line) lane.event(line);
  } else if (answer.status === 410) {
    lane.gap(JSON.parse(text).gap);
  } else if (answer.status !== 204) {
    throw new Error(`status ${answer.status}`);
  }
}

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
