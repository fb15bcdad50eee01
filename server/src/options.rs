//! The server's command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use protocol::schedule::Spacing;

use crate::publisher::{Plan, Stall};

/// The most that one event's payload may be, in bytes, posted or made: 64 KiB.
pub const LARGEST_PAYLOAD: usize = 64 << 10;
/// The highest rate, in events a second.
pub const FASTEST: f64 = 1e6;

/// One feed of events, carried over every transport: HTTP and WebSocket on one port, raw TCP on another.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address for HTTP and WebSocket; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address for raw TCP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub tcp_listen: SocketAddr,
    /// Events published a second; 0 publishes only what is posted
    #[arg(long, value_name = "EVENTS_PER_S", default_value_t = 1.0, value_parser = rate, allow_negative_numbers = true)]
    pub rate: f64,
    /// Spacing of the events: periodic or poisson
    #[arg(long, value_name = "KIND", default_value_t)]
    pub schedule: Spacing,
    /// Seed of schedule and payloads
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Payload of each event, in bytes, at most 65536
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = payload)]
    pub payload: usize,
    /// Events kept for those that come late or are slow
    #[arg(long, value_name = "EVENTS", default_value_t = 8192, value_parser = at_least_one)]
    pub history: usize,
    /// Bytes that the kept events may come to in memory, in all the forms that subscribers may ask for; the oldest go first
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, value_parser = at_least_one)]
    pub history_bytes: usize,
    /// Threads that serve connections
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = threads)]
    pub threads: usize,
    /// Connections that are let in, at most as many as the limit on open files leaves room for; further ones are refused: 503 with
    /// Retry-After, or an ERR line over raw TCP
    #[arg(long, value_name = "COUNT", default_value_t = 15_000, value_parser = at_least_one)]
    pub max_connections: usize,
    /// Connections that are let in from one address other than this machine's
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = at_least_one)]
    pub max_connections_per_address: usize,
    /// How long a connection may take until the head of its next request, or to /echo its next message, has come; who polls less often
    /// connects anew each time
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = timeout)]
    pub idle_timeout: Duration,
    /// How long a subscriber may take nothing of what is waiting for it, or /echo's peer not all of an echo, before it is given up
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = timeout)]
    pub stall_timeout: Duration,
    /// A name that this server goes by, beside localhost and its addresses; may be given several times
    #[arg(long = "host", value_name = "NAME", value_parser = host)]
    pub hosts: Vec<String>,
    /// The origin (scheme, host and maybe port) of other pages that may publish and open WebSockets here, beside this server's own;
    /// may be given several times. Pages elsewhere publish only where no token is needed. A proxy that adds TLS makes this server's own
    /// pages such, of https://HOST
    #[arg(long = "origin", value_name = "ORIGIN", value_parser = origin)]
    pub origins: Vec<String>,
    /// Speak TLS (https, wss) and show these certificates, in PEM, the server's own first
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "tls_self_signed")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate made at the start, for class: nobody vouches for it, so browsers ask and curl needs -k
    #[arg(long)]
    pub tls_self_signed: bool,
    /// The token that publishing and controlling take: 16 to 64 letters and digits. By default, none on loopback, and beyond it
    /// one that is made at the start and printed
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    pub token: Option<String>,
    /// A time, and for how long the publisher hangs then, like 1s,100ms: to see that measurements show it
    #[arg(long, value_name = "WHEN,HOW_LONG", hide = true)]
    pub stall: Option<Stall>,
}

impl Default for Options {
    /// What the command line takes where it is told nothing.
    fn default() -> Self {
        Self::augment_args(clap::Command::new("server"))
            .try_get_matches_from(["server"])
            .and_then(|matches| Self::from_arg_matches(&matches))
            .expect("every option has a default")
    }
}

impl Options {
    /// What to publish.
    pub fn plan(&self) -> Plan {
        Plan { rate: self.rate, spacing: self.schedule, seed: self.seed, payload: self.payload, stall: self.stall }
    }
}

/// Reads a rate in events a second.
///
/// # Errors
/// When it is not a number from 0 to a million.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=FASTEST).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number of events a second, from 0 to 1000000".into()),
    }
}

/// Reads a payload's size in bytes.
///
/// # Errors
/// When it is not a whole number up to [`LARGEST_PAYLOAD`].
pub fn payload(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if bytes <= LARGEST_PAYLOAD => Ok(bytes),
        _ => Err(format!("a payload is a whole number of bytes, from 0 to {LARGEST_PAYLOAD}")),
    }
}

/// Reads a number of serving threads.
///
/// # Errors
/// When it is not a whole number from 1 to 256.
pub fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=256).contains(&count) => Ok(count),
        _ => Err("a number of threads is a whole number from 1 to 256".into()),
    }
}

fn token(text: &str) -> Result<String, String> {
    match (16..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(text.into()),
        false => Err("a token is 16 to 64 letters and digits, so that nobody guesses it".into()),
    }
}

fn host(text: &str) -> Result<String, String> {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match text.len() < 254 && text.split('.').all(is_label) {
        true => Ok(text.into()),
        false => Err("a name is made of letters, digits and hyphens, with dots between, like lab.example.org".into()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&time) => Ok(time),
        _ => Err("a time is a number with its unit, like 30s or 500ms, from 1ms to 1day".into()),
    }
}

fn origin(text: &str) -> Result<String, String> {
    let authority = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match authority.is_some_and(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' '])) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("an origin is a scheme, a host and maybe a port, like https://slides.example.org".into()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("this is a whole number, at least 1".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_could_be_guessed_is_refused() {
        let (long, longer) = ("a1".repeat(32), "a1".repeat(33));
        for good in ["abcdefgh12345678", &long] {
            assert_eq!(token(good).as_deref(), Ok(good));
        }
        for bad in ["", "secret", "abcdefgh1234567", "abcdefgh-12345678", "비밀비밀비밀비밀비밀", &longer] {
            assert_eq!(token(bad).unwrap_err(), "a token is 16 to 64 letters and digits, so that nobody guesses it");
        }
    }
}
