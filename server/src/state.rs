//! The state that all connections of a server share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::addresses::Addresses;
use crate::answer::store::Answers;
use crate::api::Presenter;
use crate::budget::Budget;
use crate::carrier::Identity;
use crate::counters::Counters;
use crate::feed::{EventSink, Feed, Plan};
use crate::hall::Hall;
use crate::quota::Quota;
use crate::relay::Relay;
use crate::sampler::Sampler;
use crate::trace::Traces;
use crate::transport::socket_io::hub::Hub;
use crate::transport::sockjs::sessions::Sessions;

/// The state that the endpoints and connections of a server share.
pub struct ServerState {
    /// The feed.
    pub feed: Arc<Feed>,
    /// Where events are published.
    pub sink: EventSink,
    /// The counters of the process.
    pub counters: Arc<Counters>,
    /// Samples the figures that are expensive to read.
    pub sampler: Sampler,
    /// The addresses on which the server listens.
    pub addresses: Addresses,
    /// Threads that serve connections.
    pub threads: usize,
    /// What is currently published, and how often.
    pub plan: watch::Sender<Plan>,
    /// Sends the publisher a new plan.
    pub plans: std::sync::mpsc::Sender<Option<Plan>>,
    /// The relay to which the live page's lanes connect while a delay or a fault is set.
    pub relay: Arc<Relay>,
    /// The trace sessions.
    pub traces: Arc<Traces>,
    /// The memory, in bytes, that all echoed messages together may take.
    pub echoes: Arc<Budget>,
    /// The memory, in bytes, that the compressors of WebSockets with a context of their own may take.
    pub compressors: Arc<Budget>,
    /// The answers under way, and those that ended a short while ago.
    pub answers: Answers,
    /// The phones of an audience.
    pub hall: Hall,
    /// The streams of HTTP/2 connections.
    pub streams: Arc<Quota>,
    /// The sessions of SockJS clients that use several requests.
    pub sockjs: Arc<Sessions>,
    /// The clients of Socket.IO.
    pub socket_io: Arc<Hub>,
    /// The origins of other pages that have the rights of the server's own pages.
    pub origins: Vec<String>,
    /// The host names that the server accepts.
    pub hosts: Vec<String>,
    /// The certificate and key, if the server uses TLS.
    pub tls: Option<Identity>,
    /// The SHA-256 hash of the certificate for WebTransport, in hex.
    pub quic_certificate: String,
    /// How long a connection may take to send its next request.
    pub idle_timeout: Duration,
    /// How long a client may read nothing although bytes are waiting for it.
    pub stall_timeout: Duration,
    /// Recognizes the presenter's requests; if it is `None`, every client may publish and control.
    pub presenter: Option<Presenter>,
    /// Becomes true when the server shuts down.
    pub closing: watch::Receiver<bool>,
}

impl ServerState {
    /// Resolves when the server shuts down.
    pub fn closing(&self) -> impl Future<Output = ()> + use<> {
        let mut closing = self.closing.clone();
        async move {
            // An error means that the server was dropped.
            let _ = closing.wait_for(|&closing| closing).await;
        }
    }

    /// The output of a future; `None` if the server shuts down before.
    pub async fn until_closing<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            output = future => Some(output),
            () = self.closing() => None,
        }
    }

    /// Whether the server's certificate is self-signed.
    pub fn is_self_signed(&self) -> bool {
        self.tls.as_ref().is_some_and(|identity| identity.self_signed)
    }

    /// Replaces the plan by which events are published.
    pub fn replan(&self, plan: Plan) {
        // An error means that the server is shutting down.
        let _ = self.plans.send(Some(plan.clone()));
        self.plan.send_replace(plan);
    }
}
