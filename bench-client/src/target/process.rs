//! The process of a server of another kind: started for a round, or running already; its CPU time and memory, with those of its children.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::param::page_size;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{PORT, TargetFile};
use crate::endpoint::Endpoint;

/// How long a server may take to listen, and to end.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// The most processes that are looked at.
const MAX_PROCESSES: usize = 1_000;

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
        program.args(command[1..].iter().map(with_port)).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
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

    /// CPU time in ns and resident memory in bytes, of the process and its children together; `None` if the process is not known.
    pub fn used(&self) -> Option<(u64, u64)> {
        let mut found = BTreeSet::from([self.pid?]);
        let mut unseen = vec![self.pid?];
        while let Some(pid) = unseen.pop() {
            for child in children(pid) {
                if found.len() < MAX_PROCESSES && found.insert(child) {
                    unseen.push(child);
                }
            }
        }
        let used = found.into_iter().filter_map(|pid| Some((cpu_ns(pid)?, resident_bytes(pid)?)));
        used.reduce(|sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

fn threads(pid: u32) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string())
}

fn children(pid: u32) -> Vec<u32> {
    let of = |thread: String| fs::read_to_string(thread + "/children").unwrap_or_default();
    threads(pid)
        .map(of)
        .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// The scheduler's count is exact, where the times of `/proc/PID/stat` have ticks of 10 ms. Threads that have ended are not in it.
fn cpu_ns(pid: u32) -> Option<u64> {
    let of = |thread: String| {
        let text = fs::read_to_string(thread + "/schedstat").ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads(pid).filter_map(of).reduce(|sum, one| sum + one)
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * page_size() as u64)
}

impl Drop for TargetProcess {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // With its children: a command may be a script that has started the server.
        let group = Pid::from_child(child);
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + END_TIMEOUT;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = kill_process_group(group, Signal::KILL);
            }
            sleep(Duration::from_millis(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_and_memory_of_a_process_and_its_children_are_found() {
        let endpoint = Endpoint::plain("127.0.0.1:1".parse().unwrap());
        let me = TargetProcess { child: None, pid: Some(std::process::id()), endpoint: endpoint.clone() };
        let (cpu_ns, bytes) = me.used().unwrap();
        assert!(cpu_ns > 0 && bytes > 1 << 20, "{cpu_ns} ns, {bytes} B");
        assert_eq!(TargetProcess { child: None, pid: None, endpoint }.used(), None);
    }
}
