//! `POST /answer`: a question, whose answer is streamed in the response, as APIs of language models do it.
//!
//! - With `"stream": true`, each token is a server-sent event, or a line if the request accepts `application/x-ndjson`. Without it, the
//!   response is JSON with the whole text.
//! - When the client disconnects, its answer is cancelled. With `"background": true` it goes on.
//! - Every response names the answer's path in `Location`. The events can be read there over each HTTP transport and WebSocket, such as
//!   `GET /answer/ID/long-poll?after=N`, for half a minute after the end.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use protocol::Envelope;
use protocol::answer::Question;
use serde_json::json;

use super::publish;
use super::response::{self, Response};
use crate::answer::{self, Answer, KEPT, Refusal};
use crate::carrier::Socket;
use crate::state::ServerState;
use crate::transport::stream;

/// Answers the question in the body.
pub async fn ask(request: Request<Incoming>, state: Arc<ServerState>, socket: Rc<Socket>) -> Response {
    let version = request.version();
    let accepts_lines = request
        .headers()
        .get(ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains(Envelope::Line.content_type())));
    let body = match publish::body(request).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let question = match Question::parse(&body) {
        Ok(question) => question,
        Err(fault) => return response::bad_request(fault),
    };
    let (stream, background) = (question.stream, question.background);
    let answer = match begin(question, KEPT, &state, &socket) {
        Ok(answer) => answer,
        Err(refusal) => return *refusal,
    };
    let mut response = match (stream, background) {
        (true, _) => {
            let envelope = if accepts_lines { Envelope::Line } else { Envelope::Sse };
            let mut response = stream::respond(answer::subscribe(&answer), socket, version, envelope, "");
            response.body_mut().keep(answer.attach());
            response
        }
        (false, true) => response::json(StatusCode::ACCEPTED, &json!({ "answer": answer.path() })),
        (false, false) => {
            let text = whole_text(&answer, &socket).await;
            response::json(StatusCode::OK, &json!({ "text": text, "state": answer.progress().state }))
        }
    };
    let path = HeaderValue::from_str(&answer.path()).expect("a path is a header value");
    response.headers_mut().insert(LOCATION, path);
    response
}

/// Begins to answer a question that came over `socket`; the answer is `kept` for that long after its end.
///
/// # Errors
/// The response if there are too many answers.
pub fn begin(
    question: Question,
    kept: Duration,
    state: &Arc<ServerState>,
    socket: &Socket,
) -> Result<Arc<Answer>, Box<Response>> {
    let address = socket.peer().map_err(|_| Box::new(response::bad_request("the connection has been closed")))?;
    answer::ask(question, address, kept, state).map_err(|refusal| {
        Box::new(match refusal {
            Refusal::Full => response::unavailable("too many answers\n"),
            Refusal::NoId => response::unavailable("the system provides no random numbers\n"),
        })
    })
}

/// Waits until an answer has ended, or the client has disconnected, and returns its text.
pub async fn whole_text(answer: &Arc<Answer>, socket: &Socket) -> String {
    let _attached = answer.attach();
    tokio::select! {
        () = answer.ended() => {}
        () = poll_fn(|context| socket.poll_end(context)) => {}
    }
    answer.text()
}

/// Tells how far an answer is, or ends it.
pub fn status(method: &Method, answer: &Answer) -> Response {
    if method == Method::DELETE {
        answer.cancel();
    }
    response::json(StatusCode::OK, &answer.progress())
}
