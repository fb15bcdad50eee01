//! A reverse proxy with a fault that real ones have by default or by mistake.
//!
//! It handles one request after another on a connection, each with a connection of its own to the server. Its faults are those of
//! configurations: `proxy_http_version 1.0`, buffering, missing `Upgrade` headers and a short timeout in nginx, for instance.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use protocol::chunked;
use protocol::facts::fallback::Proxy;
use rustls::{ServerConfig, ServerConnection};
use server::Identity;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::endpoint::Endpoint;

/// After this time without a byte in either direction, [`Proxy::CutsSilence`] closes a connection.
pub const MAX_SILENCE: Duration = Duration::from_secs(5);
/// The longest headers that are forwarded, in bytes.
const MAX_HEADERS_BYTES: usize = 16 << 10;
const READ_BYTES: usize = 16 << 10;
/// The pause after an error of accepting a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A proxy that runs. Dropping it ends its connections.
pub struct Running {
    /// Where clients connect.
    pub endpoint: Endpoint,
    _tasks: JoinSet<()>,
}

/// Listens on a free port of the loopback interface and forwards requests to `server`, with the fault of `proxy`.
///
/// # Errors
/// Those of listening, and of making a certificate.
pub async fn start(proxy: Proxy, server: SocketAddr) -> anyhow::Result<Running> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let tls = match proxy {
        Proxy::TlsWithoutUpgrade => Some(Identity::self_signed(&[], &[address.ip()])?.server_config()),
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    // This program has made the certificate itself.
    let endpoint = Endpoint::named(&format!("{scheme}://{address}"), true).context("the proxy's address")?;
    let mut tasks = JoinSet::new();
    tasks.spawn_local(async move {
        // Dropped with this task, which ends the connections.
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok((near, _)) = listener.accept().await else {
                // All files are in use, for instance.
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let _ = near.set_nodelay(true);
            let tls: Option<Arc<ServerConfig>> = tls.clone();
            // An error means that one side has ended its connection; the other is dropped with it.
            connections.spawn_local(async move {
                match tls {
                    None => drop(serve(near, proxy, server).await),
                    Some(tls) => {
                        if let Ok(session) = ServerConnection::new(tls) {
                            drop(serve(TlsStream { stream: near, session: Box::new(session) }, proxy, server).await);
                        }
                    }
                }
            });
        }
    });
    Ok(Running { endpoint, _tasks: tasks })
}

/// Forwards the requests of one connection.
async fn serve(mut near: impl AsyncRead + AsyncWrite + Unpin, proxy: Proxy, server: SocketAddr) -> io::Result<()> {
    let mut early = Vec::new();
    loop {
        let Some(request) = read_headers(&mut near, &mut early).await? else { return Ok(()) };
        let length = content_length(&request);
        while early.len() < length {
            if near.read_buf(&mut early).await? == 0 {
                return Ok(());
            }
        }
        let body: Vec<u8> = early.drain(..length).collect();
        let mut far = TcpStream::connect(server).await?;
        far.set_nodelay(true)?;
        far.write_all(changed(&request, proxy).as_bytes()).await?;
        far.write_all(&body).await?;
        let mut received = Vec::new();
        let response = silence(proxy, read_headers(&mut far, &mut received)).await?;
        let Some(response) = response else { return Ok(()) };
        if response.starts_with("HTTP/1.1 101") || response.starts_with("HTTP/1.0 101") {
            near.write_all(response.as_bytes()).await?;
            near.write_all(&received).await?;
            far.write_all(&early).await?;
            return forward_both(&mut near, &mut far, proxy).await;
        }
        match proxy {
            Proxy::BuffersResponses => {
                read_whole(&mut far, &response, &mut received).await?;
                near.write_all(response.as_bytes()).await?;
                near.write_all(&received).await?;
            }
            Proxy::Http10 => forward_as_http11(&mut near, &mut far, &response, received).await?,
            Proxy::None | Proxy::DropsUpgrade | Proxy::CutsSilence | Proxy::TlsWithoutUpgrade => {
                near.write_all(response.as_bytes()).await?;
                near.write_all(&received).await?;
                near.flush().await?;
                forward_rest(&mut near, &mut far, &response, received, proxy).await?;
            }
        }
    }
}

/// The request as this proxy sends it to the server.
fn changed(request: &str, proxy: Proxy) -> String {
    let dropped = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match proxy {
            Proxy::DropsUpgrade | Proxy::TlsWithoutUpgrade => matches!(&*name, "upgrade" | "connection"),
            Proxy::Http10 => name == "connection",
            Proxy::None | Proxy::BuffersResponses | Proxy::CutsSilence => false,
        }
    };
    let kept: String = request.split_inclusive("\r\n").filter(|line| !dropped(line)).collect();
    if proxy == Proxy::Http10 { kept.replacen(" HTTP/1.1\r\n", " HTTP/1.0\r\n", 1) } else { kept }
}

/// Reads a message's first line and headers up to the blank line; what follows stays in `early`. `None` if the connection ends before.
async fn read_headers(stream: &mut (impl AsyncRead + Unpin), early: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = early.windows(4).position(|end| end == b"\r\n\r\n") {
            let headers: Vec<u8> = early.drain(..end + 4).collect();
            return Ok(Some(String::from_utf8_lossy(&headers).into_owned()));
        }
        if early.len() > MAX_HEADERS_BYTES {
            return Err(ErrorKind::InvalidData.into());
        }
        if stream.read_buf(early).await? == 0 {
            return Ok(None);
        }
    }
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    let lines = headers.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn content_length(headers: &str) -> usize {
    header(headers, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
}

fn is_chunked(headers: &str) -> bool {
    header(headers, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
}

/// Whether the body is complete. A chunked body is when it ends with the last chunk, since this server sends nothing after it.
fn is_whole(headers: &str, body: &[u8]) -> bool {
    if is_chunked(headers) { body.ends_with(chunked::LAST) } else { body.len() >= content_length(headers) }
}

/// Reads the rest of a response's body.
async fn read_whole(far: &mut TcpStream, headers: &str, body: &mut Vec<u8>) -> io::Result<()> {
    while !is_whole(headers, body) {
        if far.read_buf(body).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Forwards the rest of a response's body as it comes.
async fn forward_rest(
    near: &mut (impl AsyncRead + AsyncWrite + Unpin),
    far: &mut TcpStream,
    headers: &str,
    mut body: Vec<u8>,
    proxy: Proxy,
) -> io::Result<()> {
    while !is_whole(headers, &body) {
        let before = body.len();
        let read = silence(proxy, far.read_buf(&mut body)).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        near.write_all(&body[before..]).await?;
        near.flush().await?;
        // Only the end of an endless body matters.
        if body.len() > READ_BYTES && is_chunked(headers) {
            body.drain(..body.len() - chunked::LAST.len());
        }
    }
    Ok(())
}

/// Forwards a response of HTTP/1.0, whose body ends with the connection, as one of HTTP/1.1 in chunks.
async fn forward_as_http11(
    near: &mut (impl AsyncWrite + Unpin),
    far: &mut TcpStream,
    response: &str,
    mut body: Vec<u8>,
) -> io::Result<()> {
    let kept: String = response
        .split_inclusive("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
        .collect::<String>()
        .replacen("HTTP/1.0 ", "HTTP/1.1 ", 1);
    if header(response, "content-length").is_some() || response.contains(" 204 ") {
        read_whole(far, response, &mut body).await?;
        near.write_all(kept.as_bytes()).await?;
        return near.write_all(&body).await;
    }
    near.write_all(kept.replacen("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 1).as_bytes()).await?;
    loop {
        if !body.is_empty() {
            near.write_all(&chunked::encode(&body)).await?;
            near.flush().await?;
            body.clear();
        }
        if far.read_buf(&mut body).await? == 0 {
            return near.write_all(chunked::LAST).await;
        }
    }
}

/// Forwards a connection in both directions, until one of them ends.
async fn forward_both(
    near: &mut (impl AsyncRead + AsyncWrite + Unpin),
    far: &mut TcpStream,
    proxy: Proxy,
) -> io::Result<()> {
    let (mut up, mut down) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    loop {
        let next = async {
            tokio::select! {
                read = near.read(&mut up) => read.map(|read| (true, read)),
                read = far.read(&mut down) => read.map(|read| (false, read)),
            }
        };
        match silence(proxy, next).await? {
            (_, 0) => return Ok(()),
            (true, read) => far.write_all(&up[..read]).await?,
            (false, read) => {
                near.write_all(&down[..read]).await?;
                near.flush().await?;
            }
        }
    }
}

/// Waits for bytes; a proxy that cuts silent connections does so only for a while.
async fn silence<T>(proxy: Proxy, bytes: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match proxy {
        Proxy::CutsSilence => timeout(MAX_SILENCE, bytes).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())),
        _ => bytes.await,
    }
}

/// A TLS session of this proxy on a socket.
struct TlsStream {
    stream: TcpStream,
    session: Box<ServerConnection>,
}

impl TlsStream {
    /// Writes the records that wait to be sent.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            ready!(self.stream.poll_write_ready(context))?;
            match self.session.write_tls(&mut NonBlocking(&self.stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads from and writes to a socket without waiting.
struct NonBlocking<'a>(&'a TcpStream);

impl io::Read for NonBlocking<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl io::Write for NonBlocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match io::Read::read(&mut this.session.reader(), buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            // The handshake has something to send before the peer sends more.
            if this.poll_send(context)?.is_pending() {
                return Poll::Pending;
            }
            ready!(this.stream.poll_read_ready(context))?;
            match this.session.read_tls(&mut NonBlocking(&this.stream)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {
                    this.session.process_new_packets().map_err(io::Error::other)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        let written = io::Write::write(&mut this.session.writer(), bytes)?;
        // What is not sent now is sent by the next write or flush.
        let _ = this.poll_send(context)?;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.session.send_close_notify();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, LocalOptions};
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_request_that_waits_for_its_response_is_cut_after_the_silence() {
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap().block_on(async {
            // It accepts connections, and never responds.
            let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let proxy = start(Proxy::CutsSilence, server.local_addr().unwrap()).await.unwrap();
            let began = Instant::now();
            let mut client = TcpStream::connect(proxy.endpoint.address).await.unwrap();
            client.write_all(b"GET /long-poll HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
            let read = timeout(4 * MAX_SILENCE, client.read(&mut [0; 1])).await;
            assert!(matches!(read, Ok(Ok(0)) | Ok(Err(_))));
            assert!(began.elapsed() >= MAX_SILENCE);
        });
    }
}
