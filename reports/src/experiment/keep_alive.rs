//! Keep-alive: whether the server keeps a connection for the next request, or closes it after each response.

use anyhow::Context;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Status, Table, Verdict};
use protocol::facts::keep_alive::{KeepAliveFacts, RequestKind, RequestSeries};

use super::claims::verdict;
use super::draw::{axis, labelled};
use crate::number::{short, short_or_dash};

/// Connections that the server accepted for some requests, by the kind of request.
pub struct Accepts {
    /// Requests of each kind.
    pub requests: u64,
    /// With HTTP/1.1.
    pub plain: u64,
    /// With HTTP/1.1 and `Connection: close`, which obliges the server to close the connection: the control.
    pub close: u64,
}

/// Claim 10: HTTP does not keep its connection.
pub fn not_kept(accepts: &Accepts) -> Status {
    // If connections that must be closed are not counted, the count means nothing.
    if accepts.close != accepts.requests || accepts.plain == 0 {
        return Status::NotMeasurable;
    }
    match accepts.plain {
        1 => Status::Outdated,
        plain if plain == accepts.requests => Status::Holds,
        _ => Status::HoldsWithinLimits,
    }
}

fn label(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Http11 => "HTTP/1.1",
        RequestKind::Http11Close => "HTTP/1.1 with Connection: close",
        RequestKind::Http10 => "HTTP/1.0",
    }
}

pub fn derive(facts: &KeepAliveFacts) -> anyhow::Result<Experiment> {
    let KeepAliveFacts { requests, series } = facts;
    let of = |kind| series.iter().filter(move |series| series.kind == kind);
    let farthest = |kind| of(kind).next_back().with_context(|| format!("{} is missing", label(kind)));
    let kept = farthest(RequestKind::Http11)?;
    let (closed, old) = (farthest(RequestKind::Http11Close)?, farthest(RequestKind::Http10)?);
    let figure = format!(
        "{requests} requests: the server accepted {} connection over HTTP/1.1, {} where each request has Connection: close, {} over \
         HTTP/1.0; a response after {}, {} and {} ms at {} ms of delay",
        kept.accepts,
        closed.accepts,
        old.accepts,
        short(kept.mean_response_ms),
        short(closed.mean_response_ms),
        short(old.mean_response_ms),
        kept.delay_ms
    );
    // The maximum over all delays, so that a single connection that was not kept counts.
    let max = |kind| of(kind).map(|series| series.accepts).max().unwrap_or(0);
    let accepts = Accepts {
        requests: u64::from(*requests),
        plain: max(RequestKind::Http11),
        close: max(RequestKind::Http11Close),
    };
    let per_request = |count: u64| short(count as f64 / f64::from(*requests));
    let row = |series: &RequestSeries| {
        vec![
            series.delay_ms.to_string(),
            label(series.kind).into(),
            series.accepts.to_string(),
            short(series.mean_response_ms),
            per_request(series.ledger.wire_bytes()),
            short_or_dash(series.ledger.kernel.map(|kernel| kernel.segments() as f64 / f64::from(*requests))),
        ]
    };
    let line = |kind| -> Line {
        labelled(
            label(kind),
            of(kind).map(|series| Point::new(series.delay_ms as f64, series.mean_response_ms)).collect(),
        )
    };
    let delays: Vec<String> = of(RequestKind::Http11).map(|series| series.delay_ms.to_string()).collect();
    let (nearest, others) = delays.split_first().context("a delay is missing")?;
    Ok(Experiment {
        title: "One connection for all requests, or one for each".into(),
        question: "Does HTTP keep its connection open, and what does it cost if not?".into(),
        answer: vec![format!("{figure}.")],
        drawings: vec![Drawing::Lines(Lines {
            name: "keep-alive".into(),
            title: format!(
                "A response takes {} times as long where each request has a new connection",
                short(closed.mean_response_ms / kept.mean_response_ms)
            ),
            caption: format!("From the decision to send a request until its response has arrived: the mean of {requests} requests."),
            x: axis("one-way delay in ms", true),
            y: axis("until the response, in ms", true),
            lines: vec![line(RequestKind::Http11), line(RequestKind::Http11Close)],
        })],
        tables: vec![Table {
            title: format!("{requests} requests"),
            columns: ["delay, ms", "kind of request", "accepts", "response after, ms", "bytes a request", "segments a request"]
                .map(Into::into)
                .to_vec(),
            rows: series.iter().map(row).collect(),
        }],
        verdicts: vec![Verdict {
            figure,
            why: "It is true of HTTP/1.0. Since HTTP/1.1 a connection is kept unless one side sends Connection: close (RFC 9112, section \
                  9.3)."
                .into(),
            prediction: "The server closes the connection after each response, so it accepts as many connections as there are requests."
                .into(),
            refuted_by: format!(
                "One accepted connection for all {requests} requests over HTTP/1.1, from a client that never closes a connection itself, \
                 while {requests} requests with Connection: close need {requests}."
            ),
            working_point: format!(
                "{requests} requests one after another, 1 client, no events, delays of {} and {} ms each way.",
                delays[..delays.len() - 1].join(", "),
                kept.delay_ms
            ),
            turns_at: format!(
                "Changes with the request: with Connection: close, and over HTTP/1.0, each needs a connection of its own. It does not \
                 change with the delay between {nearest} and {} ms.",
                others.last().unwrap_or(nearest)
            ),
            ..verdict(10, not_kept(&accepts))
        }],
        method: vec![
            "Accepts are the server's own count. The client closes no connection: after each response it checks whether the server has \
             closed it, and uses it for the next request otherwise."
                .into(),
            "Closing takes two more segments each way than the table has, since the kernel's counters are read before it.".into(),
        ],
        ..Experiment::default()
    })
}
