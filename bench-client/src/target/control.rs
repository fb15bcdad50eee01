//! The figures of the server in a round: requested from a server of this lab, or gathered by the load client for a server of another kind.

use std::time::Duration;

use protocol::platform::Usage;
use protocol::status::{Load, Published};
use protocol::timetable::Timetable;
use protocol::{Cursor, Epoch, clock};

use super::TargetFile;
use super::process::TargetProcess;
use super::publisher::Publisher;
use crate::endpoint::Endpoint;
use crate::test_bed::control::{ClockOffset, Control};

/// How long before the window the first event is published. Subscribers have to be connected by then, since the server need not keep events.
pub const SETTLING: Duration = Duration::from_millis(300);

/// The source of the figures.
pub enum Figures {
    /// The server itself.
    Lab(Box<Control>),
    /// The load client.
    Foreign(Box<Foreign>),
}

impl Figures {
    /// Requests sent so far to find out.
    pub fn requests(&self) -> u64 {
        match self {
            Self::Lab(control) => control.requests(),
            Self::Foreign(_) => 0,
        }
    }

    /// What the server has used and done so far.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn load(&mut self) -> anyhow::Result<Load> {
        match self {
            Self::Lab(control) => control.load().await,
            Self::Foreign(foreign) => Ok(foreign.load()),
        }
    }

    /// The next published events after `cursor`; see [`Control::published`].
    ///
    /// # Errors
    /// When it does not respond, or publishing has failed.
    pub async fn published(&mut self, cursor: Cursor) -> anyhow::Result<(Vec<Published>, Cursor)> {
        match self {
            Self::Lab(control) => control.published(cursor).await,
            Self::Foreign(foreign) => {
                let page = foreign.publisher.published(cursor.0 as usize)?;
                let next = page.last().map_or(cursor, |last| Cursor(last.seq));
                Ok((page, next))
            }
        }
    }

    /// How far the server's clock is ahead of ours, with its bound; `None` if there is only one clock, since we publish ourselves.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn clock_offset(&mut self) -> anyhow::Result<Option<ClockOffset>> {
        match self {
            Self::Lab(control) => control.clock_offset().await.map(Some),
            Self::Foreign(_) => Ok(None),
        }
    }
}

/// A server of another kind, through which events are published.
pub struct Foreign {
    process: TargetProcess,
    publisher: Publisher,
    timetable: Timetable,
}

impl Foreign {
    /// Starts the server if the target has a command, and publishes from `SETTLING` before the window on. `timetable` is the schedule, which
    /// begins with `started_ns`.
    ///
    /// # Errors
    /// When the server does not start, or cannot be reached.
    pub fn start(target: &TargetFile, timetable: impl FnOnce() -> Timetable) -> anyhow::Result<Self> {
        let process = TargetProcess::start(target)?;
        let timetable = timetable();
        let Endpoint { host, address, .. } = process.endpoint.clone();
        let publisher = Publisher::start(target.publish.clone(), host, address, timetable.clone())?;
        Ok(Self { process, publisher, timetable })
    }

    /// Where subscribers connect to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.process.endpoint
    }

    fn load(&self) -> Load {
        let Usage { cpu_ns, resident_bytes } = self.process.used().unwrap_or_default();
        let Timetable { started_ns, first, rate, spacing, seed, payload_bytes, payload_kind } = self.timetable.clone();
        Load {
            now_ns: clock::now_ns(),
            started_ns,
            schedule_started_ns: started_ns,
            schedule_first: first,
            cpu_ns,
            resident_bytes,
            rate,
            schedule: spacing,
            payload_bytes,
            payload_kind,
            seed,
            epoch: Epoch(0),
            ..Load::default()
        }
    }
}
