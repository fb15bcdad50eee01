//! A response that goes on as events come: begun by hyper, and then written past it.
//!
//! hyper would take each event as a piece of the body, copy it or keep it, put the chunk's size before it and ask again. What
//! it would write is known beforehand and the same for every subscriber, so once hyper has flushed the response's head, the
//! chunks go to the socket as they are (RFC 9112, section 7.1). hyper still watches for the client's leaving, and writes the
//! last chunk when the body ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use hyper::Version;
use protocol::framing::chunked;

use crate::delivery::{Delivery, Due};
use crate::feed::Framing;
use crate::socket::Socket;
use crate::subscription::Subscription;

/// In which framing a transport's events go over HTTP, and its words for what is no event.
pub struct Words {
    /// The framing of an event in a response without chunks: HTTP/1.0 knows none (RFC 9112, section 6.1).
    pub plain: Framing,
    /// The framing in a chunked response.
    pub chunked: Framing,
    /// The words for what else is due; nothing where the transport has none.
    pub say: fn(Due) -> Option<Vec<u8>>,
}

/// The body of such a response.
pub struct Stream {
    delivery: Delivery,
    socket: Arc<Socket>,
    say: fn(Due) -> Option<Vec<u8>>,
    chunked: bool,
}

impl Stream {
    /// The body of the response to a request of that version, which came over `socket`.
    pub fn new(subscription: Subscription, socket: Arc<Socket>, version: Version, words: Words) -> Self {
        let chunked = version == Version::HTTP_11;
        let framing = if chunked { words.chunked } else { words.plain };
        // The response's head comes first.
        socket.hold();
        Self { delivery: Delivery::new(subscription, socket.clone(), framing), socket, say: words.say, chunked }
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { delivery, socket, say, chunked } = self.get_mut();
        if socket.is_held() {
            // hyper flushes after this; then it is our turn.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            // An error is a subscriber that is gone, which hyper will find out.
            let Ok(due) = ready!(delivery.poll(context)) else { return Poll::Ready(None) };
            if due == Due::End {
                return Poll::Ready(None);
            }
            if let Some(words) = say(due) {
                delivery.say(if *chunked { chunked::frame(&words) } else { words }.into());
            }
        }
    }
}
