//! One poll of a server of another kind, whose requests and responses are as its target file says.

use std::io::ErrorKind;

use bytes::Buf;
use protocol::Layer;

use crate::fault::Fault;
use crate::subscriber::Subscriber;
use crate::target::message::Source;
use crate::wire::http1::{Incoming, Response};

/// Sends a request that is made from the last response, and handles its response: 200 contains messages or none; 204, 304 and 408 mean that
/// there are none. Returns whether the next poll should follow at once, since a response has one event only and this one was new: a server may
/// respond to every request with the last event.
///
/// A response stays in the buffer of the connection until it is complete and parsed. So whenever this ends, the connection attributes what is
/// left.
///
/// # Errors
/// When the connection ends within a response, the response has another status or cannot be parsed, or the next request cannot be made from it.
pub async fn poll(subscriber: &mut Subscriber, source: &Source) -> Result<bool, Fault> {
    if std::mem::take(&mut subscriber.closing) {
        subscriber.reconnect().await?;
    }
    let cursor = subscriber.cursor();
    let path = source.path(&subscriber.values);
    let request = subscriber.target.get_with(subscriber.transport, &path, &subscriber.values) + "\r\n";
    subscriber.wire.request(request.as_bytes()).await?;
    let response = whole_response(subscriber).await?;
    let messages = match response.status {
        200 => source.messages(&response.body)?,
        204 | 304 | 408 => Vec::new(),
        status => return Err(Fault::Status(status)),
    };
    let next = source.next_values(&response, &messages, &subscriber.values)?;
    let since_ns = subscriber.target.since_ns;
    let events: Vec<_> = messages.iter().filter_map(|message| source.event(message, since_ns)).collect();
    let wire = &mut subscriber.wire;
    wire.received.advance(response.bytes);
    if events.is_empty() {
        wire.attribute_request(Layer::EmptyPoll);
        wire.attribute(Layer::EmptyPoll, response.bytes);
        wire.ledger().empty_polls += 1;
    } else {
        wire.attribute_request(Layer::RequestHeaders);
        wire.attribute(Layer::ResponseHeaders, response.head.len());
        // The rest of the body is around the events: the framing of chunks and of messages.
        let mut framing = response.bytes - response.head.len();
        for event in &events {
            let event_bytes = event.len().min(framing);
            framing -= event_bytes;
            subscriber.record(event, event_bytes)?;
        }
        subscriber.wire.attribute(Layer::Framing, framing);
    }
    let is_new = subscriber.cursor() != cursor || subscriber.values != next;
    subscriber.values = next;
    subscriber.closing = response.close;
    Ok(source.sends_one_at_a_time() && is_new)
}

/// Waits for a whole response, which stays in the connection's buffer.
async fn whole_response(subscriber: &mut Subscriber) -> Result<Response, Fault> {
    let wire = &mut subscriber.wire;
    let (mut incoming, mut ended) = (Incoming::default(), false);
    loop {
        if let Some(response) = incoming.response(&wire.received, ended)? {
            return Ok(response);
        }
        if ended {
            return Err(Fault::Lost(ErrorKind::UnexpectedEof.into()));
        }
        match wire.fill().await {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => ended = true,
            filled => filled?,
        }
    }
}
