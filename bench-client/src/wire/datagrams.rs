//! A UDP socket that counts its bytes, for the quinn crate: the innermost layer of a QUIC connection, behind a modelled link if there is one.
//!
//! Each datagram is sent and received by a system call of its own, so that what is counted is what a network carries.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use protocol::clock;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;
use web_transport_quinn::quinn::udp::{RecvMeta, Transmit};
use web_transport_quinn::quinn::{AsyncUdpSocket, UdpPoller};

use super::link::Link;

/// The largest datagram that is received, in bytes.
const MAX_DATAGRAM_BYTES: usize = 64 << 10;

/// Bytes of UDP's payload, in both directions.
#[derive(Debug, Default)]
pub struct Counts {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

impl Counts {
    /// Bytes sent, and bytes received.
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent_bytes.load(Relaxed), self.received_bytes.load(Relaxed))
    }
}

/// A socket that exchanges datagrams with one server.
pub struct CountedDatagrams {
    socket: Arc<UdpSocket>,
    server: SocketAddr,
    counts: Arc<Counts>,
    linked: Option<Linked>,
}

/// The near end of a modelled link.
struct Linked {
    to_link: UnboundedSender<Bytes>,
    from_link: Arc<Mutex<Arrived>>,
}

/// Datagrams that have arrived over the link.
#[derive(Default)]
struct Arrived {
    datagrams: VecDeque<Bytes>,
    waker: Option<Waker>,
}

impl CountedDatagrams {
    /// A socket for one connection to `server`, over the modelled link if there is one. Its bytes are counted in `counts`.
    ///
    /// # Errors
    /// Those of opening a socket.
    pub async fn open(server: SocketAddr, link: Option<Link>, counts: Arc<Counts>) -> io::Result<Arc<Self>> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = Arc::new(UdpSocket::bind(any).await?);
        // Datagrams of others are not received.
        socket.connect(server).await?;
        let linked = link.map(|link| {
            let (to_link, entering) = unbounded_channel();
            let from_link = Arc::<Mutex<Arrived>>::default();
            spawn_local(drive(link, socket.clone(), counts.clone(), entering, from_link.clone()));
            Linked { to_link, from_link }
        });
        Ok(Arc::new(Self { socket, server, counts, linked }))
    }
}

/// Moves datagrams between the link's ends and the socket, until the connection has been dropped.
async fn drive(
    mut link: Link,
    socket: Arc<UdpSocket>,
    counts: Arc<Counts>,
    mut entering: UnboundedReceiver<Bytes>,
    from_link: Arc<Mutex<Arrived>>,
) {
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let due = link.next_due();
        let Link { up, down, timer } = &mut link;
        tokio::select! {
            datagram = entering.recv() => match datagram {
                Some(datagram) => _ = up.push(clock::now_ns(), datagram),
                None => return,
            },
            received = socket.recv(&mut buffer) => {
                // An error is the report of an earlier datagram that nobody received.
                let Ok(length) = received else { continue };
                counts.received_bytes.fetch_add(length as u64, Relaxed);
                down.push(clock::now_ns(), Bytes::copy_from_slice(&buffer[..length]));
            }
            _ = timer.sleep_until(due.unwrap_or_default()), if due.is_some() => {}
        }
        let now = clock::now_ns();
        while let Some(datagram) = link.up.pop_arrived(now) {
            // A network loses datagrams, too.
            if socket.send(&datagram).await.is_ok() {
                counts.sent_bytes.fetch_add(datagram.len() as u64, Relaxed);
            }
        }
        let mut arrived = lock(&from_link);
        while let Some(datagram) = link.down.pop_arrived(now) {
            arrived.datagrams.push_back(datagram);
        }
        if !arrived.datagrams.is_empty() {
            arrived.waker.take().into_iter().for_each(Waker::wake);
        }
    }
}

fn lock(arrived: &Mutex<Arrived>) -> MutexGuard<'_, Arrived> {
    arrived.lock().expect("no holder panics")
}

impl fmt::Debug for CountedDatagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "datagrams to {}", self.server)
    }
}

impl AsyncUdpSocket for CountedDatagrams {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room(self.socket.clone()))
    }

    /// Sends one datagram: [`Self::max_transmit_segments`] is 1.
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if let Some(linked) = &self.linked {
            // An error means that the connection has ended.
            let _ = linked.to_link.send(Bytes::copy_from_slice(transmit.contents));
            return Ok(());
        }
        let sent = self.socket.try_send(transmit.contents)?;
        self.counts.sent_bytes.fetch_add(sent as u64, Relaxed);
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let length = match self.poll_datagram(context, buffer) {
                Poll::Ready(length) => length?,
                Poll::Pending if count > 0 => break,
                Poll::Pending => return Poll::Pending,
            };
            *meta = RecvMeta { addr: self.server, len: length, stride: length, ecn: None, dst_ip: None };
            count += 1;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl CountedDatagrams {
    fn poll_datagram(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(linked) = &self.linked else {
            loop {
                let mut buffer = ReadBuf::new(buffer);
                match ready!(self.socket.poll_recv(context, &mut buffer)) {
                    Ok(()) => {
                        let length = buffer.filled().len();
                        self.counts.received_bytes.fetch_add(length as u64, Relaxed);
                        return Poll::Ready(Ok(length));
                    }
                    // The report of an earlier datagram that nobody received; quinn notices that by itself.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        };
        let mut arrived = lock(&linked.from_link);
        let Some(datagram) = arrived.datagrams.pop_front() else {
            arrived.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Poll::Ready(Ok(length))
    }
}

/// Waits until there is room to send.
#[derive(Debug)]
struct Room(Arc<UdpSocket>);

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(context)
    }
}
