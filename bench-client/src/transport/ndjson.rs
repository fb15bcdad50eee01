//! HTTP streaming: one request, then lines, each in a chunk of its own.

use std::convert::Infallible;

use protocol::framing::line;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::stream::{self, Format};
use crate::subscriber::Subscriber;

const LINES: Format = Format {
    may_end: |body, known| line::split(&body[known..]).is_some(),
    take: |subscriber, bytes| subscriber.line(bytes, usize::MAX),
};

/// Reads the one response for as long as it goes on.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    stream::subscribe(subscriber, Caller::Fetch, "/stream", &LINES).await
}
