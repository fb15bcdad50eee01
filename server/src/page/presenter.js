// The presenter's link leads here. Its fragment holds the token, which is handed in once for a cookie, and the way goes on to the
// live page or, with `?to=slides`, to the lecture.

import { translate } from './text.js';

const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
// The address bar is on the projector.
history.replaceState(null, '', location.pathname + location.search);

async function begin() {
  const headers = { Authorization: `Bearer ${token}` };
  // An error is a server that is away, or a token that no header can hold.
  const answer = await fetch('/presenter', { method: 'POST', headers }).catch(() => null);
  if (answer?.ok) {
    // Other tabs of this browser have their connections from before.
    new BroadcastChannel('rights').postMessage('presenter');
    const slides = new URLSearchParams(location.search).get('to') === 'slides';
    location.replace(slides ? '/slides' : `/${location.search}`);
  } else {
    translate();
    document.getElementById('refused').hidden = false;
  }
}

begin();
