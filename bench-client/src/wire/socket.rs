//! The innermost layer: a socket that counts every byte that crosses it, in both directions. It is the only code that opens a connection.

use std::cell::RefCell;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use protocol::Ledger;
use protocol::ledger::KernelCount;
use protocol::platform;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// The free space that a read is given, in bytes.
const READ_BYTES: usize = 4 << 10;

thread_local! {
    /// The buffer that all connections read into, one after another. A buffer for each connection would have left the processor's caches by
    /// the time of its next event.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 << 10].into());
}

/// Lends the buffer that all connections read into.
pub fn with_buffer<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| read(buffer))
}

/// A ledger that several connections, one after another or all of a round, enter their bytes into.
pub type SharedLedger = Rc<RefCell<Ledger>>;

/// A connected socket, and the ledger that its bytes are counted in. The counts are the return values of read and write.
pub struct CountedSocket {
    stream: TcpStream,
    ledger: SharedLedger,
    /// Whether a read has reached the peer's end.
    ended: bool,
}

impl CountedSocket {
    /// Connects; the connection and its bytes are counted in `ledger`.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn connect(address: SocketAddr, ledger: SharedLedger) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        // Without this, a small request waits for the acknowledgement of the one before it (Nagle's algorithm).
        stream.set_nodelay(true)?;
        ledger.borrow_mut().connections += 1;
        Ok(Self { stream, ledger, ended: false })
    }

    /// Reads into `buffer`; returns how many bytes.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let read = self.count_read(buffer.filled().len());
        Poll::Ready(if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) })
    }

    /// Reads what there is into a new buffer, without waiting; it is empty at the peer's end. `None` if nothing is there.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn try_read(&mut self) -> io::Result<Option<BytesMut>> {
        let mut bytes = BytesMut::with_capacity(READ_BYTES);
        let Some(read) = unless_blocked(self.stream.try_read_buf(&mut bytes))? else { return Ok(None) };
        self.count_read(read);
        Ok(Some(bytes))
    }

    /// Appends to `bytes` what has come. It reads from the kernel directly, since tokio notices new bytes only at its next turn. Returns how
    /// many bytes; an error counts as none.
    pub fn read_now(&mut self, bytes: &mut BytesMut) -> usize {
        let mut buffer = [0; READ_BYTES];
        match (&*SockRef::from(&self.stream)).read(&mut buffer) {
            Ok(read) => {
                bytes.extend_from_slice(&buffer[..read]);
                self.count_read(read)
            }
            Err(_) => 0,
        }
    }

    fn count_read(&mut self, read: usize) -> usize {
        self.ended |= read == 0;
        self.ledger.borrow_mut().received_bytes += read as u64;
        read
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// Those of the socket; what was written before is counted.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.stream.write(bytes).await?;
            self.ledger.borrow_mut().sent_bytes += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Writes as much as is possible without waiting; returns how many bytes, `None` if the socket's buffer is full.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let written = unless_blocked(self.stream.try_write(bytes))?;
        self.ledger.borrow_mut().sent_bytes += written.unwrap_or(0) as u64;
        Ok(written)
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Waits until there is room to write.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Ends what we send; the peer may still send.
    pub fn shut_down_write(&self) {
        // An error means that the peer has closed the connection.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    /// What the kernel has counted on this connection; `None` where it does not provide that.
    pub fn kernel_count(&self) -> Option<KernelCount> {
        platform::tcp_counts(SockRef::from(&self.stream), self.ended)
    }

    /// The ledger.
    pub fn ledger(&self) -> &SharedLedger {
        &self.ledger
    }
}

/// A result in which `WouldBlock` is `None` and not an error.
fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    #[tokio::test(flavor = "current_thread")]
    async fn every_byte_is_counted_in_its_direction_and_the_kernel_agrees() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ledger = SharedLedger::default();
        let mut socket = CountedSocket::connect(listener.local_addr().unwrap(), ledger.clone()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        socket.write_all(b"hello").await.unwrap();
        peer.read_exact(&mut [0; 5]).await.unwrap();
        peer.write_all(b"hi").await.unwrap();
        drop(peer);
        let mut buffer = [0; 16];
        let mut read = Vec::new();
        while let Ok(length) = poll_fn(|context| socket.poll_read(context, &mut buffer)).await {
            read.extend_from_slice(&buffer[..length]);
        }
        assert_eq!((&read[..], socket.ended), (&b"hi"[..], true));
        let counted = *ledger.borrow();
        assert_eq!((counted.connections, counted.sent_bytes, counted.received_bytes), (1, 5, 2));
        let kernel = socket.kernel_count().map(|kernel| (kernel.sent_bytes, kernel.received_bytes));
        // Only Linux tells.
        assert_eq!(kernel, cfg!(target_os = "linux").then_some((5, 2)));
    }
}
