//! What a page that watches its lanes is shown of the wire, and what it is not.

use protocol::framing::websocket::Opcode;
use serde_json::Value;
use server::{Options, Server};

use crate::support::figures::load;
use crate::support::frames::{HANDSHAKE, frame, masked, open};
use crate::support::{Wire, get, options, start};

/// A page that watches.
struct Watch(Wire);

impl Watch {
    fn open(server: &Server, session: &str) -> Self {
        let mut watch = Self(open(server, &format!("/watch?session={session}")));
        assert_eq!(watch.next("settings")["kind"], "settings");
        watch
    }

    fn next(&mut self, kind: &str) -> Value {
        loop {
            let (opcode, text) = frame(&mut self.0);
            assert_eq!(opcode, Opcode::Text);
            let told: Value = serde_json::from_slice(&text).unwrap();
            if told["kind"] == kind {
                return told;
            }
        }
    }

    /// All that crossed until a poll of the lane `end` was answered: lane, direction and bytes as text.
    fn until_end(&mut self) -> Vec<(String, bool, String)> {
        let mut crossings = Vec::new();
        loop {
            let told = self.next("crossing");
            let digits = told["data"].as_str().unwrap();
            let bytes = digits.as_bytes().chunks(2).map(|byte| std::str::from_utf8(byte).unwrap());
            let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            assert_eq!(told["size"], bytes.len());
            let (lane, up) = (told["lane"].as_str().unwrap().to_string(), told["up"].as_bool().unwrap());
            if lane == "end" && !up {
                return crossings;
            }
            crossings.push((lane, up, String::from_utf8(bytes).unwrap()));
        }
    }
}

fn request(server: &Server, target: &str, headers: &str, body: &str) -> String {
    let (host, length) = (server.addresses().http, body.len());
    format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

fn end(wire: &mut Wire) {
    wire.send("GET /poll?lane=mine.end HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(matches!(wire.answer().0.status, 200 | 204));
}

#[test]
fn a_lane_is_shown_its_own_requests_and_none_of_those_that_a_proxy_sends_over_the_same_connection() {
    let server = start();
    // One connection is older than the watch, the other is not; what they were told before is nobody's.
    let mut older = Wire::connect(server.addresses().http);
    older.send(request(&server, "/publish", "", "before anyone watched"));
    older.answer();
    let mut watch = Watch::open(&server, "mine");
    for mut wire in [older, Wire::connect(server.addresses().http)] {
        let own = request(&server, "/publish?lane=mine.own", "", "my own words");
        wire.send(&own);
        let (_, answered) = wire.answer();
        // Somebody else's, in all the ways in which a lane is not named, with bodies that come late or look like requests.
        for (target, body) in [
            ("/publish", "the words of another"),
            ("/publish?lane=theirs.own", "more words of another"),
            ("/publish", "GET /poll?lane=mine.own HTTP/1.1\r\n\r\n"),
        ] {
            let whole = request(&server, target, "", body);
            let (head, body) = whole.split_at(whole.len() - body.len());
            wire.send(head);
            get(&server, "/healthz");
            wire.send(body);
            assert_eq!(wire.answer().0.status, 202);
        }
        // Several at once.
        wire.send(
            [request(&server, "/publish?lane=mine.own", "", "again"), request(&server, "/publish", "", "other")]
                .concat(),
        );
        let (_, again) = wire.answer();
        wire.answer();
        end(&mut wire);

        let crossings = watch.until_end();
        let text = |lane: &str, up: bool| {
            let those = crossings.iter().filter(|(other, direction, _)| other == lane && *direction == up);
            those.map(|(_, _, text)| text.as_str()).collect::<String>()
        };
        let whole = own + &request(&server, "/publish?lane=mine.own", "", "again");
        assert_eq!(text("own", true), whole.replace("lane=mine", "lane=****"), "the session's name is a secret");
        let down = text("own", false);
        assert!(down.starts_with("HTTP/1.1 202 ") && down.contains(&answered) && down.ends_with(&again), "{down}");
        assert_eq!(down.matches("HTTP/1.1").count(), 2, "{down}");
        assert!(crossings.iter().all(|(lane, ..)| lane == "own" || lane == "end"), "{crossings:?}");
    }
}

#[test]
fn a_connection_that_only_polls_shows_each_poll_to_its_own_lane() {
    let server = start();
    let mut watch = Watch::open(&server, "mine");
    let mut wire = Wire::connect(server.addresses().http);
    for lane in ["?lane=mine.a", "", "?lane=theirs.a", "?lane=mine.b"] {
        wire.send(format!("GET /poll{lane} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(wire.answer().0.status, 204);
    }
    end(&mut wire);
    let shown = watch.until_end();
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
fn a_lane_s_frames_are_shown_to_it_also_those_that_come_with_the_handshake() {
    let server = start();
    let mut watch = Watch::open(&server, "mine");
    let lines: String = HANDSHAKE.map(|line| format!("{line}\r\n")).concat();
    let handshake = format!("GET /ws?lane=mine.own HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    let mut wire = Wire::connect(server.addresses().http);
    let early = masked(Opcode::Ping, b"");
    wire.send([handshake.as_bytes(), &early].concat());
    assert_eq!(wire.head().status, 101);
    assert_eq!(frame(&mut wire).0, Opcode::Pong);
    let mut sizes = Vec::new();
    while sizes.len() < 2 {
        let told = watch.next("crossing");
        if told["up"] == true {
            sizes.push(told["size"].as_u64().unwrap() as usize);
        }
    }
    assert_eq!(sizes, [handshake.len(), early.len()]);
}

#[test]
fn secrets_are_masked_in_what_is_shown_wherever_a_head_is_cut() {
    let server = start();
    let mut watch = Watch::open(&server, "mine");
    let secret = "Cookie: session=SECRET\r\nAuthorization: Basic SECRET\r\nReferer: http://localhost/?token=SECRET\r\n";
    let hidden = secret.replace("SECRET", "******");
    let mut wire = Wire::connect(server.addresses().http);
    // One that polls, and one that hyper serves.
    let poll = format!("GET /poll?lane=mine.own HTTP/1.1\r\nHost: localhost\r\n{secret}\r\n");
    let post = request(&server, "/publish?lane=mine.own&token=SECRET", secret, "");
    for whole in [&poll, &post] {
        for cut in (1..whole.len()).step_by(7) {
            wire.send(&whole[..cut]);
            wire.send(&whole[cut..]);
            wire.answer();
        }
    }
    end(&mut wire);
    let shown = watch.until_end();
    let up: String =
        shown.iter().filter(|(lane, up, _)| lane == "own" && *up).map(|(.., text)| text.as_str()).collect();
    let shown = |whole: String| whole.replace(secret, &hidden).replace("SECRET", "******").replace("=mine.", "=****.");
    let [poll, post] = [poll, post].map(shown);
    let times = |whole: &str| whole.len().div_ceil(7) - usize::from(whole.len() % 7 == 1);
    assert_eq!(up, poll.repeat(times(&poll)) + &post.repeat(times(&post)));
}

#[test]
fn a_target_with_a_fragment_is_400_on_each_way_through_http() {
    let server = start();
    let fragment = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let fine = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for target in ["/poll#x", "/poll?after=0#x", "/poll#", "/healthz#x", "/#", "http://localhost/healthz#x"] {
        // The first on its connection, one behind a poll, and one behind what hyper serves; each also together with that.
        for before in ["", "GET /poll HTTP/1.1\r\nHost: localhost\r\n\r\n", fine] {
            for together in [true, false] {
                let mut wire = Wire::connect(server.addresses().http);
                let pieces = [before.to_string(), fragment(target)];
                let pieces = if together { vec![pieces.concat()] } else { pieces.to_vec() };
                for piece in pieces {
                    wire.send(piece);
                }
                if !before.is_empty() {
                    assert!(matches!(wire.answer().0.status, 200 | 204), "{target}");
                }
                assert_eq!(wire.answer().0.status, 400, "{target} behind {before:?}, together: {together}");
            }
        }
    }
}

#[test]
fn viewers_who_watch_leave_room_for_the_presenter() {
    const VIEWERS: usize = 192;
    let server = Server::start(&Options { token: Some("abcdefgh12345678".into()), ..options(1) }).unwrap();
    let mut watches: Vec<_> = (0..VIEWERS).map(|index| Watch::open(&server, &format!("viewer{index}"))).collect();
    let refused = |server: &Server| {
        let (head, body) = Wire::request(server, "GET", "/watch?session=more", &HANDSHAKE).answer();
        assert_eq!((head.status, body.as_str()), (409, "this session is watched already, or too many are\n"));
    };
    refused(&server);
    let bearer = "Authorization: Bearer abcdefgh12345678";
    let mut presenter =
        Wire::request(&server, "GET", "/watch?session=presenter", &[&HANDSHAKE[..], &[bearer]].concat());
    assert_eq!(presenter.head().status, 101);
    assert_eq!(Watch(presenter).next("settings")["control"], true);
    refused(&server);
    assert_eq!(load(&server).watches_refused, 2);
    // One that leaves makes room.
    watches.pop();
    while Wire::request(&server, "GET", "/watch?session=more", &HANDSHAKE).head().status == 409 {}
}
