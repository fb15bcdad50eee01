//! Requests to a server that are not a subscriber's: for its load, its clock and its publish times. They have a connection of their own.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::BytesMut;
use protocol::network::Network;
use protocol::result::Headers;
use protocol::status::{Load, Published, Time};
use protocol::{Cursor, clock};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::subscriber::headers;
use crate::wire::http1::Head;
use crate::wire::link::Link;
use crate::wire::{Connection, SharedLedger};

/// How many time requests the clock offset is estimated from. The fastest one is used.
const TIME_REQUESTS: u32 = 200;

/// How long a response may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection for control requests.
pub struct Control {
    wire: Connection,
    endpoint: Endpoint,
}

/// How far the server's clock is ahead of ours, and the error bound of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// The offset, in ns. Adding it to a timestamp of ours makes that comparable with one of the server's.
    pub ahead_ns: i64,
    /// The largest possible error of the offset, in ns: half the round-trip time of the fastest request.
    pub bound_ns: u64,
}

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// When no server listens there.
    pub async fn connect(endpoint: &Endpoint) -> anyhow::Result<Self> {
        Self::connect_over(Network::default(), endpoint).await
    }

    /// Connects over a modelled network.
    ///
    /// # Errors
    /// When no server listens there.
    pub async fn connect_over(network: Network, endpoint: &Endpoint) -> anyhow::Result<Self> {
        let link = network.is_modelled().then(|| Link::new(network, 0, None)).transpose()?;
        let connecting = Connection::connect(endpoint.address, link, endpoint.tls.as_ref(), SharedLedger::default());
        let wire = timeout(RESPONSE_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let wire = wire.with_context(|| format!("cannot reach a server at {}", endpoint.origin()))?;
        Ok(Self { wire, endpoint: endpoint.clone() })
    }

    /// Requests sent so far on this connection.
    pub fn requests(&self) -> u64 {
        self.wire.ledger().requests
    }

    async fn get(&mut self, target: &str) -> anyhow::Result<(Head, BytesMut)> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.endpoint.host);
        self.exchange(&request).await
    }

    async fn exchange(&mut self, request: &str) -> anyhow::Result<(Head, BytesMut)> {
        let timed_out = || format!("the server did not respond within {RESPONSE_TIMEOUT:?}");
        timeout(RESPONSE_TIMEOUT, self.send(request)).await.with_context(timed_out)?
    }

    async fn send(&mut self, request: &str) -> anyhow::Result<(Head, BytesMut)> {
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
        let (head, body) = self.get(target).await.context("the connection to the server was lost")?;
        let unknown =
            || format!("the server is not a transport-lab server: its response to {target} has status {}", head.status);
        ensure!(head.status == 200, unknown());
        serde_json::from_slice(&body).with_context(unknown)
    }

    /// What the server has used and done so far.
    ///
    /// # Errors
    /// When the connection ends, or the server is of another kind.
    pub async fn load(&mut self) -> anyhow::Result<Load> {
        self.json("/load").await
    }

    /// The next events after `cursor`, as many as one response contains: when each was due and when it entered the feed. Also returns the
    /// cursor after them. Where there is a gap after `cursor`, there are no events, and the returned cursor is the one to resume from.
    ///
    /// # Errors
    /// When the connection ends, or the server is of another kind.
    pub async fn published(&mut self, mut cursor: Cursor) -> anyhow::Result<(Vec<Published>, Cursor)> {
        let (head, body) = self.get(&format!("/published?after={cursor}")).await?;
        let mut page: Vec<Published> = Vec::new();
        match (head.status, head.cursor) {
            (410, Some(resume)) if resume > cursor => cursor = resume,
            (200, _) => {
                for line in body[..].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    let event: Published = serde_json::from_slice(line)?;
                    // Otherwise, a server that sends the same events again would keep us requesting them for ever.
                    ensure!(event.seq > cursor.0, "/published has event {} after {cursor}", event.seq);
                    cursor = Cursor(event.seq);
                    page.push(event);
                }
            }
            (status, _) => bail!("the response to /published has status {status}"),
        }
        Ok((page, cursor))
    }

    /// Publishes an event; returns its sequence number.
    ///
    /// # Errors
    /// When the connection ends, or the server does not accept the event.
    pub async fn publish(&mut self, data: &str) -> anyhow::Result<u64> {
        let request = headers::post(Headers::Lean, &self.endpoint, "/publish", data.len());
        let exchange = self.exchange(&format!("{request}\r\n{data}")).await;
        let (head, body) = exchange.context("the connection to the server was lost")?;
        ensure!(head.status == 202, "the server did not accept the event: status {}", head.status);
        let response: serde_json::Value = serde_json::from_slice(&body)?;
        response["seq"].as_u64().context("the response has no sequence number of the event")
    }

    /// The time from a request to its response, in ns: the mean of that many requests, one after another.
    ///
    /// # Errors
    /// When the connection ends, or the server is of another kind.
    pub async fn exchange_ns(&mut self, requests: u32) -> anyhow::Result<u64> {
        let began = clock::now_ns();
        for _ in 0..requests {
            self.json::<Time>("/time").await?;
        }
        Ok((clock::now_ns() - began) / u64::from(requests))
    }

    /// Estimates how far the server's clock is ahead of ours.
    ///
    /// # Errors
    /// When the connection ends, or the server is of another kind.
    pub async fn clock_offset(&mut self) -> anyhow::Result<ClockOffset> {
        let mut best: Option<ClockOffset> = None;
        for _ in 0..TIME_REQUESTS {
            let sent = clock::now_ns();
            let theirs: Time = self.json("/time").await?;
            let bound_ns = (clock::now_ns() - sent) / 2;
            if best.is_none_or(|best| bound_ns < best.bound_ns) {
                best = Some(ClockOffset { ahead_ns: theirs.now_ns as i64 - (sent + bound_ns) as i64, bound_ns });
            }
        }
        best.context("no time request was made")
    }
}
