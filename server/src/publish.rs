//! `POST /publish`: the body becomes an event's data.

use std::pin::pin;
use std::time::Duration;

use http_body::Body as _;
use hyper::header::CONTENT_LENGTH;
use hyper::{Request, StatusCode, body::Incoming};
use protocol::clock;
use serde_json::json;
use tokio::time::timeout;

use crate::answer::{self, Answer};
use crate::feed::Feed;
use crate::options::LARGEST_PAYLOAD;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publishes the body, UTF-8 of at most 64 KiB, and answers 202 with the event's seq.
pub async fn publish(request: Request<Incoming>, feed: &Feed) -> Answer {
    let data = match body(request).await {
        Ok(data) => data,
        Err(refusal) => return *refusal,
    };
    match std::str::from_utf8(&data) {
        Ok(data) => {
            let seq = feed.publish(clock::now_ns(), data);
            answer::json(StatusCode::ACCEPTED, &json!({ "seq": seq }))
        }
        Err(_) => answer::bad_request("an event's data is UTF-8 text"),
    }
}

/// A request's body, of at most 64 KiB.
///
/// # Errors
/// The answer to one that is larger, ends early, or takes too long.
pub async fn body(request: Request<Incoming>) -> Result<Vec<u8>, Box<Answer>> {
    let too_large =
        || Box::new(answer::text(StatusCode::PAYLOAD_TOO_LARGE, "an event's data is at most 65536 bytes\n"));
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > LARGEST_PAYLOAD) {
        return Err(too_large());
    }
    match timeout(PATIENCE, whole(request.into_body())).await {
        Ok(Ok(data)) => Ok(data),
        Ok(Err(Fault::Early)) => Err(Box::new(answer::bad_request("the body ended early"))),
        Ok(Err(Fault::Large)) => Err(too_large()),
        Err(_) => Err(Box::new(answer::text(StatusCode::REQUEST_TIMEOUT, "the body took longer than 10 s\n"))),
    }
}

enum Fault {
    Early,
    Large,
}

async fn whole(body: Incoming) -> Result<Vec<u8>, Fault> {
    let mut data = Vec::new();
    let mut body = pin!(body);
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(frame) = frame else { return Err(Fault::Early) };
        if let Some(part) = frame.data_ref() {
            if data.len() + part.len() > LARGEST_PAYLOAD {
                return Err(Fault::Large);
            }
            data.extend_from_slice(part);
        }
    }
    Ok(data)
}
