//! What Linux and macOS have in common.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{self, SignalKind};

/// The current time, in ns on a clock that all processes of the host share (`CLOCK_MONOTONIC`).
pub fn monotonic_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// The CPU time of this process, user and system, in ns (`CLOCK_PROCESS_CPUTIME_ID`).
pub fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// The CPU time of the calling thread, in ns (`CLOCK_THREAD_CPUTIME_ID`).
pub fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Both fields are non-negative for these clocks, and 2^64 ns are 584 years, so nothing overflows.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How many files this process may open.
pub fn max_open_files() -> u64 {
    // `None` is no limit.
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit on open files to the hard limit.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // macOS refuses a soft limit that is unlimited, or beyond this constant (`OPEN_MAX`). An error leaves the limit as it was.
    let most =
        if cfg!(target_os = "macos") { Some(limit.maximum.unwrap_or(u64::MAX).min(10_240)) } else { limit.maximum };
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: limit.maximum });
}

/// The system's name and version, as `uname` reports them.
pub fn version() -> Option<String> {
    let names = rustix::system::uname();
    Some(format!("{} {}", names.sysname().to_string_lossy(), names.release().to_string_lossy()))
}

/// Suspends a whole process, or resumes it.
///
/// # Errors
/// When the signal cannot be sent.
pub fn freeze(child: &Child, frozen: bool) -> io::Result<()> {
    let signal = if frozen { Signal::STOP } else { Signal::CONT };
    Ok(kill_process(Pid::from_child(child), signal)?)
}

/// Asks a process to end, as the user does with Ctrl-C.
pub fn interrupt(child: &mut Child) {
    // An error means that it has ended already.
    let _ = kill_process(Pid::from_child(child), Signal::INT);
}

/// Makes the process that `command` starts the leader of a group, which its own children belong to.
pub fn lead_group(command: &mut Command) {
    command.process_group(0);
}

/// Asks the group of a leading process to end, or with `force` ends it.
pub fn end_group(leader: &mut Child, force: bool) {
    let signal = if force { Signal::KILL } else { Signal::TERM };
    // An error means that it has ended already.
    let _ = kill_process_group(Pid::from_child(leader), signal);
}

/// The signals that ask this process to end: SIGINT and SIGTERM. From its creation on, they do not end it by themselves.
pub struct StopSignals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl StopSignals {
    /// Begins to receive the signals; must be called within an event loop.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    /// Waits for a signal.
    pub async fn receive(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
