//! The server's side of the WebSocket handshake: checks the request and makes the response (RFC 6455, section 4.2; over HTTP/2, RFC 8441).

use std::future::Future;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Request, StatusCode, Version};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use protocol::deflate::Parameters;

use super::deflate::{Compression, MEMORY_BYTES};
use super::frames::{Frames, WebSocket};
use super::socket::{Socket, Stream};
use crate::api::response::{self, Body, Response};
use crate::budget::Reservation;
use crate::state::ServerState;

/// The buffers and limits of a WebSocket whose messages are at most `max_bytes` long.
///
/// By default, tungstenite fills a read buffer of 128 KiB with zeros for each connection, and the write buffer can grow without bound.
/// With this configuration, the read buffer is small, and for a peer that does not read, the server keeps at most one message and 64 KiB.
fn config(max_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(512)
        .write_buffer_size(0)
        .max_write_buffer_size(max_bytes + (64 << 10))
        .max_message_size(Some(max_bytes))
        .max_frame_size(Some(max_bytes))
}

/// The properties of a WebSocket.
pub struct Properties {
    /// The largest message, in bytes, decompressed.
    pub max_bytes: usize,
    /// Reserves the memory of received messages.
    pub reservation: Option<Reservation>,
    /// The sub-protocol that the response names, chosen with [`choose_subprotocol`].
    pub subprotocol: Option<&'static str>,
    /// The compression, if the client offers it.
    pub compression: Compression,
}

impl Properties {
    /// Messages of at most `max_bytes`, and nothing else.
    pub const fn plain(max_bytes: usize) -> Self {
        Self { max_bytes, reservation: None, subprotocol: None, compression: Compression::None }
    }
}

/// Accepts the upgrade and then runs `session` on the connection, or on the stream of HTTP/2; or responds with the error of the request.
pub fn upgrade<F>(
    request: &Request<Incoming>,
    socket: Rc<Socket>,
    properties: Properties,
    session: impl FnOnce(WebSocket) -> F + 'static,
) -> Response
where
    F: Future<Output = ()> + 'static,
{
    let Properties { max_bytes, reservation, subprotocol, compression } = properties;
    let accepted = match request.version() {
        Version::HTTP_2 => accept_stream(request),
        version => accept_key(version, request.headers()),
    };
    let mut response = match accepted {
        Ok(response) => response,
        Err(refusal) => return *refusal,
    };
    let own = reservation.is_some();
    let parameters = choose_compression(request.headers(), compression, own, &socket.state);
    if let Some((parameters, _)) = &parameters {
        let value = parameters.to_string().parse().expect("names and numbers");
        response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, value);
    }
    let session = async move |early: Vec<u8>| {
        socket.trace.upgraded(&early);
        // The compressors' memory is reserved for as long as the session.
        let (parameters, _compressors) = parameters.unzip();
        let frames = Frames::new(Stream::after(early.into(), socket), max_bytes, reservation).compressed(parameters);
        session(WebSocketStream::from_raw_socket(frames, Role::Server, Some(config(max_bytes))).await).await;
    };
    *response.body_mut() = Body::continued(session);
    if let Some(name) = subprotocol {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    response
}

/// The first of the sub-protocols that the client offers, in its order of preference, for which `choose` returns something (RFC 6455, section
/// 4.2.2). Without a common sub-protocol, the response names none, and the client decides whether to go on.
pub fn choose_subprotocol<T>(headers: &HeaderMap, choose: impl Fn(&str) -> Option<T>) -> Option<T> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).find_map(|name| choose(name.trim()))
}

/// The parameters of the compression, if the client offers it and there is memory for it, and the reservation of that memory. A WebSocket that
/// sends its `own` messages needs a compressor in any case; one that only sends shared events needs none if they are compressed once for all.
fn choose_compression(
    headers: &HeaderMap,
    compression: Compression,
    own: bool,
    state: &ServerState,
) -> Option<(Parameters, Reservation)> {
    let offers: Vec<&str> =
        headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter().filter_map(|value| value.to_str().ok()).collect();
    let shared = match compression {
        Compression::None => return None,
        Compression::Shared => true,
        Compression::Takeover => false,
    };
    let parameters = Parameters::choose(&offers.join(","), shared)?;
    let mut compressors = Reservation::new(state.compressors.clone());
    if parameters.is_shared() && !own || compressors.grow_to(MEMORY_BYTES) {
        return Some((parameters, compressors));
    }
    state.counters.compression_refused();
    None
}

/// The response to an extended CONNECT: 200, without a key, since only a peer that knows RFC 8441 sends the request.
fn accept_stream(request: &Request<Incoming>) -> Result<Response, Box<Response>> {
    if request.extensions().get::<Protocol>().is_none() {
        return Err(Box::new(response::bad_request(
            "over HTTP/2, a WebSocket begins with an extended CONNECT (RFC 8441)",
        )));
    }
    check_version(request.headers())?;
    Ok(response::switching(StatusCode::OK))
}

/// The response to an upgrade of HTTP/1.1: 101, with the value that is derived from the client's key.
fn accept_key(version: Version, headers: &HeaderMap) -> Result<Response, Box<Response>> {
    if version != Version::HTTP_11 {
        return Err(Box::new(response::bad_request("a WebSocket handshake requires HTTP/1.1")));
    }
    if !has_token(headers, UPGRADE, "websocket") {
        return Err(Box::new(upgrade_required("this path requires Upgrade: websocket\n")));
    }
    if !has_token(headers, CONNECTION, "upgrade") {
        return Err(Box::new(response::bad_request("a WebSocket handshake requires Connection: Upgrade")));
    }
    check_version(headers)?;
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next().filter(|key| is_key(key.as_bytes())), keys.next()) else {
        let fault = "Sec-WebSocket-Key must be given once, and be 16 bytes in base64";
        return Err(Box::new(response::bad_request(fault)));
    };
    let mut switching = response::switching(StatusCode::SWITCHING_PROTOCOLS);
    let accept = derive_accept_key(key.as_bytes()).parse().expect("base64 is a header value");
    let headers = switching.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(switching)
}

fn check_version(headers: &HeaderMap) -> Result<(), Box<Response>> {
    if headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13") {
        return Ok(());
    }
    let mut refusal = upgrade_required("the WebSocket version must be 13\n");
    refusal.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    Err(Box::new(refusal))
}

/// A response with status 426, which names the protocol to upgrade to (RFC 9110, section 15.5.22).
fn upgrade_required(text: &str) -> Response {
    let mut refusal = response::text(StatusCode::UPGRADE_REQUIRED, text);
    refusal.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    refusal
}

/// Whether `text` has the form of 16 bytes in base64.
fn is_key(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(text, [digits @ .., b'=', b'='] if digits.len() == 22 && digits.iter().all(is_digit))
}

/// Whether the comma-separated lists in the headers called `name` contain `token`, ignoring case.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let lists = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, "WebSocket".parse().unwrap());
        headers.insert(CONNECTION, "keep-alive, Upgrade".parse().unwrap());
        headers.insert(SEC_WEBSOCKET_VERSION, "13".parse().unwrap());
        headers.insert(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        headers
    }

    fn refusal(version: Version, change: impl FnOnce(&mut HeaderMap)) -> Response {
        let mut headers = handshake();
        change(&mut headers);
        *accept_key(version, &headers).err().unwrap()
    }

    #[test]
    fn the_example_of_rfc_6455_section_1_3_is_reproduced() {
        let response = accept_key(Version::HTTP_11, &handshake()).ok().unwrap();
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn an_invalid_handshake_is_refused_with_the_status_that_the_rfc_requires() {
        let v11 = Version::HTTP_11;
        assert_eq!(refusal(Version::HTTP_10, |_| ()).status(), 400);
        let plain = refusal(v11, |headers| _ = headers.remove(UPGRADE));
        assert_eq!(
            (plain.status(), &plain.headers()[UPGRADE]),
            (StatusCode::UPGRADE_REQUIRED, &"websocket".parse().unwrap())
        );
        assert_eq!(refusal(v11, |headers| _ = headers.insert(UPGRADE, "h2c".parse().unwrap())).status(), 426);
        assert_eq!(refusal(v11, |headers| _ = headers.remove(CONNECTION)).status(), 400);
        let old = refusal(v11, |headers| _ = headers.insert(SEC_WEBSOCKET_VERSION, "8".parse().unwrap()));
        assert_eq!((old.status().as_u16(), &old.headers()[SEC_WEBSOCKET_VERSION]), (426, &"13".parse().unwrap()));
        assert_eq!(refusal(v11, |headers| _ = headers.remove(SEC_WEBSOCKET_VERSION)).status(), 426);
        for key in ["", "short==", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ=!"] {
            assert_eq!(
                refusal(v11, |headers| _ = headers.insert(SEC_WEBSOCKET_KEY, key.parse().unwrap())).status(),
                400
            );
        }
        let twice = |headers: &mut HeaderMap| _ = headers.append(SEC_WEBSOCKET_KEY, headers[SEC_WEBSOCKET_KEY].clone());
        assert_eq!(refusal(v11, twice).status(), 400);
    }
}
