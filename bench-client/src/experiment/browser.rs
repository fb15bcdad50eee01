//! Measures the WebSocket interface of a browser, with a page that this program serves to a headless Chromium. Without one, there are no
//! figures.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use protocol::facts::Facts;
use protocol::facts::browser::{BrowserFacts, PageReport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use server::Options;

/// The browsers that are looked for.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// How long the browser may take to start, and the page to report.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the peer that reads nothing keeps its connection.
const IDLE: Duration = Duration::from_secs(30);

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
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let origins = vec![format!("http://{address}")];
    let mut test_bed = TestBed::open(&Options { seed, origins, ..options() }).await?;
    test_bed.control.publish("the first event").await?;
    let page = PAGE.replace("SERVER", &test_bed.target.endpoint.host);
    let (reports, mut reported) = mpsc::channel(1);
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (page, reports) = (page.clone(), reports.clone());
            // An error means that the browser has closed a connection.
            spawn_local(async move { drop(respond(stream, &page, reports).await) });
        }
    });
    let Some(browser) = start(address) else { return Ok(Facts::Browser(BrowserFacts { page: None })) };
    let report = timeout(TIMEOUT, reported.recv()).await.ok().flatten();
    drop(browser);
    Ok(Facts::Browser(BrowserFacts { page: report }))
}

/// A browser that is ended when this is dropped, and its profile's folder.
struct Browser(Child, PathBuf);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

/// Starts a browser that opens this program's page; `None` if there is none.
fn start(address: SocketAddr) -> Option<Browser> {
    let profile = std::env::temp_dir().join(format!("transport-lab-{}", std::process::id()));
    PROGRAMS.into_iter().find_map(|program| {
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("http://{address}/"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Browser(child, profile.clone()))
    })
}

/// Responds to a request of the page: with the page itself, with a WebSocket that reads nothing, or by passing on the report.
async fn respond(mut stream: TcpStream, page: &str, reports: mpsc::Sender<PageReport>) -> anyhow::Result<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        anyhow::ensure!(stream.read_buf(&mut request).await? > 0, "the connection ended");
    };
    let headers = String::from_utf8_lossy(&request[..end]).into_owned();
    let header = |name: &str| {
        let lines = headers.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_string())
    };
    if headers.starts_with("GET /unread ") {
        let key = header("sec-websocket-key").context("a handshake without a key")?;
        let accept = derive_accept_key(key.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(response.as_bytes()).await?;
        sleep(IDLE).await;
        return Ok(());
    }
    if headers.starts_with("POST /report ") {
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while request.len() < end + length {
            anyhow::ensure!(stream.read_buf(&mut request).await? > 0, "the report ended early");
        }
        let report = serde_json::from_slice(&request[end..])?;
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await?;
        return Ok(reports.send(report).await?);
    }
    let response = match headers.starts_with("GET / ") {
        true => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        ),
        false => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
    };
    Ok(stream.write_all(response.as_bytes()).await?)
}
