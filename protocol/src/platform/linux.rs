//! Linux: figures from `/proc`, timers of the kernel (`timerfd`), and its counts of TCP connections (`TCP_INFO`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::figures::{CpuTime, Usage};
pub use super::unix::*;
use crate::ledger::KernelCount;

/// The most processes that are looked at.
const MAX_PROCESSES: usize = 1_000;

/// The resident memory of this process, in bytes. The file is exact, while `/proc/self/statm` may be out of date by some pages per processor.
pub fn resident_bytes() -> Option<u64> {
    Some(number(&fs::read_to_string("/proc/self/smaps_rollup").ok()?, "Rss:")? * 1024)
}

/// Involuntary and voluntary context switches of this process's running threads, except the calling one.
pub fn context_switches() -> Option<u64> {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let of = |status: String| {
        number(&status, "voluntary_ctxt_switches:").unwrap_or(0)
            + number(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0)
    };
    let threads = fs::read_dir("/proc/self/task").ok()?.flatten().filter(|thread| thread.file_name() != *own);
    Some(threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok()).map(of).sum())
}

fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// How many files a process has open, including connections.
pub fn open_files(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Makes the calling thread's sleeps end on time. By default, the kernel may delay their end by 50 us.
pub fn sleep_precisely() {
    // If this call fails, sleeps end later.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// The processor's name.
pub fn cpu_name() -> Option<String> {
    field("/proc/cpuinfo", "model name")
}

/// The machine's memory, in bytes.
pub fn memory_bytes() -> Option<u64> {
    Some(field("/proc/meminfo", "MemTotal")?.split(' ').next()?.parse::<u64>().ok()? * 1024)
}

/// The value of the field `name` in a file like `/proc/cpuinfo`: what follows the name, blanks and a colon.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().into())
}

/// The time during which at least one task waited for a processor, in us (`Documentation/accounting/psi.rst`).
pub fn cpu_pressure_us() -> Option<u64> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    text.lines().next()?.rsplit_once("total=")?.1.parse().ok()
}

/// The processors' time since the start, in ticks.
pub fn cpu_time() -> Option<CpuTime> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = text.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time, which follows, is part of user.
    Some(CpuTime { all: fields.iter().take(8).sum(), stolen: *fields.get(7)? })
}

/// What a process and its children have used together.
pub fn usage(pid: u32) -> Option<Usage> {
    let mut found = BTreeSet::from([pid]);
    let mut unseen = vec![pid];
    while let Some(pid) = unseen.pop() {
        for child in children(pid) {
            if found.len() < MAX_PROCESSES && found.insert(child) {
                unseen.push(child);
            }
        }
    }
    let used = found.into_iter().filter_map(|pid| Some(Usage { cpu_ns: cpu_ns(pid)?, resident_bytes: resident(pid)? }));
    used.reduce(|sum, one| Usage {
        cpu_ns: sum.cpu_ns + one.cpu_ns,
        resident_bytes: sum.resident_bytes + one.resident_bytes,
    })
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

fn resident(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * page_size() as u64)
}

/// Lets a connection fail if the peer acknowledges nothing for this long (`TCP_USER_TIMEOUT`).
///
/// # Errors
/// Those of the socket.
pub fn set_user_timeout(socket: SockRef<'_>, timeout: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(timeout))
}

/// Offsets in `struct tcp_info` (`include/uapi/linux/tcp.h`), in bytes. The kernel only ever adds fields at the end.
const STATE: usize = 0;
const BYTES_RECEIVED: usize = 128;
const SEGMENTS_OUT: usize = 136;
const SEGMENTS_IN: usize = 140;
const BYTES_SENT: usize = 200;
const BYTES_RETRANSMITTED: usize = 208;
/// The states of a connection whose peer has ended its side, whatever we have done: TIME_WAIT, CLOSE_WAIT, LAST_ACK and CLOSING
/// (`include/net/tcp_states.h`). In CLOSE, the peer may have ended its side, or may have reset the connection.
const PEER_HAS_ENDED: [u8; 4] = [6, 8, 9, 11];
/// The length up to the end of the last of these fields, which Linux has since 4.19.
const LENGTH: usize = 216;

/// What the kernel has counted on a TCP connection: an independent check of our own counts. `ended` is whether a read has reached the peer's
/// end. The connection's state does not show that once both sides have ended.
pub fn tcp_counts(socket: SockRef<'_>, ended: bool) -> Option<KernelCount> {
    let mut bytes = [0u8; LENGTH];
    let mut length = LENGTH as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `bytes`, which has as many, and the descriptor is open for as long as
    // it is borrowed.
    #[allow(unsafe_code)]
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status != 0 || (length as usize) < LENGTH {
        return None;
    }
    let u32_at = |at: usize| u64::from(u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes")));
    let u64_at = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    // The peer's FIN takes a sequence number, and so the kernel counts it as a byte.
    let fin = u64::from(ended || PEER_HAS_ENDED.contains(&bytes[STATE]));
    Some(KernelCount {
        received_bytes: u64_at(BYTES_RECEIVED).saturating_sub(fin),
        sent_bytes: u64_at(BYTES_SENT) - u64_at(BYTES_RETRANSMITTED),
        segments_sent: u32_at(SEGMENTS_OUT),
        segments_received: u32_at(SEGMENTS_IN),
    })
}

/// A timer of the kernel (`timerfd`), which wakes a task to a fraction of a millisecond. The event loop's own timers have a granularity of 1 ms.
pub struct Timer {
    timer: AsyncFd<OwnedFd>,
    /// When it expires, in ns; 0 while it is not set.
    expires: u64,
}

impl Timer {
    /// A timer that is not set yet. Must be called within an event loop.
    ///
    /// # Errors
    /// Those of opening a file.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: the descriptor is owned, so it stays open and the same for as long as it is registered.
        #[allow(unsafe_code)]
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self { timer, expires: 0 })
    }

    /// Waits until `due`, in ns of the monotonic clock. Dropping the future leaves the timer set, which does no harm.
    ///
    /// # Errors
    /// Those of the kernel's timer.
    pub async fn sleep_until(&mut self, due: u64) -> io::Result<()> {
        while monotonic_ns() < due {
            if self.expires != due {
                let at = Duration::from_nanos(due);
                let value = Timespec { tv_sec: at.as_secs() as i64, tv_nsec: i64::from(at.subsec_nanos()) };
                let never = Timespec { tv_sec: 0, tv_nsec: 0 };
                let times = Itimerspec { it_interval: never, it_value: value };
                timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &times)?;
                self.expires = due;
            }
            let mut ready = self.timer.readable().await?;
            // Setting the timer again clears the expiration, so it need not be read.
            ready.clear_ready();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    fn counts(stream: &TcpStream, ended: bool) -> KernelCount {
        tcp_counts(SockRef::from(stream), ended).unwrap()
    }

    #[test]
    fn the_kernel_counts_what_was_written_and_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(&[1; 1_000]).unwrap();
        far.read_exact(&mut [0; 1_000]).unwrap();
        far.write_all(&[2; 77]).unwrap();
        near.read_exact(&mut [0; 77]).unwrap();
        let info = counts(&near, false);
        assert_eq!((info.sent_bytes, info.received_bytes), (1_000, 77));
        assert!(info.segments_sent >= 2 && info.segments_received >= 2, "{info:?}");
        drop(far);
        assert_eq!(near.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(counts(&near, false).received_bytes, 77, "the peer's end is not counted");
    }

    #[test]
    fn the_peer_s_end_is_not_counted_when_we_ended_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        far.write_all(&[2; 77]).unwrap();
        drop(far);
        assert_eq!(near.read_to_end(&mut Vec::new()).unwrap(), 77);
        assert_eq!(counts(&near, true).received_bytes, 77);
    }
}
