//! Publishes the events of a timetable through a server of another kind, each by an HTTP request, and records when.
//!
//! It has a thread and a connection of its own. Events that fall due while the server has not yet responded are published right after that, and
//! their latency counts from when they were due, so a slow server does not hide its slowness (coordinated omission).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use protocol::status::Published;
use protocol::timetable::Timetable;
use protocol::{clock, schedule};

use super::Publish;

/// Shortly before an event is due, the clock is polled, since a sleep may be late.
const POLL_CLOCK: Duration = Duration::from_micros(200);
/// The longest sleep, after which the publisher sees whether it has to stop.
const MAX_SLEEP: Duration = Duration::from_millis(20);
/// How long a response may take, and how long it may be, in bytes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// The events that were published so far, and the error that ended publishing, if there was one.
#[derive(Debug, Default)]
pub struct Log {
    /// The events, in order.
    pub published: Vec<Published>,
    /// The error that ended it.
    pub error: Option<String>,
}

/// The publishing thread; it ends when this is dropped.
pub struct Publisher {
    log: Arc<Mutex<Log>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to publish.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn start(publish: Publish, host: String, to: SocketAddr, timetable: Timetable) -> anyhow::Result<Self> {
        let stream = connect(to)?;
        let (log, stop) = (Arc::<Mutex<Log>>::default(), Arc::<AtomicBool>::default());
        let (shared, stopping) = (log.clone(), stop.clone());
        let thread = thread::Builder::new().name("publisher".into()).spawn(move || {
            if let Err(error) = run(&publish, &host, (stream, to), &timetable, &shared, &stopping) {
                shared.lock().expect("no holder panics").error = Some(format!("{error:#}"));
            }
        })?;
        Ok(Self { log, stop, thread: Some(thread) })
    }

    /// The events after the first `known`.
    ///
    /// # Errors
    /// When publishing has failed.
    pub fn published(&self, known: usize) -> anyhow::Result<Vec<Published>> {
        let log = self.log.lock().expect("no holder panics");
        if let Some(error) = &log.error {
            bail!("publishing has failed: {error}");
        }
        Ok(log.published.get(known..).unwrap_or_default().to_vec())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    publish: &Publish,
    host: &str,
    (mut stream, to): (TcpStream, SocketAddr),
    timetable: &Timetable,
    log: &Mutex<Log>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let headers: String = publish.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n{headers}", publish.method, publish.path);
    let offsets = schedule::offsets(timetable.spacing, timetable.rate, timetable.seed);
    for (number, offset) in (timetable.first..).zip(offsets) {
        let at = timetable.started_ns + offset.as_nanos() as u64;
        let due = protocol::timetable::Due { number, at };
        let event = String::from_utf8(timetable.json(due, number)).context("JSON is UTF-8")?;
        let body = publish.body(&event);
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        loop {
            if stop.load(Relaxed) {
                return Ok(());
            }
            let left = at.saturating_sub(clock::now_ns() + POLL_CLOCK.as_nanos() as u64);
            if left == 0 {
                break;
            }
            thread::sleep(Duration::from_nanos(left).min(MAX_SLEEP));
        }
        while clock::now_ns() < at {
            std::hint::spin_loop();
        }
        if has_ended(&stream) {
            stream = connect(to)?;
        }
        let entered = clock::now_ns();
        stream.write_all(request.as_bytes()).context("the connection was lost")?;
        log.lock().expect("no holder panics").published.push(Published { seq: number, at, entered });
        let status = response(&mut stream).context("no response")?;
        ensure!((200..300).contains(&status), "status {status}");
    }
    Ok(())
}

fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).with_context(|| format!("cannot reach the server at {to}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    Ok(stream)
}

/// Whether the server has ended an idle connection, as many do after some seconds.
fn has_ended(stream: &TcpStream) -> bool {
    let ended = stream.set_nonblocking(true).is_err() || matches!(stream.peek(&mut [0]), Ok(0));
    ended || stream.set_nonblocking(false).is_err()
}

/// Reads a response and returns its status.
fn response(stream: &mut TcpStream) -> io::Result<u16> {
    let mut received = Vec::new();
    let invalid = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_string());
    loop {
        let mut buffer = [0; 4 << 10];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        received.extend_from_slice(&buffer[..read]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        let length = match parsed.parse(&received) {
            Err(error) => return Err(invalid(&format!("what came is no HTTP: {error}"))),
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if received.len() > MAX_RESPONSE_BYTES => {
                return Err(invalid("headers without end"));
            }
            Ok(httparse::Status::Partial) => continue,
        };
        let status = parsed.code.unwrap_or(0);
        let header = |name: &str| {
            let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        let body = &received[length..];
        let complete = match (header("Content-Length"), header("Transfer-Encoding")) {
            (Some(length), _) => body.len() >= length.parse().map_err(|_| invalid("a wrong Content-Length"))?,
            (None, Some(_)) => body.ends_with(b"0\r\n\r\n"),
            (None, None) if status == 204 => true,
            (None, None) => {
                return Err(invalid(
                    "a response needs a Content-Length or chunks, so that the connection can be used again",
                ));
            }
        };
        if complete {
            return Ok(status);
        }
        if received.len() > MAX_RESPONSE_BYTES {
            return Err(invalid("a body without end"));
        }
    }
}
