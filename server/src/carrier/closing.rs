//! The closing handshake of a WebSocket, and the close codes (RFC 6455, sections 5.5.1 and 7.4).

use std::borrow::Cow;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::deflate::InflateFault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::frames::{Fault, WebSocket};

/// The private close code that reports a gap; the reason contains the cursor to resume from.
pub const GAP: u16 = 4410;

/// How long a peer may take to reply to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends a close frame, and completes the closing handshake.
pub async fn close(socket: &mut WebSocket, code: u16, reason: impl Into<Cow<'static, str>>) {
    let reason: Cow<'static, str> = reason.into();
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.as_ref().into() };
    if socket.close(Some(frame)).await.is_ok() {
        finish(socket).await;
    }
}

/// Waits for the peer's close frame and for the end of the connection, after our close frame was sent or put into tungstenite's buffer.
///
/// Dropping a socket with unread bytes resets the connection, and the peer may lose the bytes sent last: the close frame with the reason.
/// So everything that is still received is read and ignored.
pub async fn finish(socket: &mut WebSocket) {
    let handshake = async {
        let _ = socket.flush().await;
        while let Some(Ok(_)) = socket.next().await {}
        let stream = socket.get_mut().stream();
        let _ = stream.shutdown().await;
        let mut ignored = vec![0; 4 << 10];
        while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
    };
    // The connection is closed even if the peer does not reply. On the heap: as a part of the session's future, this future would take
    // its memory for every open WebSocket all the time.
    let _ = Box::pin(tokio::time::timeout(CLOSE_TIMEOUT, handshake)).await;
}

/// Closes a connection because the server shuts down.
pub async fn shut_down(socket: &mut WebSocket) {
    close(socket, CloseCode::Away.into(), "the server is shutting down").await;
}

/// Closes a connection whose feed is closed: because the server shuts down, or because an answer has ended.
pub async fn end(socket: &mut WebSocket) {
    if *socket.get_ref().socket().state.closing.borrow() {
        shut_down(socket).await;
    } else {
        close(socket, CloseCode::Normal.into(), "the feed has ended").await;
    }
}

/// Closes a connection on which reading failed. If the peer caused the failure, the close code and the reason name it.
pub async fn close_for(socket: &mut WebSocket, error: &Error) {
    let fault = match error {
        Error::Io(error) => error.get_ref().and_then(|fault| fault.downcast_ref::<Fault>()),
        _ => None,
    };
    let (code, reason) = match (error, fault) {
        (_, Some(Fault::Malformed(malformed))) => (CloseCode::Protocol.into(), malformed.to_string()),
        (_, Some(Fault::Closed(code))) => (*code, String::new()),
        (_, Some(no_room @ Fault::NoRoom)) => {
            socket.get_ref().socket().state.counters.echo_refused();
            (CloseCode::Again.into(), no_room.to_string())
        }
        (_, Some(Fault::Inflate(fault))) => match fault {
            InflateFault::Malformed => (CloseCode::Invalid.into(), fault.to_string()),
            InflateFault::TooLarge => (CloseCode::Size.into(), fault.to_string()),
        },
        (Error::Protocol(fault), None) => (CloseCode::Protocol.into(), fault.to_string()),
        (Error::Utf8(_), None) => (CloseCode::Invalid.into(), "text must be UTF-8".into()),
        (Error::Capacity(_), None) => (CloseCode::Size.into(), "the message is too large".into()),
        // The connection itself has failed.
        _ => return,
    };
    close(socket, code, reason).await;
}
