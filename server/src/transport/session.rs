//! A session of a protocol on top of WebSocket, such as STOMP: receives the client's messages one by one, and delivers the feed once the
//! client has subscribed.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use protocol::{Bookmark, Gap};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::carrier::{WebSocket, closing};
use crate::fan_out::{Delivery, Dispatcher, Due, Subscription, Turn, Turned};
use crate::feed::{Encoding, Feed};

/// The next thing that happens in a session.
pub enum Step {
    /// The client has sent this message.
    Text(Utf8Bytes),
    /// Nothing was sent to the client for a while.
    Heartbeat,
    /// Events were removed from the history before they were delivered.
    Gap(Gap),
    /// The time set by [`Session::set_timer`] has passed.
    Timer,
    /// The session was removed from those that receive messages of other clients.
    Removed,
    /// The connection has ended, or the server shuts down; a close frame was sent if possible.
    Closed,
}

/// A session.
pub struct Session {
    socket: WebSocket,
    feed: Arc<Feed>,
    dispatcher: Rc<Dispatcher>,
    /// Delivers the feed; `None` until the client subscribes.
    delivery: Option<Delivery>,
    /// Until then, a subscription that only reports heartbeats and the server's shutdown.
    idle: Option<Subscription>,
    /// Frames from other clients; `None` for protocols in which clients do not address each other.
    mailbox: Option<mpsc::Receiver<Bytes>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether messages may have been received that were not read from the socket yet.
    reading: bool,
}

impl Session {
    /// A session on an open WebSocket.
    pub fn new(socket: WebSocket, feed: Arc<Feed>, dispatcher: Rc<Dispatcher>) -> Self {
        let idle = Some(Subscription::new(feed.clone(), dispatcher.clone(), None));
        // Messages may have been received together with the handshake.
        Self { socket, feed, dispatcher, delivery: None, idle, mailbox: None, timer: None, reading: true }
    }

    /// Delivers the events after `after` from now on; with `None`, future events only.
    pub fn deliver(&mut self, after: Option<Bookmark>, encoding: Encoding) {
        let subscription = Subscription::new(self.feed.clone(), self.dispatcher.clone(), after);
        self.delivery = Some(Delivery::new(subscription, self.socket.get_ref().socket().clone(), encoding));
        self.idle = None;
    }

    /// Delivers no further events.
    pub fn stop_delivery(&mut self) {
        self.delivery = None;
        self.idle = Some(Subscription::new(self.feed.clone(), self.dispatcher.clone(), None));
    }

    /// Sends the frames that come from `mailbox` to the client, too.
    pub fn set_mailbox(&mut self, mailbox: mpsc::Receiver<Bytes>) {
        self.mailbox = Some(mailbox);
    }

    /// Makes [`Self::next`] return after that time at the latest.
    pub fn set_timer(&mut self, after: std::time::Duration) {
        self.timer = Some(Box::pin(sleep(after)));
    }

    /// Waits until something happens that the protocol has to handle.
    pub async fn next(&mut self) -> Step {
        loop {
            if self.reading {
                match self.read().await {
                    Some(step) => return step,
                    None => continue,
                }
            }
            match poll_fn(|context| self.poll(context)).await {
                Wait::Due(Ok(Due::Input)) => self.reading = true,
                Wait::Due(Ok(Due::Heartbeat)) => return Step::Heartbeat,
                Wait::Due(Ok(Due::Gap(gap))) => return Step::Gap(gap),
                Wait::Due(Ok(Due::End)) => {
                    closing::shut_down(&mut self.socket).await;
                    return Step::Closed;
                }
                // The connection has failed.
                Wait::Due(Err(_)) => return Step::Closed,
                Wait::Mail(frame) => {
                    if !self.write(&frame).await {
                        return Step::Closed;
                    }
                }
                Wait::Removed => return Step::Removed,
                Wait::Timer => return Step::Timer,
            }
        }
    }

    /// Reads the next message; `None` if there is none, or one without meaning here.
    async fn read(&mut self) -> Option<Step> {
        let message = match poll_fn(|context| Poll::Ready(self.socket.poll_next_unpin(context))).await {
            Poll::Ready(Some(message)) => message,
            Poll::Ready(None) => return Some(Step::Closed),
            Poll::Pending => {
                self.reading = false;
                // A pong must be written completely before events are written to the socket again.
                return self.socket.flush().await.is_err().then_some(Step::Closed);
            }
        };
        match message {
            Ok(Message::Text(text)) => Some(Step::Text(text)),
            Ok(Message::Binary(bytes)) => match Utf8Bytes::try_from(bytes) {
                Ok(text) => Some(Step::Text(text)),
                Err(_) => {
                    closing::close(&mut self.socket, CloseCode::Invalid.into(), "messages must be text").await;
                    Some(Step::Closed)
                }
            },
            Ok(Message::Close(_)) => {
                closing::finish(&mut self.socket).await;
                Some(Step::Closed)
            }
            // tungstenite replies to pings by itself.
            Ok(_) => None,
            Err(error) => {
                closing::close_for(&mut self.socket, &error).await;
                Some(Step::Closed)
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Wait> {
        let Self { delivery, mailbox, timer, .. } = self;
        let mut other = |context: &mut Context<'_>| {
            if let Some(Poll::Ready(mail)) = mailbox.as_mut().map(|mailbox| mailbox.poll_recv(context)) {
                return Poll::Ready(mail.map_or(Wait::Removed, Wait::Mail));
            }
            if timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready()) {
                *timer = None;
                return Poll::Ready(Wait::Timer);
            }
            Poll::Pending
        };
        // Polled where no event is partly written, so that what follows may be written to the socket.
        if let Some(delivery) = delivery {
            return delivery.poll_or(context, other).map(|turned| match turned {
                Ok(Turned::Due(due)) => Wait::Due(Ok(due)),
                Ok(Turned::Other(wait)) => wait,
                Err(error) => Wait::Due(Err(error)),
            });
        }
        match other(context) {
            Poll::Ready(wait) => Poll::Ready(wait),
            Poll::Pending => self.poll_idle(context).map(|due| Wait::Due(Ok(due))),
        }
    }

    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<Due> {
        if self.socket.get_ref().socket().poll_read_ready(context).is_ready() {
            return Poll::Ready(Due::Input);
        }
        let idle = self.idle.as_mut().expect("without a delivery there is an idle subscription");
        loop {
            match idle.poll_turn(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Turn::Heartbeat) => return Poll::Ready(Due::Heartbeat),
                Poll::Ready(Turn::Deliver) if idle.skip() => return Poll::Ready(Due::End),
                Poll::Ready(Turn::Deliver) => {}
            }
        }
    }

    /// Sends a text message; returns whether the connection is still open.
    pub async fn send(&mut self, text: Vec<u8>) -> bool {
        let text = String::from_utf8(text).expect("the protocols encode UTF-8 only");
        self.socket.send(Message::text(text)).await.is_ok()
    }

    /// Sends a ping of WebSocket.
    pub async fn ping(&mut self) -> bool {
        self.socket.send(Message::Ping(Bytes::new())).await.is_ok()
    }

    /// Writes a complete frame.
    async fn write(&mut self, frame: &[u8]) -> bool {
        let stream = self.socket.get_mut().stream();
        // Over TLS, a part of the frame may wait to be sent.
        stream.write_all(frame).await.is_ok() && stream.flush().await.is_ok()
    }

    /// Closes the connection with a close code and a reason.
    pub async fn close(mut self, code: u16, reason: &'static str) {
        closing::close(&mut self.socket, code, reason).await;
    }
}

/// The reason why waiting has ended.
enum Wait {
    Due(std::io::Result<Due>),
    Mail(Bytes),
    Removed,
    Timer,
}
