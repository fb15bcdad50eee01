//! The server's CPU time includes a known amount that was used by a thread that has ended.

use std::net::SocketAddr;

use protocol::clock;
use server::Server;

use super::Finding;
use crate::endpoint::Endpoint;
use crate::test_bed::control::Control;

/// The CPU time that the thread uses, in ns.
const USED_NS: u64 = 500_000_000;

pub async fn check() -> anyhow::Result<Finding> {
    let free: SocketAddr = "127.0.0.1:0".parse()?;
    let options = server::Options { listen: free, tcp_listen: free, rate: 0.0, ..server::Options::default() };
    let server = Server::start(&options)?;
    let address = server.addresses().http;
    let mut control = Control::connect(&Endpoint::plain(address)).await?;
    let before = control.load().await?.cpu_ns;
    // The server runs in this process. The thread has ended before the second reading.
    std::thread::spawn(|| {
        let end = clock::thread_cpu_ns() + USED_NS;
        while clock::thread_cpu_ns() < end {
            std::hint::spin_loop();
        }
    })
    .join()
    .expect("the thread does not panic");
    Ok(judge(control.load().await?.cpu_ns - before))
}

fn judge(measured_ns: u64) -> Finding {
    Finding {
        requirement: "500 ms of CPU time of an ended thread are reported",
        measured: format!("{:.1} ms", measured_ns as f64 / 1e6),
        bound: "500 ms, within 1 %".into(),
        passed: measured_ns.abs_diff(USED_NS) <= USED_NS / 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_with_ticks_of_10_ms_and_one_without_ended_threads_are_found() {
        assert!(judge(USED_NS + 1_000_000).passed);
        assert!(!judge(USED_NS - 10_000_000).passed);
        assert!(!judge(1_000_000).passed);
    }
}
