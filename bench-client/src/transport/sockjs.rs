//! SockJS over its WebSocket transport. The library would first request `info`; a client that knows that WebSocket works may leave that out.

use protocol::envelope::sockjs::{Frame, OPEN, parse};

use super::frames;
use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// The server number and the session of the path. Only the fallback transports need a session of their own for each client.
const SESSION: &str = "000/00000000";

/// Performs the WebSocket handshake, and receives the opening message.
pub async fn open(subscriber: &mut Subscriber) -> Result<(), Fault> {
    let after = subscriber.after();
    let path = subscriber.transport.row().path.unwrap_or_default();
    let target = format!("{path}/{SESSION}/websocket?after={after}");
    let request = subscriber.target.get_target(subscriber.transport, &target);
    frames::upgrade(subscriber, request).await?;
    match frames::text(subscriber).await? {
        open if open == OPEN => Ok(()),
        _ => Err(Fault::NotHttp("a SockJS session that does not begin with o".into())),
    }
}

/// Handles a message without an event: a heartbeat, or the end of the session.
pub fn control(text: &[u8]) -> Result<(), Fault> {
    match parse(text)? {
        Frame::Close(code, reason) => Err(Fault::Ended(format!("SockJS close code {code}, {reason}"))),
        Frame::Open | Frame::Heartbeat | Frame::Messages(_) => Ok(()),
    }
}
