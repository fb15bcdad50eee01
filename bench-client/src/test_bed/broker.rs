//! A broker (nats-server) for servers that share a feed.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use server::feed::BrokerAddress;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// The program, which is looked for in the path.
const PROGRAM: &str = "nats-server";
/// How long it may take to start.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A broker with an empty store. Dropping it ends its process and removes the store.
pub struct Broker {
    process: Child,
    address: SocketAddr,
    store: PathBuf,
    /// What the program prints as its version.
    pub version: String,
}

impl Broker {
    /// Starts a broker that listens on a free port of the loopback interface.
    ///
    /// # Errors
    /// When there is no such program in the path, or it does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let version = Command::new(PROGRAM).arg("--version").output();
        let version = version.with_context(|| format!("there is no {PROGRAM} in the path"))?;
        ensure!(version.status.success(), "{PROGRAM} --version fails");
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let store = std::env::temp_dir().join(format!("transport-lab-broker-{}", std::process::id()));
        // What an earlier process with this number left behind, if it was killed.
        match std::fs::remove_dir_all(&store) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot empty {}", store.display()));
            }
            _ => {}
        }
        let process = Command::new(PROGRAM)
            .args(["-js", "-a", &address.ip().to_string(), "-p", &address.port().to_string(), "-sd"])
            .arg(&store)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let version = String::from_utf8_lossy(&version.stdout).trim().to_string();
        let mut broker = Self { process, address, store, version };
        let deadline = Instant::now() + TIMEOUT;
        loop {
            broker.still_runs()?;
            if TcpStream::connect(address).await.is_ok() {
                break;
            }
            ensure!(Instant::now() < deadline, "{PROGRAM} does not listen within {TIMEOUT:?}");
            sleep(Duration::from_millis(10)).await;
        }
        // Otherwise it may have been another program that listens there.
        broker.still_runs()?;
        Ok(broker)
    }

    fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("{PROGRAM} has ended: {status}"),
            None => Ok(()),
        }
    }

    /// The address of a stream, which the first server that uses it makes.
    ///
    /// # Errors
    /// When a stream cannot have this name.
    pub fn stream(&self, name: &str) -> anyhow::Result<BrokerAddress> {
        format!("nats://{}/{name}", self.address).parse().map_err(anyhow::Error::msg)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.store);
    }
}
