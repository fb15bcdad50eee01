//! A request that waits for the messages of a SockJS session: a poll, or a streaming response.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{StatusCode, Version};
use protocol::envelope::sockjs::{self, HEARTBEAT, OPEN};
use protocol::{Bookmark, chunked};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::format::Format;
use super::sessions::{Receiver, Refused};
use crate::api::response::{self, Body, Response};
use crate::carrier::{Socket, Stream};
use crate::fan_out::{Dispatcher, Subscription};
use crate::feed::Feed;
use crate::state::ServerState;
use crate::transport::MAX_BATCH_BYTES;

/// The pause after which a heartbeat is sent, as the protocol suggests.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(25);
/// The length after which a streaming response ends, in bytes; the client then sends the next request. Browsers keep the whole response in
/// memory.
const MAX_RESPONSE_BYTES: usize = 128 << 10;
/// The close code and the reason of a session that the server ends.
const GO_AWAY: (u16, &str) = (3000, "Go away!");
/// The close code and the reason for a second request that waits for the same session.
const OCCUPIED: (u16, &str) = (2010, "Another connection still open");

/// Responds with the messages of the session called `id`, which begins at `after` if it is new.
pub async fn respond(
    format: Format,
    id: &str,
    after: Option<Bookmark>,
    version: Version,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    socket: Rc<Socket>,
) -> Response {
    let Ok(address) = socket.peer() else { return response::bad_request("the connection has been closed") };
    let receiver = match state.sockjs.receive(id, after, address) {
        Ok(receiver) => receiver,
        Err(Refused::Full) => return response::text(StatusCode::SERVICE_UNAVAILABLE, "too many sessions\n"),
        Err(Refused::Occupied) => {
            let (code, reason) = OCCUPIED;
            let message = format.encode(&sockjs::close(code, reason));
            let response = response::script(format.content_type(), [format.prelude(), message].concat());
            // The page of an iframe is a script.
            return response::allowed(
                response,
                HeaderValue::from_static("default-src 'none'; script-src 'unsafe-inline'"),
            );
        }
    };
    if format.is_poll() {
        let message = next(&receiver, &state.feed, &dispatcher, &socket).await;
        return response::script(format.content_type(), format.encode(&message.unwrap_or_default()));
    }
    let is_chunked = version == Version::HTTP_11;
    let content_type = format.content_type();
    let session = async move |_| {
        let mut stream = Stream::new(socket.clone());
        let wrap = |bytes: Vec<u8>| if is_chunked { chunked::encode(&bytes) } else { bytes };
        let mut left = MAX_RESPONSE_BYTES;
        let mut part = format.prelude();
        loop {
            // An error means that the client has disconnected.
            if stream.write_all(&wrap(part)).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            let Some(message) = next(&receiver, &state.feed, &dispatcher, &socket).await else { return };
            part = format.encode(&message);
            if receiver.session.closed().is_some() || part.len() > left {
                let end: &[u8] = if is_chunked { chunked::LAST } else { b"" };
                let _ = stream.write_all(&[&wrap(part), end].concat()).await;
                let _ = stream.shutdown().await;
                return;
            }
            left -= part.len();
        }
    };
    response::endless(content_type, Body::continued(session))
}

/// The next message of a session: the opening one, the events after its cursor as soon as there are any, a heartbeat, or the end. `None` if
/// the client disconnects.
async fn next(receiver: &Receiver, feed: &Arc<Feed>, dispatcher: &Rc<Dispatcher>, socket: &Socket) -> Option<Vec<u8>> {
    let session = &receiver.session;
    if let Some((code, reason)) = session.closed() {
        return Some(sockjs::close(code, reason));
    }
    if session.opens() {
        // The events that come from now on belong to the session, even if they come before its next request.
        if session.cursor().is_none() {
            session.advance(Bookmark { cursor: feed.head(), epoch: Some(feed.epoch) });
        }
        return Some(OPEN.to_vec());
    }
    let after = match feed.start(session.cursor()) {
        Ok(after) => after,
        Err(gap) => {
            session.advance(gap.bookmark());
            return Some(sockjs::encode(&gap.encode()));
        }
    };
    let mut subscription = Subscription::new(feed.clone(), dispatcher.clone(), Some(after.into()));
    let mut disconnected = false;
    let event_or_end = poll_fn(|context| match subscription.poll_next_event(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => socket.poll_end(context).map(|()| disconnected = true),
    });
    let waited = async {
        tokio::select! {
            () = event_or_end => {}
            () = session.closing() => {}
        }
    };
    if timeout(HEARTBEAT_INTERVAL, waited).await.is_err() {
        return Some(HEARTBEAT.to_vec());
    }
    if disconnected {
        return None;
    }
    if let Some((code, reason)) = session.closed() {
        return Some(sockjs::close(code, reason));
    }
    match feed.since(after, MAX_BATCH_BYTES) {
        Ok(events) => {
            let Some(last) = events.last() else {
                // The server shuts down.
                let (code, reason) = GO_AWAY;
                session.close(code, reason);
                return Some(sockjs::close(code, reason));
            };
            session.advance(Bookmark { cursor: protocol::Cursor(last.seq), epoch: Some(feed.epoch) });
            Some(sockjs::encode_all(events.iter().map(|event| &event.json()[..])))
        }
        Err(gap) => {
            session.advance(gap.bookmark());
            Some(sockjs::encode(&gap.encode()))
        }
    }
}
