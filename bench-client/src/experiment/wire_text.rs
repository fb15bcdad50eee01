//! Searches for HTTP headers in bytes that were captured on the wire, independently of the parsers that attribute bytes to layers.
//!
//! After a response with status 101, the ledger attributes all bytes to frames, because the WebSocket parser reads them. The search here
//! does not rely on that parser: a relay keeps the bytes of both directions, and a plain search finds lines that only HTTP headers have.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use protocol::facts::frames::HttpHeaders;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// Bytes of one direction, in the order in which they were forwarded.
type Bytes = Rc<RefCell<Vec<u8>>>;

/// The bytes of one connection, each way.
#[derive(Default, Clone)]
pub struct Captured {
    up: Bytes,
    down: Bytes,
}

impl Captured {
    /// Bytes so far, both ways.
    pub fn length(&self) -> u64 {
        (self.up.borrow().len() + self.down.borrow().len()) as u64
    }

    /// Blocks of HTTP headers after the first one of each direction.
    pub fn later_headers(&self) -> HttpHeaders {
        let mut later = HttpHeaders::default();
        for direction in [&self.up, &self.down] {
            let bytes = direction.borrow();
            let first_end = find(&bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
            let found = headers(&bytes[first_end..]);
            later.count += found.count;
            later.bytes += found.bytes;
        }
        later
    }
}

/// Accepts one connection on a free port, forwards it to `server`, and keeps a copy of the bytes.
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
        tokio::try_join!(copy(near_read, far_write, up), copy(far_read, near_write, down))
    });
    Ok((address, captured))
}

/// Forwards the bytes of one direction until it ends, and keeps a copy of them.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, kept: Bytes) -> io::Result<()> {
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

/// The blocks of headers in some bytes. A block is a sequence of lines that end in CR LF, up to a blank line, of which at least one is a
/// request or status line of HTTP/1, or a header field.
fn headers(bytes: &[u8]) -> HttpHeaders {
    let mut found = HttpHeaders::default();
    let mut rest = bytes;
    while let Some(end) = find(rest, b"\r\n\r\n") {
        let block = &rest[..end + 2];
        // Backwards from the last line, for as long as the lines belong to headers; a body may precede the headers.
        let length: usize = lines(block).rev().map_while(header_line).sum();
        if length > 0 {
            found.count += 1;
            found.bytes += length as u64 + 2;
        }
        rest = &rest[end + 4..];
    }
    // Headers without a blank line after them count as well. Their length is unknown, so only that of the version is counted.
    if found.count == 0 && (find(bytes, b"HTTP/1.1").is_some() || find(bytes, b"HTTP/1.0").is_some()) {
        found = HttpHeaders { count: 1, bytes: b"HTTP/1.1".len() as u64 };
    }
    found
}

/// The lines of a block, each with its CR LF.
fn lines(block: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    block.split_inclusive(|&byte| byte == b'\n')
}

/// How many bytes of a line are a status line, the end of a request line, or a header field such as `Content-Length: 5`; `None`
/// where it has none of them. A frame or a body may precede them in the same line.
fn header_line(line: &[u8]) -> Option<usize> {
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
    fn headers_after_the_first_are_found_whatever_is_between_them() {
        let block = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let framed = [&block[..], b"\x81\x05hello", block, b"{\"a\":1}", block].concat();
        assert_eq!(captured(&framed).later_headers(), HttpHeaders { count: 2, bytes: 2 * block.len() as u64 });
        assert_eq!(captured(block).later_headers(), HttpHeaders::default(), "the first exchange has headers");
    }

    #[test]
    fn fields_without_a_status_line_and_headers_without_an_end_are_found_too() {
        let trailer = b"HTTP/1.1 101 Switching\r\n\r\n\x81\x02?!X-Feed: 7\r\n\r\n";
        assert_eq!(captured(trailer).later_headers(), HttpHeaders { count: 1, bytes: 13 });
        let unfinished = b"HTTP/1.1 101 Switching\r\n\r\n\x81\x02hiHTTP/1.1 200 OK\r\n";
        assert_eq!(captured(unfinished).later_headers().count, 1);
    }

    #[test]
    fn frames_with_events_are_no_headers() {
        let frames = b"HTTP/1.1 101 Switching\r\n\r\n\x81\x10{\"seq\":1,\"at\":2}\x81\x06a\r\n\r\nb";
        assert_eq!(captured(frames).later_headers(), HttpHeaders::default());
    }
}
