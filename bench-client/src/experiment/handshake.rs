//! Tries right and wrong WebSocket handshakes: records the server's responses to right and wrong requests, and the client's reactions to
//! wrong responses (RFC 6455, sections 4.1 and 4.2).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::handshake::{
    HandshakeFacts, HandshakeRequest, HandshakeResponse, Reaction, RequestTrial, ResponseTrial,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::subscriber::{Subscriber, Target};
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::transport::websocket;
use crate::wire::{Connection, SharedLedger};
use server::Options;

/// The key of RFC 6455, section 1.3, and the `Sec-WebSocket-Accept` that follows from it there.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// How long a response, or the client's reaction to one, may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let without_tls = TestBed::open(&Options { seed, ..options() }).await?;
    let within_tls = TestBed::open(&Options { seed, tls_self_signed: true, ..options() }).await?;
    let right = right(&without_tls.target.endpoint.host);
    let mut requests = Vec::new();
    for request in HandshakeRequest::ALL {
        let endpoint = match request {
            HandshakeRequest::ThroughProxy => through_proxy(&without_tls.target.endpoint).await?,
            HandshakeRequest::ThroughProxyWithinTls => through_proxy(&within_tls.target.endpoint).await?,
            HandshakeRequest::Right
            | HandshakeRequest::Post
            | HandshakeRequest::Http10
            | HandshakeRequest::WithoutUpgrade
            | HandshakeRequest::WithoutConnection
            | HandshakeRequest::Version8
            | HandshakeRequest::ShortKey
            | HandshakeRequest::Offers
            | HandshakeRequest::ForeignOriginFeed
            | HandshakeRequest::ForeignOriginEcho
            | HandshakeRequest::ForeignOriginPoll => without_tls.target.endpoint.clone(),
        };
        requests.push(RequestTrial { request, response: send(endpoint, &changed(request, &right)).await? });
    }
    let mut responses = Vec::new();
    for response in HandshakeResponse::ALL {
        responses.push(ResponseTrial { response, reaction: react(&without_tls.target, response).await? });
    }
    let over_http2 = over_http2(&without_tls.target).await?;
    Ok(Facts::Handshake(HandshakeFacts { requests, responses, over_http2 }))
}

/// The status of the response to a handshake over HTTP/2; `None` where there is none.
async fn over_http2(target: &Target) -> anyhow::Result<Option<u16>> {
    let mut subscriber = Subscriber::alone(Transport::WebSocketH2, target).await?;
    match websocket::open(&mut subscriber).await {
        Ok(()) => Ok(Some(200)),
        Err(Fault::Status(status)) => Ok(Some(status)),
        Err(_) => Ok(None),
    }
}

fn right(host: &str) -> String {
    format!(
        "GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// A right request with one change.
fn changed(request: HandshakeRequest, right: &str) -> String {
    let replaced = |from, to| right.replacen(from, to, 1);
    let with_fields = |text: &str, fields: &str| text.replacen("\r\n\r\n", &format!("\r\n{fields}\r\n"), 1);
    const FOREIGN_ORIGIN: &str = "Origin: http://elsewhere.example\r\n";
    match request {
        HandshakeRequest::Right | HandshakeRequest::ThroughProxy | HandshakeRequest::ThroughProxyWithinTls => {
            right.into()
        }
        HandshakeRequest::Post => with_fields(&replaced("GET", "POST"), "Content-Length: 0\r\n"),
        HandshakeRequest::Http10 => replaced("HTTP/1.1", "HTTP/1.0"),
        HandshakeRequest::WithoutUpgrade => replaced("Upgrade: websocket\r\n", ""),
        HandshakeRequest::WithoutConnection => replaced("Connection: Upgrade\r\n", ""),
        HandshakeRequest::Version8 => replaced("Version: 13", "Version: 8"),
        HandshakeRequest::ShortKey => replaced(KEY, "AAAAAAAAAAAAAAAAAAAA"),
        HandshakeRequest::Offers => with_fields(
            right,
            "Sec-WebSocket-Protocol: chat, stomp\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        ),
        HandshakeRequest::ForeignOriginFeed => with_fields(&replaced("/echo", "/ws"), FOREIGN_ORIGIN),
        HandshakeRequest::ForeignOriginEcho => with_fields(right, FOREIGN_ORIGIN),
        HandshakeRequest::ForeignOriginPoll => {
            format!("GET /poll?after=0 HTTP/1.1\r\nHost: localhost\r\n{FOREIGN_ORIGIN}\r\n")
        }
    }
}

/// A wrong response to a handshake whose key is `key`.
fn wrong(response: HandshakeResponse, key: &str) -> String {
    match response {
        HandshakeResponse::AcceptOfAnotherKey => switching("websocket", ACCEPT),
        HandshakeResponse::RepeatedKey => switching("websocket", key),
        HandshakeResponse::OtherProtocol => switching("telegraph", &derive_accept_key(key.as_bytes())),
        HandshakeResponse::Status200 => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
    }
}

fn switching(protocol: &str, accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Sends a request, and returns the status line and headers of the response: empty where the server closes the connection, `None` where no
/// response arrives in time.
async fn send(endpoint: Endpoint, request: &str) -> anyhow::Result<Option<String>> {
    let mut wire = Connection::connect(endpoint.address, None, endpoint.tls.as_ref(), SharedLedger::default()).await?;
    wire.request(request.as_bytes()).await?;
    let headers = async {
        loop {
            if let Some(end) = wire.received.windows(4).position(|end| end == b"\r\n\r\n") {
                break end + 4;
            }
            if wire.fill().await.is_err() {
                break wire.received.len();
            }
        }
    };
    let length = timeout(TIMEOUT, headers).await.ok();
    Ok(length.map(|length| String::from_utf8_lossy(&wire.received[..length]).into_owned()))
}

/// The client's reaction to a wrong response, which a server made for this trial sends.
async fn react(target: &Target, response: HandshakeResponse) -> anyhow::Result<Reaction> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let server = spawn_local(async move {
        let (mut stream, _) = listener.accept().await?;
        let request = request_headers(&mut stream).await?;
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
        stream.write_all(wrong(response, key).as_bytes()).await?;
        // The connection stays open until the client closes it.
        stream.read(&mut [0]).await
    });
    let target = Target { endpoint: Endpoint::plain(address), ..target.clone() };
    let mut subscriber = Subscriber::alone(Transport::WebSocket, &target).await?;
    let handshake = timeout(TIMEOUT, websocket::handshake(&mut subscriber)).await;
    server.abort();
    Ok(match handshake {
        Err(_) => Reaction::Waited,
        Ok(Ok(())) => Reaction::Accepted,
        Ok(Err(Fault::WrongAccept)) => Reaction::RefusedAccept,
        Ok(Err(Fault::OtherProtocol)) => Reaction::RefusedProtocol,
        Ok(Err(Fault::Status(status))) => Reaction::RefusedStatus(status),
        Ok(Err(fault)) => Reaction::Failed(fault.to_string()),
    })
}

/// The endpoint of a proxy in front of a server.
async fn through_proxy(server: &Endpoint) -> anyhow::Result<Endpoint> {
    Ok(Endpoint { address: proxy(server.address).await?, tls: server.tls.clone(), host: String::new() })
}

/// A proxy that forwards no hop-by-hop headers, as HTTP allows (RFC 9110, section 7.6.1). Bytes that it cannot read, such as those of TLS,
/// are forwarded unchanged.
async fn proxy(to: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    spawn_local(async move {
        let (mut near, _) = listener.accept().await?;
        let mut far = TcpStream::connect(to).await?;
        let mut first = [0];
        near.peek(&mut first).await?;
        if first[0].is_ascii_alphabetic() {
            let request = request_headers(&mut near).await?;
            let kept = request
                .split_inclusive("\r\n")
                .filter(|line| !line.starts_with("Connection:") && !line.starts_with("Upgrade:"));
            far.write_all(kept.collect::<String>().as_bytes()).await?;
        }
        tokio::io::copy_bidirectional(&mut far, &mut near).await
    });
    Ok(address)
}

/// A request up to the blank line after its headers.
async fn request_headers(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
