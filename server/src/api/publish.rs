//! `POST /publish`: publishes the body as an event's payload.

use std::pin::pin;
use std::time::Duration;

use http_body::Body as _;
use hyper::header::CONTENT_LENGTH;
use hyper::{Request, StatusCode, body::Incoming};
use protocol::clock;
use serde_json::json;
use tokio::time::timeout;

use super::response::{self, Response};
use crate::feed::EventSink;
use crate::options::MAX_PAYLOAD_BYTES;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Publishes the body, UTF-8 of at most 64 KiB, and responds with 202 and the event's sequence number, or with the error.
pub async fn publish(request: Request<Incoming>, sink: &EventSink) -> Response {
    let data = match body(request).await {
        Ok(data) => data,
        Err(refusal) => return *refusal,
    };
    match std::str::from_utf8(&data) {
        Ok(data) => match sink.publish(clock::now_ns(), data).await {
            Ok(seq) => response::json(StatusCode::ACCEPTED, &json!({ "seq": seq })),
            Err(unavailable) => response::text(StatusCode::SERVICE_UNAVAILABLE, format!("{unavailable}\n")),
        },
        Err(_) => response::bad_request("an event's data must be UTF-8 text"),
    }
}

/// Reads the body of a request, at most 64 KiB.
///
/// # Errors
/// The response to a body that is larger, ends early, or takes too long.
pub async fn body(request: Request<Incoming>) -> Result<Vec<u8>, Box<Response>> {
    let too_large =
        || Box::new(response::text(StatusCode::PAYLOAD_TOO_LARGE, "the body must be at most 65536 bytes\n"));
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > MAX_PAYLOAD_BYTES) {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, read_all(request.into_body())).await {
        Ok(Ok(data)) => Ok(data),
        Ok(Err(Fault::Early)) => Err(Box::new(response::bad_request("the body ended early"))),
        Ok(Err(Fault::Large)) => Err(too_large()),
        Err(_) => Err(Box::new(response::text(StatusCode::REQUEST_TIMEOUT, "the body took longer than 10 s\n"))),
    }
}

enum Fault {
    Early,
    Large,
}

async fn read_all(body: Incoming) -> Result<Vec<u8>, Fault> {
    let mut data = Vec::new();
    let mut body = pin!(body);
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(frame) = frame else { return Err(Fault::Early) };
        if let Some(part) = frame.data_ref() {
            if data.len() + part.len() > MAX_PAYLOAD_BYTES {
                return Err(Fault::Large);
            }
            data.extend_from_slice(part);
        }
    }
    Ok(data)
}
