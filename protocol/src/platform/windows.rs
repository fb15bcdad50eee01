//! Windows: the performance counter as the clock, and the times and the memory of a process. It does not tell context switches, the files that a
//! process has open, or what the kernel counts on a TCP connection, and it has no signals.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use socket2::SockRef;
use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};
use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetCurrentThread, GetProcessTimes, GetThreadTimes};

use super::figures::{CpuTime, Usage};
pub use super::timer::Timer;
use crate::ledger::KernelCount;

/// The current time, in ns on a clock that all processes of the host share (`QueryPerformanceCounter`).
pub fn monotonic_ns() -> u64 {
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    let frequency = *FREQUENCY.get_or_init(|| {
        let mut frequency = 0;
        // SAFETY: the number lives for the whole call, which cannot fail since Windows XP.
        #[allow(unsafe_code)]
        unsafe {
            QueryPerformanceFrequency(&raw mut frequency)
        };
        frequency.max(1) as u64
    });
    let mut ticks = 0;
    // SAFETY: as above.
    #[allow(unsafe_code)]
    unsafe {
        QueryPerformanceCounter(&raw mut ticks)
    };
    (u128::from(ticks as u64) * 1_000_000_000 / u128::from(frequency)) as u64
}

const NEVER: FILETIME = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };

/// A duration in units of 100 ns.
fn ns(time: FILETIME) -> u64 {
    (u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)) * 100
}

/// The CPU time of this process, user and system, in ns.
pub fn process_cpu_ns() -> u64 {
    let [mut created, mut ended, mut kernel, mut user] = [NEVER; 4];
    // SAFETY: the times live for the whole call, and the handle of the current process is always valid.
    #[allow(unsafe_code)]
    unsafe {
        GetProcessTimes(GetCurrentProcess(), &raw mut created, &raw mut ended, &raw mut kernel, &raw mut user)
    };
    ns(kernel) + ns(user)
}

/// The CPU time of the calling thread, in ns. The system counts it in ticks of up to 16 ms.
pub fn thread_cpu_ns() -> u64 {
    let [mut created, mut ended, mut kernel, mut user] = [NEVER; 4];
    // SAFETY: the times live for the whole call, and the handle of the current thread is always valid.
    #[allow(unsafe_code)]
    unsafe {
        GetThreadTimes(GetCurrentThread(), &raw mut created, &raw mut ended, &raw mut kernel, &raw mut user)
    };
    ns(kernel) + ns(user)
}

/// The resident memory of this process (its working set), in bytes.
pub fn resident_bytes() -> Option<u64> {
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    let mut counters = PROCESS_MEMORY_COUNTERS { cb: size, ..Default::default() };
    // SAFETY: the system writes at most `size` bytes to `counters`, which has as many.
    #[allow(unsafe_code)]
    let done = unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &raw mut counters, size) };
    (done != 0).then_some(counters.WorkingSetSize as u64)
}

/// Context switches; not known on this system.
pub fn context_switches() -> Option<u64> {
    None
}

/// How many files a process has open; not known on this system.
pub fn open_files(_pid: u32) -> Option<usize> {
    None
}

/// How many files this process may open: there is no limit on sockets.
pub fn max_open_files() -> u64 {
    u64::MAX
}

/// There is no limit to be raised.
pub fn raise_open_files() {}

/// Sleeps have no setting.
pub fn sleep_precisely() {}

/// The system's version; what its calls return depends on the program's manifest, so they are not used.
pub fn version() -> Option<String> {
    None
}

/// The processor's name.
pub fn cpu_name() -> Option<String> {
    std::env::var("PROCESSOR_IDENTIFIER").ok()
}

/// The machine's memory, in bytes.
pub fn memory_bytes() -> Option<u64> {
    let mut status = MEMORYSTATUSEX { dwLength: size_of::<MEMORYSTATUSEX>() as u32, ..Default::default() };
    // SAFETY: the structure has the length that it says, and lives for the whole call.
    #[allow(unsafe_code)]
    let done = unsafe { GlobalMemoryStatusEx(&raw mut status) };
    (done != 0).then_some(status.ullTotalPhys)
}

/// The time during which a task waited for a processor; not known on this system.
pub fn cpu_pressure_us() -> Option<u64> {
    None
}

/// The processors' time; the stolen time is not known on this system.
pub fn cpu_time() -> Option<CpuTime> {
    None
}

/// What another process has used; not measured on this system.
pub fn usage(_pid: u32) -> Option<Usage> {
    None
}

/// This system cannot suspend a process.
///
/// # Errors
/// Always.
pub fn freeze(_child: &Child, _frozen: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Ends a process: it cannot be asked to.
pub fn interrupt(child: &mut Child) {
    // An error means that it has ended already.
    let _ = child.kill();
}

/// There are no groups: only the process itself is ended.
pub fn lead_group(_command: &mut Command) {}

/// Ends a process: it cannot be asked to.
pub fn end_group(leader: &mut Child, _force: bool) {
    // An error means that it has ended already.
    let _ = leader.kill();
}

/// This system has no such timeout for a connection. Deliveries have a timeout of their own.
///
/// # Errors
/// None on this system.
pub fn set_user_timeout(_socket: SockRef<'_>, _timeout: Duration) -> io::Result<()> {
    Ok(())
}

/// What the kernel has counted on a TCP connection; not known on this system.
pub fn tcp_counts(_socket: SockRef<'_>, _ended: bool) -> Option<KernelCount> {
    None
}

/// The keys that ask this process to end: Ctrl-C and Ctrl-Break. From its creation on, they do not end it by themselves.
pub struct StopSignals {
    interrupt: CtrlC,
    terminate: CtrlBreak,
}

impl StopSignals {
    /// Begins to receive the keys; must be called within an event loop.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Self> {
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
    }

    /// Waits for a key.
    pub async fn receive(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
