//! The clocks from which all timestamps and CPU times are read, in nanoseconds.

use crate::platform;

/// The current time, in ns on the host's monotonic clock.
///
/// All processes of a host share this clock, so a timestamp from the server can be subtracted from one of the client. It has no relation
/// to the time of day and does not jump.
pub fn now_ns() -> u64 {
    platform::monotonic_ns()
}

/// The CPU time that this process has used so far, user and system, in ns. Threads that have ended are included.
pub fn process_cpu_ns() -> u64 {
    platform::process_cpu_ns()
}

/// The CPU time that the calling thread has used so far, in ns.
pub fn thread_cpu_ns() -> u64 {
    platform::thread_cpu_ns()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let first = now_ns();
        assert!(now_ns() >= first);
    }

    #[test]
    fn cpu_time_grows_with_work_and_that_of_a_process_includes_its_threads() {
        let before = thread_cpu_ns();
        let mut sum = 0u64;
        while thread_cpu_ns() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(process_cpu_ns() >= thread_cpu_ns() - before);
    }
}
