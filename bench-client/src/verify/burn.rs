//! A known burn of CPU time, in a thread that has ended, is in the server's figure.

use std::net::SocketAddr;

use protocol::clock;
use server::Server;

use super::Finding;
use crate::control::Control;
use crate::place::Place;

const BURN_NS: u64 = 500_000_000;

pub async fn check() -> anyhow::Result<Finding> {
    let free: SocketAddr = "127.0.0.1:0".parse()?;
    let options = server::Options { listen: free, tcp_listen: free, rate: 0.0, ..server::Options::default() };
    let server = Server::start(&options)?;
    let address = server.addresses().http;
    let mut control = Control::connect(&Place::plain(address)).await?;
    let before = control.load().await?.cpu_ns;
    // In the server's own process, which here is this one; the burning thread is gone before the second reading.
    std::thread::spawn(|| {
        let end = clock::thread_cpu_ns() + BURN_NS;
        while clock::thread_cpu_ns() < end {
            std::hint::spin_loop();
        }
    })
    .join()
    .expect("burning does not panic");
    Ok(judge(control.load().await?.cpu_ns - before))
}

fn judge(measured_ns: u64) -> Finding {
    Finding {
        requirement: "500 ms of CPU, burnt in a thread that ended, are reported",
        measured: format!("{:.1} ms", measured_ns as f64 / 1e6),
        bound: "500 ms, within 1 %".into(),
        holds: measured_ns.abs_diff(BURN_NS) <= BURN_NS / 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_with_ticks_of_ten_ms_or_blind_to_ended_threads_is_found() {
        assert!(judge(BURN_NS + 1_000_000).holds);
        assert!(!judge(BURN_NS - 10_000_000).holds);
        assert!(!judge(1_000_000).holds);
    }
}
