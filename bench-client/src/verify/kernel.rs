//! The witness itself: what the kernel says of a connection on which a known number of bytes went each way.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use super::Finding;
use crate::tcp_info::{self, TcpInfo};

const SENT: usize = 100_003;
const RECEIVED: usize = 70_001;

pub fn check() -> anyhow::Result<Finding> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    let peer = std::thread::spawn(move || -> std::io::Result<()> {
        far.read_exact(&mut vec![0; SENT])?;
        far.write_all(&vec![0; RECEIVED])
    });
    near.write_all(&vec![0; SENT])?;
    near.read_exact(&mut vec![0; RECEIVED])?;
    let info = tcp_info::read(near.as_fd(), false)?;
    peer.join().expect("the peer does not panic")?;
    Ok(judge(&info))
}

fn judge(info: &TcpInfo) -> Finding {
    Finding {
        requirement: "TCP_INFO counts payload bytes, to the byte",
        measured: format!("{} sent, {} received", info.bytes_sent, info.bytes_received),
        bound: format!("{SENT} sent, {RECEIVED} received"),
        holds: (info.bytes_sent, info.bytes_received) == (SENT as u64, RECEIVED as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_more_is_found() {
        let info = TcpInfo { bytes_sent: SENT as u64, bytes_received: RECEIVED as u64, ..TcpInfo::default() };
        assert!(judge(&info).holds);
        assert!(!judge(&TcpInfo { bytes_sent: info.bytes_sent + 1, ..info }).holds);
    }
}
