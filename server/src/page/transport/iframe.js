// The hidden iframe: its page does not end, and each event is a script in it that calls a function of this page.

import { inDocument } from '../document.js';

export async function subscribe(lane, signal) {
  lane.requested();
  const receive = (message) => {
    if (message.gap) lane.gap(message.gap);
    else lane.event(JSON.stringify(message));
  };
  await inDocument('iframe', lane.requestUrl(), receive, signal);
  throw new Error('the page ended');
}
