//! HTTP streaming: one response that never ends, an event a line (RFC 6202, section 3).
//!
//! - Initiated by `GET /stream?after=N`; the one request and the one response head are all the HTTP there is.
//! - Framed twice: as a line, and, since a body without end has no length, as a chunk of its own (RFC 9112, section 7.1).
//! - Resumed by a new request with `after` set to the last seq received. A gap is a line:
//!   `{"gap":{"after":N,"oldest":M,"epoch":E}}`.
//! - Costs a few bytes an event, and an empty line as heartbeat when nothing else was sent for a while; a subscriber keeps a connection open, and proxies that hold responses back break it.

use std::sync::Arc;

use hyper::Version;
use protocol::framing::line;

use crate::answer::Answer;
use crate::delivery::Due;
use crate::feed::Framing;
use crate::socket::Socket;
use crate::stream::{self, Words};
use crate::subscription::Subscription;

/// Begins the stream.
pub fn answer(subscription: Subscription, socket: Arc<Socket>, version: Version) -> Answer {
    let words =
        Words { content_type: "application/x-ndjson", plain: Framing::Line, chunked: Framing::ChunkedLine, say };
    stream::answer(subscription, socket, version, words)
}

fn say(due: Due) -> Option<Vec<u8>> {
    match due {
        Due::Gap(gap) => Some(line::frame(&gap.encode())),
        Due::Heartbeat => Some(line::HEARTBEAT.into()),
        Due::End | Due::Input => None,
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Cursor, Epoch, Gap};

    use super::*;

    #[test]
    fn a_quiet_subscriber_gets_an_empty_line_and_a_gap_is_a_line_too() {
        assert_eq!(say(Due::Heartbeat).as_deref(), Some(&b"\n"[..]));
        let gap = Gap { after: Cursor(1), oldest: 5, epoch: Epoch(17) };
        let line = b"{\"gap\":{\"after\":1,\"oldest\":5,\"epoch\":17}}\n";
        assert_eq!(say(Due::Gap(gap)).as_deref(), Some(&line[..]));
    }
}
