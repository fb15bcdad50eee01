//! The subscribers of a round: in this process, or distributed over several workers.
//!
//! One thread receives some hundred thousand events per second. If that limits a measurement, `--processes` adds worker processes, and
//! `--agents` takes other machines (see `worker.rs` and `agents.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::clock;
use protocol::status::Published;
use serde::de::DeserializeOwned;

use crate::round::agents::Agents;
use crate::round::group::Share;
use crate::round::local::LocalSubscribers;
use crate::round::task::{GroupStatus, Observations, Task};
use crate::round::worker::{Command, Worker};

/// The subscribers of a round.
pub enum Subscribers {
    /// In this process.
    Local(Box<LocalSubscribers>),
    /// In workers.
    Workers {
        /// The workers that have not been lost.
        workers: Vec<Worker>,
        /// The names of the agents that have been lost, and their last statuses together.
        lost: Box<Lost>,
        /// Counts their deliveries, whenever they report their status.
        deliveries: Arc<AtomicU64>,
    },
}

/// The agents that have been lost in a round.
#[derive(Default)]
pub struct Lost {
    names: Vec<String>,
    /// Their last statuses together, so that no sum becomes smaller.
    last: GroupStatus,
}

impl Subscribers {
    /// Connects the subscribers, in this number of processes, or at the agents if there are some; their deliveries are counted in `deliveries`.
    ///
    /// # Errors
    /// When the server's host has no address, a process does not start, or an agent is missing.
    pub async fn connect(
        task: Task,
        processes: u32,
        agents: Option<&Agents>,
        deliveries: Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let (shares, mut workers) = match agents {
            Some(agents) => {
                // With fewer subscribers than agents, the others have nothing to do in this round.
                let shares: Vec<Share> = task.share.split(agents.count()).collect();
                let workers = agents.take(shares.len()).await?;
                (shares, workers)
            }
            None if processes == 1 => {
                return Ok(Self::Local(Box::new(LocalSubscribers::connect(task, deliveries).await?)));
            }
            None => {
                let shares: Vec<Share> = task.share.split(processes).collect();
                let workers: Vec<Worker> = shares.iter().map(|_| Worker::start()).collect::<anyhow::Result<_>>()?;
                (shares, workers)
            }
        };
        let mut lost = Box::<Lost>::default();
        // From the last one on, so that a worker that is removed does not shift the others.
        for (index, share) in shares.into_iter().enumerate().rev() {
            let sent = workers[index].send(&Task { share, ..task.clone() }).await;
            keep(&mut workers, &mut lost, index, sent)?;
        }
        let mut subscribers = Self::Workers { workers, lost, deliveries };
        // All workers connect at the same time. Each sends its first status when its subscribers have connected.
        subscribers.receive::<GroupStatus>().await?;
        Ok(subscribers)
    }

    /// The status of all subscribers together.
    ///
    /// # Errors
    /// When a process has ended.
    pub async fn status(&mut self) -> anyhow::Result<GroupStatus> {
        if let Self::Local(local) = self {
            return Ok(local.status());
        }
        self.send(&Command::Status).await?;
        let statuses = self.receive::<GroupStatus>().await?;
        let mut all = GroupStatus { cpu_ns: clock::process_cpu_ns(), ..GroupStatus::default() };
        statuses.iter().for_each(|one| all.add(one));
        if let Self::Workers { workers, lost, deliveries } = self {
            workers.iter_mut().zip(statuses).for_each(|(worker, status)| worker.last = status);
            all.add(&lost.last);
            deliveries.store(all.deliveries, Ordering::Relaxed);
        }
        Ok(all)
    }

    /// Starts or stops measuring the lag of the event loops.
    ///
    /// # Errors
    /// When a process has ended.
    pub async fn measure_lag(&mut self, on: bool) -> anyhow::Result<()> {
        match self {
            Self::Local(local) => local.measure_lag(on),
            Self::Workers { .. } => self.send(&Command::MeasureLag(on)).await?,
        }
        Ok(())
    }

    /// Closes all subscriptions; returns what they have observed of the events that were `sent` in the window, and the names of the agents that
    /// have been lost. Agents that are left can be used for the next round.
    ///
    /// # Errors
    /// When a process has ended.
    pub async fn close(
        mut self,
        sent: &[Published],
        agents: Option<&Agents>,
    ) -> anyhow::Result<(Observations, Vec<String>)> {
        if let Self::Local(local) = self {
            return Ok((local.close(sent).await, Vec::new()));
        }
        self.send(&Command::Close(sent.to_vec())).await?;
        let observed = self.receive::<Observations>().await?.into_iter().reduce(|mut all, one| {
            all.add(one);
            all
        });
        let Self::Workers { workers, lost, .. } = self else { unreachable!("local subscribers have returned above") };
        match agents {
            Some(agents) => agents.give_back(workers),
            None => {
                for worker in workers {
                    worker.ended().await?;
                }
            }
        }
        Ok((observed.unwrap_or_default(), lost.names))
    }

    /// Sends a command to all workers.
    async fn send(&mut self, command: &Command) -> anyhow::Result<()> {
        let Self::Workers { workers, lost, .. } = self else { return Ok(()) };
        let mut index = 0;
        while index < workers.len() {
            let sent = workers[index].send(command).await;
            index += usize::from(keep(workers, lost, index, sent)?.is_some());
        }
        Ok(())
    }

    /// Receives a reply from each worker.
    async fn receive<T: DeserializeOwned>(&mut self) -> anyhow::Result<Vec<T>> {
        let Self::Workers { workers, lost, .. } = self else { return Ok(Vec::new()) };
        let mut replies = Vec::new();
        while replies.len() < workers.len() {
            let received = workers[replies.len()].receive().await;
            replies.extend(keep(workers, lost, replies.len(), received)?);
        }
        Ok(replies)
    }
}

/// The result of what was done with a worker. If it failed, an agent is removed and counts as lost; that of a process is an error.
fn keep<T>(
    workers: &mut Vec<Worker>,
    lost: &mut Lost,
    index: usize,
    result: anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(_) if workers[index].is_agent() => {
            let worker = workers.remove(index);
            lost.last.add(&worker.last);
            lost.names.push(worker.name);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
