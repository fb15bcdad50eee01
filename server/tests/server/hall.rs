//! The hall: the rights of phones and of the presenter, its bounds, and simulated phones that subscribe, switch and report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::{Options, Server};

use crate::support::{TIMEOUT, Wire, get, options, publish, start};

const TOKEN: &str = "abcdefgh12345678";
const BEARER: &str = "Authorization: Bearer abcdefgh12345678";

/// Sends a POST request, and returns the status and the body.
fn send(server: &Server, path: &str, headers: &[&str], body: &str) -> (u16, String) {
    let length = format!("Content-Length: {}", body.len());
    let mut wire = Wire::request(server, "POST", path, &[headers, &[&length]].concat());
    wire.send(body);
    let (response, body) = wire.response();
    (response.status, body)
}

fn post(server: &Server, path: &str, body: &Value) -> (u16, String) {
    send(server, path, &[], &body.to_string())
}

fn state(server: &Server) -> Value {
    serde_json::from_str(&get(server, "/hall/state").1).unwrap()
}

fn join(server: &Server) -> Value {
    let (status, body) = post(server, "/hall/join", &json!({}));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn change(server: &Server, change: &Value) {
    assert_eq!(post(server, "/hall/control", change), (204, String::new()));
}

fn report(event: u64, delay: f64) -> Value {
    json!({ "event": event, "transport": "sse", "delay_ms": delay, "clock_bound_ms": 1.5 })
}

fn batch(phone: &Value, number: u64, reports: &[Value]) -> Value {
    json!({ "token": phone["token"], "batch": number, "reports": reports, "missed": 0, "repeated": 0 })
}

#[test]
fn a_phone_may_report_and_answer_and_only_the_presenter_may_control() {
    let server = Server::start(&Options { token: Some(TOKEN.into()), ..options(100) }).unwrap();
    let phone = join(&server);
    let token = phone["token"].as_str().unwrap();
    assert_eq!(phone["number"], 1);
    let polling = r#"{"transport":"polling"}"#;
    let refused = (403, "this requires the presenter's token\n".to_string());
    assert_eq!(send(&server, "/hall/control", &[], polling), refused);
    // A phone's token is not the presenter's, for any endpoint.
    for path in ["/hall/control", "/control", "/publish"] {
        assert_eq!(send(&server, path, &[&format!("Authorization: Bearer {token}")], polling).0, 403, "{path}");
    }
    assert_eq!(send(&server, "/hall/control", &[BEARER], polling), (204, String::new()));
    let (_, seen) = get(&server, "/hall/state");
    assert!(seen.contains(r#""control":false,"transport":"polling""#), "{seen}");
    assert!(!seen.contains(token) && !seen.contains(phone["id"].as_str().unwrap()), "names are not shown");
    let (_, presenters) = Wire::request(&server, "GET", "/hall/state", &[BEARER]).response();
    assert!(presenters.contains(r#""control":true"#));

    let unknown = json!({ "token": "0123456789abcdef0123456789abcdef", "version": 0 });
    let no_phone = (403, "this is no phone's token; join again\n".to_string());
    assert_eq!(post(&server, "/hall/phone", &unknown), no_phone);
    assert_eq!(post(&server, "/hall/report", &batch(&unknown, 1, &[])), no_phone);
    let (status, view) = post(&server, "/hall/phone", &json!({ "token": token, "version": 0 }));
    let view: Value = serde_json::from_str(&view).unwrap();
    assert_eq!(
        (status, &view["transport"], &view["number"], &view["question"]),
        (200, &json!("polling"), &json!(1), &json!(null))
    );
    // Another site's page cannot fill the hall.
    assert_eq!(send(&server, "/hall/join", &["Origin: http://evil.example"], "{}").0, 403);
    assert_eq!(send(&server, "/hall/control", &[BEARER, "Origin: http://evil.example"], polling).0, 403);
}

#[test]
fn invalid_changes_are_refused_and_of_reports_the_invalid_ones_only() {
    let server = start();
    publish(&server, &["a", "b"]);
    for (body, error) in [
        (json!({ "transport": "sockjs" }), "transport: polling, "),
        (json!({ "transport": "sse", "poll_interval_ms": 99 }), "poll_interval_ms: from 100 to 60000"),
        (json!({ "show": true }), "show: there is no question"),
        (json!({ "ask": { "kind": "free", "text": "", "choices": ["a", "b"] } }), "text: 1 to 200"),
        (json!({ "ask": { "kind": "free", "text": "?".repeat(201), "choices": ["a", "b"] } }), "text: 1 to 200"),
        (json!({ "ask": { "kind": "free", "text": "?", "choices": ["a", "b".repeat(61)] } }), "text: 1 to 200"),
        (json!({ "ask": { "kind": "free", "text": "?", "choices": ["a"] } }), "choices: two to four"),
        (
            json!({ "ask": { "kind": "free", "text": "?", "choices": ["a", "b", "c", "d", "e"] } }),
            "choices: two to four",
        ),
        (json!({ "ask": { "kind": "other" } }), "the body is not valid: "),
        (json!({ "unknown": 1 }), "the body is not valid: "),
    ] {
        let (status, text) = post(&server, "/hall/control", &body);
        assert!(status == 400 && text.starts_with(error), "{body}: {status} {text}");
    }
    assert_eq!(send(&server, "/hall/control", &[], "x").0, 400);
    let before = state(&server);
    assert_eq!(
        (&before["transport"], &before["poll_interval_ms"], &before["question"]),
        (&json!("sse"), &json!(2000), &json!(null))
    );

    let phone = join(&server);
    let over = |transport: &str| json!({ "event": 1, "transport": transport, "delay_ms": 1, "clock_bound_ms": 1 });
    // A body that is not understood changes nothing.
    for body in ["x".into(), json!({ "token": phone["token"], "batch": 1 }).to_string()] {
        let (status, text) = send(&server, "/hall/report", &[], &body);
        assert!(status == 400 && text.starts_with("the body is not valid: "), "{status} {text}");
    }
    assert_eq!(send(&server, "/hall/report", &[], &"x".repeat(65_537)).0, 413);
    assert_eq!((&state(&server)["summary"], &state(&server)["refused"]), (&json!([]), &json!(0)));
    // The valid reports of a batch count, whatever is beside them, and a repeated batch changes nothing.
    let wrong = [
        report(3, 1.0),
        report(0, 1.0),
        report(1, 1e6),
        report(1, -1001.0),
        over("tcp"),
        over("nothing"),
        json!({ "event": 1 }),
        json!("event 1"),
    ];
    let mixed = [&wrong[..4], &[report(2, 7.25), report(2, 8.0)], &wrong[4..]].concat();
    for _ in 0..2 {
        assert_eq!(post(&server, "/hall/report", &batch(&phone, 1, &mixed)), (204, String::new()));
    }
    assert_eq!(state(&server)["refused"], json!(wrong.len() + 1), "and event 2 again");
    assert_eq!(post(&server, "/hall/report", &batch(&phone, 2, &[report(2, 7.25)])).0, 204);
    let after = state(&server);
    assert_eq!((&after["summary"][0]["count"], &after["received"]), (&json!(1), &json!(1)));
    assert_eq!((&after["phones"][0]["delay_ms"], &after["refused"]), (&json!(7.25), &json!(wrong.len() + 2)));
    // Of more than a hundred reports, the first hundred are read.
    let many: Vec<Value> = (0..101).map(|_| report(9, 1.0)).chain([report(1, 1.0)]).collect();
    post(&server, "/hall/report", &batch(&phone, 3, &many));
    let (full, run) = (state(&server), get(&server, "/hall/run.json").1);
    assert_eq!((&full["summary"][0]["count"], &full["refused"]), (&json!(1), &json!(wrong.len() + 104)));
    let run: Value = serde_json::from_str(&run).unwrap();
    assert_eq!(run["phones"][0]["refused"], full["refused"]);
}

#[test]
fn phones_predict_the_opening_scene_s_goal_by_a_transport_and_a_delay() {
    let server = start();
    let phones: Vec<Value> = (0..4).map(|_| join(&server)).collect();
    change(&server, &json!({ "ask": { "kind": "goal" } }));
    let answer = |phone: usize, choice: f64, seconds: Value| {
        let body = json!({ "token": phones[phone]["token"], "question": 1, "answer": choice, "seconds": seconds });
        post(&server, "/hall/answer", &body).0
    };
    for wrong in [json!(null), json!(-0.1), json!(6.1)] {
        assert_eq!(answer(0, 0.0, wrong), 400);
    }
    assert_eq!(answer(0, 5.0, json!(1.0)), 400, "there are five transports");
    for (phone, choice, seconds) in [(0, 0.0, 3.0), (1, 0.0, 0.5), (2, 4.0, 2.0)] {
        assert_eq!(answer(phone, choice, json!(seconds)), 204);
    }
    assert_eq!(answer(0, 0.0, json!(1.0)), 409, "once");
    // Until the goal, only the number of answers is shown; the record has all of them.
    let open = state(&server)["question"].clone();
    assert_eq!((&open["answers"], &open["counts"], &open["median_seconds"]), (&json!(3), &json!(null), &json!(null)));
    let run: Value = serde_json::from_str(&get(&server, "/hall/run.json").1).unwrap();
    assert_eq!(run["questions"][0]["counts"], json!([2, 0, 0, 0, 1]));
    // Who means another question does not end or close this one.
    for meant in [json!({ "show": true, "question": 2 }), json!({ "close": true, "question": 2 })] {
        assert_eq!(post(&server, "/hall/control", &meant), (409, "this question is closed\n".into()));
    }
    assert_eq!(state(&server)["question"], open);
    change(&server, &json!({ "show": true, "question": 1 }));
    assert_eq!(answer(3, 0.0, json!(1.0)), 409, "after the goal");
    let question = state(&server)["question"].clone();
    assert_eq!((&question["kind"], &question["choices"][0]), (&json!("goal"), &json!("polling")));
    assert_eq!((&question["counts"], &question["median_seconds"]), (&json!([2, 0, 0, 0, 1]), &json!(2.0)));
    // Other questions are answered without a delay.
    change(&server, &json!({ "ask": { "kind": "last" } }));
    let body = json!({ "token": phones[0]["token"], "question": 2, "answer": 0, "seconds": 1 });
    assert_eq!(post(&server, "/hall/answer", &body), (400, "seconds: from 0 to 6, for a goal only\n".into()));
}

#[test]
fn a_phone_answers_once_and_the_measurement_is_of_events_since_the_question() {
    let server = start();
    let phones: Vec<Value> = (0..3).map(|_| join(&server)).collect();
    publish(&server, &["before"]);
    let polled = |event: u64, delay: f64| json!({ "event": event, "transport": "polling", "delay_ms": delay, "clock_bound_ms": 1 });
    post(&server, "/hall/report", &batch(&phones[0], 1, &[polled(1, 9_000.0)]));
    change(&server, &json!({ "transport": "polling", "poll_interval_ms": 2000 }));
    change(&server, &json!({ "ask": { "kind": "longest" } }));
    let answer = |phone: &Value, question: u64, answer: f64| {
        post(&server, "/hall/answer", &json!({ "token": phone["token"], "question": question, "answer": answer }))
    };
    assert_eq!(answer(&phones[0], 1, 5.1).0, 400);
    assert_eq!(answer(&phones[0], 1, 2.0), (204, String::new()));
    assert_eq!(answer(&phones[0], 1, 1.0), (409, "this phone has answered already\n".into()));
    assert_eq!(answer(&phones[1], 1, 5.0).0, 204);
    assert_eq!(answer(&phones[2], 2, 1.0), (409, "this question is closed\n".into()));
    let question = state(&server)["question"].clone();
    assert_eq!((&question["counts"], &question["measured"]), (&json!([0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), &json!(null)));
    publish(&server, &["after"]);
    post(&server, "/hall/report", &batch(&phones[0], 2, &[polled(2, 1_900.0)]));
    post(&server, "/hall/report", &batch(&phones[1], 1, &[polled(2, 400.0)]));
    change(&server, &json!({ "show": true }));
    assert_eq!(state(&server)["question"]["measured"], json!({ "choice": null, "value": 1.9, "reports": 2 }));
    assert_eq!(answer(&phones[2], 1, 1.0).0, 409, "the measurement is shown");

    // Over another transport, what the question asks about is not measured.
    change(&server, &json!({ "transport": "sse", "ask": { "kind": "requests" }, "show": true }));
    assert_eq!(state(&server)["question"]["measured"], json!(null));

    change(&server, &json!({ "ask": { "kind": "free", "text": "Which?", "choices": ["a", "b"] } }));
    for (wrong, phone) in [(2.0, 0), (0.5, 0), (-1.0, 0)] {
        assert_eq!(answer(&phones[phone], 3, wrong).0, 400, "{wrong}");
    }
    assert_eq!(answer(&phones[0], 3, 1.0).0, 204, "another question");
    assert_eq!(state(&server)["question"]["counts"], json!([0, 1]));
    change(&server, &json!({ "close": true }));
    assert_eq!(answer(&phones[1], 3, 1.0).0, 409);
    assert_eq!(state(&server)["question"], json!(null));
    let run: Value = serde_json::from_str(&get(&server, "/hall/run.json").1).unwrap();
    assert_eq!((&run["questions"][0]["kind"], &run["questions"][2]["text"]), (&json!("longest"), &json!("Which?")));
}

#[test]
fn a_full_hall_a_full_record_and_a_flood_are_bounded() {
    let server = start();
    for _ in 0..500 {
        join(&server);
    }
    assert_eq!(post(&server, "/hall/join", &json!({})), (429, "the hall is full\n".into()));
    let shown = state(&server);
    assert_eq!((&shown["joined"], &shown["max_phones"]), (&json!(500), &json!(500)));

    let server = start();
    let phone = join(&server);
    (0..510).for_each(|_| publish(&server, &["x"]));
    for number in 0..6 {
        let reports: Vec<Value> = (number * 85 + 1..=(number + 1) * 85).map(|event| report(event, 1.0)).collect();
        assert_eq!(post(&server, "/hall/report", &batch(&phone, number + 1, &reports)).0, 204);
    }
    let full = state(&server);
    assert_eq!((&full["left_out"], &full["summary"][0]["count"]), (&json!(10), &json!(500)));
    change(&server, &json!({ "clear": true }));
    let cleared = state(&server);
    assert_eq!((&cleared["left_out"], &cleared["summary"], &cleared["joined"]), (&json!(0), &json!([]), &json!(1)));
    // What a phone has reported before is not reported again; a report that comes late is not kept.
    assert_eq!(post(&server, "/hall/report", &batch(&phone, 9, &[report(510, 1.0)])).0, 204);
    assert_eq!(state(&server)["summary"], json!([]));

    // Twenty requests are admitted in each second that has begun.
    let began = Instant::now();
    let send = |number: u64| post(&server, "/hall/report", &batch(&phone, 10 + number, &[])).0;
    let statuses: Vec<u16> = (0..100).map(send).collect();
    let admitted = statuses.iter().filter(|&&status| status == 204).count();
    assert!(admitted as u64 <= 20 * (began.elapsed().as_secs() + 2), "{statuses:?}");
    assert!(statuses.iter().all(|status| [204, 429].contains(status)), "{statuses:?}");
}

#[test]
fn a_waiting_phone_is_told_of_a_change_at_once() {
    let server = start();
    let phone = join(&server);
    let wait = |version: &Value| {
        let body = json!({ "token": phone["token"], "version": version }).to_string();
        let mut wire = Wire::request(&server, "POST", "/hall/phone", &[&format!("Content-Length: {}", body.len())]);
        wire.send(body);
        wire
    };
    let view: Value = serde_json::from_str(&wait(&json!(0)).response().1).unwrap();
    let mut waiting = wait(&view["version"]);
    change(&server, &json!({ "transport": "websocket" }));
    // The server waits longer than this test does.
    let told: Value = serde_json::from_str(&waiting.response().1).unwrap();
    assert_eq!(told["transport"], "websocket");
    assert!(told["version"].as_u64() > view["version"].as_u64());
}

/// The number of simulated phones, and of the events over each transport.
const PHONES: usize = 50;
const EVENTS: u64 = 3;

/// The delays that a phone has measured, by transport; the requests that it has sent.
type Figures = BTreeMap<String, (Vec<f64>, u64)>;

/// A simulated phone: subscribes over the transport that the hall says, and reports each event as it comes.
struct Phone {
    server: Arc<Server>,
    joined: Value,
    epoch: u64,
    cursor: u64,
    batches: u64,
    figures: Figures,
}

impl Phone {
    fn new(server: Arc<Server>) -> Self {
        let joined = join(&server);
        let epoch = server.feed().epoch.0;
        Self { server, joined, epoch, cursor: 0, batches: 0, figures: Figures::new() }
    }

    fn transport(&self) -> String {
        let (status, view) = post(&self.server, "/hall/phone", &json!({ "token": self.joined["token"], "version": 0 }));
        assert_eq!(status, 200, "{view}");
        serde_json::from_str::<Value>(&view).unwrap()["transport"].as_str().unwrap().into()
    }

    /// Sends a request of the subscription.
    fn request(&mut self, transport: &str, headers: &[&str]) -> Wire {
        self.figures.entry(transport.into()).or_default().1 += 1;
        let path = match transport {
            "polling" => "/poll",
            "long_polling" => "/long-poll",
            "ndjson" => "/stream",
            "sse" => "/sse",
            _ => "/ws",
        };
        let (cursor, epoch, id) = (self.cursor, self.epoch, self.joined["id"].as_str().unwrap());
        Wire::request(&self.server, "GET", &format!("{path}?after={cursor}-{epoch}&lane={id}.{transport}"), headers)
    }

    /// Receives events over `transport` until number `last` has come.
    fn receive(&mut self, transport: &str, last: u64) {
        let deadline = Instant::now() + TIMEOUT;
        match transport {
            "polling" | "long_polling" => {
                while self.cursor < last {
                    assert!(Instant::now() < deadline, "event {last} has not come");
                    let (_, body) = self.request(transport, &[]).response();
                    body.lines().for_each(|line| self.event(transport, line));
                    std::thread::sleep(Duration::from_millis(if transport == "polling" { 50 } else { 0 }));
                }
            }
            "ndjson" | "sse" => {
                let mut wire = self.request(transport, &[]);
                wire.headers();
                while self.cursor < last {
                    let line = wire.line();
                    // The sizes of chunks, the other fields of SSE and empty lines have no brace.
                    if let Some(start) = line.find('{') {
                        self.event(transport, line[start..].trim_end());
                    }
                }
            }
            _ => {
                let mut wire = self.request(transport, &crate::support::frames::HANDSHAKE);
                assert_eq!(wire.headers().status, 101);
                while self.cursor < last {
                    let (_, event) = crate::support::frames::frame(&mut wire);
                    self.event(transport, std::str::from_utf8(&event).unwrap());
                }
            }
        }
    }

    fn event(&mut self, transport: &str, json: &str) {
        let event: Value = serde_json::from_str(json).unwrap();
        let seq = event["seq"].as_u64().unwrap();
        assert_eq!(seq, self.cursor + 1, "an event is lost or comes twice");
        self.cursor = seq;
        self.batches += 1;
        let delay = (protocol::clock::now_ns() - event["at"].as_u64().unwrap()) as f64 / 1e6;
        self.figures.entry(transport.into()).or_default().0.push(delay);
        let report = json!({ "event": seq, "transport": transport, "delay_ms": delay, "clock_bound_ms": 0 });
        assert_eq!(post(&self.server, "/hall/report", &batch(&self.joined, self.batches, &[report])).0, 204);
    }
}

#[test]
fn fifty_phones_switch_when_told_lose_nothing_and_the_hall_shows_exactly_what_they_measured() {
    let server = Arc::new(start());
    let mut phones: Vec<Phone> = (0..PHONES).map(|_| Phone::new(server.clone())).collect();
    let order = ["polling", "sse", "long_polling", "websocket", "ndjson"];
    for (round, transport) in (1u64..).zip(order) {
        change(&server, &json!({ "transport": transport, "poll_interval_ms": 100 }));
        let last = round * EVENTS;
        let receiving: Vec<_> = phones
            .into_iter()
            .map(|mut phone| {
                std::thread::spawn(move || {
                    let told = phone.transport();
                    phone.receive(&told, last);
                    phone
                })
            })
            .collect();
        for _ in 0..EVENTS {
            std::thread::sleep(Duration::from_millis(20));
            server.feed().publish(protocol::clock::now_ns(), "event");
        }
        phones = receiving.into_iter().map(|phone| phone.join().expect("a phone has failed")).collect();
    }

    let (head, shown) = (order.len() as u64 * EVENTS, state(&server));
    assert_eq!((&shown["head"], &shown["received"], &shown["joined"]), (&json!(head), &json!(PHONES), &json!(PHONES)));
    assert_eq!((&shown["missed"], &shown["repeated"], &shown["left_out"]), (&json!(0), &json!(0), &json!(0)));
    let edges: Vec<f64> = shown["edges_ms"].as_array().unwrap().iter().map(|edge| edge.as_f64().unwrap()).collect();
    for transport in order {
        let own = phones.iter().map(|phone| &phone.figures[transport]);
        let mut delays: Vec<f64> = own.clone().flat_map(|(delays, _)| delays.clone()).collect();
        delays.sort_by(f64::total_cmp);
        let requests: u64 = own.map(|(_, requests)| requests).sum();
        let count = PHONES * EVENTS as usize;
        let classes: Vec<usize> = (0..=edges.len())
            .map(|class| {
                let from = if class == 0 { f64::MIN } else { edges[class - 1] };
                let to = edges.get(class).copied().unwrap_or(f64::MAX);
                delays.iter().filter(|&&delay| from <= delay && delay < to).count()
            })
            .collect();
        let summary = shown["summary"].as_array().unwrap().iter().find(|summary| summary["transport"] == transport);
        let expected = json!({
            "transport": transport, "count": count, "median_ms": delays[count / 2 - 1], "p95_ms": delays[(count * 95).div_ceil(100) - 1],
            "max_ms": delays[count - 1], "clock_bound_ms": 0.0, "classes": classes, "requests": requests,
            "requests_per_event": requests as f64 / count as f64,
        });
        assert_eq!(summary, Some(&expected));
    }
    // Every request of a subscription is counted once, in some second, and no report is.
    let sent: u64 = phones.iter().flat_map(|phone| phone.figures.values()).map(|(_, requests)| requests).sum();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let counted: u64 =
            state(&server)["requests"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
        assert!(counted <= sent && Instant::now() < deadline, "{counted} of {sent}");
        if counted == sent {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let (response, csv) = get(&server, "/hall/run.csv");
    assert_eq!(response.header("content-disposition"), Some("attachment; filename=\"hall.csv\""));
    assert_eq!(csv.lines().next(), Some("phone,event,transport,delay_ms,clock_bound_ms"));
    assert_eq!(csv.lines().count(), 1 + PHONES * head as usize);
    for phone in &phones {
        let (number, polled) = (&phone.joined["number"], &phone.figures["polling"].0);
        let row = format!("{number},1,polling,{},0", polled[0]);
        assert!(csv.lines().any(|line| line == row), "{row}");
    }
}
