// The page that the presenter's link opens. The link's fragment contains the token. This script sends it to the server once, which sets a
// cookie, and then opens the live page or, with `?to=slides`, the lecture.

import { translate } from './text.js';

const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
// The audience can see the address bar on the projector, so the token is removed from it.
history.replaceState(null, '', location.pathname + location.search);

async function start() {
  const headers = { Authorization: `Bearer ${token}` };
  // The request fails if the server is unreachable, or the token has characters that a header must not contain.
  const response = await fetch('/presenter', { method: 'POST', headers }).catch(() => null);
  if (response?.ok) {
    // Other tabs of this browser opened their connections without the cookie; they reconnect.
    new BroadcastChannel('rights').postMessage('presenter');
    const slides = new URLSearchParams(location.search).get('to') === 'slides';
    location.replace(slides ? '/slides' : `/${location.search}`);
  } else {
    translate();
    document.getElementById('refused').hidden = false;
  }
}

start();
