//! What differs between operating systems: one file for each of them, with the same functions.
//!
//! A figure that the system does not report is `None`, and results show it as not measured. An operation that the system does not support is an
//! error of the kind `Unsupported`, or has no effect, as its documentation says.

mod figures;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(not(target_os = "linux"))]
mod timer;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;
#[cfg(windows)]
use windows as system;

pub use figures::{CpuTime, Usage};
pub use system::{
    StopSignals, Timer, context_switches, cpu_name, cpu_pressure_us, cpu_time, end_group, freeze, interrupt,
    lead_group, max_open_files, memory_bytes, monotonic_ns, open_files, process_cpu_ns, raise_open_files,
    resident_bytes, set_user_timeout, sleep_precisely, tcp_counts, thread_cpu_ns, usage,
};

/// The system's name and version.
pub fn system_name() -> String {
    system::version().unwrap_or_else(|| std::env::consts::OS.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_system_tells_the_memory_of_this_process_and_of_the_machine() {
        let (resident, all) = (resident_bytes().unwrap(), memory_bytes().unwrap());
        assert!((100_000..all).contains(&resident), "{resident} of {all}");
        assert!(!system_name().is_empty());
    }

    #[test]
    fn the_limit_on_open_files_can_be_raised_to_what_it_may_be() {
        let before = max_open_files();
        raise_open_files();
        assert!(max_open_files() >= before);
    }

    #[tokio::test]
    async fn a_timer_expires_when_it_is_due_and_not_before_however_often_it_is_set() {
        let mut timer = Timer::new().unwrap();
        for wait_ns in [3_000_000, 500_000, 0, 1_000_000] {
            let due = monotonic_ns() + wait_ns;
            timer.sleep_until(due).await.unwrap();
            assert!(monotonic_ns() >= due);
        }
        // A wait that is dropped for an earlier one, and then repeated.
        let late = monotonic_ns() + 4_000_000;
        let soon = monotonic_ns() + 1_000_000;
        tokio::select! {
            biased;
            _ = timer.sleep_until(late) => panic!("not yet"),
            () = std::future::ready(()) => {}
        }
        timer.sleep_until(soon).await.unwrap();
        timer.sleep_until(late).await.unwrap();
        assert!(monotonic_ns() >= late);
    }

    #[test]
    fn a_group_of_processes_ends_together() {
        let mut command = std::process::Command::new(if cfg!(windows) { "cmd" } else { "sh" });
        command.args(if cfg!(windows) { ["/c", "pause >nul"] } else { ["-c", "sleep 60 & wait"] });
        lead_group(&mut command);
        // `pause` ends by itself where its input ends.
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        end_group(&mut child, false);
        assert!(!child.wait().unwrap().success());
        // The output ends only when the last process that could write to it has ended.
        let mut output = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut output).unwrap();
        assert_eq!(output, "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_time_and_memory_of_a_process_and_its_children_are_found() {
        let own = usage(std::process::id()).unwrap();
        assert!(own.cpu_ns > 0 && own.resident_bytes > 1 << 20, "{own:?}");
        assert!(context_switches().is_some() && cpu_time().is_some() && open_files(std::process::id()).unwrap() > 2);
    }
}
