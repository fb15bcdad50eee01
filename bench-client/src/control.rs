//! Asks a server about itself, on a connection beside the subscribers'.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::BytesMut;
use protocol::network::Network;
use protocol::result::Headers;
use protocol::status::{Load, Published, Time};
use protocol::{Cursor, clock};
use tokio::time::timeout;

use crate::counted::{Counted, SharedLedger};
use crate::headers;
use crate::http::Head;
use crate::link::Link;
use crate::place::Place;

/// How many time exchanges the clock offset is estimated from; the fastest one decides.
const EXCHANGES: u32 = 200;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection for questions.
pub struct Control {
    wire: Counted,
    place: Place,
}

/// How far the server's clock is ahead of ours, in ns, and how wrong that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// To be added to a stamp of ours to compare it with one of the server's.
    pub ahead_ns: i64,
    /// Half the fastest exchange: the offset is at most this far off.
    pub bound_ns: u64,
}

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(place: &Place) -> anyhow::Result<Self> {
        Self::connect_over(Network::default(), place).await
    }

    /// Connects over a network.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect_over(network: Network, place: &Place) -> anyhow::Result<Self> {
        let link = network.is_modelled().then(|| Link::new(network, 0, None)).transpose()?;
        let connecting = Counted::connect(place.address, link, place.tls.as_ref(), SharedLedger::default());
        let wire = timeout(PATIENCE, connecting).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let wire = wire.with_context(|| format!("cannot reach a server at {}", place.origin()))?;
        Ok(Self { wire, place: place.clone() })
    }

    /// Requests asked so far on this connection.
    pub fn requests(&self) -> u64 {
        self.wire.ledger().requests
    }

    async fn get(&mut self, target: &str) -> anyhow::Result<(Head, BytesMut)> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.place.host);
        self.exchange(&request).await
    }

    async fn exchange(&mut self, request: &str) -> anyhow::Result<(Head, BytesMut)> {
        let silent = || format!("the server gave no answer within {PATIENCE:?}");
        timeout(PATIENCE, self.ask(request)).await.with_context(silent)?
    }

    async fn ask(&mut self, request: &str) -> anyhow::Result<(Head, BytesMut)> {
        self.wire.request(request.as_bytes()).await?;
        let head = self.wire.head().await?;
        let length = head.length.unwrap_or(0);
        while self.wire.received.len() < length {
            self.wire.fill().await?;
        }
        let body = self.wire.received.split_to(length);
        Ok((head, body))
    }

    async fn json<T: serde::de::DeserializeOwned>(&mut self, target: &str) -> anyhow::Result<T> {
        let (head, body) = self.get(target).await.context("the server was lost")?;
        let stranger =
            || format!("the server there is not this lab's: its answer to {target} has status {}", head.status);
        ensure!(head.status == 200, stranger());
        serde_json::from_slice(&body).with_context(stranger)
    }

    /// What the server has used and done so far.
    ///
    /// # Errors
    /// When the connection ends or another kind of server answers.
    pub async fn load(&mut self) -> anyhow::Result<Load> {
        self.json("/load").await
    }

    /// When the next events after `cursor` were due and entered the feed, as many as one answer holds, and the cursor behind them.
    /// Where the history has moved on, none, and the cursor to go on from.
    ///
    /// # Errors
    /// When the connection ends or another kind of server answers.
    pub async fn published(&mut self, mut cursor: Cursor) -> anyhow::Result<(Vec<Published>, Cursor)> {
        let (head, body) = self.get(&format!("/published?after={cursor}")).await?;
        let mut page: Vec<Published> = Vec::new();
        match (head.status, head.cursor) {
            (410, Some(resume)) if resume > cursor => cursor = resume,
            (200, _) => {
                for line in body[..].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    let event: Published = serde_json::from_slice(line)?;
                    // A server that repeats itself would be asked for ever.
                    ensure!(event.seq > cursor.0, "/published gave event {} after {cursor}", event.seq);
                    cursor = Cursor(event.seq);
                    page.push(event);
                }
            }
            (status, _) => bail!("/published was answered with status {status}"),
        }
        Ok((page, cursor))
    }

    /// Publishes an event; its seq.
    ///
    /// # Errors
    /// When the connection ends or the server takes no event.
    pub async fn publish(&mut self, data: &str) -> anyhow::Result<u64> {
        let head = headers::post(Headers::Lean, &self.place, "/publish", data.len());
        let (head, body) = self.exchange(&format!("{head}\r\n{data}")).await.context("the server was lost")?;
        ensure!(head.status == 202, "the server took no event: status {}", head.status);
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        answer["seq"].as_u64().context("the server gave the event no seq")
    }

    /// How long a request and its answer take, in ns: the mean of so many exchanges, one after another.
    ///
    /// # Errors
    /// When the connection ends or another kind of server answers.
    pub async fn exchange_ns(&mut self, exchanges: u32) -> anyhow::Result<u64> {
        let began = clock::now_ns();
        for _ in 0..exchanges {
            self.json::<Time>("/time").await?;
        }
        Ok((clock::now_ns() - began) / u64::from(exchanges))
    }

    /// Estimates how far the server's clock is ahead of ours.
    ///
    /// # Errors
    /// When the connection ends or another kind of server answers.
    pub async fn clock_offset(&mut self) -> anyhow::Result<ClockOffset> {
        let mut best: Option<ClockOffset> = None;
        for _ in 0..EXCHANGES {
            let sent = clock::now_ns();
            let theirs: Time = self.json("/time").await?;
            let bound_ns = (clock::now_ns() - sent) / 2;
            if best.is_none_or(|best| bound_ns < best.bound_ns) {
                best = Some(ClockOffset { ahead_ns: theirs.now_ns as i64 - (sent + bound_ns) as i64, bound_ns });
            }
        }
        best.context("no time exchange was made")
    }
}
