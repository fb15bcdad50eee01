//! The wire trace: which bytes a page receives through its trace session, and which it does not.

use protocol::envelope::websocket::Opcode;
use serde_json::Value;
use server::{Options, Server};

use crate::support::figures::load;
use crate::support::frames::{HANDSHAKE, frame, masked, open};
use crate::support::{Wire, get, options, start};

/// The trace session of a page.
struct Trace(Wire);

impl Trace {
    fn open(server: &Server, session: &str) -> Self {
        let mut trace = Self(open(server, &format!("/watch?session={session}")));
        assert_eq!(trace.next("settings")["kind"], "settings");
        trace
    }

    /// Reads the next message of that kind.
    fn next(&mut self, kind: &str) -> Value {
        loop {
            let (opcode, text) = frame(&mut self.0);
            assert_eq!(opcode, Opcode::Text);
            let message: Value = serde_json::from_slice(&text).unwrap();
            if message["kind"] == kind {
                return message;
            }
        }
    }

    /// Reads chunks until the response to a poll of the lane `end`. Returns the lane, the direction and the bytes as text of each chunk.
    fn until_end(&mut self) -> Vec<(String, bool, String)> {
        let mut chunks = Vec::new();
        loop {
            let message = self.next("chunk");
            let digits = message["data"].as_str().unwrap();
            let bytes = digits.as_bytes().chunks(2).map(|byte| std::str::from_utf8(byte).unwrap());
            let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            assert_eq!(message["size"], bytes.len());
            let (lane, up) = (message["lane"].as_str().unwrap().to_string(), message["up"].as_bool().unwrap());
            if lane == "end" && !up {
                return chunks;
            }
            chunks.push((lane, up, String::from_utf8(bytes).unwrap()));
        }
    }
}

fn request(server: &Server, target: &str, headers: &str, body: &str) -> String {
    let (host, length) = (server.addresses().http, body.len());
    format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

/// Sends a poll of the lane `end`.
fn end(wire: &mut Wire) {
    wire.send("GET /poll?lane=mine.end HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(matches!(wire.response().0.status, 200 | 204));
}

#[test]
fn a_lane_shows_its_own_requests_and_not_others_on_the_same_connection() {
    let server = start();
    // One connection is older than the trace session, and its first request belongs to no lane; the other connection is newer.
    let mut older = Wire::connect(server.addresses().http);
    older.send(request(&server, "/publish", "", "before the session"));
    older.response();
    let mut trace = Trace::open(&server, "mine");
    for mut wire in [older, Wire::connect(server.addresses().http)] {
        let own = request(&server, "/publish?lane=mine.own", "", "own text");
        wire.send(&own);
        let (_, first_body) = wire.response();
        // Requests of others, as a proxy would send them: without a lane, with the lane of another session, and with bodies that arrive
        // late or look like a request.
        for (target, body) in [
            ("/publish", "text of another client"),
            ("/publish?lane=theirs.own", "more text of another client"),
            ("/publish", "GET /poll?lane=mine.own HTTP/1.1\r\n\r\n"),
        ] {
            let other = request(&server, target, "", body);
            let (headers, body) = other.split_at(other.len() - body.len());
            wire.send(headers);
            get(&server, "/healthz");
            wire.send(body);
            assert_eq!(wire.response().0.status, 202);
        }
        // Two requests in one write.
        wire.send(
            [request(&server, "/publish?lane=mine.own", "", "again"), request(&server, "/publish", "", "other")]
                .concat(),
        );
        let (_, second_body) = wire.response();
        wire.response();
        end(&mut wire);

        let chunks = trace.until_end();
        let text = |lane: &str, up: bool| {
            let selected = chunks.iter().filter(|(other, direction, _)| other == lane && *direction == up);
            selected.map(|(_, _, text)| text.as_str()).collect::<String>()
        };
        let requests = own + &request(&server, "/publish?lane=mine.own", "", "again");
        assert_eq!(text("own", true), requests.replace("lane=mine", "lane=****"), "the session's name is a secret");
        let down = text("own", false);
        assert!(
            down.starts_with("HTTP/1.1 202 ") && down.contains(&first_body) && down.ends_with(&second_body),
            "{down}"
        );
        assert_eq!(down.matches("HTTP/1.1").count(), 2, "{down}");
        assert!(chunks.iter().all(|(lane, ..)| lane == "own" || lane == "end"), "{chunks:?}");
    }
}

#[test]
fn each_poll_on_a_connection_is_shown_in_its_own_lane() {
    let server = start();
    let mut trace = Trace::open(&server, "mine");
    let mut wire = Wire::connect(server.addresses().http);
    for lane in ["?lane=mine.a", "", "?lane=theirs.a", "?lane=mine.b"] {
        wire.send(format!("GET /poll{lane} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(wire.response().0.status, 204);
    }
    end(&mut wire);
    let shown = trace.until_end();
    let shown: Vec<_> =
        shown.iter().map(|(lane, up, text)| (lane.as_str(), *up, text.lines().next().unwrap())).collect();
    let down = "HTTP/1.1 204 No Content";
    assert_eq!(
        shown,
        [
            ("a", true, "GET /poll?lane=****.a HTTP/1.1"),
            ("a", false, down),
            ("b", true, "GET /poll?lane=****.b HTTP/1.1"),
            ("b", false, down),
            ("end", true, "GET /poll?lane=****.end HTTP/1.1"),
        ]
    );
}

#[test]
fn a_lane_shows_its_frames_also_those_that_are_sent_with_the_handshake() {
    let server = start();
    let mut trace = Trace::open(&server, "mine");
    let lines: String = HANDSHAKE.map(|line| format!("{line}\r\n")).concat();
    let handshake = format!("GET /ws?lane=mine.own HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    let mut wire = Wire::connect(server.addresses().http);
    let early = masked(Opcode::Ping, b"");
    wire.send([handshake.as_bytes(), &early].concat());
    assert_eq!(wire.headers().status, 101);
    assert_eq!(frame(&mut wire).0, Opcode::Pong);
    let mut sizes = Vec::new();
    while sizes.len() < 2 {
        let message = trace.next("chunk");
        if message["up"] == true {
            sizes.push(message["size"].as_u64().unwrap() as usize);
        }
    }
    assert_eq!(sizes, [handshake.len(), early.len()]);
}

#[test]
fn secrets_are_masked_wherever_the_headers_are_divided() {
    let server = start();
    let mut trace = Trace::open(&server, "mine");
    let secret = "Cookie: session=SECRET\r\nAuthorization: Basic SECRET\r\nReferer: http://localhost/?token=SECRET\r\n";
    let masked_secret = secret.replace("SECRET", "******");
    let mut wire = Wire::connect(server.addresses().http);
    // The poll loop serves the first request, and hyper the second.
    let poll = format!("GET /poll?lane=mine.own HTTP/1.1\r\nHost: localhost\r\n{secret}\r\n");
    let post = request(&server, "/publish?lane=mine.own&token=SECRET", secret, "");
    for request in [&poll, &post] {
        for cut in (1..request.len()).step_by(7) {
            wire.send(&request[..cut]);
            wire.send(&request[cut..]);
            wire.response();
        }
    }
    end(&mut wire);
    let shown = trace.until_end();
    let up: String =
        shown.iter().filter(|(lane, up, _)| lane == "own" && *up).map(|(.., text)| text.as_str()).collect();
    let mask = |request: String| {
        request.replace(secret, &masked_secret).replace("SECRET", "******").replace("=mine.", "=****.")
    };
    let [poll, post] = [poll, post].map(mask);
    let times = |request: &str| request.len().div_ceil(7) - usize::from(request.len() % 7 == 1);
    assert_eq!(up, poll.repeat(times(&poll)) + &post.repeat(times(&post)));
}

#[test]
fn a_target_with_a_fragment_is_400_in_the_poll_loop_and_in_hyper() {
    let server = start();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let valid = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for target in ["/poll#x", "/poll?after=0#x", "/poll#", "/healthz#x", "/#", "http://localhost/healthz#x"] {
        // The first request on a connection, one after a poll, and one after a request to hyper; each also in the same write.
        for before in ["", "GET /poll HTTP/1.1\r\nHost: localhost\r\n\r\n", valid] {
            for together in [true, false] {
                let mut wire = Wire::connect(server.addresses().http);
                let pieces = [before.to_string(), get(target)];
                let pieces = if together { vec![pieces.concat()] } else { pieces.to_vec() };
                for piece in pieces {
                    wire.send(piece);
                }
                if !before.is_empty() {
                    assert!(matches!(wire.response().0.status, 200 | 204), "{target}");
                }
                assert_eq!(wire.response().0.status, 400, "{target} after {before:?}, together: {together}");
            }
        }
    }
}

#[test]
fn trace_sessions_of_viewers_leave_room_for_the_presenter() {
    const VIEWERS: usize = 192;
    let server = Server::start(&Options { token: Some("abcdefgh12345678".into()), ..options(1) }).unwrap();
    let mut traces: Vec<_> = (0..VIEWERS).map(|index| Trace::open(&server, &format!("viewer{index}"))).collect();
    let assert_refused = |server: &Server| {
        let (response, body) = Wire::request(server, "GET", "/watch?session=more", &HANDSHAKE).response();
        assert_eq!((response.status, body.as_str()), (409, "this session is already open, or there are too many\n"));
    };
    assert_refused(&server);
    let bearer = "Authorization: Bearer abcdefgh12345678";
    let mut presenter =
        Wire::request(&server, "GET", "/watch?session=presenter", &[&HANDSHAKE[..], &[bearer]].concat());
    assert_eq!(presenter.headers().status, 101);
    assert_eq!(Trace(presenter).next("settings")["control"], true);
    assert_refused(&server);
    assert_eq!(load(&server).watches_refused, 2);
    // Closing a session makes room for another.
    traces.pop();
    while Wire::request(&server, "GET", "/watch?session=more", &HANDSHAKE).headers().status == 409 {}
}
