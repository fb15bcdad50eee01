//! One simulated subscriber: its connection, its cursor, and how it handles each event.

pub(crate) mod headers;
pub(crate) mod receive;
pub mod session;
pub mod stop;

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use protocol::deflate::Inflater;
use protocol::network::Network;
use protocol::result::Headers;
use protocol::transport::{BrowserApi, Carrier, Coding};
use protocol::{Bookmark, Cursor, Envelope, Event, Gap, Layer, Transport, clock};

use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::round::recorder::{Progress, Recorder, Sample, Shared};
use crate::target::message::Source;
use crate::target::poll::Values;
use crate::wire::http2::Slot;
use crate::wire::link::{Link, Trace};
use crate::wire::quic::{Quic, QuicEndpoint};
use crate::wire::socket::with_buffer;
use crate::wire::{Connection, SharedLedger};
use receive::{Step, parse_all, parse_from};

/// The longest message that is accepted, in bytes: more than the largest payload with every byte escaped.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Where subscribers connect to, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// The port for HTTP and WebSocket.
    pub endpoint: Endpoint,
    /// The port for raw TCP.
    pub tcp: SocketAddr,
    /// The path of the feed, which precedes that of the transport: empty, or the path of an answer.
    pub feed: String,
    /// Where it offers WebTransport.
    pub quic: Option<QuicEndpoint>,
    /// Where a server of another kind sends events, and how they are found in its messages.
    pub source: Option<Source>,
    /// The beginning of the schedule, in ns of this host's clock. A server of another kind may still have events that were due before it, from an
    /// earlier round.
    pub since_ns: u64,
    /// Which headers requests have.
    pub headers: Headers,
    /// Time from one poll's start to the next's.
    pub poll_interval: Duration,
    /// When an interval begins, in ns of this host's clock, for the pollers of all processes. Each poller has its own phase in the interval.
    pub poll_origin_ns: u64,
    /// The modelled network.
    pub network: Network,
    /// How many subscribers share a connection over HTTP/2.
    pub streams_per_connection: u32,
    /// If given, the bytes that cross the modelled network are recorded in it.
    pub trace: Option<Trace>,
    /// The pause before a lost connection is resumed.
    pub back_off: BackOff,
    /// How far the server's clock is ahead of ours, in ns; 0 on one host.
    pub clock_ahead_ns: i64,
}

/// How long a subscriber waits before it connects again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The shortest pause.
    pub min: Duration,
    /// The upper bound of the random time that is added to it.
    pub jitter: Duration,
}

impl Default for BackOff {
    /// 100 ms for every subscriber, without jitter.
    fn default() -> Self {
        Self { min: Duration::from_millis(100), jitter: Duration::ZERO }
    }
}

impl Target {
    /// A server on this host, with lean headers and no modelled network.
    pub fn lean(endpoint: Endpoint, tcp: SocketAddr) -> Self {
        Self {
            endpoint,
            tcp,
            feed: String::new(),
            quic: None,
            source: None,
            since_ns: 0,
            headers: Headers::Lean,
            poll_interval: Duration::from_millis(250),
            poll_origin_ns: clock::now_ns(),
            network: Network::default(),
            streams_per_connection: 1,
            trace: None,
            back_off: BackOff::default(),
            clock_ahead_ns: 0,
        }
    }

    /// Connects to the transport's port; `seed` determines the jitter of the modelled network. Over HTTP/2, the connection is that of the
    /// `slot`, which other subscribers may share.
    ///
    /// # Errors
    /// Those of [`Connection::connect`].
    pub async fn connect(
        &self,
        transport: Transport,
        seed: u64,
        slot: &Slot,
        ledger: SharedLedger,
    ) -> io::Result<Connection> {
        let link = || Link::new(self.network, seed, self.trace.as_ref());
        let link = self.network.is_modelled().then(link).transpose()?;
        let tls = self.endpoint.tls.as_ref();
        match transport.carrier() {
            Carrier::Tcp => Connection::connect(self.tcp, link, tls, ledger).await,
            Carrier::H1 => Connection::connect(self.endpoint.address, link, tls, ledger).await,
            Carrier::H3 | Carrier::H3Streams | Carrier::H3Datagrams => match &self.quic {
                Some(quic) => Ok(Connection::over_quic(Quic::connect(quic, link, ledger).await?)),
                None => Err(io::Error::new(io::ErrorKind::Unsupported, "the server does not offer WebTransport")),
            },
            Carrier::H2 => Ok(Connection::over_http2(slot.stream(self.endpoint.address, link, tls, ledger).await?)),
        }
    }

    /// The request line and headers of the transport's request for the events after `after`, without the blank line.
    pub fn get(&self, transport: Transport, after: Bookmark) -> String {
        self.get_target(transport, &self.path(transport, after))
    }

    /// The path and query of the transport's request for the events after `after`.
    pub fn path(&self, transport: Transport, after: Bookmark) -> String {
        let path = self.path_of(transport);
        if self.source.is_some() {
            return path.into();
        }
        let callback = if transport.envelope().has_callback() { "&callback=f" } else { "" };
        let compression = match transport.row().coding {
            Coding::Identity | Coding::Deflate => "",
            Coding::DeflateTakeover => "&compression=takeover",
        };
        format!("{}{path}?after={after}{callback}{compression}", self.feed)
    }

    /// The path of the transport's endpoint, as in its row or as the server of another kind has it.
    pub fn path_of(&self, transport: Transport) -> &str {
        match &self.source {
            Some(source) => &source.path,
            None => transport.row().path.unwrap_or("/"),
        }
    }

    /// The request line and headers of a GET of `target` by the transport's interface, without the blank line.
    pub fn get_target(&self, transport: Transport, target: &str) -> String {
        self.get_with(transport, target, &Values::new())
    }

    /// As [`Self::get_target`]; a server of another kind may get these values of its last response in the headers.
    pub fn get_with(&self, transport: Transport, target: &str, values: &Values) -> String {
        let api = transport.row().browser.unwrap_or(BrowserApi::Fetch);
        let mut request = headers::get(self.headers, api, &self.endpoint, target);
        self.source.iter().for_each(|source| request.push_str(&source.header_lines(values)));
        request
    }
}

/// A subscriber on its current connection.
pub struct Subscriber {
    /// How it subscribes.
    pub transport: Transport,
    /// Where it connects to.
    pub target: Rc<Target>,
    /// Its connection.
    pub wire: Connection,
    /// Decompresses the messages of a WebSocket, if that was agreed on.
    pub inflater: Option<Box<Inflater>>,
    /// The time from the beginning of an interval to its poll.
    pub phase: Duration,
    /// Its cursor, and which events it has not received.
    pub progress: Progress,
    /// What its next poll takes from the last response of a server of another kind.
    pub values: Values,
    /// Whether the server of another kind has said that it closes the connection, so that the next poll needs another one.
    pub closing: bool,
    /// Whether its next request has to name the epoch of its cursor: the first one after a failure, since the server may have been restarted.
    pub send_epoch: bool,
    /// The recorder that it shares with the other subscribers.
    pub recorder: Shared,
    /// Whether it has reported its subscription to the recorder.
    pub connected: bool,
}

impl Subscriber {
    /// A subscriber by `transport` with its own recorder, connected to the transport's port but not subscribed yet.
    ///
    /// # Errors
    /// Those of [`Target::connect`].
    pub async fn alone(transport: Transport, target: &Target) -> io::Result<Self> {
        let recorder = Recorder::new(0..u64::MAX, 0, Arc::default());
        let wire = target.connect(transport, 7, &Slot::default(), recorder.ledger.clone()).await?;
        Ok(Self {
            transport,
            target: Rc::new(target.clone()),
            wire,
            inflater: None,
            phase: Duration::ZERO,
            progress: Progress::new(Cursor(0).into()),
            values: Values::new(),
            closing: false,
            send_epoch: false,
            recorder: Rc::new(RefCell::new(recorder)),
            connected: false,
        })
    }

    /// The cursor: the sequence number up to which it has received.
    pub fn cursor(&self) -> Cursor {
        self.progress.cursor()
    }

    /// The `after` of its next request. It names the epoch once per connection, since the server at the other end stays the same. Behind a
    /// proxy that keeps connections while servers are replaced, each request would have to name it.
    pub fn after(&mut self) -> Bookmark {
        let carrier = self.transport.carrier();
        let bookmark = match carrier.is_reliable() && !carrier.is_ordered() {
            true => self.progress.resume(),
            false => self.progress.bookmark(),
        };
        if mem::take(&mut self.send_epoch) { bookmark } else { bookmark.cursor.into() }
    }

    /// Reports that it is subscribed: it will receive all events that are published from now on.
    pub fn connected(&mut self) {
        if !mem::replace(&mut self.connected, true) {
            self.recorder.borrow_mut().connected += 1;
        }
    }

    /// Connects anew, after the server has said that it closes the connection.
    ///
    /// # Errors
    /// Those of [`Connection::connect`].
    pub async fn reconnect(&mut self) -> io::Result<()> {
        self.wire.close().await;
        let ledger = self.recorder.borrow().ledger.clone();
        let seed = self.phase.as_nanos() as u64;
        self.wire = self.target.connect(self.transport, seed, &Slot::default(), ledger).await?;
        Ok(())
    }

    /// Handles the bytes of an event, which took `wire_bytes` on the wire: attributes them, and records the delivery.
    ///
    /// # Errors
    /// When the bytes are not an event.
    pub fn deliver(&mut self, json: &[u8], wire_bytes: usize) -> Result<(), Fault> {
        let found = match self.target.source.as_ref().map(|source| source.event(json, self.target.since_ns)) {
            None => Cow::Borrowed(json),
            Some(Some(found)) => Cow::Owned(found),
            Some(None) => {
                self.wire.attribute(Layer::Framing, wire_bytes);
                return Ok(());
            }
        };
        // Around an event, a server of another kind may have sent a message of its own.
        let event_bytes = if self.target.source.is_some() { found.len().min(wire_bytes) } else { wire_bytes };
        self.wire.attribute(Layer::Framing, wire_bytes - event_bytes);
        self.record(&found, event_bytes)
    }

    /// Decodes and timestamps an event of `event_bytes` on the wire, and records the delivery.
    ///
    /// # Errors
    /// When the bytes are not an event.
    pub fn record(&mut self, json: &[u8], event_bytes: usize) -> Result<(), Fault> {
        let event = Event::decode(json)?;
        let received = clock::now_ns().saturating_add_signed(self.target.clock_ahead_ns);
        let sample = Sample { seq: event.seq, at: event.at, received };
        let mut ledger = self.wire.ledger();
        ledger[Layer::Event] += event_bytes as u64;
        ledger.content_bytes += json.len() as u64;
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

    /// Handles a gap that the server announced.
    pub fn gap(&mut self, gap: Gap) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.contents.begin(gap.epoch);
        self.progress.gap(gap, &mut recorder.faults);
    }

    /// Parses one message in the transport's envelope from the front of `bytes`, at most `max` of them: an event, a gap or a heartbeat. The
    /// first `known` bytes hold no complete message.
    ///
    /// # Errors
    /// When the message contains something else, or does not end.
    pub fn parse_message<T>(
        &mut self,
        envelope: Envelope,
        bytes: &[u8],
        known: usize,
        max: usize,
    ) -> Result<Step<T>, Fault> {
        let bytes = &bytes[..bytes.len().min(max)];
        let Some(message) = envelope.decode(bytes, known.min(bytes.len()))? else {
            let endless = bytes.len() >= max.min(MAX_MESSAGE_BYTES);
            return if endless { Err(Fault::NotHttp("a message without end".into())) } else { Ok(Step::Incomplete) };
        };
        let json = &*message.data;
        let mut framing = message.length;
        if Gap::is_announced_by(json) {
            self.gap(Gap::decode(json)?);
        } else if !json.is_empty() {
            self.deliver(json, json.len())?;
            framing -= json.len();
        }
        self.wire.attribute(Layer::Framing, framing);
        Ok(Step::Parsed(message.length))
    }

    /// Receives on the connection, and parses one message after another, until one is the last.
    ///
    /// # Errors
    /// When the connection ends, or those of `parse`.
    pub async fn receive<T>(
        &mut self,
        mut parse: impl FnMut(&mut Self, &[u8], usize) -> Result<Step<T>, Fault>,
    ) -> Result<T, Fault> {
        // Some bytes may have come together with an earlier message.
        let mut last = self.parse_received(0, &mut parse)?;
        loop {
            if let Some(last) = last {
                return Ok(last);
            }
            let known = self.wire.received.len();
            last = if self.wire.is_bare() && known == 0 {
                poll_fn(|context| self.poll_receive(context, &mut parse)).await?
            } else {
                // Boxed, since this future is large and would make that of every subscriber larger.
                Box::pin(self.wire.fill()).await?;
                self.parse_received(known, &mut parse)?
            };
        }
    }

    /// Parses what comes directly in the buffer that all connections share, without copying it first.
    fn poll_receive<T>(
        &mut self,
        context: &mut Context<'_>,
        parse: &mut impl FnMut(&mut Self, &[u8], usize) -> Result<Step<T>, Fault>,
    ) -> Poll<Result<Option<T>, Fault>> {
        with_buffer(|buffer| {
            let read = ready!(self.wire.poll_read(context, buffer))?;
            let (parsed, last) = parse_all(&buffer[..read], 0, |bytes, known| parse(self, bytes, known));
            self.wire.received.extend_from_slice(&buffer[parsed..read]);
            Poll::Ready(last)
        })
    }

    fn parse_received<T>(
        &mut self,
        known: usize,
        parse: &mut impl FnMut(&mut Self, &[u8], usize) -> Result<Step<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        let mut received = mem::take(&mut self.wire.received);
        let last = parse_from(&mut received, known, |bytes, known| parse(self, bytes, known));
        self.wire.received = received;
        last
    }
}
