//! Answers of a language model: the question in a POST, on a WebSocket, or as the call of a tool (MCP), and what a disconnection does.

use std::time::Duration;

use protocol::Event;
use protocol::answer::{DONE, Progress, Question, State};
use protocol::envelope::sse;
use protocol::envelope::websocket::Opcode;
use protocol::mcp::{self, Message};
use serde_json::{Value, json};
use server::{Options, Server};

use crate::support::chunks::chunk;
use crate::support::figures::{load, wait_until};
use crate::support::frames::{close_frame, frame, masked, open};
use crate::support::{Response, Wire, get, options, start};

/// A question with a short, fast answer.
fn question(tokens: u32) -> Question {
    Question { tokens, rate: 500.0, stream: true, ..Question::new("why?") }
}

fn post(server: &Server, path: &str, headers: &[&str], body: &[u8]) -> Wire {
    let length = format!("Content-Length: {}", body.len());
    let mut wire = Wire::request(server, "POST", path, &[&[length.as_str()], headers].concat());
    wire.send(body);
    wire
}

fn ask(server: &Server, question: &Question) -> (Wire, Response) {
    let mut wire = post(server, "/answer", &[], &serde_json::to_vec(question).unwrap());
    let response = wire.headers();
    (wire, response)
}

/// The tokens of a stream, up to its end.
fn tokens(wire: &mut Wire) -> Vec<String> {
    let blocks = std::iter::from_fn(|| chunk(wire));
    let data = |block: String| {
        let (block, _) = sse::split(block.as_bytes()).unwrap();
        let event = Event::decode(block.data.as_deref().unwrap()).unwrap();
        assert_eq!(block.id, Some(event.seq.to_string().as_bytes()));
        event.data.into_owned()
    };
    blocks.map(data).collect()
}

/// All tokens of the answer, and the mark of its end.
fn expected(question: &Question) -> Vec<String> {
    question.answer().chain([DONE.into()]).collect()
}

fn progress(server: &Server, path: &str) -> Progress {
    serde_json::from_str(&get(server, path).1).unwrap()
}

#[test]
fn the_answer_comes_in_the_response_to_the_post_token_by_token_and_the_response_ends() {
    let server = start();
    let question = question(20);
    let (mut wire, response) = ask(&server, &question);
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(tokens(&mut wire), expected(&question));
    let end = progress(&server, response.header("location").unwrap());
    assert_eq!(end, Progress { generated: 20, tokens: 20, state: State::Complete });
}

#[test]
fn a_request_that_accepts_lines_gets_lines_and_one_without_a_stream_gets_the_whole_text() {
    let server = start();
    let question = question(5);
    let body = serde_json::to_vec(&question).unwrap();
    let mut wire = post(&server, "/answer", &["Accept: application/x-ndjson"], &body);
    assert_eq!(wire.headers().header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<String> = std::iter::from_fn(|| chunk(&mut wire)).collect();
    assert!(
        lines.len() == 6 && lines[0].starts_with("{\"seq\":1,") && lines[5].ends_with("\"[DONE]\"}\n"),
        "{lines:?}"
    );
    let whole = serde_json::to_vec(&Question { stream: false, ..question.clone() }).unwrap();
    let (response, text) = post(&server, "/answer", &[], &whole).response();
    assert_eq!(response.status, 200);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["text"], question.answer().collect::<String>());
}

#[test]
fn a_client_that_disconnects_cancels_its_answer_but_not_one_in_the_background() {
    let server = start();
    let slow = Question { rate: 100.0, ..question(60) };
    let end = |background: bool| {
        let (mut wire, response) = ask(&server, &Question { background, ..slow.clone() });
        let first = chunk(&mut wire).unwrap();
        assert!(first.contains("\"seq\":1,"), "{first}");
        let path = response.header("location").unwrap().to_string();
        drop(wire);
        wait_until(&server, |_| progress(&server, &path).state != State::Running);
        (path.clone(), progress(&server, &path))
    };
    let (_, cancelled) = end(false);
    assert!(cancelled.state == State::Cancelled && cancelled.generated < 60, "{cancelled:?}");
    let (path, complete) = end(true);
    assert_eq!(complete, Progress { generated: 60, tokens: 60, state: State::Complete });
    let (response, lines) = get(&server, &format!("{path}/poll?after=59"));
    assert_eq!((response.status, response.header("cursor"), lines.lines().count()), (200, Some("61"), 2));
    let mut resumed = Wire::request(&server, "GET", &format!("{path}/sse"), &["Last-Event-ID: 58"]);
    assert_eq!(resumed.headers().status, 200);
    assert_eq!(tokens(&mut resumed), expected(&slow)[58..]);
}

#[test]
fn an_answer_in_the_background_is_read_by_polling_and_can_be_cancelled() {
    let server = start();
    let (mut wire, response) =
        ask(&server, &Question { stream: false, background: true, rate: 50.0, ..question(1_000) });
    assert_eq!(response.status, 202);
    let path = response.header("location").unwrap().to_string();
    let length = response.header("content-length").unwrap().parse().unwrap();
    wire.bytes(length);
    let (response, line) = get(&server, &format!("{path}/long-poll?after=0&wait=5s"));
    assert!(response.status == 200 && line.starts_with("{\"seq\":1,"), "{line}");
    let (response, _) = Wire::request(&server, "DELETE", &path, &[]).response();
    assert_eq!(response.status, 200);
    assert_eq!(progress(&server, &path).state, State::Cancelled);
    // A stream of a cancelled answer ends after what there is.
    let mut rest = Wire::request(&server, "GET", &format!("{path}/stream?after=0"), &[]);
    assert_eq!(rest.headers().status, 200);
    assert!(std::iter::from_fn(|| chunk(&mut rest)).count() > 0);
}

#[test]
fn a_wrong_question_is_refused_with_the_reason_and_an_unknown_answer_is_not_found() {
    let server = start();
    for (body, fault) in [
        ("why?", "a question is JSON like"),
        (r#"{"prompt":"a","tokens":1001}"#, "tokens: a number from 1 to 1000"),
        (r#"{"prompt":"a","rate":1e9}"#, "rate: tokens per second, from 1 to 1000"),
        (r#"{"prompt":"a","rate":null}"#, "a question is JSON like"),
        (r#"{"prompt":"a","max_tokens":5}"#, "a question is JSON like"),
    ] {
        let (response, text) = post(&server, "/answer", &[], body.as_bytes()).response();
        assert!(response.status == 400 && text.starts_with(fault), "{body}: {text}");
    }
    assert_eq!(get(&server, "/answer").0.status, 405);
    for path in
        ["/answer/00000000000000000000000000000000", "/answer/00000000000000000000000000000000/sse", "/answer/x"]
    {
        assert_eq!(get(&server, path).0.status, 404, "{path}");
    }
    let foreign = post(&server, "/answer", &["Origin: http://other.example"], b"{}").response().0;
    assert_eq!(foreign.status, 403);
    assert_eq!(load(&server).tokens_generated, 0);
}

#[test]
fn there_are_only_so_many_answers_and_shutting_down_ends_them() {
    let server = Server::start(&Options { idle_timeout: Duration::from_secs(5), ..options(10) }).unwrap();
    let slow = serde_json::to_vec(&Question { rate: 1.0, stream: false, background: true, ..question(60) }).unwrap();
    let mut wire = Wire::connect(server.addresses().http);
    let request = format!("POST /answer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", slow.len());
    let mut ask = || {
        wire.send([request.as_bytes(), &slow].concat());
        wire.response().0
    };
    let path = ask().header("location").unwrap().to_string();
    for _ in 1..128 {
        assert_eq!(ask().status, 202);
    }
    let refused = ask();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(load(&server).answers_refused, 1);
    // Each has an event from time to time; the stream of one ends with the server.
    let mut stream = Wire::request(&server, "GET", &format!("{path}/stream?after=0"), &[]);
    assert_eq!(stream.headers().status, 200);
    server.shutdown();
    assert!(stream.rest().ends_with(b"0\r\n\r\n"));
}

/// The tokens of an answer on a WebSocket, up to its end.
fn tokens_on(wire: &mut Wire) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    while tokens.last().is_none_or(|token| token != DONE) {
        let (opcode, payload) = frame(wire);
        assert_eq!(opcode, Opcode::Text);
        tokens.push(Event::decode(&payload).unwrap().data.into_owned());
    }
    tokens
}

#[test]
fn a_websocket_answers_one_question_after_another_but_not_two_at_a_time() {
    let server = start();
    let mut wire = open(&server, "/answer/ws");
    let ask = |question: &Question| masked(Opcode::Text, &serde_json::to_vec(question).unwrap());
    for prompt in ["why?", "how?"] {
        let question = Question { prompt: prompt.into(), ..question(5) };
        wire.send(ask(&question));
        assert_eq!(tokens_on(&mut wire), expected(&question));
    }
    // Together in one write, and so in one read.
    let slow = ask(&Question { rate: 1.0, ..question(100) });
    wire.send([&*slow, &slow].concat());
    assert_eq!(close_frame(&mut wire), (1008, "the last answer has not ended".into()));
    let mut wrong = open(&server, "/answer/ws");
    wrong.send(masked(Opcode::Text, b"why?"));
    let (code, reason) = close_frame(&mut wrong);
    assert!(code == 1008 && reason.starts_with("a question is JSON like"), "{code} {reason}");
}

#[test]
fn a_websocket_that_is_closed_or_lost_during_an_answer_cancels_it_and_a_shutdown_closes_it() {
    let server = start();
    let slow = masked(Opcode::Text, &serde_json::to_vec(&Question { rate: 50.0, ..question(1_000) }).unwrap());
    let mut closing = open(&server, "/answer/ws");
    closing.send([&*slow, &masked(Opcode::Close, &1000u16.to_be_bytes())].concat());
    assert_eq!(close_frame(&mut closing).0, 1000);
    let mut lost = open(&server, "/answer/ws");
    lost.send(&slow);
    assert_eq!(frame(&mut lost).0, Opcode::Text);
    drop(lost);
    let mut before = u64::MAX;
    wait_until(&server, |load| {
        std::thread::sleep(Duration::from_millis(100));
        std::mem::replace(&mut before, load.tokens_generated) == load.tokens_generated
    });
    let mut waiting = open(&server, "/answer/ws");
    server.shutdown();
    assert_eq!(close_frame(&mut waiting).0, 1001);
}

/// A call of the tool, with changed headers.
fn call(server: &Server, body: &Value, version: &str, name: &str) -> Wire {
    let method = format!("Mcp-Method: {}", body["method"].as_str().unwrap_or_default());
    let headers = [&format!("MCP-Protocol-Version: {version}"), &*method, &format!("Mcp-Name: {name}")];
    post(server, "/mcp", &headers, body.to_string().as_bytes())
}

#[test]
fn the_tool_tells_its_progress_and_then_its_result_without_any_id_to_resume_from() {
    let server = start();
    let question = question(10);
    let body: Value = serde_json::from_slice(&mcp::call(&question)).unwrap();
    let mut wire = call(&server, &body, mcp::VERSION, mcp::TOOL);
    let response = wire.headers();
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(response.header("location"), None);
    let messages: Vec<Message> = std::iter::from_fn(|| chunk(&mut wire))
        .map(|text| {
            let (block, _) = sse::split(text.as_bytes()).unwrap();
            assert_eq!(block.id, None);
            mcp::parse(block.data.as_deref().unwrap()).unwrap()
        })
        .collect();
    let told: Vec<String> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Progress(event) => Some(event.data.to_string()),
            Message::Result(_) => None,
        })
        .collect();
    assert_eq!(told, question.answer().collect::<Vec<_>>());
    assert_eq!(messages.last(), Some(&Message::Result(question.answer().collect())));
    // Without a token for the progress, the response is JSON.
    let mut quiet = body;
    quiet["params"]["_meta"].as_object_mut().unwrap().remove("progressToken");
    let (response, text) = call(&server, &quiet, mcp::VERSION, mcp::TOOL).response();
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert_eq!(mcp::parse(text.as_bytes()).unwrap(), Message::Result(question.answer().collect()));
}

#[test]
fn a_client_that_disconnects_has_cancelled_its_call() {
    let server = start();
    let body = serde_json::from_slice(&mcp::call(&Question { rate: 50.0, ..question(500) })).unwrap();
    let mut wire = call(&server, &body, mcp::VERSION, mcp::TOOL);
    assert_eq!(wire.headers().status, 200);
    chunk(&mut wire);
    drop(wire);
    let mut before = 0;
    wait_until(&server, |_| {
        std::thread::sleep(Duration::from_millis(100));
        std::mem::replace(&mut before, load(&server).tokens_generated) == load(&server).tokens_generated
    });
    assert!(before < 500, "{before}");
}

#[test]
fn messages_that_violate_the_protocol_get_its_errors() {
    let server = start();
    let body: Value = serde_json::from_slice(&mcp::call(&question(5))).unwrap();
    let with = |path: &str, value: Value| {
        let mut changed = body.clone();
        *changed.pointer_mut(path).unwrap() = value;
        changed
    };
    let newer = with("/params/_meta/io.modelcontextprotocol~1protocolVersion", json!("2031-01-01"));
    let unknown =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "prompts/list", "params": { "_meta": body["params"]["_meta"] } });
    for (body, version, name, status, code) in [
        (&body, "2025-11-25", "answer", 400, -32020),
        (&body, mcp::VERSION, "other", 400, -32020),
        (&newer, "2031-01-01", "answer", 400, -32022),
        (&with("/params/_meta", json!({})), mcp::VERSION, "answer", 400, -32602),
        (&with("/params/_meta/progressToken", json!("x".repeat(129))), mcp::VERSION, "answer", 400, -32602),
        (&with("/params/_meta/progressToken", json!([1])), mcp::VERSION, "answer", 400, -32602),
        (&with("/id", json!(null)), mcp::VERSION, "answer", 400, -32600),
        (&with("/params/name", json!("other")), mcp::VERSION, "other", 400, -32602),
        (&with("/jsonrpc", json!("1.0")), mcp::VERSION, "answer", 400, -32600),
        (&json!([body]), mcp::VERSION, "answer", 400, -32600),
        (&unknown, mcp::VERSION, "", 404, -32601),
    ] {
        let (response, text) = call(&server, body, version, name).response();
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((response.status, error["error"]["code"].as_i64()), (status, Some(code)), "{body}: {text}");
    }
    // A model can correct arguments, so their fault is a result.
    for arguments in [json!({ "prompt": "a", "tokens": 0 }), json!("why?")] {
        let (response, text) = call(&server, &with("/params/arguments", arguments), mcp::VERSION, mcp::TOOL).response();
        let result: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((response.status, &result["result"]["isError"]), (200, &json!(true)), "{text}");
    }
    let (response, text) = post(&server, "/mcp", &[], b"{").response();
    assert!(response.status == 400 && text.contains("-32700"), "{text}");
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" });
    assert_eq!(call(&server, &notification, mcp::VERSION, "").response().0.status, 202);
    assert_eq!(get(&server, "/mcp").0.status, 405);
}
