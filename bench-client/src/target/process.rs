//! The process of a server of another kind: started for a round, or running already.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use protocol::platform::{self, Usage};

use super::{PORT, TargetFile};
use crate::endpoint::Endpoint;

/// How long a server may take to listen, and to end.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// A server of another kind, and its process if it is known. One that was started ends when this is dropped.
pub struct TargetProcess {
    child: Option<Child>,
    pid: Option<u32>,
    /// Where it listens.
    pub endpoint: Endpoint,
}

impl TargetProcess {
    /// Starts the command if there is one, and waits until the server listens.
    ///
    /// # Errors
    /// When it does not start, ends, or does not listen in time.
    pub fn start(target: &TargetFile) -> anyhow::Result<Self> {
        let Some(command) = &target.command else {
            return Ok(Self { child: None, pid: target.pid, endpoint: Endpoint::named(&target.url, false)? });
        };
        // Free when it was chosen; a program that takes it in between makes the start fail.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port().to_string();
        let with_port = |text: &String| text.replace(PORT, &port);
        let endpoint = Endpoint::named(&with_port(&target.url), false)?;
        let mut program = Command::new(with_port(&command[0]));
        program.args(command[1..].iter().map(with_port)).stdin(Stdio::null()).stdout(Stdio::null());
        // A command may be a script, which starts the server.
        platform::lead_group(&mut program);
        if !target.directory.as_os_str().is_empty() {
            program.current_dir(&target.directory);
        }
        let child = program.spawn().with_context(|| format!("cannot start {}: {}", target.name, command.join(" ")))?;
        let mut started = Self { pid: Some(child.id()), child: Some(child), endpoint };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(started.endpoint.address).is_err() {
            if let Some(ended) = started.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                bail!("{} ended at its start: {ended}; its command is {}", target.name, command.join(" "));
            }
            if Instant::now() >= deadline {
                bail!("{} did not listen at {} within 10 s", target.name, started.endpoint.address);
            }
            sleep(Duration::from_millis(5));
        }
        Ok(started)
    }

    /// What the process and its children have used; `None` if the process is not known, or the system does not tell.
    pub fn used(&self) -> Option<Usage> {
        platform::usage(self.pid?)
    }
}

impl Drop for TargetProcess {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        platform::end_group(child, false);
        let deadline = Instant::now() + END_TIMEOUT;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                platform::end_group(child, true);
            }
            sleep(Duration::from_millis(2));
        }
    }
}
