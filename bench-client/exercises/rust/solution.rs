//! The solution of the exercises in Rust, with the standard library alone: one feed over polling, long polling, HTTP streaming, server-sent events
//! and WebSocket, with a thread for each connection.
//!
//! Build and run it as: rustc --edition=2021 -O solution.rs && ./solution PORT. Check it with: bench-client check http://127.0.0.1:PORT

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MAX_BYTES: usize = 64 << 10;
const KEPT: usize = 10_000;
const HEARTBEAT: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_secs(25);
/// How long a slow client may read nothing.
const STALL: Duration = Duration::from_secs(30);

// --- The feed: the newest events. Each subscriber has a cursor of its own, and waits for the feed's head to pass it.

#[derive(Default)]
struct Feed {
    events: Mutex<Vec<Arc<str>>>,
    /// How many events are not kept any more; the first kept one is the next.
    changed: Condvar,
    removed: Mutex<u64>,
}

enum Since {
    Events(Vec<(u64, Arc<str>)>),
    Gap(String),
}

impl Feed {
    fn publish(&self, data: &str) -> u64 {
        let mut events = self.events.lock().unwrap();
        let mut removed = self.removed.lock().unwrap();
        let seq = *removed + events.len() as u64 + 1;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        events.push(format!("{{\"seq\":{seq},\"at\":{at},\"data\":{}}}", json_string(data)).into());
        if events.len() > KEPT {
            events.remove(0);
            *removed += 1;
        }
        self.changed.notify_all();
        seq
    }

    fn head(&self) -> u64 {
        let events = self.events.lock().unwrap();
        *self.removed.lock().unwrap() + events.len() as u64
    }

    /// The events after a cursor, waiting for the first one if there is none yet, at most for that long.
    fn since(&self, after: u64, wait: Duration) -> Since {
        let events = self.events.lock().unwrap();
        let of = |events: &Vec<Arc<str>>| *self.removed.lock().unwrap() + events.len() as u64;
        let (events, _) = self.changed.wait_timeout_while(events, wait, |events| of(events) == after).unwrap();
        let removed = *self.removed.lock().unwrap();
        let head = removed + events.len() as u64;
        if after > head || after < removed {
            return Since::Gap(format!("{{\"gap\":{{\"after\":{after},\"oldest\":{}}}}}", removed + 1));
        }
        let first = (after - removed) as usize;
        Since::Events((after + 1..).zip(events[first..].iter().cloned()).collect())
    }
}

fn json_string(text: &str) -> String {
    let mut json = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if control < ' ' => json.push_str(&format!("\\u{:04x}", control as u32)),
            letter => json.push(letter),
        }
    }
    json + "\""
}

// --- HTTP.

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap_or("").to_string(), words.next().unwrap_or("/").to_string());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut request = Self { method, path: path.into(), query: query.into(), headers: Vec::new() };
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => request.headers.push((name.to_ascii_lowercase(), value.trim().into())),
                None => return Ok(Some(request)),
            }
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }

    /// The cursor: the newest event if the request names none, `None` if it is not a number.
    fn cursor(&self, feed: &Feed) -> Option<u64> {
        let last_id = if self.path == "/sse" { self.header("last-event-id") } else { None };
        let after = last_id.or_else(|| self.query.split('&').find_map(|part| part.strip_prefix("after=")));
        match after {
            None => Some(feed.head()),
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        }
    }
}

fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> io::Result<()> {
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "HTTP/1.1 {status} \r\n{headers}{length}\r\n{body}")
}

fn receive(request: &Request, reader: &mut BufReader<TcpStream>, stream: &mut TcpStream, feed: &Feed) -> io::Result<bool> {
    let length: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > MAX_BYTES {
        respond(stream, 413, "Connection: close\r\n", "at most 65536 bytes\n")?;
        return Ok(false);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    match std::str::from_utf8(&body) {
        Ok(text) => {
            let body = format!("{{\"seq\":{}}}", feed.publish(text));
            respond(stream, 202, "Content-Type: application/json\r\n", &body)?;
        }
        Err(_) => respond(stream, 400, "", "not UTF-8\n")?,
    }
    Ok(true)
}

// --- Polling and long polling.

fn poll(stream: &mut TcpStream, feed: &Feed, after: u64, wait: Duration) -> io::Result<()> {
    match feed.since(after, wait) {
        Since::Gap(gap) => respond(stream, 410, "Content-Type: application/json\r\n", &gap),
        Since::Events(events) if events.is_empty() => respond(stream, 204, &format!("Cursor: {after}\r\n"), ""),
        Since::Events(events) => {
            let last = events.last().map_or(after, |event| event.0);
            let headers = format!("Content-Type: application/x-ndjson\r\nCursor: {last}\r\n");
            respond(stream, 200, &headers, &events.iter().map(|event| format!("{}\n", event.1)).collect::<String>())
        }
    }
}

// --- Streams: chunks of a body that does not end.

fn stream_events(stream: &mut TcpStream, feed: &Feed, mut after: u64, is_sse: bool) -> io::Result<()> {
    let content_type = if is_sse { "text/event-stream" } else { "application/x-ndjson" };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let mut send = |text: &str| write!(stream, "{:x}\r\n{text}\r\n", text.len());
    loop {
        match feed.since(after, HEARTBEAT) {
            Since::Gap(gap) => {
                send(&if is_sse { format!("event: gap\ndata: {gap}\n\n") } else { format!("{gap}\n") })?;
                after = feed.head();
            }
            Since::Events(events) if events.is_empty() => send(if is_sse { ":\n\n" } else { "\n" })?,
            Since::Events(events) => {
                for (seq, json) in events {
                    send(&if is_sse { format!("id: {seq}\ndata: {json}\n\n") } else { format!("{json}\n") })?;
                    after = seq;
                }
            }
        }
    }
}

// --- WebSocket (RFC 6455).

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length if length < 126 => bytes.push(length as u8),
        length if length < 65_536 => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// The next frame: whether it is the last of its message, its opcode and payload; or the code with which to close.
fn next_frame(reader: &mut BufReader<TcpStream>) -> io::Result<Result<(bool, u8, Vec<u8>), u16>> {
    let mut bytes = |count: usize| {
        let mut bytes = vec![0; count];
        reader.read_exact(&mut bytes).map(|()| bytes)
    };
    let start = bytes(2)?;
    if start[0] & 0x70 != 0 || start[1] & 0x80 == 0 {
        return Ok(Err(1002));
    }
    let length = match start[1] & 0x7f {
        126 => bytes(2)?.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        127 => bytes(8)?.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        short => u64::from(short),
    };
    if length > MAX_BYTES as u64 {
        return Ok(Err(1009));
    }
    let mask = bytes(4)?;
    let mut payload = bytes(length as usize)?;
    payload.iter_mut().enumerate().for_each(|(index, byte)| *byte ^= mask[index % 4]);
    Ok(Ok((start[0] & 0x80 != 0, start[0] & 0xf, payload)))
}

fn websocket(request: &Request, reader: &mut BufReader<TcpStream>, stream: &mut TcpStream, feed: &Arc<Feed>) -> io::Result<()> {
    if !request.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
        return respond(stream, 426, "Upgrade: websocket\r\n", "a WebSocket\n");
    }
    if request.header("sec-websocket-version") != Some("13") {
        return respond(stream, 426, "Sec-WebSocket-Version: 13\r\n", "");
    }
    let (Some(key), Some(after)) = (request.header("sec-websocket-key"), request.cursor(feed)) else {
        return respond(stream, 400, "", "");
    };
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        base64(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
    )?;
    // Two threads write, so each frame is written under a lock. `None` once a close frame was sent.
    let writer = Arc::new(Mutex::new(Some(stream.try_clone()?)));
    let send = |writer: &Mutex<Option<TcpStream>>, opcode: u8, payload: &[u8]| {
        let mut writer = writer.lock().unwrap();
        let sent = writer.as_mut().map_or(Err(io::ErrorKind::BrokenPipe.into()), |stream| stream.write_all(&frame(opcode, payload)));
        if opcode == CLOSE {
            *writer = None;
        }
        sent
    };
    let (events, to) = (feed.clone(), writer.clone());
    thread::spawn(move || -> io::Result<()> {
        let mut after = after;
        loop {
            match events.since(after, HEARTBEAT) {
                Since::Gap(_) => return send(&to, CLOSE, &4410u16.to_be_bytes()),
                Since::Events(found) if found.is_empty() => send(&to, PING, b"")?,
                Since::Events(found) => {
                    for (seq, json) in found {
                        send(&to, TEXT, json.as_bytes())?;
                        after = seq;
                    }
                }
            }
        }
    });
    let mut message = Vec::new();
    loop {
        let code = match next_frame(reader)? {
            Err(code) => code,
            Ok((_, CLOSE, payload)) => {
                return send(&writer, CLOSE, payload.get(..2).unwrap_or_default());
            }
            Ok((_, PING, payload)) => {
                send(&writer, PONG, &payload)?;
                continue;
            }
            Ok((_, PONG, _)) => continue,
            Ok((fin, _, payload)) => {
                message.extend(payload);
                match (message.len() > MAX_BYTES, fin) {
                    (true, _) => 1009,
                    (false, false) => continue,
                    (false, true) => match String::from_utf8(std::mem::take(&mut message)) {
                        Ok(text) => {
                            feed.publish(&text);
                            continue;
                        }
                        Err(_) => 1007,
                    },
                }
            }
        };
        return send(&writer, CLOSE, &code.to_be_bytes());
    }
}

/// SHA-1 (RFC 3174), which the standard library lacks.
fn sha1(text: &[u8]) -> [u8; 20] {
    let mut state = [0x67452301u32, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((text.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words = [0u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks(4)) {
            *word = u32::from_be_bytes(bytes.try_into().unwrap());
        }
        for index in 16..80 {
            words[index] = (words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (index, word) in words.iter().enumerate() {
            let (f, k) = match index / 20 {
                0 => (b & c | !b & d, 0x5a827999),
                1 => (b ^ c ^ d, 0x6ed9eba1),
                2 => (b & c | b & d | c & d, 0x8f1bbcdc),
                _ => (b ^ c ^ d, 0xca62c1d6u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(value);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// Base64 (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index) & 63) as usize] as char;
            text.push(if index <= group.len() { letter } else { '=' });
        }
    }
    text
}

// --- Routes.

/// Ends the connection, and reads what the client has still sent: otherwise the kernel resets the connection, and the client may not get what was
/// sent last.
fn finish(reader: &mut BufReader<TcpStream>, writer: &TcpStream) {
    let _ = writer.shutdown(Shutdown::Write);
    let _ = writer.set_read_timeout(Some(Duration::from_secs(1)));
    while reader.read(&mut [0; 16 << 10]).is_ok_and(|length| length > 0) {}
}

fn serve(stream: TcpStream, feed: &Arc<Feed>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(STALL))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        let method = request.method.as_str();
        match (method, request.path.as_str()) {
            ("POST", "/publish") => {
                if !receive(&request, &mut reader, &mut writer, feed)? {
                    finish(&mut reader, &writer);
                    return Ok(());
                }
            }
            (_, "/publish") => respond(&mut writer, 405, "Allow: POST\r\n", "POST only\n")?,
            ("GET", "/ws") => {
                let ended = websocket(&request, &mut reader, &mut writer, feed);
                finish(&mut reader, &writer);
                return ended;
            }
            ("GET", path @ ("/poll" | "/long-poll" | "/stream" | "/sse")) => match (path, request.cursor(feed)) {
                (_, None) => respond(&mut writer, 400, "", "after is a number\n")?,
                ("/poll", Some(after)) => poll(&mut writer, feed, after, Duration::ZERO)?,
                ("/long-poll", Some(after)) => poll(&mut writer, feed, after, WAIT)?,
                (path, Some(after)) => return stream_events(&mut writer, feed, after, path == "/sse"),
            },
            (_, "/poll" | "/long-poll" | "/stream" | "/sse" | "/ws") => {
                respond(&mut writer, 405, "Allow: GET\r\n", "GET only\n")?;
            }
            _ => respond(&mut writer, 404, "", "nothing here\n")?,
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8000);
    let feed = Arc::new(Feed::default());
    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming().flatten() {
        let feed = feed.clone();
        // An error means that the client is gone.
        thread::spawn(move || serve(stream, &feed));
    }
    Ok(())
}
