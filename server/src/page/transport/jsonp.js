// JSONP polling: a script element requests a script, which calls a function of this page for each event. Then the next script element does.

import { inDocument } from '../document.js';

export async function subscribe(lane, signal) {
  while (!signal.aborted) {
    lane.requested();
    await inDocument('script', lane.requestUrl(), (message) => receive(lane, message), signal);
    lane.responded();
  }
}

function receive(lane, message) {
  if (message.gap) lane.gap(message.gap);
  else lane.event(JSON.stringify(message));
}
