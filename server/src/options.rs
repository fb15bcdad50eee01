//! The server's options: its command line, and in JSON the configuration of a server that another program starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use protocol::payload::PayloadKind;
use protocol::schedule::Spacing;
use serde::{Deserialize, Serialize};

use crate::feed::{BrokerAddress, Plan, Stall};

/// The largest payload of an event, in bytes: 64 KiB.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 10;
/// The highest rate, in events per second.
pub const MAX_RATE: f64 = 1e6;

/// The options of a server. It listens on three ports: one for HTTP and WebSocket, one for raw TCP, and one for the live page's relay.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct Options {
    /// Address for HTTP and WebSocket; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address for raw TCP; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub tcp_listen: SocketAddr,
    /// Address of the relay through which the live page's lanes connect while the presenter has set a delay or a fault; by default the
    /// address of --listen and a free port
    #[arg(long, value_name = "ADDRESS")]
    pub relay_listen: Option<SocketAddr>,
    /// Events published per second; with 0, only events that clients publish
    #[arg(long, value_name = "EVENTS_PER_S", default_value_t = 1.0, value_parser = rate, allow_negative_numbers = true)]
    pub rate: f64,
    /// Spacing of the events: periodic or poisson
    #[arg(long, value_name = "KIND", default_value_t)]
    pub schedule: Spacing,
    /// Seed of the schedule and the payloads
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Payload of each event, in bytes, at most 65536
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = payload)]
    pub payload: usize,
    /// Kind of payload: random (letters and digits, which hardly compress), text (English words) or json (quotes of a ticker)
    #[arg(long, value_name = "KIND", default_value_t)]
    pub payload_kind: PayloadKind,
    /// Events kept in the history, for subscribers that resume or are slow
    #[arg(long, value_name = "EVENTS", default_value_t = 8192, value_parser = at_least_one)]
    pub history: usize,
    /// Memory that the history may take, in bytes, with each event in every encoding; the oldest events are removed first
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, value_parser = at_least_one)]
    pub history_bytes: usize,
    /// Share the feed with other servers: a stream of NATS JetStream, like nats://127.0.0.1:4222/lab, which is made if there is none. It numbers
    /// the events of all servers, so a subscriber can resume at any of them
    #[arg(long, value_name = "URL")]
    pub feed: Option<BrokerAddress>,
    /// Memory that the compressors of WebSockets with context takeover may take, in bytes, each 320 KiB; further WebSockets are not compressed
    #[arg(long, value_name = "BYTES", default_value_t = 512 << 20)]
    pub compression_bytes: usize,
    /// Threads that serve connections
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = threads)]
    pub threads: usize,
    /// Maximum number of connections, further reduced by the limit on open files; more are refused with 503 and Retry-After, or over raw
    /// TCP with an ERR line
    #[arg(long, value_name = "COUNT", default_value_t = 15_000, value_parser = at_least_one)]
    pub max_connections: usize,
    /// Maximum number of connections from one address, except loopback
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = at_least_one)]
    pub max_connections_per_address: usize,
    /// How long a connection may take to send the headers of its next request, or on /echo its next message; a client that polls less often
    /// opens a new connection for each poll
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = timeout)]
    pub idle_timeout: Duration,
    /// How long a subscriber may read nothing although bytes are waiting for it, or a client of /echo may take to read an echo, before it
    /// is disconnected
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = timeout)]
    pub stall_timeout: Duration,
    /// A host name of this server, besides localhost and its addresses; can be repeated
    #[arg(long = "host", value_name = "NAME", value_parser = host)]
    pub hosts: Vec<String>,
    /// An origin (scheme, host and optionally port) whose pages may publish and open WebSockets here, besides this server's own pages; can
    /// be repeated. Pages of other origins can publish only if no token is required. Behind a proxy that adds TLS, this server's own pages
    /// have the origin https://HOST, which must be given here
    #[arg(long = "origin", value_name = "ORIGIN", value_parser = origin)]
    pub origins: Vec<String>,
    /// Use TLS (https, wss) with this certificate chain in PEM, the server's own certificate first
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "tls_self_signed")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Use TLS with a self-signed certificate made at the start, for use in class; browsers warn about it, and curl requires -k
    #[arg(long)]
    pub tls_self_signed: bool,
    /// The token required to publish and to control: 16 to 64 letters and digits. By default, no token is required on loopback; on other
    /// addresses a token is made at the start and printed
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    pub token: Option<String>,
    /// Stall the publisher at a time, for a duration, like 1s,100ms: to test that measurements show it
    #[arg(long, value_name = "WHEN,HOW_LONG", hide = true)]
    pub stall: Option<Stall>,
    /// Use this much CPU time for each event, besides what the event needs: to test that measurements show it
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = burn, hide = true)]
    pub burn: Duration,
}

impl Default for Options {
    /// The defaults of the command line.
    fn default() -> Self {
        Self::augment_args(clap::Command::new("server"))
            .try_get_matches_from(["server"])
            .and_then(|matches| Self::from_arg_matches(&matches))
            .expect("every option has a default")
    }
}

impl Options {
    /// What to publish, and when.
    pub fn plan(&self) -> Plan {
        Plan {
            rate: self.rate,
            spacing: self.schedule,
            seed: self.seed,
            payload: self.payload,
            payload_kind: self.payload_kind,
            stall: self.stall,
            burn: self.burn,
        }
    }
}

fn burn(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).ok().filter(|time| *time <= Duration::from_millis(100));
    parsed.ok_or_else(|| "a time from 0s to 100ms".into())
}

/// Parses a rate in events per second.
///
/// # Errors
/// When it is not a number from 0 to a million.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=MAX_RATE).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number of events per second, from 0 to 1000000".into()),
    }
}

/// Parses the size of a payload in bytes.
///
/// # Errors
/// When it is not a whole number up to [`MAX_PAYLOAD_BYTES`].
pub fn payload(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if bytes <= MAX_PAYLOAD_BYTES => Ok(bytes),
        _ => Err(format!("a payload is a whole number of bytes, from 0 to {MAX_PAYLOAD_BYTES}")),
    }
}

/// Parses a number of threads that serve connections.
///
/// # Errors
/// When it is not a whole number from 1 to 256.
pub fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=256).contains(&count) => Ok(count),
        _ => Err("the number of threads is a whole number from 1 to 256".into()),
    }
}

fn token(text: &str) -> Result<String, String> {
    match (16..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(text.into()),
        false => Err("a token is 16 to 64 letters and digits, so that it cannot be guessed".into()),
    }
}

fn host(text: &str) -> Result<String, String> {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match text.len() < 254 && text.split('.').all(is_label) {
        true => Ok(text.into()),
        false => Err("a host name consists of letters, digits, hyphens and dots, like lab.example.org".into()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&time) => Ok(time),
        _ => Err("a time is a number with a unit, like 30s or 500ms, from 1ms to 1day".into()),
    }
}

fn origin(text: &str) -> Result<String, String> {
    let authority = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match authority.is_some_and(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' '])) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("an origin is a scheme, a host and optionally a port, like https://slides.example.org".into()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("the value is a whole number, at least 1".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_could_be_guessed_is_rejected() {
        let (long, longer) = ("a1".repeat(32), "a1".repeat(33));
        for good in ["abcdefgh12345678", &long] {
            assert_eq!(token(good).as_deref(), Ok(good));
        }
        for bad in ["", "secret", "abcdefgh1234567", "abcdefgh-12345678", "비밀비밀비밀비밀비밀", &longer] {
            assert_eq!(token(bad).unwrap_err(), "a token is 16 to 64 letters and digits, so that it cannot be guessed");
        }
    }
}
