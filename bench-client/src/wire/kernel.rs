//! What the kernel has counted on a connection (`TCP_INFO`, Linux): an independent check of our own counts.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use protocol::ledger::KernelCount;

/// Offsets in `struct tcp_info` (`include/uapi/linux/tcp.h`), in bytes. The kernel only ever adds fields at the end.
const STATE: usize = 0;
const BYTES_RECEIVED: usize = 128;
const SEGMENTS_OUT: usize = 136;
const SEGMENTS_IN: usize = 140;
const BYTES_SENT: usize = 200;
const BYTES_RETRANSMITTED: usize = 208;
/// The states of a connection whose peer has ended its side, whatever we have done: TIME_WAIT, CLOSE_WAIT, LAST_ACK and CLOSING
/// (`include/net/tcp_states.h`). In CLOSE, the peer may have ended its side, or may have reset the connection.
const PEER_HAS_ENDED: [u8; 4] = [6, 8, 9, 11];
/// The length up to the end of the last of these fields, which Linux has since 4.19.
const LENGTH: usize = 216;

/// Reads the kernel's counts. `ended` is whether a read has reached the peer's end. The connection's state does not show that once both sides
/// have ended.
///
/// # Errors
/// When `socket` is not a TCP socket, or the kernel is too old.
pub fn count(socket: BorrowedFd<'_>, ended: bool) -> io::Result<KernelCount> {
    let mut bytes = [0u8; LENGTH];
    let mut length = LENGTH as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `bytes`, which has as many, and the descriptor is open for as long as
    // it is borrowed.
    #[allow(unsafe_code)]
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < LENGTH {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let u32_at = |at: usize| u64::from(u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes")));
    let u64_at = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    // The peer's FIN takes a sequence number, and so the kernel counts it as a byte.
    let fin = u64::from(ended || PEER_HAS_ENDED.contains(&bytes[STATE]));
    Ok(KernelCount {
        received_bytes: u64_at(BYTES_RECEIVED).saturating_sub(fin),
        sent_bytes: u64_at(BYTES_SENT) - u64_at(BYTES_RETRANSMITTED),
        segments_sent: u32_at(SEGMENTS_OUT),
        segments_received: u32_at(SEGMENTS_IN),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_kernel_counts_what_was_written_and_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(&[1; 1_000]).unwrap();
        far.read_exact(&mut [0; 1_000]).unwrap();
        far.write_all(&[2; 77]).unwrap();
        near.read_exact(&mut [0; 77]).unwrap();
        let info = count(near.as_fd(), false).unwrap();
        assert_eq!((info.sent_bytes, info.received_bytes), (1_000, 77));
        assert!(info.segments_sent >= 2 && info.segments_received >= 2, "{info:?}");
        drop(far);
        assert_eq!(near.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(count(near.as_fd(), false).unwrap().received_bytes, 77, "the peer's end is not counted");
    }

    #[test]
    fn the_peer_s_end_is_not_counted_when_we_ended_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        far.write_all(&[2; 77]).unwrap();
        drop(far);
        assert_eq!(near.read_to_end(&mut Vec::new()).unwrap(), 77);
        assert_eq!(count(near.as_fd(), true).unwrap().received_bytes, 77);
    }
}
