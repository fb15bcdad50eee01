//! A timer for systems that offer no precise one to an event loop.

use std::io;
use std::time::Duration;

use super::monotonic_ns;

/// The event loop's timers have a granularity of 1 ms, and on Windows of up to 16 ms. For this time before it is due, a task looks at the clock
/// again and again, and lets others run in between.
const LAST: Duration = Duration::from_millis(if cfg!(windows) { 16 } else { 2 });

/// A timer that wakes a task to a fraction of a millisecond. It takes CPU time of the load client.
pub struct Timer(());

impl Timer {
    /// A timer that is not set yet.
    ///
    /// # Errors
    /// None on this system.
    pub fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Waits until `due`, in ns of the monotonic clock.
    ///
    /// # Errors
    /// None on this system.
    pub async fn sleep_until(&mut self, due: u64) -> io::Result<()> {
        loop {
            let left = Duration::from_nanos(due.saturating_sub(monotonic_ns()));
            match left.checked_sub(LAST) {
                Some(long) => tokio::time::sleep(long).await,
                None if left.is_zero() => return Ok(()),
                None => tokio::task::yield_now().await,
            }
        }
    }
}
