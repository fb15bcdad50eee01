//! One virtual subscriber: its connection, its place in the feed, and what it does with each event.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use protocol::framing::line;
use protocol::network::Network;
use protocol::result::Headers;
use protocol::{Bookmark, Cursor, Event, Gap, Layer, Transport, clock};

use crate::counted::{Counted, SharedLedger};
use crate::fault::Fault;
use crate::headers::{self, Caller};
use crate::hear::Taken;
use crate::link::{Link, Trace};
use crate::place::Place;
use crate::recorder::{Progress, Recorder, Sample, Shared};

/// An event's line longer than this is refused, in bytes: the largest payload, all of it escaped, and some.
const LONGEST_LINE: usize = 1 << 20;

/// Where subscribers connect to, and how they ask.
#[derive(Debug, Clone)]
pub struct Target {
    /// The port for HTTP and WebSocket.
    pub place: Place,
    /// The port for raw TCP.
    pub tcp: SocketAddr,
    /// Which headers requests bear.
    pub headers: Headers,
    /// Time from one poll's start to the next's.
    pub poll_interval: Duration,
    /// When an interval begins, in ns of our own clock, for all pollers of all processes alike: each polls at its own phase of it.
    pub poll_origin_ns: u64,
    /// The network that connections are led through.
    pub network: Network,
    /// Where to write down what goes over it.
    pub trace: Option<Trace>,
    /// How long to leave a lost connection alone before it is resumed.
    pub back_off: BackOff,
    /// How far the server's clock is ahead of ours, in ns; 0 on one host.
    pub clock_ahead_ns: i64,
}

/// How long a subscriber waits before it connects again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// At the least.
    pub least: Duration,
    /// And up to this much longer, at random.
    pub jitter: Duration,
}

impl Default for BackOff {
    /// 100 ms for all alike.
    fn default() -> Self {
        Self { least: Duration::from_millis(100), jitter: Duration::ZERO }
    }
}

impl Target {
    /// A server on this host, asked in few words, over the bare network.
    pub fn lean(place: Place, tcp: SocketAddr) -> Self {
        Self {
            place,
            tcp,
            headers: Headers::Lean,
            poll_interval: Duration::from_millis(250),
            poll_origin_ns: clock::now_ns(),
            network: Network::default(),
            trace: None,
            back_off: BackOff::default(),
            clock_ahead_ns: 0,
        }
    }

    /// Connects to the transport's port, over the network and within TLS as is set; `seed` decides on the network's jitter.
    ///
    /// # Errors
    /// Those of [`Counted::connect`].
    pub async fn connect(&self, transport: Transport, seed: u64, ledger: SharedLedger) -> io::Result<Counted> {
        let address = if transport == Transport::Tcp { self.tcp } else { self.place.address };
        let link = || Link::new(self.network, seed, self.trace.as_ref());
        let link = self.network.is_modelled().then(link).transpose()?;
        Counted::connect(address, link, self.place.tls.as_ref(), ledger).await
    }

    /// The head of a request for what follows a place, up to and without the blank line.
    pub fn get(&self, caller: Caller, path: &str, after: Bookmark) -> String {
        headers::get(self.headers, caller, &self.place, &format!("{path}?after={after}"))
    }
}

/// A subscriber on its current connection.
pub struct Subscriber {
    /// Where it connects to.
    pub target: Rc<Target>,
    /// Its connection.
    pub wire: Counted,
    /// How long after an interval's beginning its polls are due: pollers must not be in step.
    pub phase: Duration,
    /// Its place in the feed.
    pub progress: Progress,
    /// Whether its next request is to say of which feed its cursor is: the first one after a failure, since the server may have been
    /// started anew meanwhile.
    pub epoch_untold: bool,
    /// The record that it shares with the others.
    pub recorder: Shared,
    /// Whether it has told the recorder that its subscription stands.
    pub connected: bool,
}

impl Subscriber {
    /// One with a record of its own, connected to the HTTP port, and not subscribed to anything yet.
    ///
    /// # Errors
    /// Those of [`Target::connect`].
    pub async fn alone(target: &Target) -> io::Result<Self> {
        let recorder = Recorder::new(0..u64::MAX, 0, Arc::default());
        let wire = target.connect(Transport::WebSocket, 7, recorder.ledger.clone()).await?;
        Ok(Self {
            target: Rc::new(target.clone()),
            wire,
            phase: Duration::ZERO,
            progress: Progress::new(Cursor(0).into()),
            epoch_untold: false,
            recorder: Rc::new(RefCell::new(recorder)),
            connected: false,
        })
    }

    /// The last seq it has.
    pub fn cursor(&self) -> Cursor {
        self.progress.cursor()
    }

    /// Where its next request goes on. Of which feed that is a place is said once on a connection, since the server at its other end stays
    /// the same; behind a proxy that keeps connections for servers that come and go, that would have to be said each time.
    pub fn place(&mut self) -> Bookmark {
        let bookmark = self.progress.bookmark();
        if std::mem::take(&mut self.epoch_untold) { bookmark } else { bookmark.cursor.into() }
    }

    /// Says that the subscription stands: what is published from now on will come.
    pub fn connected(&mut self) {
        if !std::mem::replace(&mut self.connected, true) {
            self.recorder.borrow_mut().connected += 1;
        }
    }

    /// Takes an event's bytes: decodes it, stamps it, and records the delivery.
    ///
    /// # Errors
    /// When the bytes are no event.
    pub fn deliver(&mut self, json: &[u8]) -> Result<(), Fault> {
        let event = Event::decode(json)?;
        let received = clock::now_ns().saturating_add_signed(self.target.clock_ahead_ns);
        let sample = Sample { seq: event.seq, at: event.at, received };
        let mut ledger = self.wire.ledger();
        ledger[Layer::Event] += json.len() as u64;
        ledger.events += 1;
        drop(ledger);
        let mut recorder = self.recorder.borrow_mut();
        let Recorder { contents, faults, .. } = &mut *recorder;
        faults.altered += u64::from(!contents.agree(sample.seq, json));
        if self.progress.event(sample.seq, &mut recorder.faults) {
            recorder.deliver(sample);
        }
        Ok(())
    }

    /// Takes a gap that the server announced.
    pub fn gap(&mut self, gap: Gap) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.contents.begin(gap.epoch);
        self.progress.gap(gap, &mut recorder.faults);
    }

    /// Takes a line's content, an event or a gap; explains all but the line feed.
    ///
    /// # Errors
    /// When it is neither.
    pub fn event_or_gap(&mut self, json: &[u8]) -> Result<(), Fault> {
        if Gap::is_announced_by(json) {
            self.gap(Gap::decode(json)?);
            self.wire.explain(Layer::Framing, json.len());
            return Ok(());
        }
        self.deliver(json)
    }

    /// Takes one line of `bytes`, an event, a gap or a heartbeat, at most `most` of them; the first `known` have no end in them.
    ///
    /// # Errors
    /// When the line holds something else, or has no end.
    pub fn line<T>(&mut self, bytes: &[u8], known: usize, most: usize) -> Result<Taken<T>, Fault> {
        let bytes = &bytes[..bytes.len().min(most)];
        let known = known.min(bytes.len());
        let Some((_, more)) = line::split(&bytes[known..]) else {
            let endless = bytes.len() >= most.min(LONGEST_LINE);
            return if endless { Err(Fault::NotHttp("a line without end".into())) } else { Ok(Taken::Nothing) };
        };
        let whole = known + more;
        // An empty line is a heartbeat.
        if whole > 1 {
            self.event_or_gap(&bytes[..whole - 1])?;
        }
        self.wire.explain(Layer::Framing, 1);
        Ok(Taken::Bytes(whole))
    }
}
