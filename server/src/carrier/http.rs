//! A connection to the HTTP port. The client chooses HTTP/1.1 or HTTP/2: in the handshake of TLS, or without TLS by its first bytes.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use protocol::http2::PREFACE;
use tokio::task::spawn_local;
use tracing::Instrument;

use super::admission::{Admitted, Refusals};
use super::socket::Socket;
use super::{http1, http2, poll_loop};
use crate::fan_out::Dispatcher;
use crate::state::ServerState;

/// The responses to connections that are not served.
pub const REFUSALS: Refusals = Refusals {
    full: "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
        X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
        Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n\r\ntoo many connections\n",
    plain: "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
        X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
        Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 38\r\n\r\nthis port requires TLS: use https://\r\n",
};

/// Serves one connection until either side ends it, or closes it gracefully when the server shuts down.
pub async fn serve(socket: Rc<Socket>, admitted: Admitted, state: Arc<ServerState>, dispatcher: Rc<Dispatcher>) {
    let early = match socket.negotiated_http2() {
        Some(true) => Some(Bytes::new()),
        Some(false) | None => poll_loop::serve(&socket, &state, &dispatcher).await,
    };
    let Some(early) = early else { return };
    // New tasks, so that the task of a connection that only polls stays small.
    if socket.negotiated_http2().unwrap_or(early.starts_with(PREFACE)) {
        spawn_local(http2::serve(early, socket, admitted, state, dispatcher).in_current_span());
    } else {
        spawn_local(http1::serve(early, socket, admitted, state, dispatcher).in_current_span());
    }
}
