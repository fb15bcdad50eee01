//! Publishes the events of a timetable through a server of another kind, and records when: each by an HTTP request, or by a message on a
//! WebSocket.
//!
//! It has a thread and a connection of its own. Events that fall due while the server has not yet confirmed the one before are published right
//! after that, and their latency counts from when they were due, so a slow server does not hide its slowness (coordinated omission).

mod connect;
mod http;
mod socket;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail};
use protocol::status::Published;
use protocol::timetable::Timetable;
use protocol::{clock, schedule};

use super::publish::{Over, Publish};
use http::Http;
use socket::Socket;

/// Shortly before an event is due, the clock is polled, since a sleep may be late.
const POLL_CLOCK: Duration = Duration::from_micros(200);
/// The longest sleep, after which the publisher sees whether it has to stop.
const MAX_SLEEP: Duration = Duration::from_millis(20);

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
        let sender = match publish.over {
            Over::Http => Sender::Http(Http::connect(publish, &host, to)?.into()),
            Over::Websocket => Sender::Socket(Socket::connect(publish, &host, to)?.into()),
        };
        let (log, stop) = (Arc::<Mutex<Log>>::default(), Arc::<AtomicBool>::default());
        let (shared, stopping) = (log.clone(), stop.clone());
        let thread = thread::Builder::new().name("publisher".into()).spawn(move || {
            if let Err(error) = run(sender, &timetable, &shared, &stopping) {
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

/// A connection to publish on.
enum Sender {
    /// For HTTP requests.
    Http(Box<Http>),
    /// A WebSocket.
    Socket(Box<Socket>),
}

impl Sender {
    /// What is sent to publish an event.
    fn encode(&self, event: &str) -> String {
        match self {
            Self::Http(http) => http.request(event),
            Self::Socket(socket) => socket.message(event),
        }
    }

    /// Handles what the server has sent, without waiting.
    fn idle(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Http(http) => http.reopen(),
            Self::Socket(socket) => socket.receive(),
        }
    }

    fn send(&mut self, encoded: String) -> anyhow::Result<()> {
        match self {
            Self::Http(http) => http.send(&encoded),
            Self::Socket(socket) => socket.send(encoded),
        }
    }

    /// Waits until the server has confirmed what was sent, if it does that.
    fn confirm(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Http(http) => http.confirm(),
            Self::Socket(socket) => socket.confirm(),
        }
    }
}

fn run(mut sender: Sender, timetable: &Timetable, log: &Mutex<Log>, stop: &AtomicBool) -> anyhow::Result<()> {
    let offsets = schedule::offsets(timetable.spacing, timetable.rate, timetable.seed);
    for (number, offset) in (timetable.first..).zip(offsets) {
        let at = timetable.started_ns + offset.as_nanos() as u64;
        let due = protocol::timetable::Due { number, at };
        let event = String::from_utf8(timetable.json(due, number)).context("JSON is UTF-8")?;
        let encoded = sender.encode(&event);
        loop {
            if stop.load(Relaxed) {
                return Ok(());
            }
            sender.idle()?;
            let left = at.saturating_sub(clock::now_ns() + POLL_CLOCK.as_nanos() as u64);
            if left == 0 {
                break;
            }
            thread::sleep(Duration::from_nanos(left).min(MAX_SLEEP));
        }
        while clock::now_ns() < at {
            std::hint::spin_loop();
        }
        let entered = clock::now_ns();
        sender.send(encoded)?;
        log.lock().expect("no holder panics").published.push(Published { seq: number, at, entered });
        sender.confirm()?;
    }
    Ok(())
}
