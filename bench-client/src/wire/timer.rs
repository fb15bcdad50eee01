//! A timer that wakes a task to a fraction of a millisecond. The event loop's own timers have a granularity of 1 ms.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use protocol::clock;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel (`timerfd`).
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
        while clock::now_ns() < due {
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
    use super::*;

    #[tokio::test]
    async fn it_expires_when_it_is_due_and_not_before_however_often_it_is_set() {
        let mut timer = Timer::new().unwrap();
        for wait_ns in [3_000_000, 500_000, 0, 1_000_000] {
            let due = clock::now_ns() + wait_ns;
            timer.sleep_until(due).await.unwrap();
            assert!(clock::now_ns() >= due);
        }
        // A wait that is dropped for an earlier one, and then repeated.
        let late = clock::now_ns() + 4_000_000;
        let soon = clock::now_ns() + 1_000_000;
        tokio::select! {
            biased;
            _ = timer.sleep_until(late) => panic!("not yet"),
            () = std::future::ready(()) => {}
        }
        timer.sleep_until(soon).await.unwrap();
        timer.sleep_until(late).await.unwrap();
        assert!(clock::now_ns() >= late);
    }
}
