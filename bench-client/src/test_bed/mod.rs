//! A test bed: a server process with a control connection, over which the server's figures are requested. Experiments that do not consist
//! of rounds run on a test bed.

pub(crate) mod broker;
pub(crate) mod browser;
pub mod control;
pub(crate) mod proxy;
pub(crate) mod relay;
pub(crate) mod server_process;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use protocol::facts::spent::Spent;
use protocol::status::Load;
use protocol::{Bookmark, Cursor, Transport, clock};

use crate::round::group::{Share, SubscriberGroup};
use crate::round::recorder::Recorder;
use crate::subscriber::Target;
use crate::test_bed::control::Control;
use crate::test_bed::server_process::ServerProcess;
use crate::wire::quic::QuicEndpoint;
use server::Options;

/// How long subscribers may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server, a control connection to it, and the target that subscribers connect to.
pub struct TestBed {
    /// The server.
    pub server: ServerProcess,
    /// The control connection.
    pub control: Control,
    /// Where subscribers connect to, and how.
    pub target: Target,
}

impl TestBed {
    /// Starts a server, and opens a control connection to it.
    ///
    /// # Errors
    /// When the server does not start, or does not respond.
    pub async fn open(setup: &Options) -> anyhow::Result<Self> {
        let server = ServerProcess::start(setup)?;
        let mut control = Control::connect(&server.endpoint).await?;
        let (load, ip) = (control.load().await?, server.endpoint.address.ip());
        let tcp = SocketAddr::new(ip, load.tcp_port);
        let target = Target { quic: QuicEndpoint::of(&load, ip), ..Target::lean(server.endpoint.clone(), tcp) };
        Ok(Self { server, control, target })
    }

    /// Connects `count` subscribers that start after the newest event, and waits until all are connected.
    ///
    /// # Errors
    /// When some cannot connect.
    pub async fn connect(
        &mut self,
        transport: Transport,
        target: Target,
        count: u32,
    ) -> anyhow::Result<SubscriberGroup> {
        let load = self.control.load().await?;
        let after = Bookmark { cursor: Cursor(load.head), epoch: Some(load.epoch) };
        let recorder = Recorder::new(0..u64::MAX, 0, Arc::default());
        let deadline = clock::now_ns() + CONNECT_TIMEOUT.as_nanos() as u64;
        let group = SubscriberGroup::connect(transport, target, after, Share::all(count), recorder, 1, deadline).await;
        ensure!(group.connected() == count, "only {} of {count} subscribers could connect", group.connected());
        Ok(group)
    }

    /// Waits for `time`; returns what the server used and did meanwhile. The control requests of this method are not counted.
    ///
    /// # Errors
    /// When the server does not respond.
    pub async fn over(&mut self, time: Duration) -> anyhow::Result<Spent> {
        let before = self.control.load().await?;
        tokio::time::sleep(time).await;
        self.since(&before, 0).await
    }

    /// Returns what the server has used and done since the reading `before`. Control requests are not counted: `control_requests` is how
    /// many were sent since then, apart from the one that this method sends.
    ///
    /// # Errors
    /// When the server does not respond.
    pub async fn since(&mut self, before: &Load, control_requests: u64) -> anyhow::Result<Spent> {
        let after = self.control.load().await?;
        Ok(Spent {
            seconds: (after.now_ns - before.now_ns) as f64 / 1e9,
            cpu_ms: (after.cpu_ns - before.cpu_ns) as f64 / 1e6,
            // The reading `after` was itself a request.
            requests: (after.requests - before.requests).saturating_sub(1 + control_requests),
            accepts: after.connections_accepted - before.connections_accepted,
        })
    }
}
