//! The endpoints of the hall: what phones send, what the presenter changes, and what everybody sees.

use hyper::body::Incoming;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::publish;
use super::response::{self, Response};
use crate::carrier::Socket;
use crate::hall::{Batch, Refusal};
use crate::state::ServerState;

/// An endpoint of the hall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Adds a phone.
    Join,
    /// What a phone does, once that changes.
    Phone,
    /// The events that a phone has received.
    Report,
    /// A phone's answer to the question.
    Answer,
    /// Changes by the presenter.
    Control,
    /// What the hall shows.
    State,
    /// The whole record as JSON.
    Run,
    /// The same as CSV.
    Csv,
}

impl Part {
    /// Whether it is for phones.
    pub const fn is_for_phones(self) -> bool {
        matches!(self, Self::Join | Self::Phone | Self::Report | Self::Answer)
    }
}

/// The request of a phone that knows a version of the settings; 0 if none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    token: String,
    version: u64,
}

/// A phone's report.
#[derive(Deserialize)]
struct Reported {
    token: String,
    #[serde(flatten)]
    batch: Batch,
}

/// A phone's answer: the index of a choice, or a number; for a goal, also how many seconds after it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    token: String,
    question: u64,
    answer: f64,
    seconds: Option<f64>,
}

/// Responds to a request; `control` tells whether it is the presenter's.
pub async fn respond(
    part: Part,
    request: Request<Incoming>,
    state: &ServerState,
    socket: &Socket,
    control: bool,
) -> Response {
    let (hall, head) = (&state.hall, state.feed.head().0);
    if part.is_for_phones() {
        hall.requested_apart();
    }
    match part {
        Part::State => return response::json(StatusCode::OK, &hall.view(control, head, state.plan.borrow().rate)),
        Part::Run | Part::Csv if !control => {
            return response::text(StatusCode::FORBIDDEN, "the record is the presenter's to save\n");
        }
        Part::Run => return saved(response::json(StatusCode::OK, &hall.run()), "json"),
        Part::Csv => return saved(response::file("text/csv; charset=utf-8", hall.csv()), "csv"),
        Part::Join | Part::Phone | Part::Report | Part::Answer | Part::Control => {}
    }
    let body = match publish::body(request).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let done = || response::empty(StatusCode::NO_CONTENT);
    let response = match part {
        Part::Join => match socket.peer() {
            Ok(address) => hall.join(address).map(|joined| response::json(StatusCode::OK, &joined)),
            Err(_) => Err(Refusal::Invalid("the connection has been closed".into())),
        },
        Part::Phone => match parse::<Waiting>(&body) {
            Ok(Waiting { token, version }) => match state.until_closing(hall.settings(&token, version)).await {
                Some(view) => view.map(|view| response::json(StatusCode::OK, &view)),
                None => Ok(response::unavailable("the server is shutting down\n")),
            },
            Err(refusal) => Err(refusal),
        },
        Part::Report => {
            parse(&body).and_then(|Reported { token, batch }| hall.report(&token, batch, head)).map(|()| done())
        }
        Part::Answer => parse(&body)
            .and_then(|Answered { token, question, answer, seconds }| hall.answer(&token, question, answer, seconds))
            .map(|()| done()),
        Part::Control | Part::State | Part::Run | Part::Csv => {
            parse(&body).and_then(|change| hall.change(change, head)).map(|()| done())
        }
    };
    response.unwrap_or_else(refused)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Invalid(format!("the body is not valid: {error}")))
}

fn refused(refusal: Refusal) -> Response {
    let text = |status, text: &str| response::text(status, format!("{text}\n"));
    match refusal {
        Refusal::Invalid(why) => response::bad_request(why),
        Refusal::Unknown => text(StatusCode::FORBIDDEN, "this is no phone's token; join again"),
        Refusal::Conflict(why) => text(StatusCode::CONFLICT, why),
        Refusal::TooMany(why) => text(StatusCode::TOO_MANY_REQUESTS, why),
    }
}

/// Has browsers save the response as a file.
fn saved(mut response: Response, extension: &str) -> Response {
    let name = HeaderValue::try_from(format!("attachment; filename=\"hall.{extension}\""));
    response.headers_mut().insert(CONTENT_DISPOSITION, name.expect("a plain name"));
    response
}
