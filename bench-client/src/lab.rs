//! The server under test: one started for a round as a process of its own, or one that runs already.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use protocol::schedule::Spacing;
use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;
use crate::tls::Tls;

/// How long a server may take to end in good order, somewhat longer than it gives its connections.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server started for one round; dropping it ends it.
pub struct OwnServer {
    child: Child,
    /// Where it listens for HTTP and WebSocket.
    pub place: Place,
}

/// How a server for a round is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Events a second.
    pub rate: f64,
    /// `periodic` or `poisson`.
    pub schedule: String,
    /// Seed of schedule and payloads.
    pub seed: u64,
    /// Payload of an event, in bytes.
    pub payload: u32,
    /// Events kept.
    pub history: u64,
    /// Bytes that they may come to.
    pub history_bytes: u64,
    /// Threads that serve connections.
    pub threads: u32,
    /// Whether it speaks TLS, with a certificate of its own making.
    pub tls: bool,
    /// A fault to inject into the publisher: when, and how long.
    pub stall: Option<(Duration, Duration)>,
    /// Where to listen for HTTP and for raw TCP; port 0 is a free one.
    pub listen: [SocketAddr; 2],
}

impl Default for Setup {
    /// A feed that publishes only what is posted, on free ports of the loopback interface.
    fn default() -> Self {
        let free = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        Self {
            rate: 0.0,
            schedule: Spacing::Periodic.to_string(),
            seed: 1,
            payload: 200,
            history: 8_192,
            history_bytes: 256 << 20,
            threads: 1,
            tls: false,
            stall: None,
            listen: [free; 2],
        }
    }
}

impl OwnServer {
    /// Starts this very executable as a server.
    ///
    /// # Errors
    /// When it does not start, or does not say where it listens.
    pub fn start(setup: &Setup) -> anyhow::Result<Self> {
        let executable = std::env::current_exe().context("cannot find this program's own file")?;
        let stall = setup.stall.map(|(after, length)| format!("--stall={after:?},{length:?}"));
        let mut child = Command::new(executable)
            .args(["serve", "--with-parent"])
            .args(["--listen", &setup.listen[0].to_string(), "--tcp-listen", &setup.listen[1].to_string()])
            .args(["--rate", &setup.rate.to_string()])
            .args(["--schedule", &setup.schedule])
            .args(["--seed", &setup.seed.to_string()])
            .args(["--payload", &setup.payload.to_string()])
            .args(["--history", &setup.history.to_string()])
            .args(["--history-bytes", &setup.history_bytes.to_string()])
            .args(["--threads", &setup.threads.to_string()])
            .args(setup.tls.then_some("--tls-self-signed"))
            .args(stall)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a server")?;
        let mut line = String::new();
        let told = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let address = line.trim().split_once("://").map(|(_, address)| address.parse());
        match (told, address) {
            (Some(Ok(_)), Some(Ok(address))) => {
                // It is ours: that nobody else vouches for it is no danger.
                let tls = setup.tls.then(|| Tls::new("localhost", true)).transpose()?;
                Ok(Self { child, place: Place { tls, ..Place::plain(address) } })
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("the server did not start; what it says of that stands above")
            }
        }
    }
}

impl OwnServer {
    /// Stops the whole process where it stands, or lets it go on.
    pub fn freeze(&self, frozen: bool) -> std::io::Result<()> {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }
}

impl OwnServer {
    /// How many files the process has open, connections included.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn open_files(&self) -> std::io::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
