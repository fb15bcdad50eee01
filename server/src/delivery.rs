//! Delivery: a subscription's events to its socket, as they come, in as few writes as it takes.
//!
//! While the subscriber keeps up, the fan-out writes for it (see `fan_out.rs`), and nothing here runs. A subscriber that does
//! not has its task write: all that is waiting goes together, and whoever is too far behind gets to hear of a gap.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use protocol::Gap;

use crate::fan_out::{MOST_EVENTS, Outlet};
use crate::feed::{Framing, Next};
use crate::socket::{Socket, Unsent};
use crate::subscription::{Subscription, Turn};

/// What is to be said that is no event; each transport has its own words for it, or none.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Events have left the history before the subscriber had them.
    Gap(Gap),
    /// Nothing was said for a while.
    Heartbeat,
    /// The feed has ended, and everything was delivered.
    End,
}

/// A subscription, and the socket that its events go to.
pub struct Delivery {
    subscription: Subscription,
    socket: Arc<Socket>,
    framing: Framing,
    unsent: Unsent,
    due: Option<Due>,
}

impl Delivery {
    /// Delivers what `subscription` gives to `socket`.
    pub fn new(subscription: Subscription, socket: Arc<Socket>, framing: Framing) -> Self {
        let subscription = subscription.with_outlet(Outlet::new(socket.clone(), framing));
        Self { subscription, socket, framing, unsent: Unsent::new(), due: None }
    }

    /// Sends `bytes` behind what is on its way, and before any further event.
    pub fn say(&mut self, bytes: Bytes) {
        self.unsent.push_back(bytes);
    }

    /// Polls for something to read, as long as nothing is half written. Once there is, nothing more is delivered until the next
    /// [`Self::poll`], so that it can be answered on the same socket.
    pub fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.subscription.resume(&mut self.unsent);
        match self.unsent.is_empty() {
            true => self.socket.poll_read_ready(context).map(|_| ()),
            false => Poll::Pending,
        }
    }

    /// Delivers until something else is to be said.
    ///
    /// # Errors
    /// Those of the socket: the subscriber is gone.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Due>> {
        self.subscription.resume(&mut self.unsent);
        loop {
            ready!(self.socket.poll_write_all(context, &mut self.unsent))?;
            if let Some(due) = self.due.take() {
                return Poll::Ready(Ok(due));
            }
            while self.unsent.len() < MOST_EVENTS && self.due.is_none() {
                match self.subscription.take() {
                    Next::Event(event) => self.unsent.push_back(event.framed(self.framing)),
                    Next::Gap(gap) => self.due = Some(Due::Gap(gap)),
                    Next::Closed => self.due = Some(Due::End),
                    Next::Nothing => break,
                }
            }
            if self.unsent.is_empty() && self.due.is_none() {
                match ready!(self.subscription.poll_turn(context)) {
                    Turn::Deliver => {}
                    Turn::Heartbeat => self.due = Some(Due::Heartbeat),
                }
            }
        }
    }
}
