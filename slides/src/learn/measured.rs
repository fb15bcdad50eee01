//! What the story shows of a run: the facts of some experiments, some figures of its comparison, and verdicts.

use anyhow::Context;
use protocol::experiment::{Drawing, Experiment, Lines, Map, Status};
use protocol::facts::Facts;
use protocol::facts::fallback::{Attempt, FallbackFacts, Proxy};
use protocol::facts::frames::FramesFacts;
use protocol::facts::handshake::{HandshakeFacts, HandshakeRequest};
use protocol::facts::ladder::{LadderFacts, WireTrace};
use protocol::result::Environment;
use protocol::run::{Part, Run};
use protocol::{Layer, Transport};
use reports::chapter;
use reports::summary::{Row, rows};

/// What the story shows of a run.
pub struct Measured {
    pub environment: Environment,
    pub ladder: LadderFacts,
    pub handshake: HandshakeFacts,
    pub frames: FramesFacts,
    pub fallback: FallbackFacts,
    /// The poll interval while no event was published, in ms.
    pub idle_interval_ms: u64,
    /// Server CPU while no event was published, over the number of subscribers.
    pub idle: Lines,
    /// The transport with the lowest CPU cost.
    pub map: Map,
    pub subscribers: u32,
    pub rate: f64,
    rows: Vec<Row>,
    statuses: Vec<(u32, Status)>,
}

impl Measured {
    /// Selects it from a run.
    ///
    /// # Errors
    /// When the run lacks a part of it; a run of `bench-client all` has everything.
    pub fn of(run: &Run) -> anyhow::Result<Self> {
        let comparison = run.comparison().context("the story needs a run of `bench-client all`")?;
        let facts = || {
            run.parts.iter().filter_map(|part| match part {
                Part::Measured(facts) => Some(facts),
                _ => None,
            })
        };
        macro_rules! facts_of {
            ($variant:ident) => {
                facts()
                    .find_map(|facts| match facts {
                        Facts::$variant(facts) => Some(facts),
                        _ => None,
                    })
                    .context(concat!("the run has no experiment ", stringify!($variant)))
            };
        }
        let chapters = chapter::of(run)?;
        let experiments: Vec<&Experiment> =
            chapter::experiments(&chapters).map(|derived| &*derived.experiment).collect();
        let drawings = || experiments.iter().flat_map(|experiment| &experiment.drawings);
        let idle = drawings().find_map(|drawing| match drawing {
            Drawing::Lines(lines) if lines.name == "idle-cpu" => Some(lines.clone()),
            _ => None,
        });
        let map = drawings().find_map(|drawing| match drawing {
            Drawing::Map(map) if map.name.starts_with("crossover-cpu") => Some(map.clone()),
            _ => None,
        });
        let verdicts = experiments.iter().flat_map(|experiment| &experiment.verdicts);
        Ok(Self {
            environment: run.environment.clone(),
            ladder: facts_of!(Ladder)?.clone(),
            handshake: facts_of!(Handshake)?.clone(),
            frames: facts_of!(Frames)?.clone(),
            fallback: facts_of!(Fallback)?.clone(),
            idle_interval_ms: facts_of!(Idle)?.poll_interval_ms,
            idle: idle.context("the run has no chart of idle subscribers")?,
            map: map.context("the run has no map of the lowest CPU cost")?,
            subscribers: comparison.scenario.subscribers,
            rate: comparison.scenario.rate,
            rows: rows(comparison),
            statuses: verdicts.map(|verdict| (verdict.claim, verdict.status)).collect(),
        })
    }

    /// The trace of a transport's messages.
    pub fn trace(&self, transport: Transport) -> anyhow::Result<&WireTrace> {
        let trace = self.ladder.traces.iter().find(|trace| trace.transport == transport);
        trace.with_context(|| format!("the run has no ladder of {transport}"))
    }

    /// The figures of a transport in the comparison.
    pub fn row(&self, transport: Transport) -> anyhow::Result<&Row> {
        let row = self.rows.iter().find(|row| row.transport == transport);
        row.with_context(|| format!("the comparison has no {transport}"))
    }

    /// The verdict on a claim.
    pub fn status(&self, claim: u32) -> anyhow::Result<Status> {
        let status = self.statuses.iter().find(|(number, status)| *number == claim && *status != Status::NotYet);
        Ok(status.with_context(|| format!("the run did not test claim {claim}"))?.1)
    }

    /// The response to a handshake.
    pub fn response(&self, request: HandshakeRequest) -> anyhow::Result<&str> {
        let trial = self.handshake.requests.iter().find(|trial| trial.request == request);
        trial.and_then(|trial| trial.response.as_deref()).context("a handshake has no response")
    }

    /// The subscriptions through the proxy that closes silent connections.
    pub fn cut(&self) -> impl Iterator<Item = &Attempt> {
        self.fallback.attempts.iter().filter(|attempt| attempt.proxy == Proxy::CutsSilence)
    }

    /// The last point of the line of idle subscribers: their number, and the server's CPU in ms a second.
    pub fn most_idle(&self, transport: Transport) -> anyhow::Result<(f64, f64)> {
        let line = self.idle.lines.iter().find(|line| line.transport == Some(transport));
        let point = line.and_then(|line| line.points.last()).with_context(|| format!("no idle {transport}"))?;
        Ok((point.x, point.y))
    }
}

/// Bytes of headers, of requests and responses, for one event.
pub fn header_bytes(row: &Row) -> f64 {
    (row.ledger[Layer::RequestHeaders] + row.ledger[Layer::ResponseHeaders]) as f64 / row.events()
}
