//! The server: one feed of events, carried over polling, long polling, HTTP streaming, SSE, WebSocket and raw TCP.
//!
//! Follow an event: [`publisher`] appends it to the [`feed`] when it is due; each worker's herald ([`worker`]) brings it
//! to the [`subscription`]s that wait, whose outlets take the shared bytes to a [`socket`]; who does not keep up has them from its own
//! [`delivery`]. Each file in [`transport`] says how one begins, and what it says beside events.

pub mod accept;
pub mod addresses;
pub mod admission;
pub mod answer;
pub mod budget;
pub mod closing;
pub mod control;
pub mod counters;
pub mod delivery;
pub mod echo;
pub mod fan_out;
pub mod farewell;
pub mod feed;
pub mod frames;
pub mod host;
pub mod http;
pub mod index;
pub mod lecture;
pub mod limits;
pub mod load;
pub mod masked;
pub mod options;
pub mod origin;
pub mod output;
pub mod page;
pub mod polls;
pub mod presenter;
pub mod publish;
pub mod publisher;
pub mod query;
pub mod requests;
pub mod run;
pub mod sampler;
pub mod site;
pub mod socket;
pub mod stream;
pub mod subscription;
pub mod tap;
pub mod tls;
mod traced_events;
pub mod transport;
pub mod upgrade;
pub mod viewers;
pub mod watching;
pub mod worker;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;

pub use crate::addresses::Addresses;
use crate::admission::Admission;
use crate::budget::Budget;
use crate::counters::Counters;
use crate::feed::Feed;
use crate::limits::Room;
pub use crate::options::Options;
use crate::presenter::Presenter;
use crate::publisher::Publisher;
use crate::sampler::Sampler;
use crate::site::Site;
use crate::subscription::Subscription;
use crate::tls::Identity;
use crate::worker::{Worker, WorkerThread};

/// How long connections may take to end after [`Server::shutdown`]: enough for a close frame to be answered.
const FAREWELL: Duration = Duration::from_secs(3);

/// A running server; dropping it cuts its connections, [`Server::shutdown`] ends them in order.
pub struct Server {
    addresses: Addresses,
    token: Option<String>,
    tls: Option<Identity>,
    feed: Arc<Feed>,
    counters: Arc<Counters>,
    room: Room,
    closing: watch::Sender<bool>,
    // Dropped in this order: no event is published to workers that are gone.
    _publisher: Publisher,
    _threads: Vec<WorkerThread>,
}

impl Server {
    /// Starts to listen, serve and publish.
    ///
    /// # Errors
    /// When an address cannot be listened on, the certificate cannot be shown, or the system gives no further thread.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let tls = identity(options)?;
        let feed = Arc::new(Feed::new(options.history, options.history_bytes));
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        for index in 0..options.threads.max(1) {
            let (worker, thread) = worker::start(index, &feed).context("cannot start a worker thread")?;
            workers.push(worker);
            threads.push(thread);
        }
        let workers: Arc<[Worker]> = workers.into();
        let (closing, closed) = watch::channel(false);

        let listen = |address, option: &str| {
            let _inside = workers[0].enter();
            let listener = accept::listen(address).with_context(|| {
                format!("cannot listen on {address}; another {option} may do, and port 0 takes a free one")
            })?;
            let address = listener.local_addr()?;
            anyhow::Ok((listener, address))
        };
        let (http_listener, http) = listen(options.listen, "--listen")?;
        let (tcp_listener, tcp) = listen(options.tcp_listen, "--tcp-listen")?;
        // A certificate that somebody vouches for is for a name, and browsers hold it against that.
        let name = options.tls_cert.as_ref().and(options.hosts.first().cloned());
        let addresses = Addresses { http, tcp, tls: tls.is_some(), name };

        let counters = Arc::new(Counters::default());
        let plan = options.plan();
        let (orders, ordered) = channel();
        // On loopback, whoever is there is at the machine; beyond it, a lecture hall is.
        let token = match &options.token {
            None if !http.ip().is_loopback() => {
                Some(presenter::secret().context("the system gives no random numbers")?)
            }
            token => token.clone(),
        };
        let presenter = token.as_ref().map(|token| Presenter::new(token, http.port(), tls.is_some())).transpose();
        let site = Arc::new(Site {
            feed: feed.clone(),
            counters: counters.clone(),
            sampler: Sampler::start(counters.clone()).context("cannot start the sampler's thread")?,
            addresses: addresses.clone(),
            threads: options.threads,
            plan: watch::Sender::new(plan.clone()),
            orders: orders.clone(),
            taps: Arc::default(),
            echoes: Arc::new(Budget::new(echo::MAX_HELD)),
            origins: options.origins.clone(),
            hosts: options.hosts.clone(),
            tls: tls.clone(),
            idle_timeout: options.idle_timeout,
            stall_timeout: options.stall_timeout,
            presenter: presenter.context("the system gives no random numbers")?,
            closing: closed,
        });
        let room = Room::new(options.max_connections);
        // However few there may be, one address cannot take them all.
        let per_address = options.max_connections_per_address.min((room.connections / 2).max(1));
        let admission = Admission::new(room, per_address, counters.clone());
        let serve_http = {
            let site = site.clone();
            move |socket, admitted, worker: &Worker| {
                http::serve(socket, admitted, site.clone(), worker.wake_list.clone())
            }
        };
        let serve_tcp = {
            let site = site.clone();
            move |socket, admitted, worker: &Worker| {
                let (site, wake_list) = (site.clone(), worker.wake_list.clone());
                async move {
                    let subscribe = |after| Subscription::new(site.feed.clone(), wake_list, after);
                    transport::tcp::session(socket, subscribe, site.clone()).await;
                    drop(admitted);
                }
            }
        };
        // The listeners end, and free their ports, as soon as the server is closing.
        workers[0].spawn_until(
            accept::accept(http_listener, workers.clone(), admission.clone(), site.clone(), http::REFUSALS, serve_http),
            site.closing(),
        );
        workers[0].spawn_until(
            accept::accept(tcp_listener, workers.clone(), admission, site.clone(), transport::tcp::REFUSALS, serve_tcp),
            site.closing(),
        );
        let publisher = Publisher::start(feed.clone(), plan, counters.clone(), orders, ordered)
            .context("cannot start the publisher's thread")?;
        Ok(Self { addresses, token, tls, feed, counters, room, closing, _publisher: publisher, _threads: threads })
    }

    /// Where it listens, with the ports that were really taken.
    pub fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// Its URL, without a path, by which others reach it.
    pub fn url(&self) -> String {
        self.addresses.reached().http_url()
    }

    /// The presenter's link to the live page at `base`, the URL of this server or of a relay in front of it. `query` is for the page:
    /// nothing, or a question mark and parameters.
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

    /// The index of all endpoints, with lines to paste that may do what the presenter may.
    pub fn index(&self) -> String {
        index::text(
            &self.addresses,
            self.tls.as_ref().is_some_and(|identity| identity.self_signed),
            self.token.as_deref(),
        )
    }

    /// The page's address for those who only watch, as other machines reach it; `None` where only this one does.
    pub fn viewers(&self) -> Option<String> {
        let viewers = viewers::viewers(&self.addresses);
        (!viewers.this_machine_only).then_some(viewers.url)
    }

    /// Who it is over TLS, if it speaks that.
    pub fn tls(&self) -> Option<&Identity> {
        self.tls.as_ref()
    }

    /// How many connections it lets in: as many as its options say, if the system gives it that many files.
    pub fn max_connections(&self) -> usize {
        self.room.connections
    }

    /// Its feed.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Ends it in order: nothing more is accepted, streams end, long polls are answered, WebSockets get a close frame. What
    /// has not ended after three seconds is cut.
    pub fn shutdown(self) {
        self.closing.send_replace(true);
        self.feed.close();
        let deadline = Instant::now() + FAREWELL;
        while self.counters.open() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Who the server is to be over TLS, by its options.
fn identity(options: &Options) -> anyhow::Result<Option<Identity>> {
    if options.tls_self_signed {
        let addresses = [options.listen, options.tcp_listen].map(|address| addresses::reached(address.ip()));
        return Ok(Some(Identity::self_signed(&options.hosts, &addresses)?));
    }
    match (&options.tls_cert, &options.tls_key) {
        (Some(certificates), Some(key)) => Ok(Some(Identity::read(certificates, key)?)),
        _ => Ok(None),
    }
}
