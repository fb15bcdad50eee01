//! The second layer: a counted socket behind a modelled network, if there is one. Bytes enter the link at our end, and the socket at the
//! other; without a link they go straight to the socket.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use protocol::clock;

use super::link::Link;
use super::socket::{CountedSocket, SharedLedger, with_buffer};

/// A socket, and the modelled link before it.
pub struct LinkedSocket {
    /// The socket.
    pub socket: CountedSocket,
    link: Option<Box<Modelled>>,
}

struct Modelled {
    link: Link,
    /// Bytes that have crossed the link and were not written to the socket yet.
    unsent: Bytes,
    /// Whether the peer has ended the connection; bytes in the link still arrive.
    ended: bool,
}

impl LinkedSocket {
    /// Connects, over a modelled link if there is one.
    ///
    /// # Errors
    /// Those of the socket and of the link's timer.
    pub async fn connect(address: SocketAddr, link: Option<Link>, ledger: SharedLedger) -> io::Result<Self> {
        let mut link = link.map(|link| Box::new(Modelled { link, unsent: Bytes::new(), ended: false }));
        if let Some(modelled) = &mut link {
            modelled.link.open().await?;
        }
        Ok(Self { socket: CountedSocket::connect(address, ledger).await?, link })
    }

    /// Whether there is a link.
    pub fn has_link(&self) -> bool {
        self.link.is_some()
    }

    /// Waits for bytes and appends them to `received`.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection. Dropping the future loses no bytes.
    pub async fn fill(&mut self, received: &mut BytesMut) -> io::Result<()> {
        let Self { socket, link } = self;
        if let Some(modelled) = link {
            return modelled.fill(socket, received).await;
        }
        poll_fn(|context| {
            with_buffer(|buffer| {
                let read = ready!(socket.poll_read(context, buffer))?;
                received.extend_from_slice(&buffer[..read]);
                Poll::Ready(Ok(()))
            })
        })
        .await
    }

    /// Writes all of `bytes`. With a link, [`Self::fill`] writes them to the socket once they have crossed it.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.link {
            Some(modelled) => {
                modelled.link.up.push(clock::now_ns(), Bytes::copy_from_slice(bytes));
                Ok(())
            }
            None => self.socket.write_all(bytes).await,
        }
    }

    /// Writes as much as is possible without waiting; returns how many bytes. An error counts as none.
    pub fn write_now(&mut self, bytes: &[u8]) -> usize {
        match &mut self.link {
            Some(modelled) => {
                modelled.link.up.push(clock::now_ns(), Bytes::copy_from_slice(bytes));
                bytes.len()
            }
            None => self.socket.try_write(bytes).ok().flatten().unwrap_or(0),
        }
    }

    /// Removes the link. Bytes in it arrive at once, in both directions, since the connection is being closed. Returns how many of our bytes
    /// could not be written to the socket, because the peer has closed the connection.
    pub fn drain_link(&mut self, received: &mut BytesMut) -> u64 {
        let Some(modelled) = self.link.take() else { return 0 };
        let Modelled { mut link, mut unsent, .. } = *modelled;
        while let Some(bytes) = link.down.pop_arrived(u64::MAX) {
            received.extend_from_slice(&bytes);
        }
        let mut lost = 0;
        loop {
            while !unsent.is_empty() {
                match self.socket.try_write(&unsent) {
                    Ok(Some(written)) => unsent.advance(written),
                    Ok(None) | Err(_) => {
                        lost += unsent.len() as u64;
                        break;
                    }
                }
            }
            match link.up.pop_arrived(u64::MAX) {
                Some(bytes) => unsent = bytes,
                None => return lost,
            }
        }
    }
}

impl Modelled {
    /// Moves bytes through the link, in both directions, until some arrive at our end.
    async fn fill(&mut self, socket: &mut CountedSocket, received: &mut BytesMut) -> io::Result<()> {
        let Self { link, unsent, ended } = self;
        loop {
            let now = clock::now_ns();
            if let Some(bytes) = link.down.pop_arrived(now) {
                received.extend_from_slice(&bytes);
                return Ok(());
            }
            if unsent.is_empty() {
                *unsent = link.up.pop_arrived(now).unwrap_or_default();
            }
            // While bytes wait for the socket, those after them wait, too. The other direction is not affected.
            let due = if unsent.is_empty() { link.next_due() } else { link.down.next_due() };
            if *ended && link.down.next_due().is_none() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tokio::select! {
                ready = socket.writable(), if !unsent.is_empty() => {
                    ready?;
                    if let Some(written) = socket.try_write(unsent)? {
                        unsent.advance(written);
                    }
                }
                ready = socket.readable(), if !*ended && link.down.has_room() => {
                    ready?;
                    if let Some(bytes) = socket.try_read()? {
                        *ended = bytes.is_empty();
                        if !bytes.is_empty() {
                            link.down.push(clock::now_ns(), bytes.freeze());
                        }
                    }
                }
                woken = link.timer.sleep_until(due.unwrap_or(0)), if due.is_some() => woken?,
            }
        }
    }
}
