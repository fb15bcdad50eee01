//! Wakes a task at a time to a fraction of a millisecond: the event loop's own timers know whole milliseconds only.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use protocol::clock;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's.
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    /// When it is set to go off, in ns; 0 while it is not.
    set: u64,
}

impl Alarm {
    /// A timer that is not set yet. Only within an event loop.
    ///
    /// # Errors
    /// Those of opening a file.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: the descriptor is owned, so it stays open and the same for as long as it is registered.
        #[allow(unsafe_code)]
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self { timer, set: 0 })
    }

    /// Waits until `due`, in ns of the monotonic clock. Dropping the future leaves the timer set, which does no harm.
    ///
    /// # Errors
    /// Those of the kernel's timer.
    pub async fn until(&mut self, due: u64) -> io::Result<()> {
        while clock::now_ns() < due {
            if self.set != due {
                let at = Duration::from_nanos(due);
                let value = Timespec { tv_sec: at.as_secs() as i64, tv_nsec: i64::from(at.subsec_nanos()) };
                let never = Timespec { tv_sec: 0, tv_nsec: 0 };
                let times = Itimerspec { it_interval: never, it_value: value };
                timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &times)?;
                self.set = due;
            }
            let mut ready = self.timer.readable().await?;
            // Setting the timer anew also takes back that it went off, so it need not be read.
            ready.clear_ready();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_goes_off_when_it_is_due_and_not_before_however_often_it_is_set() {
        let mut alarm = Alarm::new().unwrap();
        for wait_ns in [3_000_000, 500_000, 0, 1_000_000] {
            let due = clock::now_ns() + wait_ns;
            alarm.until(due).await.unwrap();
            assert!(clock::now_ns() >= due);
        }
        // One that was given up for an earlier one, and then waited for after all.
        let late = clock::now_ns() + 4_000_000;
        let soon = clock::now_ns() + 1_000_000;
        tokio::select! {
            biased;
            _ = alarm.until(late) => panic!("not yet"),
            () = std::future::ready(()) => {}
        }
        alarm.until(soon).await.unwrap();
        alarm.until(late).await.unwrap();
        assert!(clock::now_ns() >= late);
    }
}
