//! A server to complete, in Rust with the standard library alone. What is missing is marked TODO, in the order of the exercises.
//!
//! Build and run it as: rustc --edition=2021 -O server.rs && ./server PORT. Check an exercise with: bench-client check http://127.0.0.1:PORT --exercise polling

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

// --- The feed: all events. It is complete.

#[derive(Default)]
struct Feed {
    events: Mutex<Vec<Arc<str>>>,
    changed: Condvar,
}

impl Feed {
    fn publish(&self, data: &str) -> usize {
        let mut events = self.events.lock().unwrap();
        let seq = events.len() + 1;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        events.push(format!("{{\"seq\":{seq},\"at\":{at},\"data\":{}}}", json_string(data)).into());
        self.changed.notify_all();
        seq
    }

    fn head(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    /// The events after a cursor, waiting for the first one if there is none yet, at most for that long; `None` if the feed has never had the
    /// cursor.
    #[allow(dead_code)]
    fn since(&self, after: usize, wait: Duration) -> Option<Vec<Arc<str>>> {
        let events = self.events.lock().unwrap();
        let (events, _) = self.changed.wait_timeout_while(events, wait, |events| events.len() == after).unwrap();
        Some(events.get(after..)?.to_vec())
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
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => request.headers.push((name.to_ascii_lowercase(), value.trim().into())),
                None => return Ok(Some(request)),
            }
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }
}

fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> io::Result<()> {
    stream.write_all(format!("HTTP/1.1 {status} \r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

// --- Publishing.

fn receive(request: &Request, reader: &mut BufReader<TcpStream>, stream: &mut TcpStream, feed: &Feed) -> io::Result<()> {
    // TODO publishing: refuse more than 64 KiB (413), and bytes that are not UTF-8 (400).
    let mut body = vec![0; request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let seq = feed.publish(&String::from_utf8_lossy(&body));
    respond(stream, 202, "", &format!("{{\"seq\":{seq}}}"))
}

// --- Exercises.

fn poll(stream: &mut TcpStream, _feed: &Feed, _after: usize) -> io::Result<()> {
    // TODO polling: the events after the cursor as lines of JSON, with the header Cursor; 204 if there is none; 410 with a gap.
    respond(stream, 501, "", "polling is still to be written\n")
}

fn long_poll(stream: &mut TcpStream, _feed: &Feed, _after: usize) -> io::Result<()> {
    // TODO long polling: as poll(), but wait for the next event if there is none.
    respond(stream, 501, "", "long polling is still to be written\n")
}

fn stream_events(stream: &mut TcpStream, _feed: &Feed, _after: usize) -> io::Result<()> {
    // TODO ndjson: a body in chunks that does not end, with a line for each event, old ones first, and a blank line now and then.
    respond(stream, 501, "", "HTTP streaming is still to be written\n")
}

fn sse(stream: &mut TcpStream, _feed: &Feed, _after: usize, _last_event_id: Option<&str>) -> io::Result<()> {
    // TODO sse: the same as server-sent events, each with its id; a browser resumes with Last-Event-ID.
    respond(stream, 501, "", "server-sent events are still to be written\n")
}

fn websocket(stream: &mut TcpStream, _feed: &Feed, _after: usize, _request: &Request) -> io::Result<()> {
    // TODO websocket: the handshake (RFC 6455, section 4.2), then a text frame for each event. Read frames, too: messages, pings, the close.
    respond(stream, 501, "", "WebSocket is still to be written\n")
}

// --- Routes.

fn serve(stream: TcpStream, feed: &Feed) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        // TODO publishing: 405 for another method. TODO polling: 400 if after is not a number.
        let after = request.query.split('&').find_map(|part| part.strip_prefix("after=")?.parse().ok());
        let after = after.unwrap_or_else(|| feed.head());
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/publish") => receive(&request, &mut reader, &mut writer, feed)?,
            (_, "/poll") => poll(&mut writer, feed, after)?,
            (_, "/long-poll") => long_poll(&mut writer, feed, after)?,
            (_, "/stream") => stream_events(&mut writer, feed, after)?,
            (_, "/sse") => sse(&mut writer, feed, after, request.header("last-event-id"))?,
            (_, "/ws") => websocket(&mut writer, feed, after, &request)?,
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
