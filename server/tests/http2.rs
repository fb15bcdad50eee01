//! HTTP/2 by hand, frame by frame: what is served, and what happens to clients that flood the server, do not read, or ask for too much.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use protocol::http2::{FrameHeader, HEADER_BYTES, Kind, PREFACE};
use protocol::status::Load;
use protocol::{clock, payload};
use server::{Options, Server};

/// How long a test waits for the server before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Error codes of RFC 9113, section 7.
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// Starts a server on free ports that publishes nothing by itself.
fn start(options: Options) -> Server {
    let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::start(&Options { listen: any_port, tcp_listen: any_port, rate: 0.0, ..options }).unwrap()
}

/// The server's figures, by HTTP/1.1.
fn load(server: &Server) -> Load {
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    stream.write_all(b"GET /load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn wait_until(server: &Server, condition: impl Fn(&Load) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition(&load(server)) {
        assert!(Instant::now() < deadline, "{:?}", load(server));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field of a header block, without compression (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// A request without a body; with `more` fields.
fn request(stream: u32, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block: Vec<u8> = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        .iter()
        .chain(more.iter().filter(|field| field.0.starts_with(':')))
        .chain(more.iter().filter(|field| !field.0.starts_with(':')))
        .flat_map(|(name, value)| field(name, value))
        .collect();
    let ends = if method == "CONNECT" { 0 } else { 1 };
    if method == "CONNECT" && more.is_empty() {
        // The plain CONNECT has neither scheme nor path (RFC 9113, section 8.5).
        block = [field(":method", "CONNECT"), field(":authority", "localhost:1")].concat();
    }
    frame(1, 4 | ends, stream, &block)
}

/// A connection on which frames are read one by one.
struct Client(TcpStream);

impl Client {
    /// Sends the preface with these settings (identifier, value).
    fn open(server: &Server, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(server.addresses().http).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        let mut client = Self(stream);
        client.send(&[PREFACE, &frame(4, 0, 0, &settings)].concat());
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next frame; `None` at the end of the connection.
    fn next(&mut self) -> Option<(FrameHeader, Vec<u8>)> {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact(&mut header).ok()?;
        let header = FrameHeader::parse(&header);
        let mut payload = vec![0; header.length];
        self.0.read_exact(&mut payload).ok()?;
        Some((header, payload))
    }

    /// The next frame of that kind on that stream.
    fn until(&mut self, kind: Kind, stream: u32) -> Vec<u8> {
        loop {
            let (header, payload) = self.next().expect("the connection ended too early");
            if (header.kind, header.stream) == (kind, stream) {
                return payload;
            }
        }
    }

    /// Everything up to the end of the connection.
    fn until_end(&mut self) -> Vec<(FrameHeader, Vec<u8>)> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// The status in the header block of a response, which this server's encoder sends as an index or as three digits.
fn status(block: &[u8]) -> u16 {
    // The indices of the static table (RFC 7541, appendix A).
    match first(block) & 0x7f {
        8 => 200,
        9 => 204,
        12 => 400,
        13 => 404,
        _ => {
            let digits = block.windows(3).find(|digits| digits.iter().all(u8::is_ascii_digit));
            digits.map_or_else(|| huffman(block), |digits| std::str::from_utf8(digits).unwrap().parse().unwrap())
        }
    }
}

/// The first byte of a field. Before it, the size of the dynamic table may be updated.
fn first(block: &[u8]) -> u8 {
    *block.iter().find(|byte| *byte & 0xe0 != 0x20).unwrap()
}

/// Whether the status is 200, which has an index of its own in the static table.
fn is_ok(block: &[u8]) -> bool {
    first(block) == 0x88
}

/// Three digits in Huffman's code, of which those from 0 to 2 have five bits and the others six (RFC 7541, appendix B).
fn huffman(block: &[u8]) -> u16 {
    let at = block.iter().position(|byte| *byte == 0x48 || *byte == 0x08).unwrap();
    let bits: String = block[at + 2..at + 5].iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut status) = (&*bits, 0);
    for _ in 0..3 {
        let short = u16::from_str_radix(&rest[..5], 2).unwrap();
        let (digit, length) =
            if short < 3 { (short, 5) } else { (u16::from_str_radix(&rest[..6], 2).unwrap() - 0x19 + 3, 6) };
        (status, rest) = (status * 10 + digit, &rest[length..]);
    }
    status
}

#[test]
fn a_client_with_prior_knowledge_is_served_however_its_preface_is_divided() {
    let server = start(Options::default());
    let mut client = Client(TcpStream::connect(server.addresses().http).unwrap());
    for byte in PREFACE {
        client.send(&[*byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    client.send(&frame(4, 0, 0, b""));
    client.send(&request(1, "GET", "/healthz", &[]));
    assert_eq!(status(&client.until(Kind::Headers, 1)), 200);
    assert_eq!(client.until(Kind::Data, 1), b"ok\n");
    client.send(&request(3, "HEAD", "/healthz", &[]));
    let (header, _) = std::iter::from_fn(|| client.next()).find(|(header, _)| header.kind == Kind::Headers).unwrap();
    assert!(header.ends_stream(), "the response to HEAD has no body");
    client.send(&request(5, "GET", "/nothing", &[]));
    assert_eq!(status(&client.until(Kind::Headers, 5)), 404);
    assert_eq!(load(&server).requests, 4, "with this one");
}

#[test]
fn events_long_polls_and_gaps_are_delivered_on_streams_of_one_connection() {
    let server = start(Options { history: 2, ..Options::default() });
    for data in ["a", "b", "c"] {
        server.feed().publish(clock::now_ns(), data);
    }
    let mut client = Client::open(&server, &[]);
    client.send(&request(1, "GET", "/stream?after=1", &[]));
    client.send(&request(3, "GET", "/long-poll?after=3&wait=10s", &[]));
    client.send(&request(5, "GET", "/poll?after=0", &[]));
    let gap = client.until(Kind::Data, 5);
    assert!(String::from_utf8_lossy(&gap).contains("\"gap\""), "{gap:?}");
    server.feed().publish(clock::now_ns(), "d");
    let polled = String::from_utf8(client.until(Kind::Data, 3)).unwrap();
    assert!(polled.contains("\"data\":\"d\"") && polled.lines().count() == 1, "{polled}");
    let mut client = Client::open(&server, &[]);
    client.send(&request(1, "GET", "/sse?after=2", &[]));
    let mut text = String::new();
    while !text.contains("\"data\":\"d\"") {
        text += std::str::from_utf8(&client.until(Kind::Data, 1)).unwrap();
    }
    assert_eq!(text.matches("\nid: ").count() + usize::from(text.starts_with("id: ")), 2, "{text}");
}

#[test]
fn the_only_protocol_of_connect_is_websocket() {
    let server = start(Options::default());
    let mut client = Client::open(&server, &[]);
    client.send(&request(1, "CONNECT", "/ws", &[(":protocol", "soap")]));
    assert_eq!(status(&client.until(Kind::Headers, 1)), 501);
    client.send(&request(3, "CONNECT", "", &[]));
    assert_eq!(status(&client.until(Kind::Headers, 3)), 405);
    client.send(&request(5, "GET", "/ws", &[]));
    assert_eq!(status(&client.until(Kind::Headers, 5)), 400);
    client.send(&request(7, "CONNECT", "/ws", &[(":protocol", "websocket"), ("sec-websocket-version", "8")]));
    assert_eq!(status(&client.until(Kind::Headers, 7)), 426);
    client.send(&request(9, "CONNECT", "/ws", &[(":protocol", "websocket"), ("sec-websocket-version", "13")]));
    assert_eq!(status(&client.until(Kind::Headers, 9)), 200);
    server.feed().publish(clock::now_ns(), "an event");
    assert_eq!(client.until(Kind::Data, 9)[0], 0x81, "a text frame");
    client.send(&request(11, "CONNECT", "/time", &[(":protocol", "websocket"), ("sec-websocket-version", "13")]));
    assert_eq!(status(&client.until(Kind::Headers, 11)), 400, "this path has no WebSocket");
}

#[test]
fn a_cookie_that_is_divided_into_several_fields_is_one() {
    let token = "abcdefgh12345678";
    let server = start(Options { token: Some(token.into()), ..Options::default() });
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    let request = format!(
        "POST /presenter HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let cookie = response.split("et-cookie: ").nth(1).unwrap().split(';').next().unwrap().to_string();
    let mut client = Client::open(&server, &[]);
    for (stream, cookies, expected) in [(1, &["a=b"][..], 403), (3, &["a=b", &cookie, "c=d"], 400)] {
        let cookies: Vec<(&str, &str)> = cookies.iter().map(|cookie| ("cookie", *cookie)).collect();
        client.send(&self::request(stream, "POST", "/control", &cookies));
        assert_eq!(
            status(&client.until(Kind::Headers, stream)),
            expected,
            "with the rights, the empty body is the fault"
        );
    }
}

#[test]
fn floods_of_pings_settings_and_resets_end_the_connection_and_others_are_served() {
    let server = start(Options::default());
    let mut other = Client::open(&server, &[]);
    other.send(&request(1, "GET", "/stream", &[]));
    assert_eq!(status(&other.until(Kind::Headers, 1)), 200);
    let ping = frame(6, 0, 0, &[0; 8]);
    let settings = frame(4, 0, 0, &[]);
    let resets = |number: u32| {
        let stream = 2 * number + 1;
        [request(stream, "GET", "/long-poll", &[]), frame(3, 0, stream, &CANCEL.to_be_bytes())].concat()
    };
    for flood in [ping.repeat(2_000), settings.repeat(2_000), (0..2_000).flat_map(resets).collect()] {
        let mut client = Client::open(&server, &[]);
        // An error means that the server has ended the connection already.
        let _ = client.0.write_all(&flood);
        client.until_end();
    }
    // The resets are stopped by hyper before they exceed the allowance.
    wait_until(&server, |load| load.floods >= 2);
    server.feed().publish(clock::now_ns(), "still here");
    assert!(String::from_utf8(other.until(Kind::Data, 1)).unwrap().contains("still here"));
}

#[test]
fn more_streams_than_a_connection_may_have_are_refused_and_so_are_more_than_the_server_may_have() {
    let server = start(Options { max_connections: 100, ..Options::default() });
    let mut client = Client::open(&server, &[]);
    for number in 0..130u32 {
        client.send(&request(2 * number + 1, "GET", "/stream", &[]));
    }
    let (mut served, mut unavailable, mut refused) = (0, 0, 0);
    while served + unavailable + refused < 130 {
        let (header, payload) = client.next().unwrap();
        match header.kind {
            Kind::Headers if is_ok(&payload) => served += 1,
            // Later ones refer to the dynamic table.
            Kind::Headers => {
                assert!(unavailable > 0 || status(&payload) == 503);
                unavailable += 1;
            }
            Kind::ResetStream => {
                assert_eq!(u32::from_be_bytes(payload.try_into().unwrap()), REFUSED_STREAM);
                refused += 1;
            }
            _ => {}
        }
    }
    // A refused stream ends, so that the next one has room.
    assert_eq!((served, served + unavailable + refused), (100, 130));
    assert_eq!(load(&server).streams_refused, unavailable);
}

#[test]
fn a_header_list_that_is_too_long_is_refused_and_the_connection_stays() {
    let server = start(Options::default());
    let mut client = Client::open(&server, &[]);
    let value = "x".repeat(120);
    let many: Vec<(String, &str)> = (0..110).map(|index| (format!("x-{index}"), &*value)).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    client.send(&request(1, "GET", "/healthz", &many));
    let (header, payload) = std::iter::from_fn(|| client.next()).find(|(header, _)| header.stream == 1).unwrap();
    match header.kind {
        Kind::Headers => assert_eq!(status(&payload), 431),
        kind => assert_eq!(kind, Kind::ResetStream),
    }
    client.send(&request(3, "GET", "/healthz", &[]));
    assert_eq!(status(&client.until(Kind::Headers, 3)), 200);
}

#[test]
fn a_stalled_stream_is_reset_and_the_others_of_its_connection_go_on() {
    let server = start(Options { stall_timeout: Duration::from_millis(300), ..Options::default() });
    // The streams begin with an empty window; only one of them is opened.
    let mut client = Client::open(&server, &[(4, 0)]);
    client.send(&request(1, "GET", "/stream", &[]));
    client.send(&request(3, "GET", "/stream", &[]));
    client.send(&frame(8, 0, 3, &(16u32 << 20).to_be_bytes()));
    client.send(&frame(8, 0, 0, &(16u32 << 20).to_be_bytes()));
    for stream in [1, 3] {
        assert_eq!(status(&client.until(Kind::Headers, stream)), 200);
    }
    for number in 1..=40 {
        server.feed().publish(clock::now_ns(), &payload::random(1, number, 8_000));
    }
    let (mut bytes, mut reset) = (0, None);
    while bytes < 40 * 8_000 || reset.is_none() {
        let (header, payload) = client.next().unwrap();
        match (header.kind, header.stream) {
            (Kind::Data, 3) => bytes += payload.len(),
            (Kind::Data, 1) => panic!("the window is empty"),
            (Kind::ResetStream, 1) => reset = Some(u32::from_be_bytes(payload.try_into().unwrap())),
            _ => {}
        }
    }
    assert_eq!(reset, Some(CANCEL));
    wait_until(&server, |load| load.connections_stalled == 1);
    server.feed().publish(clock::now_ns(), "one more");
    while !String::from_utf8_lossy(&client.until(Kind::Data, 3)).contains("one more") {}
}

#[test]
fn a_complete_response_that_is_not_read_ends_by_the_stall_timeout_too() {
    let server = start(Options { stall_timeout: Duration::from_millis(300), ..Options::default() });
    server.feed().publish(clock::now_ns(), "an event");
    for (streams_before, path) in [(0, "/published"), (1, "/poll?after=0"), (2, "/long-poll?after=0")] {
        let mut client = Client::open(&server, &[(4, 0)]);
        client.send(&request(1, "GET", path, &[]));
        assert_eq!(client.until(Kind::ResetStream, 1), CANCEL.to_be_bytes(), "{path}");
        wait_until(&server, |load| load.connections_stalled == streams_before + 1);
    }
}

#[test]
fn websockets_that_are_reset_at_once_leave_their_places_free() {
    const PLACES: usize = 8;
    let server = start(Options { max_connections: PLACES, ..Options::default() });
    let mut client = Client::open(&server, &[]);
    let websocket = [(":protocol", "websocket"), ("sec-websocket-version", "13")];
    let mut stream = 1;
    // One after the other: more at a time would be a flood.
    for _ in 0..5 * PLACES {
        client.send(&request(stream, "CONNECT", "/ws", &websocket));
        assert_eq!(status(&client.until(Kind::Headers, stream)), 200);
        client.send(&frame(3, 0, stream, &CANCEL.to_be_bytes()));
        stream += 2;
        // The server has noticed the reset before it replies.
        client.send(&frame(6, 0, 0, &[0; 8]));
        client.until(Kind::Ping, 0);
    }
    assert_eq!(load(&server).streams_refused, 0);
    for _ in 0..PLACES {
        client.send(&request(stream, "CONNECT", "/ws", &websocket));
        assert_eq!(status(&client.until(Kind::Headers, stream)), 200);
        stream += 2;
    }
    client.send(&request(stream, "CONNECT", "/ws", &websocket));
    assert_eq!(status(&client.until(Kind::Headers, stream)), 503, "now every place is taken");
}

#[test]
fn an_idle_connection_is_closed_and_one_with_a_stream_is_not() {
    let server = start(Options { idle_timeout: Duration::from_millis(300), ..Options::default() });
    let mut busy = Client::open(&server, &[]);
    busy.send(&request(1, "GET", "/stream", &[]));
    let mut idle = Client::open(&server, &[]);
    idle.send(&request(1, "GET", "/healthz", &[]));
    let frames = idle.until_end();
    assert!(frames.iter().any(|(header, _)| header.kind == Kind::GoAway), "{frames:?}");
    std::thread::sleep(Duration::from_millis(600));
    server.feed().publish(clock::now_ns(), "an event");
    assert!(String::from_utf8(busy.until(Kind::Data, 1)).unwrap().contains("an event"));
}

#[test]
fn a_shutdown_ends_streams_after_their_last_event() {
    let server = start(Options::default());
    let mut client = Client::open(&server, &[]);
    client.send(&request(1, "GET", "/stream", &[]));
    assert_eq!(status(&client.until(Kind::Headers, 1)), 200);
    server.feed().publish(clock::now_ns(), "the last one");
    let began = Instant::now();
    server.shutdown();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let frames = client.until_end();
    let data: Vec<u8> =
        frames.iter().filter(|(header, _)| header.kind == Kind::Data).flat_map(|frame| frame.1.clone()).collect();
    assert!(String::from_utf8(data).unwrap().contains("the last one"));
    assert!(
        frames.iter().any(|(header, _)| header.ends_stream())
            && frames.iter().any(|(header, _)| header.kind == Kind::GoAway)
    );
}
