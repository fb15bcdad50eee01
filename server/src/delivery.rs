//! Delivery: a subscription's events to its socket, as they come, in as few writes as it takes.
//!
//! While the subscriber keeps up, the fan-out writes for it (see `fan_out.rs`), and nothing here runs. A subscriber that does
//! not has its task write: all that is waiting goes together, and whoever is too far behind gets to hear of a gap.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use protocol::Gap;
use tokio::time::{Sleep, sleep};

use crate::fan_out::{MOST_BYTES, MOST_EVENTS, Outlet};
use crate::feed::{Framing, Next};
use crate::socket::{Socket, Unsent};
use crate::subscription::{Subscription, Turn};

/// What is to be done that is no event; each transport has its own words for it, or none.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Events have left the history before the subscriber had them.
    Gap(Gap),
    /// Nothing was said for a while.
    Heartbeat,
    /// The feed has ended, and everything was delivered.
    End,
    /// There is something to read, be it the end.
    Input,
}

/// A subscription, and the socket that its events go to.
pub struct Delivery {
    subscription: Subscription,
    socket: Arc<Socket>,
    framing: Framing,
    unsent: Unsent,
    due: Option<Due>,
    /// Runs while the socket takes nothing.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Delivery {
    /// Delivers what `subscription` gives to `socket`.
    pub fn new(subscription: Subscription, socket: Arc<Socket>, framing: Framing) -> Self {
        let subscription = subscription.with_outlet(Outlet::new(socket.clone(), framing));
        Self { subscription, socket, framing, unsent: Unsent::new(), due: None, patience: None }
    }

    /// Delivers until either side ends it; what else is due is told in the words that `say` gives for it. That the peer ends what it
    /// sends ends the delivery; what it sends has no meaning.
    pub async fn run(mut self, say: impl Fn(Due) -> Option<Bytes>) {
        while let Ok(due) = poll_fn(|context| self.poll(context)).await {
            match due {
                Due::Input => match self.socket.try_read(&mut [0; 4 << 10]) {
                    Ok(0) => return,
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                    Ok(_) | Err(_) => {}
                },
                Due::End => {
                    self.unsent.extend(say(Due::End));
                    // An error is a peer that left first.
                    let _ = poll_fn(|context| self.poll_unsent(context)).await;
                    return;
                }
                due => self.unsent.extend(say(due)),
            }
        }
    }

    /// Delivers until something else is to be done. From then on nothing is delivered until the next poll, and nothing is half
    /// written: the socket may be read, and written to.
    ///
    /// # Errors
    /// Those of the socket: the subscriber is gone.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Due>> {
        self.subscription.resume(&mut self.unsent);
        loop {
            ready!(self.poll_unsent(context))?;
            if let Some(due) = self.due.take() {
                return Poll::Ready(Ok(due));
            }
            // Before more is taken, so that a subscriber who never catches up can still close.
            if self.socket.poll_read_ready(context).is_ready() {
                return Poll::Ready(Ok(Due::Input));
            }
            let mut taken = 0;
            while self.unsent.len() < MOST_EVENTS && taken < MOST_BYTES && self.due.is_none() {
                match self.subscription.take() {
                    Next::Event(event) => {
                        let part = event.framed(self.framing);
                        taken += part.len();
                        self.unsent.push_back(part);
                    }
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

    /// Writes what is unsent; gives the subscriber up when it takes nothing of it for too long.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let before = self.waiting();
            let written = self.socket.poll_write_all(context, &mut self.unsent);
            if written.is_ready() || self.waiting() < before {
                self.patience = None;
            }
            let site = &self.socket.site;
            if let Poll::Ready(written) = written {
                // The kernel has a clock for this as well.
                if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut) {
                    site.counters.stalled();
                }
                return Poll::Ready(written);
            }
            let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(site.stall_timeout)));
            ready!(patience.as_mut().poll(context));
            self.patience = None;
            if !self.socket.write_now(&mut self.unsent)? {
                site.counters.stalled();
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
        }
    }

    /// Bytes that wait for the socket.
    fn waiting(&self) -> usize {
        self.unsent.iter().map(Bytes::len).sum::<usize>() + self.socket.backlog()
    }
}
