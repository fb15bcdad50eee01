//! A server of one's own with a connection for questions: what experiments stand on that are no rounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use protocol::status::Load;
use protocol::{Bookmark, Cursor, Transport, clock};

use crate::control::Control;
use crate::crowd::{Crowd, Share};
use crate::lab::{OwnServer, Setup};
use crate::recorder::Recorder;
use crate::subscriber::Target;

/// How long subscribers may take to connect, beside what the network's delay takes.
const CONNECT: Duration = Duration::from_secs(10);

/// A server, questions to it, and where its subscribers connect.
pub struct Bench {
    /// The server.
    pub server: OwnServer,
    /// A connection for questions.
    pub control: Control,
    /// How subscribers find it.
    pub target: Target,
}

impl Bench {
    /// Starts a server.
    ///
    /// # Errors
    /// When it does not start, or cannot be asked.
    pub async fn open(setup: &Setup) -> anyhow::Result<Self> {
        let server = OwnServer::start(setup)?;
        let mut control = Control::connect(&server.place).await?;
        let tcp = SocketAddr::new(server.place.address.ip(), control.load().await?.tcp_port);
        let target = Target::lean(server.place.clone(), tcp);
        Ok(Self { server, control, target })
    }

    /// Connects `count` subscribers behind the newest event, and waits until all are.
    ///
    /// # Errors
    /// When some cannot connect.
    pub async fn gather(&mut self, transport: Transport, target: Target, count: u32) -> anyhow::Result<Crowd> {
        let load = self.control.load().await?;
        let after = Bookmark { cursor: Cursor(load.head), epoch: Some(load.epoch) };
        let recorder = Recorder::new(0..u64::MAX, 0, Arc::default());
        let deadline = clock::now_ns() + CONNECT.as_nanos() as u64;
        let crowd = Crowd::gather(transport, target, after, Share::all(count), recorder, 1, deadline).await;
        ensure!(crowd.connected() == count, "only {} of {count} subscribers could connect", crowd.connected());
        Ok(crowd)
    }

    /// What the server used and did over a time: its figures before and after, our own questions left out.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn over(&mut self, time: Duration) -> anyhow::Result<Spent> {
        let before = self.control.load().await?;
        tokio::time::sleep(time).await;
        self.since(&before, 0).await
    }

    /// What the server used and did since a reading, less so many requests that we made beside it.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn since(&mut self, before: &Load, ours: u64) -> anyhow::Result<Spent> {
        let after = self.control.load().await?;
        Ok(Spent {
            seconds: (after.now_ns - before.now_ns) as f64 / 1e9,
            cpu_ms: (after.cpu_ns - before.cpu_ns) as f64 / 1e6,
            // The second reading is itself a request.
            requests: (after.requests - before.requests).saturating_sub(1 + ours),
            accepts: after.connections_accepted - before.connections_accepted,
        })
    }
}

/// What a server used and did between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// The time between them, in s.
    pub seconds: f64,
    /// CPU time, in ms.
    pub cpu_ms: f64,
    /// Requests.
    pub requests: u64,
    /// Connections accepted.
    pub accepts: u64,
}
