//! The WebSocket handshake, right and wrong: the server's responses to wrong requests, and the client's reactions to wrong responses (RFC
//! 6455, sections 4.1 and 4.2).

use protocol::experiment::{Experiment, Status, Table, Verdict};
use protocol::facts::handshake::{
    HandshakeFacts, HandshakeRequest, HandshakeResponse, Reaction, RequestTrial, ResponseTrial,
};

use super::claims::verdict;
use super::evidence::{Answer, as_claimed};

/// The value of `Sec-WebSocket-Accept` for the key of RFC 6455, section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a trial tests, and the required result.
struct Rule {
    /// What was changed.
    change: &'static str,
    required: &'static str,
    /// The claim that the trial tests, if it tests one.
    claim: Option<u32>,
}

/// The rule of a request, and whether a response obeys it.
fn request_rule(request: HandshakeRequest) -> (Rule, fn(&str) -> bool) {
    let rule = |claim: u32, change, required| Rule { change, required, claim: (claim > 0).then_some(claim) };
    match request {
        HandshakeRequest::Right => (
            rule(
                13,
                "a right request, with the key of the RFC's own example",
                "101, and the Accept of the RFC's example",
            ),
            |response| response.starts_with("HTTP/1.1 101") && response.contains(ACCEPT),
        ),
        HandshakeRequest::Post => {
            (rule(12, "POST instead of GET", "405"), |response| response.starts_with("HTTP/1.1 405"))
        }
        HandshakeRequest::Http10 => (rule(12, "HTTP/1.0", "400"), |response| response.contains(" 400 ")),
        HandshakeRequest::WithoutUpgrade => (rule(13, "no Upgrade", "426, with Upgrade: websocket"), |response| {
            response.starts_with("HTTP/1.1 426") && response.to_lowercase().contains("upgrade: websocket")
        }),
        HandshakeRequest::WithoutConnection => {
            (rule(13, "no Connection: Upgrade", "400"), |response| response.starts_with("HTTP/1.1 400"))
        }
        HandshakeRequest::Version8 => (rule(15, "version 8", "426, with Sec-WebSocket-Version: 13"), |response| {
            response.starts_with("HTTP/1.1 426") && response.to_lowercase().contains("sec-websocket-version: 13")
        }),
        HandshakeRequest::ShortKey => {
            (rule(14, "a key of 15 bytes", "400"), |response| response.starts_with("HTTP/1.1 400"))
        }
        HandshakeRequest::Offers => (
            rule(
                0,
                "sub-protocols and permessage-deflate offered",
                "101, with no sub-protocol, since the server knows none of them, and permessage-deflate",
            ),
            |response| {
                let response = response.to_lowercase();
                response.starts_with("http/1.1 101")
                    && !response.contains("-protocol:")
                    && response.contains("-extensions: permessage-deflate")
            },
        ),
        HandshakeRequest::ForeignOriginFeed => (
            rule(
                19,
                "a page of another origin requests the feed",
                "403: the server checks Origin, since no browser does it for a WebSocket",
            ),
            |response| response.starts_with("HTTP/1.1 403"),
        ),
        HandshakeRequest::ForeignOriginEcho => (
            rule(
                19,
                "a page of another origin requests /echo, which does not check Origin",
                "101 without CORS headers: only the server could have refused",
            ),
            |response| {
                response.starts_with("HTTP/1.1 101")
                    && !response.to_lowercase().contains("access-control-allow-origin: http")
            },
        ),
        HandshakeRequest::ForeignOriginPoll => (
            rule(19, "a page of another origin polls", "a response with the origins that may read it (CORS)"),
            |response| response.contains(" 204 ") && response.to_lowercase().contains("access-control-allow-origin"),
        ),
        HandshakeRequest::ThroughProxy => (
            rule(18, "a right request, through a proxy that does not forward Connection and Upgrade", "no 101"),
            |response| !is_switched(response),
        ),
        HandshakeRequest::ThroughProxyWithinTls => {
            (rule(18, "the same within TLS, which the proxy passes on unread", "101"), is_switched)
        }
    }
}

fn is_switched(response: &str) -> bool {
    response.contains(" 101 ")
}

/// The rule of a wrong response, and the reaction that it requires.
fn response_rule(response: HandshakeResponse) -> (Rule, Reaction) {
    let rule = |change, required, claim| Rule { change, required, claim };
    match response {
        HandshakeResponse::AcceptOfAnotherKey => (
            rule("the server responds with the Accept of another key", "the client refuses the Accept", Some(14)),
            Reaction::RefusedAccept,
        ),
        HandshakeResponse::RepeatedKey => (
            rule("the server responds with our key as its Accept", "the client refuses the Accept", Some(14)),
            Reaction::RefusedAccept,
        ),
        HandshakeResponse::OtherProtocol => (
            rule("the server switches to another protocol", "the client refuses the protocol", None),
            Reaction::RefusedProtocol,
        ),
        HandshakeResponse::Status200 => {
            (rule("the server responds with 200", "the client refuses the status", None), Reaction::RefusedStatus(200))
        }
    }
}

/// A trial with its result.
struct Trial {
    rule: Rule,
    result: String,
    /// Whether the result is the required one.
    is_right: Answer,
    /// Whether it is one more test of the Accept, besides the claim of its rule.
    tests_accept: bool,
}

impl Trial {
    fn of_request(trial: &RequestTrial) -> Self {
        let (rule, is_right) = request_rule(trial.request);
        let result = match &trial.response {
            // No response in time decides nothing.
            None => "no response in time".into(),
            Some(response) => match response.lines().next() {
                Some(line) => line.trim_start_matches("HTTP/1.1 ").to_string(),
                None => "the end of the connection".into(),
            },
        };
        let is_right = trial.response.as_deref().map_or(Answer::Unclear, |response| is_right(response).into());
        Self { rule, result, is_right, tests_accept: trial.request == HandshakeRequest::Right }
    }

    fn of_response(trial: &ResponseTrial) -> Self {
        let (rule, required) = response_rule(trial.response);
        let result = match &trial.reaction {
            Reaction::Waited => "the client waits".into(),
            Reaction::Accepted => "the client accepts it".into(),
            Reaction::RefusedAccept => "the client refuses the Accept".into(),
            Reaction::RefusedProtocol => "the client refuses the protocol".into(),
            Reaction::RefusedStatus(status) => format!("the client refuses the status {status}"),
            Reaction::Failed(error) => format!("the client fails: {error}"),
        };
        let is_right = match trial.reaction {
            // A client that still waits has neither accepted the response nor refused it.
            Reaction::Waited => Answer::Unclear,
            _ => (trial.reaction == required).into(),
        };
        Self { rule, result, is_right, tests_accept: false }
    }
}

/// Claim 18: it has no port of its own, so it passes firewalls. `bare` and `within_tls` say whether a handshake passed through a proxy
/// that does not forward hop-by-hop headers.
pub fn passes(bare: Answer, within_tls: Answer) -> Status {
    match (bare, within_tls) {
        (Answer::Yes, Answer::Yes) => Status::Holds,
        (Answer::No, Answer::Yes) => Status::HoldsWithinLimits,
        (_, Answer::No) => Status::DoesNotHold,
        (Answer::Unclear, _) | (_, Answer::Unclear) => Status::NotMeasurable,
    }
}

/// Claims 12 and 13: the handshake is a GET with `Upgrade`, and the response is 101. `over_http1` says whether they hold over HTTP/1.1, which is
/// their limit; `over_http2` is the status of a handshake without them, if one was tried; otherwise they hold as far as was measured. Only a server that refuses it there obeys them over
/// every version.
pub fn within_http1(over_http1: Status, over_http2: Option<u16>) -> Status {
    match (over_http1, over_http2) {
        (Status::Holds, Some(200)) => Status::HoldsWithinLimits,
        (over_http1, _) => over_http1,
    }
}

/// Claim 36: the handshake's key authenticates both sides. `accepted` is whether the server accepts a client that uses a published key.
pub fn authenticates(accepted: Answer) -> Status {
    accepted.decides(Status::DoesNotHold, Status::Holds)
}

/// Claim 42: WebSocket replaces HTTP. `begins_as_http` is whether its connection begins with a request and a response of HTTP.
pub fn replaces_http(begins_as_http: Answer) -> Status {
    begins_as_http.decides(Status::DoesNotHold, Status::Holds)
}

pub fn derive(facts: &HandshakeFacts) -> Experiment {
    let requests = facts.requests.iter().map(Trial::of_request);
    let trials: Vec<Trial> = requests.chain(facts.responses.iter().map(Trial::of_response)).collect();
    let failed: Vec<&Trial> = trials.iter().filter(|trial| trial.is_right != Answer::Yes).collect();
    let of = |claim: u32| -> (Vec<Answer>, String) {
        let tests = |trial: &&Trial| trial.rule.claim == Some(claim) || (claim == 14 && trial.tests_accept);
        let figures: Vec<String> =
            trials.iter().filter(tests).map(|trial| format!("{}: {}", trial.rule.change, trial.result)).collect();
        (trials.iter().filter(tests).map(|trial| trial.is_right).collect(), figures.join("; "))
    };
    let claim = |number, why: &str, prediction: &str, refuted_by: &str| {
        let (answers, figure) = of(number);
        Verdict {
            figure,
            why: why.into(),
            prediction: prediction.into(),
            refuted_by: refuted_by.into(),
            working_point: "One connection for each trial, no events, loopback.".into(),
            turns_at: "Does not turn with a load or a setting: it is a rule of the protocol, and turns with an implementation that \
                       breaks it."
                .into(),
            ..verdict(number, as_claimed(&answers))
        }
    };
    let over_http1 = |verdict: Verdict| {
        let figure = match facts.over_http2 {
            Some(status) => format!("{}; an extended CONNECT over HTTP/2, without Upgrade: {status}", verdict.figure),
            None => format!("{}; over HTTP/2: not measured", verdict.figure),
        };
        Verdict {
            figure,
            status: within_http1(verdict.status, facts.over_http2),
            turns_at: "Changes with the version of HTTP, not with a load.".into(),
            ..verdict
        }
    };
    let through = |request| {
        let trial = facts.requests.iter().find(|trial| trial.request == request);
        trial
            .and_then(|trial| trial.response.as_deref())
            .map_or(Answer::Unclear, |response| is_switched(response).into())
    };
    let (bare, within_tls) =
        (through(HandshakeRequest::ThroughProxy), through(HandshakeRequest::ThroughProxyWithinTls));
    let firewalls = Verdict {
        figure: of(18).1,
        why: "It shares HTTP's ports, so firewalls let it pass; a proxy that drops hop-by-hop headers breaks it, and one that only forwards \
              TLS cannot read them. A proxy that terminates TLS reads them, within TLS as well, and stands before most servers: it must \
              forward the upgrade itself, and the usual failure is that it does not (see claim 43). One note prints port 433: it is 443."
            .into(),
        prediction: "A handshake passes through a proxy for HTTP, since it begins as HTTP on HTTP's port.".into(),
        refuted_by: "No 101 through the proxy, either bare or within TLS. It holds only within limits where only TLS passes through it."
            .into(),
        working_point: "One handshake each way, through a proxy that does not forward Connection and Upgrade (RFC 9110, section 7.6.1)."
            .into(),
        turns_at: "Turns between a bare connection and TLS, where the proxy reads HTTP; through a proxy that forwards the upgrade, both \
                   pass."
            .into(),
        ..verdict(18, passes(bare, within_tls))
    };
    let right = facts.requests.iter().find(|trial| trial.request == HandshakeRequest::Right);
    let right = right.and_then(|trial| trial.response.as_deref());
    // A handshake that fails demonstrates neither.
    let opened =
        right.map_or(Answer::Unclear, |response| if is_switched(response) { Answer::Yes } else { Answer::Unclear });
    let first_line = right.and_then(|response| response.lines().next()).unwrap_or("nothing");
    let setting = "One handshake with the key that RFC 6455 prints as an example, no events, loopback.";
    let key = Verdict {
        figure: format!("A client with the key that RFC 6455 prints, and that anybody can send: {first_line}"),
        why: "The Accept proves that the server has understood the handshake of WebSocket, and nothing else: the key is no secret, and the server \
              does not know the client by it. Who may connect is decided by Origin, cookies, tokens or TLS."
            .into(),
        prediction: "A server refuses a key that it has not given to the client, or that another client has used.".into(),
        refuted_by: "A handshake with a published key that is accepted.".into(),
        working_point: setting.into(),
        turns_at: "Does not change with a load or a setting: it is a rule of the protocol.".into(),
        ..verdict(36, authenticates(opened))
    };
    let http = Verdict {
        figure: format!("A WebSocket begins with GET, and the response to it is: {first_line}"),
        why: "A WebSocket is a connection that HTTP has opened and handed over (RFC 9110, section 7.8). It uses HTTP's port, headers, cookies, \
              proxies and TLS until then; over HTTP/2 and HTTP/3 it stays a stream of HTTP (RFC 8441, RFC 9220)."
            .into(),
        prediction: "A WebSocket opens without a request and a response of HTTP.".into(),
        refuted_by: "A response of HTTP to its first bytes.".into(),
        working_point: setting.into(),
        turns_at: "Does not change with a load or a setting: it is a rule of the protocol.".into(),
        ..verdict(42, replaces_http(opened))
    };
    Experiment {
        title: "The handshake, right and wrong".into(),
        question: "What does each side do when the other's part of the WebSocket handshake is wrong?".into(),
        answer: vec![format!("{} of {} trials had the result that the standards require.", trials.len() - failed.len(), trials.len())],
        doubts: failed
            .iter()
            .map(|trial| format!("{}: must be \"{}\", was \"{}\".", trial.rule.change, trial.rule.required, trial.result))
            .collect(),
        tables: vec![Table {
            title: "Trials".into(),
            columns: ["trial", "required result", "result"].map(Into::into).to_vec(),
            rows: trials
                .iter()
                .map(|trial| vec![trial.rule.change.into(), trial.rule.required.into(), trial.result.clone()])
                .collect(),
        }],
        verdicts: vec![
            over_http1(claim(
                12,
                "Over HTTP/1.1 it is a GET (RFC 6455, section 4.1). Over HTTP/2 and HTTP/3 it is an extended CONNECT with the pseudo-header :protocol \
                 (RFC 8441, RFC 9220).",
                "A handshake by POST, and one of HTTP/1.0, are refused.",
                "A response other than 405 to a POST, or other than 400 to HTTP/1.0. Over HTTP/1.1 only, the claim holds within limits; it \
                 holds without them where the server refuses an extended CONNECT.",
            )),
            over_http1(claim(
                13,
                "HTTP/1.1 requires both headers, and the response is 101. HTTP/2 and HTTP/3 have neither of them, nor a 101: the request has \
                 :protocol, and the response is 200 (RFC 8441, RFC 9220).",
                "The response to a right request is 101, to one without Upgrade 426, to one without Connection: Upgrade 400.",
                "A 101 to a request that lacks either header, or no 101 to a right one. Over HTTP/1.1 only, the claim holds within \
                 limits; it holds without them where the server refuses an extended CONNECT.",
            )),
            claim(
                14,
                "It proves that the peer supports WebSocket and does not merely repeat what it receives; it authenticates nobody.",
                "The server's Accept for the RFC's key is the RFC's; a client refuses an Accept that does not follow from its key.",
                "Another Accept, a 101 to a key of 15 bytes, or a client that accepts a wrong Accept.",
            ),
            claim(
                15,
                "An unknown version is refused with the one that the server supports (RFC 6455, section 4.4).",
                "The response to version 8 is 426 with Sec-WebSocket-Version: 13.",
                "Any other response to version 8.",
            ),
            firewalls,
            claim(
                19,
                "CORS restricts what a page may read over HTTP; for a WebSocket the server must check Origin itself.",
                "A page of another origin is let in by an endpoint that does not check Origin, and refused by one that does; the response \
                 to a poll has CORS headers.",
                "A refusal from an endpoint that does not check Origin, or a 101 from one that does.",
            ),
            key,
            http,
        ],
        method: vec![
            "Requests are sent as bytes to this project's own server; wrong responses are sent to its own client, by a server made for \
             the trial."
                .into(),
        ],
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_without_a_response_is_unclear_and_a_wrong_one_is_refuted() {
        let of = |response: Option<&str>| {
            Trial::of_request(&RequestTrial { request: HandshakeRequest::Post, response: response.map(Into::into) })
                .is_right
        };
        assert_eq!(of(Some("HTTP/1.1 405 Method Not Allowed\r\n\r\n")), Answer::Yes);
        assert_eq!(of(Some("HTTP/1.1 101 Switching Protocols\r\n\r\n")), Answer::No);
        assert_eq!(of(Some("")), Answer::No, "the end of the connection is no 405");
        assert_eq!(of(None), Answer::Unclear);
        let reaction =
            |reaction| Trial::of_response(&ResponseTrial { response: HandshakeResponse::Status200, reaction }).is_right;
        assert_eq!(reaction(Reaction::RefusedStatus(200)), Answer::Yes);
        assert_eq!(reaction(Reaction::RefusedStatus(404)), Answer::No);
        assert_eq!(reaction(Reaction::Accepted), Answer::No);
        assert_eq!(reaction(Reaction::Waited), Answer::Unclear);
    }

    #[test]
    fn a_claim_rests_on_the_trials_that_test_it() {
        let requests = HandshakeRequest::ALL.map(|request| RequestTrial { request, response: None }).to_vec();
        let responses =
            HandshakeResponse::ALL.map(|response| ResponseTrial { response, reaction: Reaction::Waited }).to_vec();
        let experiment = derive(&HandshakeFacts { requests, responses, over_http2: None });
        let counts = experiment.verdicts.iter().map(|verdict| (verdict.claim, verdict.figure.split("; ").count()));
        assert_eq!(
            counts.collect::<Vec<_>>(),
            [(12, 3), (13, 4), (14, 4), (15, 1), (18, 2), (19, 3), (36, 1), (42, 1)]
        );
        assert!(experiment.verdicts.iter().all(|verdict| verdict.status == Status::NotMeasurable));
    }
}
