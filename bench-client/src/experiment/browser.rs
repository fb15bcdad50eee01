//! Measures the WebSocket interface of a browser, with a page that this program serves to a headless Chromium. Without one, there are no
//! figures.

use protocol::facts::Facts;
use protocol::facts::browser::BrowserFacts;

use crate::test_bed::TestBed;
use crate::test_bed::browser::PageServer;
use crate::test_bed::server_process::options;
use server::Options;

/// The page. It reports to the address that it came from.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><script type="module">
const server = 'ws://SERVER';
const run = (url, act) => new Promise((resolve) => {
  const events = [];
  const socket = new WebSocket(url);
  for (const name of ['open', 'message', 'error', 'close']) {
    socket.addEventListener(name, ({ code }) => {
      events.push({ name, code: code ?? null });
      act(socket, name, events);
      if (name === 'close') resolve(events);
    });
  }
});
const events = await run(`${server}/ws?after=0`, (socket, name, events) => {
  const messages = events.filter((event) => event.name === 'message').length;
  if (name === 'message' && messages === 1) socket.send('from the page');
  if (name === 'message' && messages === 2) socket.close(1000);
});
const refused_events = await run(`${server}/nothing`, () => {});
const unread = new WebSocket(`ws://${location.host}/unread`);
await new Promise((resolve) => (unread.onopen = resolve));
const part = 'x'.repeat(1 << 20);
let sent_bytes = 0;
let threw = false;
const began = performance.now();
try {
  for (let number = 0; number < 64; number += 1) {
    unread.send(part);
    sent_bytes += part.length;
  }
} catch {
  threw = true;
}
const sending_ms = performance.now() - began;
await new Promise((resolve) => setTimeout(resolve, 500));
const buffered_bytes = unread.bufferedAmount;
const user_agent = navigator.userAgent;
await fetch('/report', { method: 'POST', body: JSON.stringify({ user_agent, events, refused_events, sent_bytes, buffered_bytes, sending_ms, threw }) });
</script>"#;

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let pages = PageServer::open().await?;
    let mut test_bed = TestBed::open(&Options { seed, origins: vec![pages.origin()], ..options() }).await?;
    test_bed.control.publish("the first event").await?;
    let page = PAGE.replace("SERVER", &test_bed.target.endpoint.host);
    Ok(Facts::Browser(BrowserFacts { page: pages.report(page).await }))
}
