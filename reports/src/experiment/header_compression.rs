//! The headers of polls over HTTP/1.1 and HTTP/2: the first one of a connection, and those after it.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Table};
use protocol::facts::header_compression::{HeaderCompressionFacts, PollSeries};
use protocol::result::Headers;

use super::draw::{axis, line};
use crate::number::{short, short_or_dash};

/// Bytes of the headers of a poll and of its response: the first of a series, and the mean of those after it.
fn first_and_later(bytes: &[u64]) -> Option<(f64, f64)> {
    let (first, later) = bytes.split_first().filter(|(_, later)| !later.is_empty())?;
    Some((*first as f64, later.iter().sum::<u64>() as f64 / later.len() as f64))
}

fn in_words(headers: Headers) -> &'static str {
    match headers {
        Headers::Lean => "lean",
        Headers::Browser => "browser",
    }
}

/// Derives the experiment from its facts.
pub fn derive(facts: &HeaderCompressionFacts) -> Experiment {
    let find = |transport: Transport, headers: Headers| {
        facts.series.iter().find(|series| series.transport == transport && series.headers == headers)
    };
    let row = |series: &PollSeries| {
        let (requests, responses) = (first_and_later(&series.request_bytes), first_and_later(&series.response_bytes));
        vec![
            series.transport.label().into(),
            in_words(series.headers).into(),
            short_or_dash(requests.map(|bytes| bytes.0)),
            short_or_dash(requests.map(|bytes| bytes.1)),
            short_or_dash(responses.map(|bytes| bytes.0)),
            short_or_dash(responses.map(|bytes| bytes.1)),
            series.handshake_bytes.to_string(),
        ]
    };
    let drawn = |series: &PollSeries| {
        let points =
            series.request_bytes.iter().zip(1..).map(|(&bytes, number)| Point::new(f64::from(number), bytes as f64));
        line(series.transport, points.collect())
    };
    let later = |transport| find(transport, Headers::Browser).and_then(|series| first_and_later(&series.request_bytes));
    let answer = match (later(Transport::Polling), later(Transport::PollingH2)) {
        (Some((_, plain)), Some((first, compressed))) => vec![format!(
            "With a browser's headers, a poll's request takes {} bytes over HTTP/1.1, each time. Over HTTP/2 the first takes {}, and each one \
             after it {}.",
            short(plain),
            short(first),
            short(compressed)
        )],
        _ => Vec::new(),
    };
    Experiment {
        title: "Headers over HTTP/1.1 and HTTP/2".into(),
        question: "How many bytes of headers does a poll take, the first one and later ones?".into(),
        answer,
        drawings: vec![Drawing::Lines(Lines {
            name: "header-compression".into(),
            title: "Request headers of one poll after another".into(),
            caption: "Bytes of the request on the wire, with a browser's headers. Over HTTP/2, both sides keep a table of the headers that were \
                      sent, and later requests refer to it (HPACK, RFC 7541)."
                .into(),
            x: axis("number of the poll", false),
            y: axis("request headers in bytes", true),
            lines: facts.series.iter().filter(|series| series.headers == Headers::Browser).map(drawn).collect(),
        })],
        tables: vec![Table {
            title: "Bytes of headers".into(),
            columns: [
                "transport",
                "headers",
                "first request",
                "later requests",
                "first response",
                "later responses",
                "opening the connection",
            ]
            .map(Into::into)
            .to_vec(),
            rows: facts.series.iter().map(row).collect(),
        }],
        method: vec![
            "One poll after each of several events, on one connection. The bytes are those of the frames HEADERS, as they were sent: exact counts."
                .into(),
            "Later requests differ in their cursor, which is not in the table, so it is sent each time.".into(),
        ],
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_poll_is_separate_from_the_mean_of_the_later_ones() {
        assert_eq!(first_and_later(&[300, 20, 40]), Some((300.0, 30.0)));
        assert_eq!((first_and_later(&[300]), first_and_later(&[])), (None, None));
    }
}
