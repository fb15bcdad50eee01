//! WebSocket: the handshake, the frames and the closes of `/ws` and `/echo` (RFC 6455).

use futures_util::{SinkExt, StreamExt};
use protocol::framing::websocket::{self, Opcode};
use protocol::{Cursor, Event};
use server::{Options, Server};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use crate::support::frames::{HANDSHAKE, close_frame, frame, masked, open};
use crate::support::{Head, PATIENCE, Wire, event, get, options, publish, start, start_with_history};

/// The server's message limit on `/ws`.
const LARGEST_EVENT: usize = 64 << 10;
/// And on `/echo`.
const LARGEST_ECHO: usize = 1 << 20;

const KEY: &str = HANDSHAKE[3];

/// Asks for an upgrade with the sound handshake's lines, less those that begin with `without`, and with `more`.
fn handshake(server: &Server, target: &str, without: &str, more: &[&str]) -> (Head, String) {
    let mut lines: Vec<&str> = HANDSHAKE.into_iter().filter(|line| !line.starts_with(without)).collect();
    lines.extend(more);
    Wire::request(server, "GET", target, &lines).answer()
}

/// Reads nothing more but the end of the connection.
fn assert_end(wire: &mut Wire) {
    assert_eq!(wire.rest(), b"");
}

fn assert_closed_with(mut wire: Wire, code: u16) {
    let (given, reason) = close_frame(&mut wire);
    assert_eq!(given, code, "{reason}");
    wire.send(masked(Opcode::Close, &code.to_be_bytes()));
    assert_end(&mut wire);
}

/// An independent client.
async fn client(server: &Server, target: &str) -> WebSocketStream<TcpStream> {
    let address = server.addresses().http;
    let stream = TcpStream::connect(address).await.unwrap();
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let url = format!("ws://{address}{target}");
    let (socket, answer) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await.unwrap();
    assert_eq!(answer.status(), 101);
    socket
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    tokio::time::timeout(PATIENCE, socket.next()).await.expect("a message").expect("a message").unwrap()
}

#[test]
fn the_sample_handshake_of_the_rfc_is_accepted() {
    let server = start();
    for target in ["/ws", "/ws?after=0", "/echo"] {
        let head = Wire::request(&server, "GET", target, &HANDSHAKE).head();
        assert_eq!(head.status, 101);
        assert_eq!(head.header("upgrade"), Some("websocket"));
        assert_eq!(head.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        // What was not offered must not be agreed on, and a 101 has no body whose length could be told.
        for name in ["sec-websocket-extensions", "sec-websocket-protocol", "content-length", "transfer-encoding"] {
            assert_eq!(head.header(name), None);
        }
    }
}

#[test]
fn an_offered_extension_or_protocol_is_passed_over() {
    let server = start();
    let offers = ["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: chat"];
    let (head, _) = handshake(&server, "/echo", "none", &offers);
    assert_eq!(head.status, 101);
    assert_eq!((head.header("sec-websocket-extensions"), head.header("sec-websocket-protocol")), (None, None));
}

#[test]
fn header_values_are_read_as_lists_and_in_any_case() {
    let server = start();
    let lists = ["connection: keep-alive, UPGRADE", "upgrade: h2c", "upgrade: WebSocket"];
    let mut lines = vec![HANDSHAKE[2], KEY];
    lines.extend(lists);
    assert_eq!(Wire::request(&server, "GET", "/ws", &lines).head().status, 101);
}

#[test]
fn a_request_without_upgrade_is_426_and_told_what_to_upgrade_to() {
    let server = start();
    for target in ["/ws", "/echo"] {
        for more in [&[][..], &["Upgrade: h2c"]] {
            let (head, body) = handshake(&server, target, "Upgrade", more);
            assert_eq!((head.status, head.header("upgrade")), (426, Some("websocket")), "{target}");
            assert!(body.contains("Upgrade: websocket"), "{body}");
        }
        assert_eq!(Wire::request(&server, "GET", target, &[]).head().status, 426);
    }
}

#[test]
fn another_version_is_426_with_the_version_that_is_right() {
    let server = start();
    let wrong = ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 14", "Sec-WebSocket-Version: 13, 8"];
    for more in [&wrong[..1], &wrong[1..2], &wrong[2..], &[]] {
        let (head, body) = handshake(&server, "/ws", "Sec-WebSocket-Version", more);
        assert_eq!((head.status, head.header("sec-websocket-version")), (426, Some("13")), "{more:?}");
        assert_eq!(body, "the WebSocket version here is 13\n");
    }
}

// RFC 9110, section 15.5.22.
#[test]
fn every_426_names_the_protocol_to_upgrade_to() {
    let server = start();
    let (head, _) = handshake(&server, "/ws", "Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"]);
    assert_eq!((head.status, head.header("upgrade")), (426, Some("websocket")));
}

#[test]
fn a_key_that_is_not_16_bytes_given_once_is_400() {
    let server = start();
    let short = "Sec-WebSocket-Key: c2hvcnQ=";
    let long = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBpcyB0b28gbG9uZw==";
    for more in [&[][..], &["Sec-WebSocket-Key:"], &[short], &[long], &[KEY, KEY]] {
        let (head, body) = handshake(&server, "/ws", "Sec-WebSocket-Key", more);
        assert_eq!(head.status, 400, "{more:?}");
        assert_eq!(body, "Sec-WebSocket-Key is 16 bytes in base64, given once\n");
    }
}

#[test]
fn a_handshake_without_connection_upgrade_is_400() {
    let server = start();
    for more in [&[][..], &["Connection: keep-alive"], &["Connection: upgraded"]] {
        let (head, body) = handshake(&server, "/ws", "Connection", more);
        assert_eq!((head.status, body.as_str()), (400, "a WebSocket handshake needs Connection: Upgrade\n"));
    }
}

#[test]
fn a_handshake_in_http_1_0_is_400() {
    let server = start();
    let mut wire = Wire::connect(server.addresses().http);
    wire.send(format!("GET /ws HTTP/1.0\r\nHost: localhost\r\n{}\r\n\r\n", HANDSHAKE.join("\r\n")));
    let (head, body) = wire.answer();
    assert_eq!((head.status, body.as_str()), (400, "a WebSocket handshake needs HTTP/1.1\n"));
}

// RFC 6455, section 4.2.1: a handshake is a GET.
#[test]
fn no_method_but_get_is_upgraded() {
    let server = start();
    for target in ["/ws", "/echo"] {
        let head = Wire::request(&server, "POST", target, &HANDSHAKE).head();
        assert_eq!((head.status, head.header("allow")), (405, Some("GET")));
        assert_eq!(Wire::request(&server, "HEAD", target, &HANDSHAKE).head().status, 405);
    }
}

#[test]
fn what_the_query_gets_wrong_is_told_before_the_upgrade() {
    let server = start();
    assert_eq!(handshake(&server, "/ws?after=x", "none", &[]).0.status, 400);
    assert_eq!(handshake(&server, "/echo?after=0", "none", &[]).0.status, 400);
    assert_eq!(get(&server, "/ws?after=x").0.status, 400);
}

#[test]
fn only_the_servers_own_pages_may_open_the_feeds_websocket() {
    let server = start();
    let own = format!("Origin: http://{}", server.addresses().http);
    assert_eq!(handshake(&server, "/ws", "none", &[&own]).0.status, 101);
    for origin in ["Origin: http://evil.example", "Origin: null"] {
        let (head, body) = handshake(&server, "/ws", "none", &[origin]);
        assert_eq!((head.status, body.as_str()), (403, "only pages of this server may open this WebSocket\n"));
        // An echo publishes nothing.
        assert_eq!(handshake(&server, "/echo", "none", &[origin]).0.status, 101);
    }
}

#[test]
fn a_connection_whose_handshake_was_refused_serves_on() {
    let server = start();
    let mut wire = Wire::request(&server, "GET", "/ws", &[]);
    assert_eq!(wire.answer().0.status, 426);
    wire.send(format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", HANDSHAKE.join("\r\n")));
    assert_eq!(wire.head().status, 101);
}

#[test]
fn frames_that_come_with_the_handshake_are_not_lost() {
    let server = start();
    let head = format!("GET /echo HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", HANDSHAKE.join("\r\n"));
    let mut wire = Wire::connect(server.addresses().http);
    wire.send([head.as_bytes(), &masked(Opcode::Text, b"early"), &masked(Opcode::Text, b"bird")].concat());
    assert_eq!(wire.head().status, 101);
    assert_eq!((frame(&mut wire).1, frame(&mut wire).1), (b"early".to_vec(), b"bird".to_vec()));
}

#[test]
fn each_event_is_a_text_frame_of_its_own_with_the_shortest_length() {
    let server = start();
    let data = ["", &"b".repeat(200), &"c".repeat(LARGEST_EVENT)];
    publish(&server, &data);
    let mut wire = open(&server, "/ws?after=0");
    for (seq, data) in (1..).zip(data) {
        let (opcode, payload) = frame(&mut wire);
        assert_eq!(opcode, Opcode::Text);
        assert!(payload == event(seq, data).as_bytes(), "event {seq}");
    }
}

#[test]
fn a_subscriber_without_a_cursor_gets_what_is_yet_to_come() {
    let server = start();
    publish(&server, &["before"]);
    let (mut late, mut resumed) = (open(&server, "/ws"), open(&server, "/ws?after=1"));
    publish(&server, &["after"]);
    for wire in [&mut late, &mut resumed] {
        assert_eq!(frame(wire), (Opcode::Text, event(2, "after").into_bytes()));
    }
}

#[test]
fn events_in_their_hundreds_come_in_order_and_once() {
    let server = start();
    (0..500).for_each(|_| publish(&server, &["early"]));
    let mut wire = open(&server, "/ws?after=0");
    (0..500).for_each(|_| publish(&server, &["late"]));
    for seq in 1..=1_000 {
        let (_, payload) = frame(&mut wire);
        assert_eq!(Event::decode(&payload).unwrap().seq, seq);
    }
}

#[tokio::test]
async fn text_that_a_client_sends_is_published_to_it_and_to_the_others() {
    let server = start();
    let (mut sender, mut other) = (client(&server, "/ws").await, client(&server, "/ws").await);
    sender.send(Message::text("h\u{e9}llo")).await.unwrap();
    for socket in [&mut sender, &mut other] {
        let text = next(socket).await.into_text().unwrap();
        let event = Event::decode(text.as_bytes()).unwrap();
        assert_eq!((event.seq, event.data.as_ref()), (1, "h\u{e9}llo"));
        assert!(event.at > 0);
    }
}

#[test]
fn a_gap_closes_with_4410_and_the_cursor_to_go_on_from() {
    let server = start_with_history(2);
    publish(&server, &["a", "b", "c", "d", "e"]);
    let mut wire = open(&server, "/ws?after=1");
    let place = format!("after=3-{}", server.feed().epoch.0);
    assert_eq!(close_frame(&mut wire), (4410, format!("gap: go on {place}")));
    wire.send(masked(Opcode::Close, &4410u16.to_be_bytes()));
    assert_end(&mut wire);
    let mut wire = open(&server, &format!("/ws?{place}"));
    assert_eq!(frame(&mut wire).1, event(4, "d").into_bytes());
}

#[test]
fn a_cursor_from_before_a_restart_closes_with_4410() {
    let server = start();
    publish(&server, &["a"]);
    for after in ["7", "1-17"] {
        let mut wire = open(&server, &format!("/ws?after={after}"));
        let place = format!("gap: go on after=0-{}", server.feed().epoch.0);
        assert_eq!(close_frame(&mut wire), (4410, place), "{after}");
    }
}

#[test]
fn a_binary_message_to_the_feed_closes_with_1003() {
    let server = start();
    let mut wire = open(&server, "/ws");
    wire.send(masked(Opcode::Binary, b"\0"));
    assert_closed_with(wire, 1003);
    assert_eq!(server.feed().head(), Cursor(0));
}

#[test]
fn a_text_as_large_as_an_event_may_be_is_published_and_a_larger_one_closes_with_1009() {
    let server = start();
    let mut wire = open(&server, "/ws");
    let data = "x".repeat(LARGEST_EVENT);
    wire.send(masked(Opcode::Text, data.as_bytes()));
    let (_, payload) = frame(&mut wire);
    assert!(Event::decode(&payload).unwrap().data == data);
    // The header alone says that it is too large; what would follow need not come.
    wire.send(&masked(Opcode::Text, &[b'x'; LARGEST_EVENT + 1])[..14]);
    assert_eq!(close_frame(&mut wire).0, 1009);
    assert_eq!(server.feed().head(), Cursor(1));
}

#[test]
fn fragments_that_are_too_large_together_close_with_1009() {
    let server = start();
    let mut wire = open(&server, "/ws");
    let mut first = masked(Opcode::Text, &[b'x'; LARGEST_EVENT]);
    first[0] &= 0x7f;
    wire.send(first);
    wire.send(masked(Opcode::Continuation, b"x"));
    assert_eq!(close_frame(&mut wire).0, 1009);
}

#[test]
fn text_that_is_not_utf8_closes_with_1007() {
    let server = start();
    for target in ["/ws", "/echo"] {
        let mut wire = open(&server, target);
        wire.send(masked(Opcode::Text, b"caf\xe9"));
        assert_eq!(close_frame(&mut wire).0, 1007);
        // A character that a fragment's end cuts in two, and that never gets whole.
        let mut wire = open(&server, target);
        let mut first = masked(Opcode::Text, b"caf\xc3");
        first[0] &= 0x7f;
        wire.send(first);
        wire.send(masked(Opcode::Continuation, b""));
        assert_eq!(close_frame(&mut wire).0, 1007);
    }
    assert_eq!(server.feed().head(), Cursor(0));
}

#[test]
fn a_frame_that_breaks_the_protocol_closes_with_1002() {
    let server = start();
    let with_first_byte = |first: u8| {
        let mut bytes = masked(Opcode::Text, b"x");
        bytes[0] = first;
        bytes
    };
    let breaches = [
        ("unmasked", websocket::frame(Opcode::Text, b"x")),
        ("a reserved opcode for data", with_first_byte(0x83)),
        ("a reserved opcode for control", with_first_byte(0x8B)),
        ("a reserved bit", with_first_byte(0xC1)),
        ("a fragmented ping", with_first_byte(0x09)),
        ("a continuation of nothing", with_first_byte(0x80)),
        ("a new message within another", [with_first_byte(0x01), with_first_byte(0x81)].concat()),
        ("a ping of 126 bytes", masked(Opcode::Ping, &[b'x'; 126])),
        ("a close whose code is cut short", masked(Opcode::Close, b"\x03")),
        ("a close with a code that must not be sent", masked(Opcode::Close, &1005u16.to_be_bytes())),
        ("a close with a code that means nothing", masked(Opcode::Close, &1016u16.to_be_bytes())),
        ("a length of 2 in 16 bits", [&[0x81, 0x80 | 126, 0, 2][..], &[0; 4], b"hi"].concat()),
        ("a length of 2 in 64 bits", [&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 2][..], &[0; 4], b"hi"].concat()),
        ("a length of 65,535 in 64 bits", [0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff].to_vec()),
    ];
    for (breach, bytes) in breaches {
        for target in ["/ws", "/echo"] {
            let mut wire = open(&server, target);
            wire.send(&bytes);
            let (code, reason) = close_frame(&mut wire);
            assert_eq!(code, 1002, "{breach} on {target}: {reason}");
        }
    }
    assert_eq!(server.feed().head(), Cursor(0));
}

#[tokio::test]
async fn an_echo_gives_back_text_and_binary_up_to_1_mib() {
    let server = start();
    let mut socket = client(&server, "/echo").await;
    let messages = [
        Message::text("h\u{e9}llo"),
        Message::text(""),
        Message::binary(b"\0\xff".to_vec()),
        Message::binary(b"".to_vec()),
        Message::binary(vec![7; 125]),
        Message::binary(vec![7; 126]),
        Message::binary(vec![7; 65_535]),
        Message::text("x".repeat(65_536)),
        Message::binary(vec![7; LARGEST_ECHO]),
    ];
    for message in messages {
        socket.send(message.clone()).await.unwrap();
        assert!(next(&mut socket).await == message, "{} bytes", message.len());
    }
}

#[test]
fn an_echo_of_more_than_1_mib_is_refused_with_1009() {
    let server = start();
    let mut wire = open(&server, "/echo");
    let mut header = vec![0x82, 0x80 | 127];
    header.extend((LARGEST_ECHO as u64 + 1).to_be_bytes());
    header.extend([0; 4]);
    wire.send(header);
    assert_eq!(close_frame(&mut wire).0, 1009);
}

#[tokio::test]
async fn a_fragmented_message_with_a_ping_in_between_is_echoed_whole() {
    let server = start();
    let mut socket = client(&server, "/echo").await;
    let fragment = |data: &'static [u8], kind, last| Message::Frame(Frame::message(data, OpCode::Data(kind), last));
    socket.send(fragment(b"one ", Data::Text, false)).await.unwrap();
    socket.send(Message::Ping(b"still there?".as_slice().into())).await.unwrap();
    // Within a character: only the whole must be UTF-8.
    socket.send(fragment(b"tw\xc3", Data::Continue, false)).await.unwrap();
    socket.send(fragment(b"", Data::Continue, false)).await.unwrap();
    socket.send(fragment(b"\xb6 three", Data::Continue, true)).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong(b"still there?".as_slice().into()));
    assert_eq!(next(&mut socket).await, Message::text("one tw\u{f6} three"));
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_understood() {
    let server = start();
    let mut wire = open(&server, "/echo");
    for byte in masked(Opcode::Text, b"slow") {
        wire.send([byte]);
    }
    assert_eq!(frame(&mut wire), (Opcode::Text, b"slow".to_vec()));
}

#[test]
fn a_ping_is_answered_with_its_own_payload() {
    let server = start();
    for target in ["/ws", "/echo"] {
        let mut wire = open(&server, target);
        for payload in [&b""[..], b"payload", &[b'x'; 125]] {
            wire.send(masked(Opcode::Ping, payload));
            assert_eq!(frame(&mut wire), (Opcode::Pong, payload.to_vec()), "{target}");
        }
        // A pong that nobody asked for is no fault (RFC 6455, section 5.5.3).
        wire.send(masked(Opcode::Pong, b"unasked"));
        wire.send(masked(Opcode::Ping, b"after it"));
        assert_eq!(frame(&mut wire), (Opcode::Pong, b"after it".to_vec()), "{target}");
    }
}

#[tokio::test]
async fn a_clients_close_is_answered_and_then_the_server_ends_the_connection() {
    let server = start();
    for target in ["/ws", "/echo"] {
        let mut socket = client(&server, target).await;
        let farewell = CloseFrame { code: CloseCode::Normal, reason: "enough".into() };
        socket.close(Some(farewell.clone())).await.unwrap();
        let Message::Close(Some(answer)) = next(&mut socket).await else { panic!("{target}: no close frame") };
        assert_eq!(answer.code, farewell.code);
        assert!(tokio::time::timeout(PATIENCE, socket.next()).await.expect("the end").is_none());

        let mut wire = open(&server, target);
        wire.send(masked(Opcode::Close, b""));
        assert_eq!(frame(&mut wire), (Opcode::Close, vec![]), "a close without a code is answered in kind");
        assert_end(&mut wire);
    }
}

#[test]
fn every_close_code_that_iana_has_registered_or_left_to_applications_is_answered_in_kind() {
    let server = start();
    for target in ["/ws", "/echo"] {
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
            let mut wire = open(&server, target);
            wire.send(masked(Opcode::Close, &[&u16::to_be_bytes(code), &b"enough"[..]].concat()));
            assert_eq!(close_frame(&mut wire).0, code, "{target}");
            assert_end(&mut wire);
        }
    }
}

#[test]
fn a_message_before_a_frame_that_breaks_the_protocol_is_still_echoed() {
    let server = start();
    let mut wire = open(&server, "/echo");
    wire.send([masked(Opcode::Text, b"sound"), vec![0x81, 0x80 | 126, 0, 2, 0, 0, 0, 0, b'h', b'i']].concat());
    assert_eq!(frame(&mut wire), (Opcode::Text, b"sound".to_vec()));
    assert_closed_with(wire, 1002);
}

// RFC 6455, section 5.5.1: no data may follow a close frame. Whether an event becomes due while the server takes in the
// client's close is left to chance, hence the busy feed and the repetition.
#[test]
fn nothing_follows_the_close_frame_even_when_an_event_is_due() {
    let server = Server::start(&Options { rate: 20_000.0, ..options(10_000) }).unwrap();
    for attempt in 0..100 {
        let mut wire = open(&server, "/ws");
        wire.send([masked(Opcode::Text, b"last words"), masked(Opcode::Close, &1000u16.to_be_bytes())].concat());
        while frame(&mut wire).0 != Opcode::Close {}
        assert_eq!(wire.rest(), b"", "attempt {attempt}");
    }
}

// RFC 6455, section 7.1.1: a connection is ended cleanly. One that is ended while bytes are unread or still come is reset,
// and a client that is reset may lose the close frame that says why.
#[test]
fn a_client_at_fault_can_finish_its_message_and_answer_the_close_before_the_end() {
    let server = start();
    let faults = [(1009, masked(Opcode::Text, &[b'x'; 1 << 20])), (1007, masked(Opcode::Text, b"caf\xe9"))];
    for (code, message) in faults {
        let mut wire = open(&server, "/ws");
        wire.send(message);
        assert_closed_with(wire, code);
    }
}
