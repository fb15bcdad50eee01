//! JSONP, the hidden iframe, multipart streaming, STOMP, SockJS and Socket.IO: the exact bytes, and the errors.

use protocol::envelope::websocket::Opcode;
use server::{Options, Server};

use crate::support::frames::{HANDSHAKE, close_frame, frame, masked, open};
use crate::support::{Wire, event, get, options, publish, start, start_with_history};

/// Sends a text message on an open WebSocket.
fn send(wire: &mut Wire, text: &str) {
    wire.send(masked(Opcode::Text, text.as_bytes()));
}

/// The next text message on an open WebSocket.
fn text(wire: &mut Wire) -> String {
    let (opcode, payload) = frame(wire);
    assert_eq!(opcode, Opcode::Text, "{payload:?}");
    String::from_utf8(payload).unwrap()
}

fn post(server: &Server, target: &str, body: &str, headers: &[&str]) -> (u16, String) {
    let mut lines = vec![format!("Content-Length: {}", body.len())];
    lines.extend(headers.iter().map(ToString::to_string));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut wire = Wire::request(server, "POST", target, &lines);
    wire.send(body);
    let (response, body) = wire.response();
    (response.status, body)
}

#[test]
fn jsonp_calls_the_function_for_each_event_and_for_a_gap() {
    let server = start_with_history(2);
    publish(&server, &["a", "</script>", "\u{2028}"]);
    let (response, body) = get(&server, "/jsonp?after=1&callback=lab.on");
    assert_eq!((response.status, response.header("cursor")), (200, Some("3")));
    assert_eq!(response.header("content-type"), Some("text/javascript; charset=utf-8"));
    let script = "lab.on({\"seq\":2,\"at\":0,\"data\":\"\\u003c/script>\"});\nlab.on({\"seq\":3,\"at\":0,\"data\":\"\\u2028\"});\n";
    assert_eq!(body, script);
    let (response, body) = get(&server, "/jsonp?after=0&callback=f");
    assert_eq!(response.status, 200, "a script element ignores the content of an error");
    assert!(body.starts_with("f({\"gap\":{\"after\":0,\"oldest\":2,\"epoch\":") && body.ends_with("}});\n"), "{body}");
    let (response, body) = get(&server, "/jsonp?after=3&wait=10ms&callback=f");
    assert_eq!((response.status, body.as_str()), (204, ""));
}

#[test]
fn a_callback_is_required_and_must_be_the_name_of_a_function() {
    let server = start();
    for path in ["/jsonp", "/iframe"] {
        for query in ["", "?callback=", "?callback=alert(1)", "?callback=a%3Cb", "?callback=1", "?callback=a..b"] {
            let (response, body) = get(&server, &format!("{path}{query}"));
            assert_eq!(response.status, 400, "{path}{query}");
            assert!(body.starts_with("callback: the name of a function"), "{body}");
        }
    }
}

#[test]
fn the_page_of_a_hidden_iframe_has_a_script_for_each_event() {
    let server = start();
    publish(&server, &["a"]);
    let mut wire = Wire::request(&server, "GET", "/iframe?after=0&callback=on", &[]);
    assert_eq!(wire.headers().header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(wire.line(), "400\r\n");
    let page = String::from_utf8(wire.bytes(1_024)).unwrap();
    assert!(page.starts_with("<!doctype html><script>p=parent.on</script>  ") && page.ends_with(" \n"), "{page}");
    assert_eq!(wire.line(), "\r\n");
    let script = format!("<script>p({})</script>\n", event(1, "a"));
    assert_eq!(wire.line(), format!("{:x}\r\n", script.len()));
    assert_eq!(wire.line(), script);
}

#[test]
fn a_multipart_stream_ends_with_the_closing_delimiter() {
    let server = start();
    publish(&server, &["a"]);
    let mut wire = Wire::request(&server, "GET", "/multipart?after=0", &[]);
    assert_eq!(wire.headers().header("content-type"), Some("multipart/mixed; boundary=event"));
    let part = format!("Content-Type: application/json\r\n\r\n{}\r\n--event\r\n", event(1, "a"));
    let expected = format!("9\r\n--event\r\n\r\n{:x}\r\n{part}\r\n", part.len());
    assert_eq!(String::from_utf8(wire.bytes(expected.len())).unwrap(), expected);
    server.shutdown();
    assert_eq!(String::from_utf8(wire.rest()).unwrap(), "f\r\n\r\n\r\n--event--\r\n\r\n0\r\n\r\n");
}

fn stomp(server: &Server) -> Wire {
    let headers: Vec<&str> = HANDSHAKE.into_iter().chain(["Sec-WebSocket-Protocol: soap, v12.stomp"]).collect();
    let mut wire = Wire::request(server, "GET", "/ws", &headers);
    let response = wire.headers();
    assert_eq!((response.status, response.header("sec-websocket-protocol")), (101, Some("v12.stomp")));
    wire
}

#[test]
fn an_offer_without_a_common_sub_protocol_gets_a_plain_websocket() {
    let server = start();
    publish(&server, &["a"]);
    let headers: Vec<&str> = HANDSHAKE.into_iter().chain(["Sec-WebSocket-Protocol: soap, wamp"]).collect();
    let mut wire = Wire::request(&server, "GET", "/ws?after=0", &headers);
    let response = wire.headers();
    assert_eq!((response.status, response.header("sec-websocket-protocol")), (101, None));
    assert_eq!(text(&mut wire), event(1, "a"));
}

#[test]
fn stomp_delivers_messages_with_the_id_of_the_subscription() {
    let server = start_with_history(1);
    publish(&server, &["a", "b"]);
    let mut wire = stomp(&server);
    send(&mut wire, "CONNECT\naccept-version:1.1,1.2\nhost:x\nheart-beat:0,10000\n\n\0");
    assert_eq!(text(&mut wire), "CONNECTED\nversion:1.2\nserver:transport-lab\nheart-beat:30000,0\n\n\0");
    send(&mut wire, "SUBSCRIBE\nid:my\\cfeed\ndestination:/feed\nafter:0\nreceipt:7\n\n\0");
    assert_eq!(text(&mut wire), "RECEIPT\nreceipt-id:7\n\n\0");
    let gap = text(&mut wire);
    assert!(gap.starts_with("MESSAGE\nsubscription:my\\cfeed\nmessage-id:1\n") && gap.contains("{\"gap\":"), "{gap}");
    let message = "MESSAGE\nsubscription:my\\cfeed\nmessage-id:2\ndestination:/feed\ncontent-type:application/json\n\n";
    assert_eq!(text(&mut wire), format!("{message}{}\0", event(2, "b")));
    send(&mut wire, "DISCONNECT\nreceipt:bye\n\n\0");
    assert_eq!(text(&mut wire), "RECEIPT\nreceipt-id:bye\n\n\0");
    assert_eq!(close_frame(&mut wire).0, 1000);
}

#[test]
fn a_stomp_error_names_the_fault_and_closes_the_connection() {
    let server = start();
    let connect = "CONNECT\naccept-version:1.2\n\n\0";
    for (before, frame, message) in [
        ("", "SUBSCRIBE\nid:0\ndestination:/feed\n\n\0", "the first frame must be CONNECT"),
        ("", "CONNECT\naccept-version:1.1\n\n\0", "accept-version must contain 1.2"),
        (connect, connect, "the client is connected already"),
        (connect, "SUBSCRIBE\ndestination:/feed\n\n\0", "SUBSCRIBE needs an id"),
        (connect, "SUBSCRIBE\nid:0\ndestination:/topic\n\n\0", "the only destination is /feed"),
        (connect, "SUBSCRIBE\nid:0\ndestination:/feed\nafter:x\n\n\0", "after must be a cursor, like 41"),
        (connect, "UNSUBSCRIBE\nid:0\n\n\0", "UNSUBSCRIBE needs the id of a subscription"),
        (connect, "BEGIN\ntransaction:1\n\n\0", "this server has no transactions"),
        (connect, "DANCE\n\n\0", "an unknown command"),
        (connect, "SEND\nno end", "a frame's headers must end with an empty line"),
    ] {
        let mut wire = stomp(&server);
        if !before.is_empty() {
            send(&mut wire, before);
            assert!(text(&mut wire).starts_with("CONNECTED\n"));
        }
        send(&mut wire, frame);
        let error = text(&mut wire);
        assert!(error.starts_with(&format!("ERROR\nmessage:{message}\n")), "{frame:?}: {error}");
        assert_eq!(close_frame(&mut wire), (1002, message.into()));
    }
}

#[test]
fn sockjs_answers_as_its_protocol_requires() {
    let server = start();
    publish(&server, &["a"]);
    let (response, body) = get(&server, "/sockjs");
    assert_eq!((response.status, body.as_str()), (200, "Welcome to SockJS!\n"));
    let (response, body) = get(&server, "/sockjs/info");
    let info: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((response.status, &info["websocket"], &info["cookie_needed"]), (200, &true.into(), &false.into()));
    // Polling: the opening message, the events, and then the end.
    let xhr = |query: &str| post(&server, &format!("/sockjs/000/one/xhr{query}"), "", &[]);
    assert_eq!(xhr("?after=0"), (200, "o\n".into()));
    assert_eq!(xhr(""), (200, "a[\"{\\\"seq\\\":1,\\\"at\\\":0,\\\"data\\\":\\\"a\\\"}\"]\n".into()));
    assert_eq!(post(&server, "/sockjs/000/one/xhr_send", "[\"b\"]", &[]), (204, String::new()));
    assert!(xhr("").1.contains("\\\"seq\\\":2"));
    // Errors.
    let send = |id: &str, body: &str| post(&server, &format!("/sockjs/000/{id}/xhr_send"), body, &[]);
    assert_eq!(send("nobody", "[\"x\"]").0, 404);
    assert_eq!(send("one", ""), (500, "Payload expected.".into()));
    assert_eq!(send("one", "[\"x"), (500, "Broken JSON encoding.".into()));
    assert_eq!(get(&server, "/sockjs/000/two/jsonp").0.status, 500);
    assert_eq!(get(&server, "/sockjs/000/two/jsonp?c=a(1)").0.status, 400);
    for path in ["/sockjs/000/one/telegraph", "/sockjs/a.b/one/xhr", "/sockjs/000", "/sockjs//one/xhr"] {
        assert_eq!(get(&server, path).0.status, 404, "{path}");
    }
    assert_eq!(get(&server, "/sockjs/000/two/eventsource?after=x").0.status, 400);
    // JSONP: the opening message as a script, and messages from a form.
    let (_, script) = get(&server, "/sockjs/000/three/jsonp?c=f&after=0");
    assert_eq!(script, "/**/f(\"o\");\r\n");
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    assert_eq!(post(&server, "/sockjs/000/three/jsonp_send", "d=%5B%22c+d%22%5D", &form), (200, "ok".into()));
    assert!(get(&server, "/sockjs/000/three/jsonp?c=f").1.contains("c d"));
}

#[test]
fn a_second_request_for_a_sockjs_session_is_turned_away() {
    let server = start();
    let mut first = Wire::request(&server, "POST", "/sockjs/000/one/xhr_streaming", &["Content-Length: 0"]);
    assert_eq!(first.headers().status, 200);
    let (_, body) = post(&server, "/sockjs/000/one/xhr", "", &[]);
    assert_eq!(body, "c[2010,\"Another connection still open\"]\n");
}

#[test]
fn a_malformed_sockjs_message_closes_the_session() {
    let server = start();
    let mut wire = open(&server, "/sockjs/000/one/websocket?after=0");
    assert_eq!(text(&mut wire), "o");
    send(&mut wire, "");
    publish(&server, &["a"]);
    assert_eq!(text(&mut wire), "a[\"{\\\"seq\\\":1,\\\"at\\\":0,\\\"data\\\":\\\"a\\\"}\"]");
    send(&mut wire, "[1]");
    assert_eq!(text(&mut wire), "c[3002,\"messages must be an array of strings\"]");
    assert_eq!(close_frame(&mut wire).0, 1000);
}

/// Opens a session of Socket.IO by polling; returns its name.
fn session(server: &Server) -> String {
    let (response, body) = get(server, "/socket.io/?EIO=4&transport=polling");
    assert_eq!(response.status, 200);
    sid(&body)
}

/// The name of the session that a response opens.
fn sid(body: &str) -> String {
    let settings: serde_json::Value = serde_json::from_str(body.strip_prefix('0').unwrap()).unwrap();
    assert_eq!((&settings["upgrades"][0], &settings["pingInterval"]), (&"websocket".into(), &25_000.into()));
    settings["sid"].as_str().unwrap().into()
}

#[test]
fn the_errors_of_engine_io_have_its_codes() {
    let server = start();
    let sid = session(&server);
    for (method, query, code, message) in [
        ("GET", "EIO=4&transport=pigeon", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=polling&sid=nobody", 1, "Session ID unknown"),
        ("POST", "EIO=4&transport=polling", 2, "Bad handshake method"),
        ("POST", &format!("EIO=4&transport=polling&sid={sid}"), 3, "Bad request"),
        ("GET", "EIO=3&transport=polling", 5, "Unsupported protocol version"),
    ] {
        let target = format!("/socket.io/?{query}");
        let (status, body) = match method {
            "POST" => post(&server, &target, "not a packet", &[]),
            _ => {
                let (response, body) = get(&server, &target);
                (response.status, body)
            }
        };
        assert_eq!(status, 400, "{query}");
        assert_eq!(body.trim_end(), format!("{{\"code\":{code},\"message\":\"{message}\"}}"), "{query}");
    }
    assert_eq!(get(&server, &format!("/socket.io/?EIO=4&transport=polling&sid={sid}")).0.status, 400, "it has ended");
}

#[test]
fn socket_io_delivers_over_polling_and_over_a_websocket() {
    let server = start();
    publish(&server, &["a"]);
    let sid = session(&server);
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    assert_eq!(post(&server, &target, "40{\"after\":0}", &[]), (200, "ok".into()));
    assert!(get(&server, &target).1.starts_with("40{\"sid\":\""));
    assert_eq!(get(&server, &target).1, format!("42[\"event\",{}]", event(1, "a")));
    let mut wire = open(&server, &format!("/socket.io/?EIO=4&transport=websocket&sid={sid}"));
    send(&mut wire, "2probe");
    assert_eq!(text(&mut wire), "3probe");
    send(&mut wire, "5");
    publish(&server, &["b"]);
    assert_eq!(text(&mut wire), format!("42[\"event\",{}]", event(2, "b")));
    send(&mut wire, "421[\"publish\",\"c\"]");
    let mut both = [text(&mut wire), text(&mut wire)];
    both.sort();
    assert!(both[0].starts_with("42[\"event\",{\"seq\":3,") && both[1] == "431[3]", "{both:?}");
    send(&mut wire, "nonsense");
    assert_eq!(close_frame(&mut wire), (1002, "an unexpected packet".into()));
}

#[test]
fn a_second_poll_of_a_socket_io_session_ends_it() {
    let server = start();
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", session(&server));
    let mut first = Wire::request(&server, "GET", &target, &[]);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(get(&server, &target).0.status, 400);
    assert_eq!(first.response().1, "1");
}

#[test]
fn publishing_requires_the_presenter_s_token_in_every_protocol() {
    let token = "abcdefgh12345678";
    let server = Server::start(&Options { token: Some(token.into()), ..options(10) }).unwrap();
    let refused = "publishing requires the presenter's token";

    let mut wire = open(&server, "/sockjs/000/one/websocket");
    assert_eq!(text(&mut wire), "o");
    send(&mut wire, "[\"x\"]");
    assert_eq!(text(&mut wire), format!("c[3003,\"{refused}\"]"));

    let mut wire = stomp(&server);
    send(&mut wire, "CONNECT\naccept-version:1.2\n\n\0SEND\ndestination:/feed\n\nx\0");
    assert!(text(&mut wire).starts_with("CONNECTED"));
    assert!(text(&mut wire).starts_with(&format!("ERROR\nmessage:{refused}\n")));
    let mut wire = stomp(&server);
    send(&mut wire, &format!("CONNECT\naccept-version:1.2\npasscode:{token}\n\n\0"));
    assert!(text(&mut wire).starts_with("CONNECTED"));
    send(&mut wire, "SEND\ndestination:/feed\nreceipt:1\n\nx\0");
    assert!(text(&mut wire).starts_with("RECEIPT"));

    let connected = |auth: &str| {
        let mut wire = open(&server, "/socket.io/?EIO=4&transport=websocket");
        assert!(text(&mut wire).starts_with("0{"));
        send(&mut wire, &format!("40{auth}"));
        let reply = text(&mut wire);
        (wire, reply)
    };
    let (mut wire, reply) = connected("");
    assert!(reply.starts_with("40{\"sid\""), "{reply}");
    send(&mut wire, "421[\"publish\",\"x\"]");
    assert_eq!(text(&mut wire), format!("42[\"refused\",\"publish\",\"{refused}\"]"));
    send(&mut wire, "42[\"broadcast\",\"x\"]");
    assert_eq!(text(&mut wire), "42[\"refused\",\"broadcast\",\"sending requires the presenter's token\"]");
    assert_eq!(
        connected("{\"token\":\"wrong-wrong-wrong\"}").1,
        "44{\"message\":\"this is not the presenter's token\"}"
    );
    let (mut wire, _) = connected(&format!("{{\"token\":\"{token}\"}}"));
    send(&mut wire, "429[\"publish\",\"x\"]");
    let both = [text(&mut wire), text(&mut wire)];
    assert!(both.contains(&"439[2]".to_string()), "{both:?}");
}

#[test]
fn the_name_of_a_socket_io_session_does_not_give_the_presenter_s_rights() {
    let token = "abcdefgh12345678";
    let server = Server::start(&Options { token: Some(token.into()), ..options(10) }).unwrap();
    let right = format!("Authorization: Bearer {token}");
    let target = "/socket.io/?EIO=4&transport=polling";
    let (response, opened) = Wire::request(&server, "GET", target, &[&right]).response();
    assert_eq!(response.status, 200);
    let target = format!("{target}&sid={}", sid(&opened));
    let packets = "40\u{1e}42[\"publish\",\"x\"]";
    assert_eq!(post(&server, &target, packets, &[]), (403, "{\"code\":4,\"message\":\"Forbidden\"}\n".into()));
    assert_eq!(server.feed().head().0, 0);
    assert_eq!(post(&server, &target, packets, &[&right]), (200, "ok".into()));
    assert_eq!(server.feed().head().0, 1);
}

#[test]
fn a_page_of_another_origin_is_refused_unless_the_options_name_it() {
    let server = Server::start(&Options { origins: vec!["http://friend.example".into()], ..options(10) }).unwrap();
    for target in ["/sockjs/info", "/socket.io/?EIO=4&transport=polling"] {
        let (response, _) = Wire::request(&server, "GET", target, &["Origin: http://evil.example"]).response();
        assert_eq!((response.status, response.header("access-control-allow-origin")), (403, Some("*")), "{target}");
        let (response, _) = Wire::request(&server, "GET", target, &["Origin: http://friend.example"]).response();
        let allowed =
            ["access-control-allow-origin", "access-control-allow-credentials"].map(|name| response.header(name));
        assert_eq!((response.status, allowed), (200, [Some("http://friend.example"), Some("true")]), "{target}");
        let (response, _) = Wire::request(&server, "OPTIONS", target, &["Origin: http://friend.example"]).response();
        assert_eq!((response.status, response.header("access-control-max-age")), (204, Some("600")), "{target}");
    }
}

#[test]
fn packets_after_the_end_of_a_session_are_not_handled() {
    let server = start();
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", session(&server));
    assert_eq!(post(&server, &target, "1\u{1e}40\u{1e}42[\"publish\",\"x\"]", &[]), (200, "ok".into()));
    assert_eq!(server.feed().head().0, 0);
    assert_eq!(get(&server, &target).0.status, 400);
}

#[test]
fn a_head_request_takes_no_packets_from_a_socket_io_session() {
    let server = start();
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", session(&server));
    assert_eq!(post(&server, &target, "40", &[]).0, 200);
    assert_eq!(Wire::request(&server, "HEAD", &target, &[]).headers().status, 400);
    assert!(get(&server, &target).1.starts_with("40{\"sid\":\""));
}

#[test]
fn an_error_repeats_at_most_64_characters_of_the_client_s_text() {
    let server = start();
    let mut wire = open(&server, "/socket.io/?EIO=4&transport=websocket");
    assert!(text(&mut wire).starts_with("0{"));
    send(&mut wire, "40");
    assert!(text(&mut wire).starts_with("40{\"sid\""));
    send(&mut wire, &format!("42[\"{}\"]", "x".repeat(5_000)));
    assert_eq!(text(&mut wire), format!("42[\"refused\",\"{}\",\"there is no such event\"]", "x".repeat(64)));
    send(&mut wire, &format!("40/{},", "x".repeat(64)));
    assert_eq!(close_frame(&mut wire), (1002, "a namespace has at most 64 bytes".into()));
}

#[test]
fn the_second_subscription_of_a_stomp_connection_begins_with_future_events() {
    let server = start();
    publish(&server, &["a"]);
    let headers: Vec<&str> = HANDSHAKE.into_iter().chain(["Sec-WebSocket-Protocol: v12.stomp"]).collect();
    let mut wire = Wire::request(&server, "GET", "/ws?after=0", &headers);
    assert_eq!(wire.headers().status, 101);
    send(&mut wire, "CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:0\ndestination:/feed\n\n\0");
    assert!(text(&mut wire).starts_with("CONNECTED"));
    assert!(text(&mut wire).contains("message-id:1\n"));
    send(&mut wire, "UNSUBSCRIBE\nid:0\n\n\0SUBSCRIBE\nid:1\ndestination:/feed\nreceipt:2\n\n\0");
    assert!(text(&mut wire).starts_with("RECEIPT"));
    publish(&server, &["b"]);
    assert!(text(&mut wire).contains("message-id:2\n"));
}

#[test]
fn a_sockjs_stream_ends_with_the_server() {
    let server = start();
    let mut wire = Wire::request(&server, "POST", "/sockjs/000/one/xhr_streaming", &["Content-Length: 0"]);
    assert_eq!(wire.headers().status, 200);
    let prelude = format!("801\r\n{}\n\r\n2\r\no\n\r\n", "h".repeat(2_048));
    assert_eq!(String::from_utf8(wire.bytes(prelude.len())).unwrap(), prelude);
    server.shutdown();
    assert_eq!(String::from_utf8(wire.rest()).unwrap(), "13\r\nc[3000,\"Go away!\"]\n\r\n0\r\n\r\n");
}
