//! Load from several machines: agents that have joined a comparison, and the agent itself.
//!
//! An agent connects to the comparison and waits for tasks. For each task, it compares its own clock with that of the server, so that its
//! latencies do not depend on the clock of the machine where the comparison runs; the bound of the comparison is part of the result.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};

use super::task::Task;
use super::worker::{Worker, carry_out, reply};
use crate::endpoint::Endpoint;
use crate::test_bed::control::Control;

/// How long a round waits for agents to join.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// What an agent sends first, so that another program that happens to connect is not taken for one.
const GREETING: &str = concat!("agent ", env!("CARGO_PKG_VERSION"));

/// The agents of a comparison.
pub struct Agents {
    listener: TcpListener,
    count: usize,
    idle: RefCell<Vec<Worker>>,
}

impl Agents {
    /// Listens for that many agents.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub async fn listen(address: SocketAddr, count: u32) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen for agents on {address}"))?;
        let agents = Self { listener, count: count as usize, idle: RefCell::default() };
        eprintln!("waiting for {count} agents: bench-client agent --join {}", agents.listener.local_addr()?);
        Ok(agents)
    }

    /// How many agents there are to be.
    pub(super) fn count(&self) -> u32 {
        self.count as u32
    }

    /// That many of the agents, for a round; waits until all have joined.
    ///
    /// # Errors
    /// When too few have joined after a minute.
    pub(super) async fn take(&self, needed: usize) -> anyhow::Result<Vec<Worker>> {
        let mut workers = self.idle.take();
        let deadline = Instant::now() + JOIN_TIMEOUT;
        while workers.len() < self.count {
            let joined = async {
                let mut worker = Worker::agent(self.listener.accept().await?.0)?;
                let greeting = worker.greeting().await?;
                anyhow::ensure!(greeting == GREETING, "it is not an agent, or has another version");
                anyhow::Ok(worker)
            };
            match timeout_at(deadline, joined).await {
                Ok(Ok(worker)) => workers.push(worker),
                Ok(Err(error)) => eprintln!("closed a connection that is not an agent's: {error:#}"),
                Err(_) => bail!("only {} of {} agents have joined within a minute", workers.len(), self.count),
            }
        }
        self.idle.replace(workers.split_off(needed));
        Ok(workers)
    }

    /// Takes back the agents that are left after a round.
    pub(super) fn give_back(&self, workers: Vec<Worker>) {
        self.idle.borrow_mut().extend(workers);
    }
}

/// Runs as an agent of the comparison at `address`, until that ends.
///
/// # Errors
/// When the comparison cannot be reached, or a task fails.
pub async fn run(address: &str) -> anyhow::Result<()> {
    server::limits::raise_open_files();
    let stream = join(address).await?;
    stream.set_nodelay(true)?;
    eprintln!("joined the comparison at {address}");
    let (commands, mut replies) = stream.into_split();
    let mut commands = BufReader::new(commands).lines();
    reply(&mut replies, &GREETING).await?;
    let mut tasks = 0;
    while carry_out(&mut commands, &mut replies, by_own_clock).await? {
        tasks += 1;
    }
    eprintln!("the comparison has ended after {tasks} rounds");
    Ok(())
}

/// Connects; the comparison may be started after the agent.
async fn join(address: &str) -> anyhow::Result<TcpStream> {
    let deadline = Instant::now() + JOIN_TIMEOUT;
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| {
                    format!("no comparison at {address}; start it with --agents, then this with --join HOST:PORT")
                });
            }
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// The task with times of this machine's clock instead of those of the machine where the comparison runs; and how far off they may be, in ns.
async fn by_own_clock(task: Task) -> anyhow::Result<(Task, u64)> {
    let endpoint = Endpoint::named(&task.url, task.insecure)?;
    let mut control = Control::connect(&endpoint).await.with_context(|| format!("cannot reach {}", task.url))?;
    let Some(offset) = control.clock_offset().await.map(Some)? else { bail!("the server does not tell its time") };
    let own = |time: u64| time.saturating_add_signed(task.clock_ahead_ns - offset.ahead_ns);
    let (deadline, poll_origin_ns) = (own(task.deadline), own(task.poll_origin_ns));
    Ok((Task { clock_ahead_ns: offset.ahead_ns, deadline, poll_origin_ns, ..task }, offset.bound_ns))
}
