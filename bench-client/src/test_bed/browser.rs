//! A headless browser that opens a page of this program and reports what the page has measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The browsers that are looked for.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// How long the browser may take to start, and the page to report.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the peer that reads nothing keeps its connection.
const IDLE: Duration = Duration::from_secs(30);

/// The address from which the page is served.
pub struct PageServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl PageServer {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the system provides no port.
    pub async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The origin of the page.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Opens the `page` in a browser, and returns what it sends to `/report`, in JSON; `None` if there is no browser, or the page reports
    /// nothing in time. At `/unread`, the page finds a WebSocket that reads nothing.
    pub async fn report<T: DeserializeOwned>(self, page: String) -> Option<T> {
        let Self { listener, address } = self;
        let (reports, mut reported) = mpsc::channel::<Vec<u8>>(1);
        let serving = spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (page, reports) = (page.clone(), reports.clone());
                // An error means that the browser has closed a connection.
                spawn_local(async move { drop(respond(stream, &page, reports).await) });
            }
        });
        let browser = start(address)?;
        let report = timeout(TIMEOUT, reported.recv()).await.ok().flatten();
        drop(browser);
        serving.abort();
        serde_json::from_slice(&report?).ok()
    }
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

/// Starts a browser that opens this program's page; `None` if there is none. It accepts the certificate that the test bed's server makes.
fn start(address: SocketAddr) -> Option<Browser> {
    let profile = std::env::temp_dir().join(format!("transport-lab-{}", std::process::id()));
    PROGRAMS.into_iter().find_map(|program| {
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
            .arg("--ignore-certificate-errors")
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
async fn respond(mut stream: TcpStream, page: &str, reports: mpsc::Sender<Vec<u8>>) -> anyhow::Result<()> {
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
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await?;
        return Ok(reports.send(request.split_off(end)).await?);
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
