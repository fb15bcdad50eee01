//! A worker: another process with some of a round's subscribers, on this machine or on another one.
//!
//! It receives a task and then commands, one line of JSON each, and replies in the same way. A process of this machine does so on its standard
//! input and output, and an agent on a TCP connection.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use protocol::status::Published;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{self, Child};
use tokio::time::timeout;

use super::local::LocalSubscribers;
use super::task::{GroupStatus, Task};

/// How long an agent may take to reply: as long as many subscribers take to connect, and more.
const AGENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the greeting of an agent may take, and the longest greeting and reply. A reply has a time for each event of the window.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_GREETING_BYTES: u64 = 256;
const MAX_REPLY_BYTES: u64 = 256 << 20;

/// A command to a worker. Commands are sent after the task.
#[derive(Serialize, Deserialize)]
pub enum Command {
    /// Report the status.
    Status,
    /// Start or stop measuring the lag of the event loop.
    MeasureLag(bool),
    /// Close all subscriptions, and report what they have observed of these events.
    Close(Vec<Published>),
}

/// A worker. Dropping a process ends it; dropping an agent closes its connection.
pub struct Worker {
    /// What it is called in messages.
    pub name: String,
    /// Its last status.
    pub last: GroupStatus,
    child: Option<Child>,
    input: Pin<Box<dyn AsyncWrite>>,
    output: BufReader<Pin<Box<dyn AsyncRead>>>,
}

impl Worker {
    /// Starts a process of this machine.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> anyhow::Result<Self> {
        let executable = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = process::Command::new(executable);
        command.arg("subscribe").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Logging would change what is measured.
        command.env_remove("RUST_LOG");
        let mut child = command.spawn().context("cannot start a client process")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = (input.context("it is piped")?, output.context("it is piped")?);
        Ok(Self::new("a client process".into(), Some(child), Box::pin(input), Box::pin(output)))
    }

    /// An agent that has connected.
    ///
    /// # Errors
    /// When the connection has been closed.
    pub fn agent(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let name = format!("the agent at {}", stream.peer_addr()?);
        let (output, input) = stream.into_split();
        Ok(Self::new(name, None, Box::pin(input), Box::pin(output)))
    }

    fn new(
        name: String,
        child: Option<Child>,
        input: Pin<Box<dyn AsyncWrite>>,
        output: Pin<Box<dyn AsyncRead>>,
    ) -> Self {
        Self { name, last: GroupStatus::default(), child, input, output: BufReader::new(output) }
    }

    /// Whether it is an agent, and not a process of this machine.
    pub fn is_agent(&self) -> bool {
        self.child.is_none()
    }

    /// Sends a task or a command.
    ///
    /// # Errors
    /// When the worker has ended.
    pub async fn send(&mut self, message: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(message)? + "\n";
        let sent = async {
            self.input.write_all(line.as_bytes()).await?;
            self.input.flush().await
        };
        let sent = match self.child {
            // An agent that is suspended, or whose network has failed, takes nothing.
            None => timeout(AGENT_TIMEOUT, sent).await.context("it does not respond")?,
            Some(_) => sent.await,
        };
        sent.with_context(|| format!("{} has ended unexpectedly", self.name))
    }

    /// Receives a reply.
    ///
    /// # Errors
    /// When the worker has ended.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = match self.is_agent() {
            true => timeout(AGENT_TIMEOUT, self.line(MAX_REPLY_BYTES)).await.context("it does not respond")??,
            false => self.line(MAX_REPLY_BYTES).await?,
        };
        ensure!(line.ends_with(b"\n"), "{} has ended unexpectedly; see its error message", self.name);
        Ok(serde_json::from_slice(&line)?)
    }

    /// Receives the first line of a connection, which must be short and come soon.
    ///
    /// # Errors
    /// When it is not, or the connection fails.
    pub async fn greeting(&mut self) -> anyhow::Result<String> {
        let line = timeout(GREETING_TIMEOUT, self.line(MAX_GREETING_BYTES)).await.context("it sends nothing")??;
        Ok(serde_json::from_slice(&line)?)
    }

    /// Reads up to the end of a line, but not more than `max_bytes`.
    async fn line(&mut self, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.output).take(max_bytes).read_until(b'\n', &mut line).await?;
        Ok(line)
    }

    /// Waits until a process has ended, after it was asked to close.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn ended(mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            child.wait().await?;
        }
        Ok(())
    }
}

/// Carries out a task with the commands that follow it, up to the one to close. A task is changed by `prepare`, which also returns how far the
/// clock may be off, in ns. Returns whether there was a task.
///
/// # Errors
/// When a command is not valid, the subscribers cannot connect, or the connection fails.
pub async fn carry_out(
    commands: &mut Lines<impl AsyncBufRead + Unpin>,
    replies: &mut (impl AsyncWrite + Unpin),
    prepare: impl AsyncFn(Task) -> anyhow::Result<(Task, u64)>,
) -> anyhow::Result<bool> {
    let Some(task) = commands.next_line().await? else { return Ok(false) };
    let (task, clock_bound_ns) = prepare(serde_json::from_str(&task)?).await?;
    let mut local = LocalSubscribers::connect(task, std::sync::Arc::default()).await?;
    let status = |local: &LocalSubscribers| GroupStatus { clock_bound_ns, ..local.status() };
    reply(replies, &status(&local)).await?;
    while let Some(command) = commands.next_line().await? {
        match serde_json::from_str(&command)? {
            Command::Status => reply(replies, &status(&local)).await?,
            Command::MeasureLag(on) => local.measure_lag(on),
            Command::Close(sent) => {
                reply(replies, &local.close(&sent).await).await?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Sends a reply.
///
/// # Errors
/// When the connection fails.
pub async fn reply(replies: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(message)? + "\n";
    replies.write_all(line.as_bytes()).await?;
    Ok(replies.flush().await?)
}

/// Runs as a worker process: carries out the task on standard input.
///
/// # Errors
/// When a command is not valid, or the subscribers cannot connect.
pub async fn run_child() -> anyhow::Result<()> {
    server::limits::raise_open_files();
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    carry_out(&mut commands, &mut tokio::io::stdout(), async |task| Ok((task, 0))).await?;
    Ok(())
}
