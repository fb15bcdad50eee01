//! The two clocks that every figure of the lab is read from, in nanoseconds.

use rustix::time::{ClockId, clock_gettime};

/// Now, in ns on the host's monotonic clock (`CLOCK_MONOTONIC`).
///
/// The clock is one for all processes of a host, so a stamp taken in the server can be subtracted from one taken in the
/// client. It has no relation to the time of day and does not jump.
pub fn now_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// CPU time this process has used so far, user and system, in ns, threads that have ended included
/// (`CLOCK_PROCESS_CPUTIME_ID`).
pub fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// CPU time the calling thread has used so far, in ns (`CLOCK_THREAD_CPUTIME_ID`).
pub fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Both fields are non-negative for these clocks, and 2^64 ns are 584 years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let first = now_ns();
        assert!(now_ns() >= first);
    }

    #[test]
    fn cpu_time_grows_with_work_and_a_thread_is_part_of_its_process() {
        let before = thread_cpu_ns();
        let mut sum = 0u64;
        while thread_cpu_ns() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(process_cpu_ns() >= thread_cpu_ns() - before);
    }
}
