//! How a WebSocket ends: the codes that say why, and the closing handshake (RFC 6455, sections 5.5.1 and 7.4).

use std::borrow::Cow;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::frames::{Fault, WebSocket};

/// The private code of a subscriber whose cursor has left the history; the reason names the cursor to go on from.
pub const GAP: u16 = 4410;

/// How long a peer may take to answer a close frame.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends a close frame and takes leave.
pub async fn close(socket: &mut WebSocket, code: u16, reason: impl Into<Cow<'static, str>>) {
    let reason: Cow<'static, str> = reason.into();
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.as_ref().into() };
    if socket.close(Some(frame)).await.is_ok() {
        leave(socket).await;
    }
}

/// Waits for the peer's close frame and for its end of the connection, once ours has been sent or begun.
///
/// A socket that is dropped with bytes unread resets the connection, and the peer may lose what we sent last: the very close
/// frame that says what was wrong. So all that still comes is read, and thrown away.
pub async fn leave(socket: &mut WebSocket) {
    let farewell = async {
        let _ = socket.flush().await;
        while let Some(Ok(_)) = socket.next().await {}
        let stream = socket.get_mut().stream();
        let _ = stream.shutdown().await;
        // On the heap: in the future itself, every open WebSocket would hold it from its beginning.
        let mut ignored = vec![0; 4 << 10];
        while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
    };
    // A peer that does not answer has the connection ended all the same.
    let _ = tokio::time::timeout(PATIENCE, farewell).await;
}

/// Ends a connection because the server ends.
pub async fn shut_down(socket: &mut WebSocket) {
    close(socket, CloseCode::Away.into(), "the server shuts down").await;
}

/// Ends a connection on which reading failed, with the code that names the peer's fault, if it was the peer's.
pub async fn close_for(socket: &mut WebSocket, error: &Error) {
    if let Error::Io(error) = error
        && let Some(fault) = error.get_ref().and_then(|fault| fault.downcast_ref::<Fault>())
    {
        let (code, reason) = match fault {
            Fault::Malformed(malformed) => (CloseCode::Protocol.into(), malformed.to_string()),
            Fault::Closed(code) => (*code, String::new()),
            Fault::NoRoom => {
                socket.get_ref().socket().site.counters.echo_refused();
                (CloseCode::Again.into(), fault.to_string())
            }
        };
        return close(socket, code, reason).await;
    }
    match error {
        Error::Protocol(fault) => close(socket, CloseCode::Protocol.into(), fault.to_string()).await,
        Error::Utf8(_) => close(socket, CloseCode::Invalid.into(), "text must be UTF-8").await,
        Error::Capacity(_) => close(socket, CloseCode::Size.into(), "the message is too large").await,
        // The connection itself is gone.
        _ => {}
    }
}
