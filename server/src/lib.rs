//! The server: one feed of events, delivered over every transport of the table in `protocol`.
//!
//! An event passes through these steps. The publisher (`feed/publisher.rs`) appends it to the feed (`feed/mod.rs`) when it is due. Each
//! worker's dispatcher (`fan_out/dispatcher.rs`) writes it to the sockets (`carrier/socket.rs`) of the subscribers that keep up. For a slow
//! consumer, the task of its connection writes it (`fan_out/delivery.rs`). How a subscription starts and resumes is documented in the files
//! of `transport/`, one for each exchange.

mod addresses;
mod answer;
mod api;
mod budget;
mod carrier;
mod counters;
pub mod fan_out;
pub mod feed;
mod hall;
pub mod limits;
pub mod logging;
pub mod options;
pub mod output;
mod quota;
mod relay;
pub mod run;
mod sampler;
mod state;
mod trace;
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tracing::warn;

pub use crate::addresses::Addresses;
use crate::answer::store::Answers;
use crate::api::{Presenter, echo, index, presenter, viewers};
use crate::budget::Budget;
pub use crate::carrier::Identity;
use crate::carrier::quic::{self, Certificate};
use crate::carrier::{Admission, accept, http};
use crate::counters::Counters;
use crate::fan_out::{Worker, WorkerThread, start_worker};
use crate::feed::{Broker, EventSink, Feed, Publisher};
use crate::hall::Hall;
use crate::limits::Room;
pub use crate::options::Options;
use crate::quota::Quota;
use crate::relay::Relay;
use crate::sampler::Sampler;
use crate::state::ServerState;
use crate::transport::tcp;

/// How long connections may take to close after [`Server::shutdown`]: long enough for the reply to a close frame.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// A running server. Dropping it cuts its connections; [`Server::shutdown`] closes them gracefully.
pub struct Server {
    addresses: Addresses,
    token: Option<String>,
    tls: Option<Identity>,
    quic_certificate: String,
    feed: Arc<Feed>,
    counters: Arc<Counters>,
    room: Room,
    closing: watch::Sender<bool>,
    failure: Option<watch::Receiver<Option<String>>>,
    // Dropped in this order, so that no event is published to workers that have ended. The publisher may wait for the broker.
    _broker: Option<Broker>,
    _publisher: Publisher,
    _threads: Vec<WorkerThread>,
}

impl Server {
    /// Starts to listen, to serve connections and to publish.
    ///
    /// # Errors
    /// When the server cannot listen on an address, the certificate or its key cannot be used, or the system provides no further thread or
    /// no random numbers.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let tls = identity(options)?;
        let counters = Arc::new(Counters::default());
        let broker = options
            .feed
            .as_ref()
            .map(|address| Broker::start(address, options.history, options.history_bytes, counters.clone()));
        let broker = broker.transpose()?;
        let (feed, sink) = match &broker {
            Some(broker) => (broker.feed(), EventSink::Broker(broker.queue())),
            None => {
                let feed = Arc::new(Feed::new(options.history, options.history_bytes));
                (feed.clone(), EventSink::Feed(feed))
            }
        };
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        for index in 0..options.threads.max(1) {
            let (worker, thread) = start_worker(index, &feed).context("cannot start a worker thread")?;
            workers.push(worker);
            threads.push(thread);
        }
        let workers: Arc<[Worker]> = workers.into();
        let (shutdown, closing) = watch::channel(false);

        let listen = |address, option: &str| {
            let listened = workers[0].call(move |_| accept::listen(address)).context("a worker has ended")?;
            let listener = listened.with_context(|| {
                format!("cannot listen on {address}; another {option} may work, and port 0 selects a free port")
            })?;
            let address = listener.local_addr()?;
            anyhow::Ok((listener, address))
        };
        let (http_listener, http) = listen(options.listen, "--listen")?;
        let (tcp_listener, tcp) = listen(options.tcp_listen, "--tcp-listen")?;
        let relay_listen = options.relay_listen.unwrap_or(SocketAddr::new(http.ip(), 0));
        let (relay_listener, relay_address) = listen(relay_listen, "--relay-listen")?;
        // A certificate from a file is valid for a host name, so the URLs must contain that.
        let name = options.tls_cert.as_ref().and(options.hosts.first().cloned());
        let certificate = Certificate::new(&options.hosts, &[addresses::reachable(http.ip())])?;
        let quic_certificate = certificate.fingerprint.clone();
        let endpoint = workers[0].call(move |_| quic::listen(http, certificate)).context("a worker has ended")?;
        // Some systems have sockets for UDP that lack what QUIC needs. Everything else works there.
        let endpoint = endpoint
            .inspect_err(|error| warn!("WebTransport is not offered: cannot listen on {http} (UDP): {error:#}"))
            .ok();
        let quic = endpoint.as_ref().map(|endpoint| endpoint.local_addr()).transpose()?;
        let addresses = Addresses { http, tcp, quic, tls: tls.is_some(), name };

        let plan = options.plan();
        let (plans, received) = channel();
        // On loopback, every client may publish; in a network, only the presenter.
        let token = match &options.token {
            None if !http.ip().is_loopback() => {
                Some(presenter::secret().context("the system provides no random numbers")?)
            }
            token => token.clone(),
        };
        let presenter = token.as_ref().map(|token| Presenter::new(token, http.port(), tls.is_some())).transpose();
        let room = Room::new(options.max_connections);
        // A connection through the relay takes two files more than others.
        let relay = Relay::new(relay_address.port(), (room.connections / 16).max(1));
        let state = Arc::new(ServerState {
            feed: feed.clone(),
            sink: sink.clone(),
            relay: relay.clone(),
            counters: counters.clone(),
            sampler: Sampler::start(counters.clone()).context("cannot start the sampler's thread")?,
            addresses: addresses.clone(),
            threads: options.threads,
            plan: watch::Sender::new(plan.clone()),
            plans: plans.clone(),
            traces: Arc::default(),
            answers: Answers::default(),
            hall: Hall::default(),
            streams: Quota::new(options.max_connections, options.max_connections_per_address),
            sockjs: Arc::default(),
            socket_io: Arc::default(),
            echoes: Arc::new(Budget::new(echo::MAX_TOTAL_BYTES)),
            compressors: Arc::new(Budget::new(options.compression_bytes)),
            origins: options.origins.clone(),
            hosts: options.hosts.clone(),
            tls: tls.clone(),
            quic_certificate: quic_certificate.clone(),
            idle_timeout: options.idle_timeout,
            stall_timeout: options.stall_timeout,
            presenter: presenter.context("the system provides no random numbers")?,
            closing,
        });
        // Even with a low limit, no single address can use all connections.
        let per_address = options.max_connections_per_address.min((room.connections / 2).max(1));
        let admission = Admission::new(room, per_address, counters.clone());
        // The listeners are dropped, and free their ports, as soon as the server shuts down.
        let accept_http = {
            let (workers, admission, state) = (workers.clone(), admission.clone(), state.clone());
            move |listener: TcpListener| {
                accept::accept(listener, workers, admission, state, http::REFUSALS, http::serve)
            }
        };
        let accept_tcp = {
            let (workers, admission, state) = (workers.clone(), admission.clone(), state.clone());
            move |listener: TcpListener| accept::accept(listener, workers, admission, state, tcp::REFUSALS, tcp::serve)
        };
        let closing = || {
            let state = state.clone();
            move || state.closing()
        };
        if let Some(endpoint) = endpoint {
            let (accepting, state) = (workers.clone(), state.clone());
            workers[0].run(move |_| _ = spawn_local(quic::accept(endpoint, accepting, admission, state)));
        }
        workers[0].spawn_until(move || accept_http(http_listener), closing());
        workers[0].spawn_until(move || accept_tcp(tcp_listener), closing());
        let server = SocketAddr::new(addresses::local(http.ip()), http.port());
        workers[0].spawn_until(move || relay.run(relay_listener, server), closing());
        let publisher = Publisher::start(sink, feed.started_ns, plan, counters.clone(), plans, received)
            .context("cannot start the publisher's thread")?;
        Ok(Self {
            addresses,
            token,
            tls,
            quic_certificate,
            feed,
            counters,
            room,
            closing: shutdown,
            failure: broker.as_ref().map(Broker::failure),
            _broker: broker,
            _publisher: publisher,
            _threads: threads,
        })
    }

    /// The addresses on which it listens, with the actual ports instead of port 0.
    pub fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// Its URL for other machines, without a path.
    pub fn url(&self) -> String {
        self.addresses.reachable().http_url()
    }

    /// The presenter's link to the live page at `base`, the URL of this server or of a relay in front of it. `query` is empty, or a
    /// question mark followed by parameters for the page.
    pub fn presenter_page(&self, base: &str, query: &str) -> String {
        match &self.token {
            Some(token) => format!("{base}/presenter{query}#token={token}"),
            None => format!("{base}/{query}"),
        }
    }

    /// The presenter's link to the lecture at `base`.
    pub fn presenter_slides(&self, base: &str) -> String {
        match &self.token {
            Some(token) => format!("{base}/presenter?to=slides#token={token}"),
            None => format!("{base}/slides"),
        }
    }

    /// The list of all endpoints as text, with the presenter's token in the commands.
    pub fn index(&self) -> String {
        index::text(
            &self.addresses,
            self.tls.as_ref().is_some_and(|identity| identity.self_signed),
            self.token.as_deref(),
        )
    }

    /// The page's URL for viewers on other machines; `None` if only this machine can connect to it.
    pub fn viewers(&self) -> Option<String> {
        let viewers = viewers::viewers(&self.addresses);
        (!viewers.this_machine_only).then_some(viewers.url)
    }

    /// The SHA-256 hash of its certificate for WebTransport, in hex.
    pub fn quic_certificate(&self) -> &str {
        &self.quic_certificate
    }

    /// Its certificate and key, if it uses TLS.
    pub fn tls(&self) -> Option<&Identity> {
        self.tls.as_ref()
    }

    /// The most connections that it serves at once: as many as its options allow, or fewer if the limit on open files is lower.
    pub fn max_connections(&self) -> usize {
        self.room.connections
    }

    /// Its feed.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Resolves if the shared feed cannot be continued, with the reason. The server's own feed always can.
    pub fn failure(&self) -> impl Future<Output = String> + use<> {
        let failure = self.failure.clone();
        async move {
            let Some(mut failure) = failure else { return std::future::pending().await };
            let ended = "the thread that reads the shared feed has ended unexpectedly";
            let reason = failure.wait_for(Option::is_some).await;
            reason.map_or(ended.into(), |reason| reason.clone().unwrap_or_default())
        }
    }

    /// Shuts the server down gracefully: it accepts no more connections, streams end, long polls receive their response, and WebSockets a
    /// close frame. Connections that are still open after three seconds are cut.
    pub fn shutdown(self) {
        self.closing.send_replace(true);
        self.feed.close();
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        while self.counters.open() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The certificate and key that the options select, if any.
fn identity(options: &Options) -> anyhow::Result<Option<Identity>> {
    if options.tls_self_signed {
        let addresses = [options.listen, options.tcp_listen].map(|address| addresses::reachable(address.ip()));
        return Ok(Some(Identity::self_signed(&options.hosts, &addresses)?));
    }
    match (&options.tls_cert, &options.tls_key) {
        (Some(certificates), Some(key)) => Ok(Some(Identity::read(certificates, key)?)),
        _ => Ok(None),
    }
}
