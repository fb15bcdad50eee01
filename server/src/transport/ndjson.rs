//! HTTP streaming: one response that never ends, an event a line (RFC 6202, section 3).
//!
//! - Initiated by `GET /stream?after=N`; the one request and the one response head are all the HTTP there is.
//! - Framed twice: as a line, and, since a body without end has no length, as a chunk of its own (RFC 9112, section 7.1).
//! - Resumed by a new request with `after` set to the last seq received. A gap is a line: `{"gap":{"after":N,"oldest":M}}`.
//! - Costs a few bytes an event; a subscriber keeps a connection open, and proxies that hold responses back break it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use protocol::framing::line;

use crate::answer::{self, Answer};
use crate::feed::Next;
use crate::subscription::Subscription;

/// Begins the stream.
pub fn answer(subscription: Subscription) -> Answer {
    answer::endless("application/x-ndjson", Lines(subscription))
}

struct Lines(Subscription);

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            let line = match self.0.take() {
                Next::Event(event) => event.line(),
                Next::Gap(gap) => line::frame(&gap.encode()).into(),
                Next::Closed => return Poll::Ready(None),
                Next::Nothing => {
                    // Lines have no word for a heartbeat, so there is none.
                    ready!(self.0.poll_turn(context));
                    continue;
                }
            };
            return Poll::Ready(Some(Ok(Frame::data(line))));
        }
    }
}
