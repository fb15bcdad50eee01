//! The kernel's counts are correct, on a connection with a known number of bytes in each direction.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use protocol::ledger::KernelCount;
use protocol::platform;
use socket2::SockRef;

use super::Finding;

const SENT: usize = 100_003;
const RECEIVED: usize = 70_001;

/// The result of the check; `None` on a system that does not count a connection's bytes.
pub fn check() -> anyhow::Result<Option<Finding>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    let peer = std::thread::spawn(move || -> std::io::Result<()> {
        far.read_exact(&mut vec![0; SENT])?;
        far.write_all(&vec![0; RECEIVED])
    });
    near.write_all(&vec![0; SENT])?;
    near.read_exact(&mut vec![0; RECEIVED])?;
    let info = platform::tcp_counts(SockRef::from(&near), false);
    peer.join().expect("the peer does not panic")?;
    Ok(info.map(|info| judge(&info)))
}

fn judge(info: &KernelCount) -> Finding {
    Finding {
        requirement: "TCP_INFO counts payload bytes, to the byte",
        measured: format!("{} sent, {} received", info.sent_bytes, info.received_bytes),
        bound: format!("{SENT} sent, {RECEIVED} received"),
        passed: (info.sent_bytes, info.received_bytes) == (SENT as u64, RECEIVED as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_too_many_is_found() {
        let info = KernelCount { sent_bytes: SENT as u64, received_bytes: RECEIVED as u64, ..KernelCount::default() };
        assert!(judge(&info).passed);
        assert!(!judge(&KernelCount { sent_bytes: info.sent_bytes + 1, ..info }).passed);
    }
}
