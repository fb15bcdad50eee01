//! HTTP answers: the body types and the few shapes of response that the endpoints share.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use protocol::{Cursor, Gap};

use crate::feed::Entry;

/// Names the cursor to go on from.
pub const CURSOR: HeaderName = HeaderName::from_static("cursor");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An HTTP response of this server.
pub type Answer = Response<Body>;

/// What a poll comes to: an answer, or the gap that has to be told.
pub type Polled = Result<Answer, Gap>;

/// A response's body.
pub enum Body {
    /// All of it is there: its length is announced, and its parts are sent in one write.
    Whole(VecDeque<Bytes>),
    /// Behind the head, the connection is a session's.
    Continued(Option<Session>),
}

/// What goes on with a connection once hyper has written the response's head; it is given what hyper has read beyond the request.
pub type Session = Box<dyn FnOnce(Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Body {
    /// A body that is `session`'s to write.
    pub fn continued<F>(session: impl FnOnce(Vec<u8>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::Continued(Some(Box::new(move |early| Box::pin(session(early)))))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(parts) => Poll::Ready(parts.pop_front().map(|part| Ok(Frame::data(part)))),
            // hyper is let go before it would ask again.
            Self::Continued(_) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(parts) if parts.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(parts) => SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum()),
            Self::Continued(_) => SizeHint::default(),
        }
    }
}

fn answer(status: StatusCode, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    // What is read here is of the moment: no cache may keep it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Tells browsers to take the answer for what its type says, to name its address to nobody, and to let it do nothing, in a frame
/// neither. Answers that carry events go without: their heads are measured, and a browser shows none of their types as a page.
fn guarded(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, nothing);
    answer
}

/// Lets pages of any origin read the answer, its cursor included: what is published here is public.
pub fn for_any_origin(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("cursor"));
    answer
}

fn with_type(mut answer: Answer, content_type: &'static str) -> Answer {
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn whole(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    guarded(with_type(answer(status, Body::Whole([text.into()].into())), content_type))
}

/// Plain text.
pub fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    whole(status, "text/plain; charset=utf-8", text.into())
}

/// A JSON document, ended by a line feed for the terminal's sake.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let mut bytes = serde_json::to_vec(value).expect("our words are plain structs");
    bytes.push(b'\n');
    whole(status, "application/json", bytes)
}

/// A file that is part of the program.
pub fn file(content_type: &'static str, content: impl Into<Bytes>) -> Answer {
    whole(StatusCode::OK, content_type, content)
}

/// A page of HTML, which may do what `policy` says (Content Security Policy, level 3).
pub fn page(content: impl Into<Bytes>, policy: HeaderValue) -> Answer {
    allowed(file("text/html; charset=utf-8", content), policy)
}

/// Lets what the answer contains do what `policy` says.
pub fn allowed(mut answer: Answer, policy: HeaderValue) -> Answer {
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

/// Nothing but a status.
pub fn empty(status: StatusCode) -> Answer {
    guarded(answer(status, Body::Whole(VecDeque::new())))
}

/// Figures in the text format of Prometheus.
pub fn metrics(text: String) -> Answer {
    whole(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// Lines that are all there.
pub fn lines(lines: VecDeque<Bytes>) -> Answer {
    with_type(answer(StatusCode::OK, Body::Whole(lines)), "application/x-ndjson")
}

/// The answer to a poll: the events as lines, or 204 without a body; either way with the cursor to go on from.
pub fn batch(events: &[Arc<Entry>], after: Cursor) -> Answer {
    let mut answer = match events {
        [] => answer(StatusCode::NO_CONTENT, Body::Whole(VecDeque::new())),
        events => lines(events.iter().map(|event| event.line()).collect()),
    };
    let cursor = events.last().map_or(after, |event| Cursor(event.seq));
    answer.headers_mut().insert(CURSOR, HeaderValue::from(cursor.0));
    answer
}

/// The answer to a poll whose cursor has left the history: 410, the gap, and the cursor to go on from.
pub fn gap(gap: Gap) -> Answer {
    let mut bytes = gap.encode();
    bytes.push(b'\n');
    let mut answer = with_type(answer(StatusCode::GONE, Body::Whole([bytes.into()].into())), "application/json");
    answer.headers_mut().insert(CURSOR, HeaderValue::from(gap.resume().0));
    answer
}

/// A response that goes on as events come. Proxies are asked neither to keep it nor to hold it back.
pub fn endless(content_type: &'static str, body: Body) -> Answer {
    let mut answer = with_type(answer(StatusCode::OK, body), content_type);
    answer.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    answer
}

/// A method that the path does not serve: 405, with those it does.
pub fn wrong_method(allow: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("this path serves {allow}\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// What was wrong with the request, and what would be right: 400.
pub fn bad_request(fault: impl Into<String>) -> Answer {
    text(StatusCode::BAD_REQUEST, fault.into() + "\n")
}
