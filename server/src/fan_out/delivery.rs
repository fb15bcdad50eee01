//! Delivery: writes the events of one subscription to its socket, in order, in as few writes as possible.
//!
//! While the subscriber keeps up, the dispatcher writes for it (see `dispatcher.rs`), and nothing here runs. For a slow consumer, its task
//! writes all waiting events together; and if the history no longer reaches back to its cursor, it is sent a gap.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use protocol::Gap;
use tokio::time::{Sleep, sleep};
use tracing::debug;

use super::batch::{MAX_BYTES, MAX_EVENTS};
use super::subscriber::Output;
use super::subscription::{Subscription, Turn};
use crate::carrier::Socket;
use crate::feed::{Encoding, Next};

/// Something that a delivery has to do besides writing events.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Report a gap: events were removed from the history before the subscriber received them.
    Gap(Gap),
    /// Send a heartbeat, since nothing was sent for a while.
    Heartbeat,
    /// End the connection: the feed is closed, and everything was delivered.
    End,
    /// Read from the socket: the peer has sent something, or ended its side.
    Input,
}

/// The reason why [`Delivery::poll_or`] has returned.
pub enum Turned<T> {
    /// Something that the delivery requires.
    Due(Due),
    /// The other thing that was polled is ready.
    Other(T),
}

/// A subscription whose events go to a socket.
pub struct Delivery {
    subscription: Subscription,
    socket: Rc<Socket>,
    encoding: Encoding,
    due: Option<Due>,
    /// Runs while the socket accepts no bytes.
    stall_timeout: Option<Pin<Box<Sleep>>>,
}

impl Delivery {
    /// Delivers the events of `subscription` to `socket`.
    pub fn new(subscription: Subscription, socket: Rc<Socket>, encoding: Encoding) -> Self {
        let subscription = subscription.with_output(socket.clone(), encoding.clone());
        Self { subscription, socket, encoding, due: None, stall_timeout: None }
    }

    /// Sends `message` before the first event.
    pub fn beginning_with(mut self, message: Bytes) -> Self {
        self.push(message);
        self
    }

    /// Delivers until either side ends the connection. Heartbeats and gaps are sent as messages of the envelope. Bytes from the peer are
    /// ignored; when it ends its side, the delivery ends.
    pub async fn run(mut self) {
        while let Ok(due) = poll_fn(|context| self.poll(context)).await {
            match due {
                Due::Input => match self.socket.try_read(&mut [0; 4 << 10]) {
                    Ok(0) => return,
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                    Ok(_) | Err(_) => {}
                },
                Due::Heartbeat => self.push(self.encoding.wrap(self.encoding.envelope().heartbeat().to_vec())),
                Due::Gap(gap) => {
                    if let Some(message) = self.encoding.envelope().encode_gap(gap) {
                        self.push(self.encoding.wrap(message));
                    }
                }
                Due::End => {
                    self.push(self.encoding.end().into());
                    // An error means that the peer disconnected first.
                    let _ = poll_fn(|context| self.poll_unsent(context)).await;
                    return;
                }
            }
        }
    }

    /// Adds a message to the unsent bytes.
    pub fn push(&mut self, message: Bytes) {
        if let Some(output) = &mut self.subscription.record().output
            && !message.is_empty()
        {
            output.unsent.push_back(message);
        }
    }

    /// Delivers until something else is to be done. From then until the next call, nothing is delivered and no message is partly written,
    /// so the caller may read from the socket and write to it.
    ///
    /// # Errors
    /// Those of the socket, which mean that the subscriber has disconnected; `TimedOut` if it read nothing for the stall timeout.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Due>> {
        self.poll_or(context, |_| Poll::<Infallible>::Pending).map_ok(|turn| match turn {
            Turned::Due(due) => due,
        })
    }

    /// As [`Self::poll`], but also polls `other`, each time that no message is partly written.
    ///
    /// # Errors
    /// Those of [`Self::poll`].
    pub fn poll_or<T>(
        &mut self,
        context: &mut Context<'_>,
        mut other: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<io::Result<Turned<T>>> {
        self.subscription.stop_waiting();
        loop {
            ready!(self.poll_unsent(context))?;
            if let Some(due) = self.due.take() {
                return Poll::Ready(Ok(Turned::Due(due)));
            }
            // Checked before more events are delivered, so that a subscriber that never catches up can still close the connection.
            if self.socket.poll_read_ready(context).is_ready() {
                return Poll::Ready(Ok(Turned::Due(Due::Input)));
            }
            if let Poll::Ready(other) = other(context) {
                return Poll::Ready(Ok(Turned::Other(other)));
            }
            if !self.take_events() && self.due.is_none() {
                match ready!(self.subscription.poll_turn(context)) {
                    Turn::Deliver => {}
                    Turn::Heartbeat => self.due = Some(Due::Heartbeat),
                }
            }
        }
    }

    /// Adds the next events to the unsent bytes, up to the limits of one write; returns whether there were any.
    fn take_events(&mut self) -> bool {
        let (mut events, mut bytes) = (0, 0);
        while events < MAX_EVENTS && bytes < MAX_BYTES {
            match self.subscription.take() {
                Next::Event(event) => {
                    let part = event.encoded(&self.encoding);
                    events += 1;
                    bytes += part.len();
                    self.push(part);
                }
                Next::Gap(gap) => {
                    self.due = Some(Due::Gap(gap));
                    break;
                }
                Next::Closed => {
                    self.due = Some(Due::End);
                    break;
                }
                Next::Nothing => break,
            }
        }
        events > 0
    }

    /// Writes the unsent bytes. If the socket accepts none of them for the stall timeout, the subscriber is disconnected.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { subscription, socket, stall_timeout, .. } = self;
        let mut record = subscription.record();
        let output: &mut Output = record.output.as_mut().expect("a delivery's record has an output");
        let state = &socket.state;
        loop {
            let before = output.unsent_bytes();
            let written = socket.poll_write_all(context, &mut output.unsent);
            if written.is_ready() || output.unsent_bytes() < before {
                *stall_timeout = None;
            }
            if let Poll::Ready(written) = written {
                // The kernel also has a timeout for this.
                if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut) {
                    state.counters.stalled();
                }
                return Poll::Ready(written);
            }
            let timeout = stall_timeout.get_or_insert_with(|| Box::pin(sleep(state.stall_timeout)));
            ready!(timeout.as_mut().poll(context));
            *stall_timeout = None;
            if !socket.write_now(&mut output.unsent)? {
                state.counters.stalled();
                debug!("disconnected: the subscriber read nothing for too long");
                socket.abort();
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
        }
    }
}
