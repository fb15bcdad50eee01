//! HTTP responses: their bodies, and the kinds of response that several endpoints use.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use protocol::envelope::jsonp;
use protocol::{Cursor, Envelope, Gap};

use crate::carrier::StreamBody;
use crate::feed::{Encoding, Entry};

/// The header that names the cursor to resume from.
pub const CURSOR: HeaderName = HeaderName::from_static("cursor");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A response of this server.
pub type Response = hyper::Response<Body>;

/// The result of a poll: a response, or a gap.
pub type Polled = Result<Response, Gap>;

/// A response's body.
pub enum Body {
    /// A complete body: its length is announced, and its parts are written together.
    Complete(VecDeque<Bytes>),
    /// After the headers, a session takes over the connection.
    Continued(Option<Session>),
    /// What the session of a stream of HTTP/2 sends.
    Stream(StreamBody),
}

/// The code that takes over a connection once hyper has written the response's headers. Its argument is the bytes that hyper has read after
/// the request.
pub type Session = Box<dyn FnOnce(Vec<u8>) -> Pin<Box<dyn Future<Output = ()>>>>;

impl Body {
    /// A body that `session` writes.
    pub fn continued<F>(session: impl FnOnce(Vec<u8>) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::Continued(Some(Box::new(move |early| Box::pin(session(early)))))
    }

    /// Keeps `guard` until the session has ended, and drops it then.
    pub fn keep(&mut self, guard: impl Sized + 'static) {
        let Self::Continued(session) = self else { return };
        let Some(inner) = session.take() else { return };
        *session = Some(Box::new(move |early| {
            let session = inner(early);
            Box::pin(async move {
                let _guard = guard;
                session.await;
            })
        }));
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Complete(parts) => Poll::Ready(parts.pop_front().map(|part| Ok(Frame::data(part)))),
            // The session takes over the connection before hyper would poll again.
            Self::Continued(_) => Poll::Pending,
            Self::Stream(body) => body.poll_next(context).map(|part| Some(Ok(Frame::data(part?)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Complete(parts) => parts.is_empty(),
            Self::Continued(_) => false,
            Self::Stream(body) => body.is_finished(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Complete(parts) => SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum()),
            Self::Continued(_) | Self::Stream(_) => SizeHint::default(),
        }
    }
}

fn response(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // The content changes all the time, so no cache may keep it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Adds headers with which a browser does not guess the media type, sends no `Referer`, runs no script of the content and shows it in no
/// frame. Responses with events do not have them: the size of their headers is measured, and browsers do not show them as a page.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, nothing);
    response
}

/// Allows pages of any origin to read the response and its cursor, since everything that is published here is public.
pub fn for_any_origin(mut response: Response) -> Response {
    // The endpoints of libraries allow only the page that asks, since their requests have credentials.
    if response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return response;
    }
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("cursor"));
    response
}

fn with_type(mut response: Response, content_type: &'static str) -> Response {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn complete(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response {
    guarded(with_type(response(status, Body::Complete([text.into()].into())), content_type))
}

/// Plain text.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
    complete(status, "text/plain; charset=utf-8", text.into())
}

/// A JSON document, with a line feed at the end for terminals.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    let mut bytes = serde_json::to_vec(value).expect("plain structs");
    bytes.push(b'\n');
    complete(status, "application/json", bytes)
}

/// A file that is part of the program.
pub fn file(content_type: &'static str, content: impl Into<Bytes>) -> Response {
    complete(StatusCode::OK, content_type, content)
}

/// An HTML page with the content security policy `policy` (Content Security Policy, level 3).
pub fn page(content: impl Into<Bytes>, policy: HeaderValue) -> Response {
    allowed(file("text/html; charset=utf-8", content), policy)
}

/// Replaces the content security policy of the response.
pub fn allowed(mut response: Response, policy: HeaderValue) -> Response {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// A status without a body.
pub fn empty(status: StatusCode) -> Response {
    guarded(response(status, Body::Complete(VecDeque::new())))
}

/// A redirect to a path of this server, with the query of the request.
pub fn found(path: &str, query: Option<&str>) -> Response {
    let mut response = empty(StatusCode::FOUND);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    let location = HeaderValue::try_from(format!("{path}{query}"));
    response.headers_mut().insert(LOCATION, location.expect("hyper accepts no control character in a target"));
    response
}

/// Figures in the text format of Prometheus.
pub fn metrics(text: String) -> Response {
    complete(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// A complete series of lines.
pub fn lines(lines: VecDeque<Bytes>) -> Response {
    with_type(response(StatusCode::OK, Body::Complete(lines)), Envelope::Line.content_type())
}

/// The response to a poll: the events as messages of the envelope, or 204 without a body; in both cases with the cursor to resume from. All
/// polls get their responses from here. A message that is a call follows the name of its function, `callback`.
pub fn batch(events: &[Arc<Entry>], after: Cursor, envelope: Envelope, callback: Option<String>) -> Response {
    let mut response = match events {
        [] => response(StatusCode::NO_CONTENT, Body::Complete(VecDeque::new())),
        events => {
            let encoding = Encoding::plain(envelope);
            let name = callback.map(Bytes::from);
            let parts = events.iter().flat_map(|event| name.clone().into_iter().chain([event.encoded(&encoding)]));
            with_type(response(StatusCode::OK, Body::Complete(parts.collect())), envelope.content_type())
        }
    };
    let cursor = events.last().map_or(after, |event| Cursor(event.seq));
    response.headers_mut().insert(CURSOR, HeaderValue::from(cursor.0));
    response
}

/// The response to a JSONP poll whose cursor has left the history: a call with the gap. Its status is 200, since a `script` element ignores
/// the content of any other.
pub fn gap_call(gap: Gap, callback: &str) -> Response {
    let call = [callback.as_bytes(), &jsonp::encode(&gap.encode())].concat();
    let mut response =
        with_type(response(StatusCode::OK, Body::Complete([call.into()].into())), Envelope::Jsonp.content_type());
    response.headers_mut().insert(CURSOR, HeaderValue::from(gap.resume().0));
    response
}

/// The response to a poll whose cursor has left the history: 410, the gap, and the cursor to resume from.
pub fn gap(gap: Gap) -> Response {
    let mut bytes = gap.encode();
    bytes.push(b'\n');
    let mut response = with_type(response(StatusCode::GONE, Body::Complete([bytes.into()].into())), "application/json");
    response.headers_mut().insert(CURSOR, HeaderValue::from(gap.resume().0));
    response
}

/// A response after which the connection is a WebSocket; the caller provides the session.
pub fn switching(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Continued(None));
    *response.status_mut() = status;
    response
}

/// Whether the connection is a WebSocket after this response, and not an endless body.
pub fn is_switching(response: &Response) -> bool {
    matches!(response.body(), Body::Continued(_)) && !response.headers().contains_key(CONTENT_TYPE)
}

/// A response that continues with each new event. Its headers tell proxies neither to store nor to buffer it.
pub fn endless(content_type: &'static str, body: Body) -> Response {
    let mut response = with_type(response(StatusCode::OK, body), content_type);
    response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// A complete script, which may also be the lines of a library.
pub fn script(content_type: &'static str, content: Vec<u8>) -> Response {
    complete(StatusCode::OK, content_type, content)
}

/// The response to the request that a browser sends before one of a page of another origin, to ask whether the page may send it.
pub fn preflight() -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Allows a page of the `origin` that the request named to read the response, with cookies. The caller has checked it.
pub fn for_its_origin(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// The response to a method that the path does not allow: 405, with the allowed methods.
pub fn wrong_method(allow: &'static str) -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("this path allows {allow}\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// The response if the server has no room for another request: 503, with the time after which to try again.
pub fn unavailable(text: &str) -> Response {
    let mut response = self::text(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The response to an invalid request: 400, with a text that names the error and the valid values.
pub fn bad_request(fault: impl Into<String>) -> Response {
    text(StatusCode::BAD_REQUEST, fault.into() + "\n")
}
