//! WebSocket: the handshake, the frames and the closing handshake of `/ws` and `/echo` (RFC 6455).

use futures_util::{SinkExt, StreamExt};
use protocol::envelope::websocket::{self, Opcode};
use protocol::{Cursor, Event};
use server::{Options, Server};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use crate::support::frames::{HANDSHAKE, close_frame, frame, masked, open};
use crate::support::{Response, TIMEOUT, Wire, event, get, options, publish, start, start_with_history};

/// The largest message on `/ws`, in bytes.
const MAX_EVENT_BYTES: usize = 64 << 10;
/// The largest message on `/echo`, in bytes.
const MAX_ECHO_BYTES: usize = 16 << 20;

const KEY: &str = HANDSHAKE[3];

/// Sends the request of a valid handshake, but without the headers that begin with `without`, and with the headers `more`.
fn handshake(server: &Server, target: &str, without: &str, more: &[&str]) -> (Response, String) {
    let mut lines: Vec<&str> = HANDSHAKE.into_iter().filter(|line| !line.starts_with(without)).collect();
    lines.extend(more);
    Wire::request(server, "GET", target, &lines).response()
}

/// Checks that the server sends nothing more and closes the connection.
fn assert_end(wire: &mut Wire) {
    assert_eq!(wire.rest(), b"");
}

/// Checks that the server closes the connection with this code.
fn assert_closed_with(mut wire: Wire, code: u16) {
    let (received, reason) = close_frame(&mut wire);
    assert_eq!(received, code, "{reason}");
    wire.send(masked(Opcode::Close, &code.to_be_bytes()));
    assert_end(&mut wire);
}

/// Opens a WebSocket with the client of tungstenite.
async fn client(server: &Server, target: &str) -> WebSocketStream<TcpStream> {
    let address = server.addresses().http;
    let stream = TcpStream::connect(address).await.unwrap();
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let url = format!("ws://{address}{target}");
    let (socket, response) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await.unwrap();
    assert_eq!(response.status(), 101);
    socket
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    let message = tokio::time::timeout(TIMEOUT, socket.next()).await.expect("no message was received in time");
    message.expect("the connection was closed").unwrap()
}

#[test]
fn the_sample_handshake_of_the_rfc_is_accepted() {
    let server = start();
    for target in ["/ws", "/ws?after=0", "/echo"] {
        let response = Wire::request(&server, "GET", target, &HANDSHAKE).headers();
        assert_eq!(response.status, 101);
        assert_eq!(response.header("upgrade"), Some("websocket"));
        assert_eq!(response.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        // The server must not select what was not offered, and a 101 response has no body, so no length.
        for name in ["sec-websocket-extensions", "sec-websocket-protocol", "content-length", "transfer-encoding"] {
            assert_eq!(response.header(name), None);
        }
    }
}

#[test]
fn an_unknown_extension_or_protocol_is_not_selected_and_compression_is_unless_the_query_forbids_it() {
    let server = start();
    let selected = |target: &str, extension: &str| {
        let offers = [&*format!("Sec-WebSocket-Extensions: {extension}"), "Sec-WebSocket-Protocol: chat"];
        let (response, _) = handshake(&server, target, "none", &offers);
        assert_eq!((response.status, response.header("sec-websocket-protocol")), (101, None));
        response.header("sec-websocket-extensions").map(str::to_string)
    };
    assert_eq!(selected("/echo", "permessage-bzip2"), None);
    assert_eq!(selected("/echo", "permessage-deflate").as_deref(), Some("permessage-deflate"));
    assert_eq!(selected("/echo?compression=none", "permessage-deflate"), None);
    let shared = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(selected("/ws", "permessage-deflate; client_max_window_bits").as_deref(), Some(shared));
}

#[test]
fn header_values_are_parsed_as_lists_without_regard_to_case() {
    let server = start();
    let lists = ["connection: keep-alive, UPGRADE", "upgrade: h2c", "upgrade: WebSocket"];
    let mut lines = vec![HANDSHAKE[2], KEY];
    lines.extend(lists);
    assert_eq!(Wire::request(&server, "GET", "/ws", &lines).headers().status, 101);
}

#[test]
fn a_request_without_upgrade_is_426_with_the_protocol_to_upgrade_to() {
    let server = start();
    for target in ["/ws", "/echo"] {
        for more in [&[][..], &["Upgrade: h2c"]] {
            let (response, body) = handshake(&server, target, "Upgrade", more);
            assert_eq!((response.status, response.header("upgrade")), (426, Some("websocket")), "{target}");
            assert!(body.contains("Upgrade: websocket"), "{body}");
        }
        assert_eq!(Wire::request(&server, "GET", target, &[]).headers().status, 426);
    }
}

#[test]
fn another_version_is_426_with_the_supported_version() {
    let server = start();
    let wrong = ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 14", "Sec-WebSocket-Version: 13, 8"];
    for more in [&wrong[..1], &wrong[1..2], &wrong[2..], &[]] {
        let (response, body) = handshake(&server, "/ws", "Sec-WebSocket-Version", more);
        assert_eq!((response.status, response.header("sec-websocket-version")), (426, Some("13")), "{more:?}");
        assert_eq!(body, "the WebSocket version must be 13\n");
    }
}

// RFC 9110, section 15.5.22.
#[test]
fn every_426_names_the_protocol_to_upgrade_to() {
    let server = start();
    let (response, _) = handshake(&server, "/ws", "Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"]);
    assert_eq!((response.status, response.header("upgrade")), (426, Some("websocket")));
}

#[test]
fn a_key_that_is_not_16_bytes_given_once_is_400() {
    let server = start();
    let short = "Sec-WebSocket-Key: c2hvcnQ=";
    let long = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBpcyB0b28gbG9uZw==";
    for more in [&[][..], &["Sec-WebSocket-Key:"], &[short], &[long], &[KEY, KEY]] {
        let (response, body) = handshake(&server, "/ws", "Sec-WebSocket-Key", more);
        assert_eq!(response.status, 400, "{more:?}");
        assert_eq!(body, "Sec-WebSocket-Key must be given once, and be 16 bytes in base64\n");
    }
}

#[test]
fn a_handshake_without_connection_upgrade_is_400() {
    let server = start();
    for more in [&[][..], &["Connection: keep-alive"], &["Connection: upgraded"]] {
        let (response, body) = handshake(&server, "/ws", "Connection", more);
        assert_eq!((response.status, body.as_str()), (400, "a WebSocket handshake requires Connection: Upgrade\n"));
    }
}

#[test]
fn a_handshake_in_http_1_0_is_400() {
    let server = start();
    let mut wire = Wire::connect(server.addresses().http);
    wire.send(format!("GET /ws HTTP/1.0\r\nHost: localhost\r\n{}\r\n\r\n", HANDSHAKE.join("\r\n")));
    let (response, body) = wire.response();
    assert_eq!((response.status, body.as_str()), (400, "a WebSocket handshake requires HTTP/1.1\n"));
}

// RFC 6455, section 4.2.1: a handshake is a GET request.
#[test]
fn only_get_requests_are_upgraded() {
    let server = start();
    for target in ["/ws", "/echo"] {
        let response = Wire::request(&server, "POST", target, &HANDSHAKE).headers();
        assert_eq!((response.status, response.header("allow")), (405, Some("GET")));
        assert_eq!(Wire::request(&server, "HEAD", target, &HANDSHAKE).headers().status, 405);
    }
}

#[test]
fn an_invalid_query_is_400_before_the_upgrade() {
    let server = start();
    assert_eq!(handshake(&server, "/ws?after=x", "none", &[]).0.status, 400);
    assert_eq!(handshake(&server, "/echo?after=0", "none", &[]).0.status, 400);
    assert_eq!(get(&server, "/ws?after=x").0.status, 400);
}

#[test]
fn only_the_server_s_own_pages_may_open_the_websocket_of_the_feed() {
    let server = start();
    let own = format!("Origin: http://{}", server.addresses().http);
    assert_eq!(handshake(&server, "/ws", "none", &[&own]).0.status, 101);
    for origin in ["Origin: http://evil.example", "Origin: null"] {
        let (response, body) = handshake(&server, "/ws", "none", &[origin]);
        assert_eq!(
            (response.status, body.as_str()),
            (403, "only pages of this server and of the origins in its options may subscribe here\n")
        );
        // Any page may open `/echo`, since it publishes nothing.
        assert_eq!(handshake(&server, "/echo", "none", &[origin]).0.status, 101);
    }
}

#[test]
fn a_connection_whose_handshake_was_refused_can_be_used_again() {
    let server = start();
    let mut wire = Wire::request(&server, "GET", "/ws", &[]);
    assert_eq!(wire.response().0.status, 426);
    wire.send(format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", HANDSHAKE.join("\r\n")));
    assert_eq!(wire.headers().status, 101);
}

#[test]
fn frames_that_come_with_the_handshake_are_not_lost() {
    let server = start();
    let request = format!("GET /echo HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", HANDSHAKE.join("\r\n"));
    let mut wire = Wire::connect(server.addresses().http);
    wire.send([request.as_bytes(), &masked(Opcode::Text, b"first"), &masked(Opcode::Text, b"second")].concat());
    assert_eq!(wire.headers().status, 101);
    assert_eq!((frame(&mut wire).1, frame(&mut wire).1), (b"first".to_vec(), b"second".to_vec()));
}

#[test]
fn each_event_is_one_text_frame_whose_length_has_the_shortest_form() {
    let server = start();
    let data = ["", &"b".repeat(200), &"c".repeat(MAX_EVENT_BYTES)];
    publish(&server, &data);
    let mut wire = open(&server, "/ws?after=0");
    for (seq, data) in (1..).zip(data) {
        let (opcode, payload) = frame(&mut wire);
        assert_eq!(opcode, Opcode::Text);
        assert!(payload == event(seq, data).as_bytes(), "event {seq}");
    }
}

#[test]
fn a_subscriber_without_a_cursor_receives_future_events_only() {
    let server = start();
    publish(&server, &["before"]);
    let (mut new, mut resumed) = (open(&server, "/ws"), open(&server, "/ws?after=1"));
    publish(&server, &["after"]);
    for wire in [&mut new, &mut resumed] {
        assert_eq!(frame(wire), (Opcode::Text, event(2, "after").into_bytes()));
    }
}

#[test]
fn hundreds_of_events_are_received_once_and_in_order() {
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
async fn text_that_a_client_sends_is_published_to_all_subscribers() {
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
fn a_gap_closes_the_connection_with_4410_and_the_cursor_to_resume_from() {
    let server = start_with_history(2);
    publish(&server, &["a", "b", "c", "d", "e"]);
    let mut wire = open(&server, "/ws?after=1");
    let query = format!("after=3-{}", server.feed().epoch.0);
    assert_eq!(close_frame(&mut wire), (4410, format!("gap: go on {query}")));
    wire.send(masked(Opcode::Close, &4410u16.to_be_bytes()));
    assert_end(&mut wire);
    let mut wire = open(&server, &format!("/ws?{query}"));
    assert_eq!(frame(&mut wire).1, event(4, "d").into_bytes());
}

#[test]
fn a_cursor_of_another_feed_closes_the_connection_with_4410() {
    let server = start();
    publish(&server, &["a"]);
    for after in ["7", "1-17"] {
        let mut wire = open(&server, &format!("/ws?after={after}"));
        let reason = format!("gap: go on after=0-{}", server.feed().epoch.0);
        assert_eq!(close_frame(&mut wire), (4410, reason), "{after}");
    }
}

#[test]
fn a_binary_message_to_the_feed_closes_the_connection_with_1003() {
    let server = start();
    let mut wire = open(&server, "/ws");
    wire.send(masked(Opcode::Binary, b"\0"));
    assert_closed_with(wire, 1003);
    assert_eq!(server.feed().head(), Cursor(0));
}

#[test]
fn a_text_of_64_kib_is_published_and_a_larger_one_closes_the_connection_with_1009() {
    let server = start();
    let mut wire = open(&server, "/ws");
    let data = "x".repeat(MAX_EVENT_BYTES);
    wire.send(masked(Opcode::Text, data.as_bytes()));
    let (_, payload) = frame(&mut wire);
    assert!(Event::decode(&payload).unwrap().data == data);
    // The header alone announces a message that is too large; the payload is not sent.
    wire.send(&masked(Opcode::Text, &[b'x'; MAX_EVENT_BYTES + 1])[..14]);
    assert_eq!(close_frame(&mut wire).0, 1009);
    assert_eq!(server.feed().head(), Cursor(1));
}

#[test]
fn fragments_that_are_too_large_together_close_the_connection_with_1009() {
    let server = start();
    let mut wire = open(&server, "/ws");
    let mut first = masked(Opcode::Text, &[b'x'; MAX_EVENT_BYTES]);
    first[0] &= 0x7f;
    wire.send(first);
    wire.send(masked(Opcode::Continuation, b"x"));
    assert_eq!(close_frame(&mut wire).0, 1009);
}

#[test]
fn text_that_is_not_utf8_closes_the_connection_with_1007() {
    let server = start();
    for target in ["/ws", "/echo"] {
        let mut wire = open(&server, target);
        wire.send(masked(Opcode::Text, b"caf\xe9"));
        assert_eq!(close_frame(&mut wire).0, 1007);
        // A character that is divided at the end of a fragment and not completed.
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
fn a_frame_that_violates_the_protocol_closes_the_connection_with_1002() {
    let server = start();
    let with_first_byte = |first: u8| {
        let mut bytes = masked(Opcode::Text, b"x");
        bytes[0] = first;
        bytes
    };
    let violations = [
        ("unmasked", websocket::encode(Opcode::Text, b"x")),
        ("a reserved opcode for data", with_first_byte(0x83)),
        ("a reserved opcode for control", with_first_byte(0x8B)),
        ("a reserved bit", with_first_byte(0xC1)),
        ("a fragmented ping", with_first_byte(0x09)),
        ("a continuation without a first frame", with_first_byte(0x80)),
        ("a new message within another", [with_first_byte(0x01), with_first_byte(0x81)].concat()),
        ("a ping of 126 bytes", masked(Opcode::Ping, &[b'x'; 126])),
        ("a close frame with half a code", masked(Opcode::Close, b"\x03")),
        ("a close frame with a code that must not be sent", masked(Opcode::Close, &1005u16.to_be_bytes())),
        ("a close frame with an undefined code", masked(Opcode::Close, &1016u16.to_be_bytes())),
        ("a length of 2 in 16 bits", [&[0x81, 0x80 | 126, 0, 2][..], &[0; 4], b"hi"].concat()),
        ("a length of 2 in 64 bits", [&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 2][..], &[0; 4], b"hi"].concat()),
        ("a length of 65,535 in 64 bits", [0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff].to_vec()),
    ];
    for (violation, bytes) in violations {
        for target in ["/ws", "/echo"] {
            let mut wire = open(&server, target);
            wire.send(&bytes);
            let (code, reason) = close_frame(&mut wire);
            assert_eq!(code, 1002, "{violation} on {target}: {reason}");
        }
    }
    assert_eq!(server.feed().head(), Cursor(0));
}

#[tokio::test]
async fn text_and_binary_messages_up_to_1_mib_are_echoed() {
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
        Message::binary(vec![7; MAX_ECHO_BYTES]),
    ];
    for message in messages {
        socket.send(message.clone()).await.unwrap();
        assert!(next(&mut socket).await == message, "{} bytes", message.len());
    }
}

#[test]
fn a_message_of_more_than_16_mib_to_echo_closes_the_connection_with_1009() {
    let server = start();
    let mut wire = open(&server, "/echo");
    let mut header = vec![0x82, 0x80 | 127];
    header.extend((MAX_ECHO_BYTES as u64 + 1).to_be_bytes());
    header.extend([0; 4]);
    wire.send(header);
    assert_eq!(close_frame(&mut wire).0, 1009);
}

#[tokio::test]
async fn a_fragmented_message_with_a_ping_between_its_fragments_is_echoed() {
    let server = start();
    let mut socket = client(&server, "/echo").await;
    let fragment = |data: &'static [u8], kind, last| Message::Frame(Frame::message(data, OpCode::Data(kind), last));
    socket.send(fragment(b"one ", Data::Text, false)).await.unwrap();
    socket.send(Message::Ping(b"still there?".as_slice().into())).await.unwrap();
    // This fragment ends within a character: only the complete message must be UTF-8.
    socket.send(fragment(b"tw\xc3", Data::Continue, false)).await.unwrap();
    socket.send(fragment(b"", Data::Continue, false)).await.unwrap();
    socket.send(fragment(b"\xb6 three", Data::Continue, true)).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong(b"still there?".as_slice().into()));
    assert_eq!(next(&mut socket).await, Message::text("one tw\u{f6} three"));
}

#[test]
fn a_frame_may_arrive_byte_by_byte() {
    let server = start();
    let mut wire = open(&server, "/echo");
    for byte in masked(Opcode::Text, b"slow") {
        wire.send([byte]);
    }
    assert_eq!(frame(&mut wire), (Opcode::Text, b"slow".to_vec()));
}

#[test]
fn the_pong_to_a_ping_has_the_same_payload() {
    let server = start();
    for target in ["/ws", "/echo"] {
        let mut wire = open(&server, target);
        for payload in [&b""[..], b"payload", &[b'x'; 125]] {
            wire.send(masked(Opcode::Ping, payload));
            assert_eq!(frame(&mut wire), (Opcode::Pong, payload.to_vec()), "{target}");
        }
        // An unsolicited pong is allowed (RFC 6455, section 5.5.3).
        wire.send(masked(Opcode::Pong, b"unsolicited"));
        wire.send(masked(Opcode::Ping, b"after it"));
        assert_eq!(frame(&mut wire), (Opcode::Pong, b"after it".to_vec()), "{target}");
    }
}

#[tokio::test]
async fn the_server_replies_to_a_client_s_close_frame_and_closes_the_connection() {
    let server = start();
    for target in ["/ws", "/echo"] {
        let mut socket = client(&server, target).await;
        let sent = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
        socket.close(Some(sent.clone())).await.unwrap();
        let Message::Close(Some(reply)) = next(&mut socket).await else { panic!("{target}: no close frame") };
        assert_eq!(reply.code, sent.code);
        let end = tokio::time::timeout(TIMEOUT, socket.next()).await.expect("the connection was not closed in time");
        assert!(end.is_none());

        let mut wire = open(&server, target);
        wire.send(masked(Opcode::Close, b""));
        assert_eq!(frame(&mut wire), (Opcode::Close, vec![]), "the reply to a close frame without a code has none");
        assert_end(&mut wire);
    }
}

#[test]
fn the_reply_to_a_close_frame_with_a_registered_or_private_code_has_the_same_code() {
    let server = start();
    for target in ["/ws", "/echo"] {
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
            let mut wire = open(&server, target);
            wire.send(masked(Opcode::Close, &[&u16::to_be_bytes(code), &b"done"[..]].concat()));
            assert_eq!(close_frame(&mut wire).0, code, "{target}");
            assert_end(&mut wire);
        }
    }
}

#[test]
fn a_message_before_a_frame_that_violates_the_protocol_is_still_echoed() {
    let server = start();
    let mut wire = open(&server, "/echo");
    wire.send([masked(Opcode::Text, b"valid"), vec![0x81, 0x80 | 126, 0, 2, 0, 0, 0, 0, b'h', b'i']].concat());
    assert_eq!(frame(&mut wire), (Opcode::Text, b"valid".to_vec()));
    assert_closed_with(wire, 1002);
}

// RFC 6455, section 5.5.1: no data may follow a close frame. Whether an event is due while the server processes the client's close frame
// depends on chance, so the rate is high and the attempt is repeated.
#[test]
fn no_frame_follows_the_server_s_close_frame_even_if_an_event_is_due() {
    let server = Server::start(&Options { rate: 20_000.0, ..options(10_000) }).unwrap();
    for attempt in 0..100 {
        let mut wire = open(&server, "/ws");
        wire.send([masked(Opcode::Text, b"last message"), masked(Opcode::Close, &1000u16.to_be_bytes())].concat());
        while frame(&mut wire).0 != Opcode::Close {}
        assert_eq!(wire.rest(), b"", "attempt {attempt}");
    }
}

// RFC 6455, section 7.1.1: a connection is closed cleanly. If the server closed it while there are unread bytes, the connection would be
// reset, and the client might lose the close frame with the reason.
#[test]
fn after_an_error_a_client_can_finish_its_message_and_reply_to_the_close_frame() {
    let server = start();
    let faults = [(1009, masked(Opcode::Text, &[b'x'; 1 << 20])), (1007, masked(Opcode::Text, b"caf\xe9"))];
    for (code, message) in faults {
        let mut wire = open(&server, "/ws");
        wire.send(message);
        assert_closed_with(wire, code);
    }
}
