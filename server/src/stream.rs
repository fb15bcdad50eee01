//! A response that goes on as events come: hyper writes its head, and then the connection is ours.
//!
//! hyper would take each event as a piece of the body, put the chunk's size before it and write it, for each subscriber anew.
//! What it would write is known beforehand and the same for all, so the chunks go to the socket as they are (RFC 9112,
//! section 7.1), and hyper's buffers, of 8 KiB each, end with the head.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Version;
use protocol::framing::chunked;

use crate::answer::{self, Answer, Body};
use crate::delivery::{Delivery, Due};
use crate::feed::Framing;
use crate::socket::Socket;
use crate::subscription::Subscription;

/// How a transport's events go over HTTP, and its words for what is no event.
pub struct Words {
    /// The response's type.
    pub content_type: &'static str,
    /// The framing of an event in a response without chunks: HTTP/1.0 knows none (RFC 9112, section 6.1).
    pub plain: Framing,
    /// The framing in a chunked response.
    pub chunked: Framing,
    /// The words for what else is due; `None` where the transport has none.
    pub say: fn(Due) -> Option<Vec<u8>>,
}

/// Begins the response to a request of that version, which came over `socket`.
pub fn answer(subscription: Subscription, socket: Arc<Socket>, version: Version, words: Words) -> Answer {
    let Words { content_type, plain, chunked, say } = words;
    let session = async move |_| match version {
        Version::HTTP_11 => {
            let say = |due| match due {
                Due::End => Some(Bytes::from_static(chunked::LAST)),
                due => say(due).map(|words| chunked::frame(&words).into()),
            };
            Delivery::new(subscription, socket, chunked).run(say).await;
        }
        _ => Delivery::new(subscription, socket, plain).run(|due| say(due).map(Bytes::from)).await,
    };
    answer::endless(content_type, Body::continued(session))
}
