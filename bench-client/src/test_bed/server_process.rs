//! The server under test: a separate process that is started for a round or an experiment.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use protocol::platform;
use server::Options;
use tokio::sync::oneshot;

use crate::endpoint::Endpoint;
use crate::wire::tls::Tls;

/// How long a server may take to shut down: somewhat longer than it waits for its connections to close.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that this program has started; dropping this value shuts the server down.
pub struct ServerProcess {
    child: Child,
    /// Where it listens for HTTP and WebSocket.
    pub endpoint: Endpoint,
}

/// The options of a server that listens on free ports of the loopback interface and publishes no events by itself, only those that are
/// posted to it.
pub fn options() -> Options {
    let free = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }
}

impl ServerProcess {
    /// Starts this executable as a server; it reads its options from standard input, as JSON.
    ///
    /// # Errors
    /// When it does not start, or does not print its address.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let executable = std::env::current_exe().context("cannot find this program's own file")?;
        // This program starts the server itself, so it can safely accept the self-signed certificate.
        let tls = options.tls_self_signed.then(|| Tls::new("localhost", true)).transpose()?;
        // Logging would change what is measured.
        let (child, address) = spawn(Command::new(executable).env_remove("RUST_LOG"), options)?;
        Ok(Self { child, endpoint: Endpoint { tls, ..Endpoint::plain(address) } })
    }
}

/// Starts a server by the command `program`, which runs this executable; returns the process, and the address of its HTTP port.
///
/// # Errors
/// When it does not start, or does not print its address.
pub fn spawn(program: &mut Command, options: &Options) -> anyhow::Result<(Child, SocketAddr)> {
    let program = program.arg("serve-child").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().context("cannot start a server")?;
    // It stays open: the server ends when it is closed.
    let sent = child.stdin.as_mut().map(|stdin| writeln!(stdin, "{}", serde_json::to_string(options)?));
    let mut line = String::new();
    let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
    let address = line.trim().split_once("://").and_then(|(_, address)| address.parse().ok());
    match (sent, read, address) {
        (Some(Ok(())), Some(Ok(_)), Some(address)) => Ok((child, address)),
        _ => {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the server did not start; see its error message above")
        }
    }
}

/// Runs a server whose options are the first line of standard input, as JSON, until that is closed: by the parent process, or because the
/// parent has ended, in whatever way.
///
/// # Errors
/// When the options cannot be read, or the server cannot be started.
pub fn run_child() -> anyhow::Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let options = serde_json::from_str(&line)
        .context("this command is for servers that the load client starts: it reads their options as JSON")?;
    let (end, ended) = oneshot::channel::<()>();
    std::thread::Builder::new().name("parent".into()).spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(end);
    })?;
    server::run::run(&options, async { _ = ended.await })
}

impl ServerProcess {
    /// Suspends the whole process, or resumes it.
    ///
    /// # Errors
    /// When the system cannot do that.
    pub fn freeze(&self, frozen: bool) -> std::io::Result<()> {
        platform::freeze(&self.child, frozen)
    }

    /// How many files the process has open, including connections; `None` if the system does not tell.
    pub fn open_files(&self) -> Option<usize> {
        platform::open_files(self.child.id())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
