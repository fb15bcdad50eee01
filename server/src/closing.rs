//! How a WebSocket ends: the codes that say why, and the closing handshake (RFC 6455, sections 5.5.1 and 7.4).

use std::borrow::Cow;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The private code of a subscriber whose cursor has left the history; the reason names the cursor to go on from.
pub const GAP: u16 = 4410;

/// How long a peer may take to answer a close frame.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends a close frame and waits for the peer's, so that it reads all that was sent before the connection ends.
pub async fn close(socket: &mut WebSocketStream<TcpStream>, code: u16, reason: impl Into<Cow<'static, str>>) {
    let reason: Cow<'static, str> = reason.into();
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.as_ref().into() };
    let handshake = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // A peer that does not answer has the connection ended all the same.
    let _ = tokio::time::timeout(PATIENCE, handshake).await;
}

/// Ends a connection on which reading failed, with the code that names the peer's fault, if it was the peer's.
pub async fn close_for(socket: &mut WebSocketStream<TcpStream>, error: &Error) {
    match error {
        Error::Protocol(fault) => close(socket, CloseCode::Protocol.into(), fault.to_string()).await,
        Error::Utf8(_) => close(socket, CloseCode::Invalid.into(), "text must be UTF-8").await,
        Error::Capacity(_) => close(socket, CloseCode::Size.into(), "the message is too large").await,
        // The connection itself is gone.
        _ => {}
    }
}
