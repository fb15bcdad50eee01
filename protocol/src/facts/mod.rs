//! What each experiment measured: settings, rounds, counts, times and captured texts. What follows from them, statistics, verdicts and
//! wording, is derived again by the `reports` crate each time a report is drawn.

pub mod browser;
pub mod capacity;
pub mod compared;
pub mod compression;
pub mod crossover;
pub mod fallback;
pub mod first_event;
pub mod frames;
pub mod handshake;
pub mod header_compression;
pub mod herd;
pub mod history;
pub mod idle;
pub mod keep_alive;
pub mod ladder;
pub mod layers;
pub mod loss;
pub mod memory;
pub mod multiplexing;
pub mod papers;
pub mod rooms;
pub mod shared_feed;
pub mod spent;
pub mod sweep;
pub mod tls;
pub mod token_stream;
pub mod upstream;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Comparison;

/// The facts of one experiment, under its name on the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "experiment", content = "facts")]
pub enum Facts {
    /// Bytes on the wire over time, for three events.
    Ladder(ladder::LadderFacts),
    /// Server load without an event.
    Idle(idle::IdleFacts),
    /// A sweep over the poll interval.
    PollInterval(sweep::SweepFacts),
    /// A sweep over the network delay.
    Delay(sweep::SweepFacts),
    /// A sweep over the event rate.
    Rate(sweep::SweepFacts),
    /// A sweep over the payload size.
    Payload(sweep::SweepFacts),
    /// A sweep over the number of subscribers.
    Subscribers(sweep::SweepFacts),
    /// A search for the highest load within a latency bound.
    Capacity(capacity::CapacityFacts),
    /// Server memory at several numbers of subscribers.
    Memory(memory::MemoryFacts),
    /// All transports under one load, and two of them under a heavy one.
    Compared(Box<compared::ComparedFacts>),
    /// Server load after one event, and reconnections after a restart.
    Herd(herd::HerdFacts),
    /// Messages from a subscriber to all.
    Upstream(upstream::UpstreamFacts),
    /// Requests over connections that are kept or closed.
    KeepAlive(keep_alive::KeepAliveFacts),
    /// Responses to right and wrong WebSocket handshakes.
    Handshake(handshake::HandshakeFacts),
    /// Responses to right and wrong WebSocket frames.
    Frames(frames::FramesFacts),
    /// Deliveries and opened connections with and without TLS.
    Tls(Box<tls::TlsFacts>),
    /// Bare WebSocket and the protocols on top of it.
    Layers(Box<layers::LayersFacts>),
    /// Messages to some of the clients.
    Rooms(rooms::RoomsFacts),
    /// The same events over every generation of transports.
    History(history::HistoryFacts),
    /// Every transport through faulty proxies.
    Fallback(fallback::FallbackFacts),
    /// Many subscribers on one HTTP/2 connection.
    Multiplexing(Box<multiplexing::MultiplexingFacts>),
    /// The headers of one poll after another.
    HeaderCompression(header_compression::HeaderCompressionFacts),
    /// WebSocket with and without compression.
    Compression(compression::CompressionFacts),
    /// The time from nothing to the first event.
    FirstEvent(first_event::FirstEventFacts),
    /// Transports over a network that loses packets.
    Loss(loss::LossFacts),
    /// Two servers, with a feed of their own each and with a shared one.
    SharedFeed(shared_feed::SharedFeedFacts),
    /// Answers that come token by token.
    TokenStream(token_stream::TokenStreamFacts),
    /// The WebSocket interface of a browser.
    Browser(browser::BrowserFacts),
    /// Costs over event rate, staleness and delay.
    Crossover(crossover::CrossoverFacts),
    /// The settings of published measurements, measured here.
    Papers(Box<papers::PapersFacts>),
    /// A sweep that the command line defined.
    Sweep(sweep::SweepFacts),
}

impl Facts {
    /// The name of the experiment on the command line and in links. A sweep that the command line defined has the name of its factor.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ladder(_) => "ladder",
            Self::Idle(_) => "idle",
            Self::PollInterval(_) => "poll-interval",
            Self::Delay(_) => "delay",
            Self::Rate(_) => "rate",
            Self::Payload(_) => "payload",
            Self::Subscribers(_) => "subscribers",
            Self::Capacity(_) => "capacity",
            Self::Memory(_) => "memory",
            Self::Compared(_) => "compared",
            Self::Herd(_) => "herd",
            Self::Upstream(_) => "upstream",
            Self::KeepAlive(_) => "keep-alive",
            Self::Handshake(_) => "handshake",
            Self::Frames(_) => "frames",
            Self::Tls(_) => "tls",
            Self::Layers(_) => "layers",
            Self::Rooms(_) => "rooms",
            Self::History(_) => "history",
            Self::Fallback(_) => "fallback",
            Self::Multiplexing(_) => "multiplexing",
            Self::HeaderCompression(_) => "header-compression",
            Self::Compression(_) => "compression",
            Self::FirstEvent(_) => "first-event",
            Self::Loss(_) => "loss",
            Self::SharedFeed(_) => "shared-feed",
            Self::TokenStream(_) => "token-stream",
            Self::Browser(_) => "browser",
            Self::Crossover(_) => "crossover",
            Self::Papers(_) => "papers",
            Self::Sweep(facts) => facts.factor.name(),
        }
    }

    /// The rounds that the experiment measured, one comparison for each setting; none where it measured something else than rounds.
    pub fn rounds(&self) -> Vec<&Comparison> {
        match self {
            Self::Ladder(_)
            | Self::Idle(_)
            | Self::Herd(_)
            | Self::Upstream(_)
            | Self::KeepAlive(_)
            | Self::Handshake(_)
            | Self::Rooms(_)
            | Self::SharedFeed(_)
            | Self::Browser(_)
            | Self::HeaderCompression(_)
            | Self::FirstEvent(_)
            | Self::TokenStream(_)
            | Self::Fallback(_)
            | Self::Frames(_) => Vec::new(),
            Self::PollInterval(facts)
            | Self::Delay(facts)
            | Self::Rate(facts)
            | Self::Payload(facts)
            | Self::Subscribers(facts)
            | Self::Sweep(facts) => facts.comparisons(),
            Self::Capacity(facts) => facts.comparisons(),
            Self::Memory(facts) => facts.comparisons.iter().collect(),
            Self::Compared(facts) => vec![&facts.few, &facts.many],
            Self::Tls(facts) => vec![&facts.plain, &facts.within_tls],
            Self::Layers(facts) => std::iter::once(&facts.rounds).chain(&facts.memory.comparisons).collect(),
            Self::History(facts) => vec![&facts.rounds],
            Self::Multiplexing(facts) => {
                let memory = facts.memory.iter().flat_map(|facts| &facts.comparisons);
                facts.shared.iter().chain(memory).collect()
            }
            Self::Compression(facts) => facts.rounds.iter().chain(&facts.memory.comparisons).collect(),
            Self::Loss(facts) => facts.comparisons.iter().collect(),
            Self::Crossover(facts) => facts.comparisons.iter().collect(),
            Self::Papers(facts) => facts.comparisons(),
        }
    }
}
