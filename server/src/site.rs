//! The site: what all connections of a server share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::Addresses;
use crate::budget::Budget;
use crate::counters::Counters;
use crate::feed::Feed;
use crate::load;
use crate::presenter::Presenter;
use crate::publisher::Plan;
use crate::sampler::Sampler;
use crate::tap::Taps;
use crate::tls::Identity;

/// What the endpoints work on.
pub struct Site {
    /// The feed.
    pub feed: Arc<Feed>,
    /// The process's counts.
    pub counters: Arc<Counters>,
    /// Reads the figures that are not counted.
    pub sampler: Sampler,
    /// Where the server listens.
    pub addresses: Addresses,
    /// Threads that serve connections.
    pub threads: usize,
    /// What is published now, and how often.
    pub plan: watch::Sender<Plan>,
    /// Where the publisher takes a new plan from.
    pub orders: std::sync::mpsc::Sender<Option<Plan>>,
    /// Who watches what crosses the wire.
    pub taps: Arc<Taps>,
    /// The memory that echoed messages may take together.
    pub echoes: Arc<Budget>,
    /// The origins of other pages that may do what its own may.
    pub origins: Vec<String>,
    /// The names that the server goes by.
    pub hosts: Vec<String>,
    /// Who the server is over TLS; without it, it speaks none.
    pub tls: Option<Identity>,
    /// How long a connection may take until its next request has come.
    pub idle_timeout: Duration,
    /// How long a subscriber may take nothing.
    pub stall_timeout: Duration,
    /// What marks requests as the presenter's; without it, all may publish and control.
    pub presenter: Option<Presenter>,
    /// Turns true when the server ends.
    pub closing: watch::Receiver<bool>,
}

impl Site {
    /// Resolves when the server ends.
    pub fn closing(&self) -> impl Future<Output = ()> + use<> {
        let mut closing = self.closing.clone();
        async move {
            // An error is a server that was dropped.
            let _ = closing.wait_for(|&closing| closing).await;
        }
    }

    /// Whether nobody vouches for who the server says it is.
    pub fn is_self_signed(&self) -> bool {
        self.tls.as_ref().is_some_and(|identity| identity.self_signed)
    }

    /// Publishes by another plan from now on.
    pub fn replan(&self, plan: Plan) {
        // An error is a server that is ending.
        let _ = self.orders.send(Some(plan.clone()));
        self.plan.send_replace(plan);
    }

    /// What the process has done so far.
    pub async fn load(&self) -> protocol::status::Load {
        let plan = self.plan.borrow().clone();
        load::read(&self.counters, &self.feed, &self.sampler, self.addresses.tcp.port(), self.threads, plan).await
    }
}
