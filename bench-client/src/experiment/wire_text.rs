//! Looks for HTTP heads in bytes that were captured on the wire, without any of the parsers that book them.
//!
//! The ledger books what follows a 101 as frames because the WebSocket parser takes it. Here nothing is taken for granted: a
//! relay keeps the bytes of both directions, and a plain search looks for lines that only a head has.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// Bytes of one direction, in the order in which they crossed.
type Bytes = Rc<RefCell<Vec<u8>>>;

/// What crossed one connection, each way.
#[derive(Default, Clone)]
pub struct Captured {
    up: Bytes,
    down: Bytes,
}

impl Captured {
    /// Bytes so far, both ways.
    pub fn length(&self) -> usize {
        self.up.borrow().len() + self.down.borrow().len()
    }

    /// HTTP heads behind the first one of each direction: how many, and of how many bytes.
    pub fn later_heads(&self) -> Heads {
        let mut later = Heads::default();
        for direction in [&self.up, &self.down] {
            let bytes = direction.borrow();
            let behind = find(&bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
            let found = heads(&bytes[behind..]);
            later.count += found.count;
            later.bytes += found.bytes;
        }
        later
    }
}

/// HTTP heads in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heads {
    /// How many there are.
    pub count: usize,
    /// How many bytes they take together.
    pub bytes: usize,
}

/// Accepts one connection on a free port, leads it to `server`, and keeps what crosses.
///
/// # Errors
/// When no port can be listened on.
pub async fn relay(server: SocketAddr) -> io::Result<(SocketAddr, Captured)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let captured = Captured::default();
    let Captured { up, down } = captured.clone();
    spawn_local(async move {
        let (near, _) = listener.accept().await?;
        let far = TcpStream::connect(server).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        tokio::try_join!(carry(near_read, far_write, up), carry(far_read, near_write, down))
    });
    Ok((address, captured))
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, kept: Bytes) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            read => {
                kept.borrow_mut().extend_from_slice(&buffer[..read]);
                to.write_all(&buffer[..read]).await?;
            }
        }
    }
}

/// The heads in some bytes. A head is a run of lines that end in CR LF and in a blank line, of which one at least is a request
/// or status line of HTTP/1, or a header field.
fn heads(bytes: &[u8]) -> Heads {
    let mut found = Heads::default();
    let mut rest = bytes;
    while let Some(end) = find(rest, b"\r\n\r\n") {
        let block = &rest[..end + 2];
        // From the last line to the first that is still of the head; a body may stand before it.
        let head: usize = lines(block).rev().map_while(of_a_head).sum();
        if head > 0 {
            found.count += 1;
            found.bytes += head + 2;
        }
        rest = &rest[end + 4..];
    }
    // A head that was never ended is one as well.
    if found.count == 0 && (find(bytes, b"HTTP/1.1").is_some() || find(bytes, b"HTTP/1.0").is_some()) {
        found = Heads { count: 1, bytes: b"HTTP/1.1".len() };
    }
    found
}

/// The lines of a block, each with its CR LF.
fn lines(block: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    block.split_inclusive(|&byte| byte == b'\n')
}

/// How many bytes of a line are a status line, the end of a request line, or a header field such as `Content-Length: 5`; `None`
/// where it is neither. A frame or a body may stand before them in the same line.
fn of_a_head(line: &[u8]) -> Option<usize> {
    let text = line.strip_suffix(b"\r\n")?;
    let version = find(text, b"HTTP/1.");
    let field = || {
        let colon = find(text, b": ")?;
        let is_token = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-';
        let name = text[..colon].iter().rev().take_while(is_token).count();
        let is_text = text[colon..].iter().all(|byte| (b' '..=b'~').contains(byte));
        (name > 0 && is_text).then_some(colon - name)
    };
    Some(line.len() - version.or_else(field)?)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(down: &[u8]) -> Captured {
        Captured { down: Rc::new(RefCell::new(down.to_vec())), ..Captured::default() }
    }

    #[test]
    fn heads_behind_the_first_one_are_found_whatever_stands_between_them() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let framed = [&head[..], b"\x81\x05hello", head, b"{\"a\":1}", head].concat();
        assert_eq!(captured(&framed).later_heads(), Heads { count: 2, bytes: 2 * head.len() });
        assert_eq!(captured(head).later_heads(), Heads::default(), "the first exchange is allowed its head");
    }

    #[test]
    fn header_fields_without_a_status_line_and_a_head_without_an_end_are_found_too() {
        let trailer = b"HTTP/1.1 101 Switching\r\n\r\n\x81\x02?!X-Feed: 7\r\n\r\n";
        assert_eq!(captured(trailer).later_heads(), Heads { count: 1, bytes: 13 });
        let unfinished = b"HTTP/1.1 101 Switching\r\n\r\n\x81\x02hiHTTP/1.1 200 OK\r\n";
        assert_eq!(captured(unfinished).later_heads().count, 1);
    }

    #[test]
    fn frames_with_events_are_not_taken_for_heads() {
        let frames = b"HTTP/1.1 101 Switching\r\n\r\n\x81\x10{\"seq\":1,\"at\":2}\x81\x06a\r\n\r\nb";
        assert_eq!(captured(frames).later_heads(), Heads::default());
    }
}
