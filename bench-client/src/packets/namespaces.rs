//! The link between two network namespaces of Linux, and what moves a thread from one to the other.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use protocol::network::Network;
use protocol::result::Packets;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::SERVER;
use super::router::{Counts, Router};

/// The address of the load client on the link, and the bits that it shares with that of the server.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const PREFIX_BITS: u8 = 24;
/// The longest packet, in bytes, as on Ethernet.
const PACKET_BYTES: u16 = 1_500;

/// The link. While it exists, the thread that made it is in the load client's network namespace, and so are the sockets and processes that
/// it makes; dropping it moves the thread back.
pub struct PacketNetwork {
    home: OwnedFd,
    server: OwnedFd,
    client: OwnedFd,
    counts: [Arc<Counts>; 2],
    stop: Arc<AtomicBool>,
    routers: Vec<JoinHandle<()>>,
}

impl PacketNetwork {
    /// Makes the namespaces and the link between them. `seed` determines which packets are lost, and the jitter.
    ///
    /// # Errors
    /// When the system does not let this process make network namespaces or devices; the message says what would.
    pub fn open(network: Network, seed: u64) -> anyhow::Result<Self> {
        const NEEDS: &str = "losing packets needs Linux with /dev/net/tun, and the right to make network namespaces: run this as root, or \
                             within unshare --user --map-root-user --net";
        let home = current().context(NEEDS)?;
        // The right to come back is not the same as that to leave: only the owner of a namespace may enter it.
        enter(&home).context(NEEDS)?;
        match Self::make(network, seed, home.try_clone()?) {
            Ok(network) => Ok(network),
            Err(error) => {
                let _ = enter(&home);
                Err(error.context(NEEDS))
            }
        }
    }

    fn make(network: Network, seed: u64, home: OwnedFd) -> anyhow::Result<Self> {
        let server = new_namespace()?;
        // For the control requests, which do not cross the link.
        loopback_up()?;
        let server_device = device(SERVER)?;
        let client = new_namespace()?;
        let client_device = device(CLIENT)?;
        let mut made = Self { home, server, client, counts: <_>::default(), stop: <_>::default(), routers: Vec::new() };
        let ends = [(&client_device, &server_device, seed), (&server_device, &client_device, !seed)];
        for ((from, to, seed), counts) in ends.into_iter().zip(made.counts.clone()) {
            let (from, to, stop) = (from.clone(), to.clone(), made.stop.clone());
            let router = thread::Builder::new().name("router".into());
            let router = router.spawn(move || Router::new(network, seed, counts).run(&from, &to, &stop))?;
            made.routers.push(router);
        }
        Ok(made)
    }

    /// Runs a future in the server's namespace. Sockets and processes that it makes belong there, whenever they are used.
    ///
    /// # Errors
    /// When the namespace cannot be entered, and those of the future.
    pub async fn at_server<T>(&self, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let mut future = pin!(future);
        poll_fn(|context| {
            enter(&self.server)?;
            let polled = future.as_mut().poll(context);
            enter(&self.client)?;
            polled
        })
        .await
    }

    /// The packets so far.
    pub fn packets(&self) -> Packets {
        let [up, down] = &self.counts;
        Packets { up: up.so_far(), down: down.so_far() }
    }
}

impl Drop for PacketNetwork {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for router in self.routers.drain(..) {
            let _ = router.join();
        }
        // It was possible when the link was made.
        let _ = enter(&self.home);
    }
}

/// The thread's network namespace.
fn current() -> io::Result<OwnedFd> {
    Ok(File::open(Path::new("/proc/thread-self/ns/net"))?.into())
}

/// Moves the thread into a namespace.
fn enter(namespace: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Makes a namespace, and moves the thread into it.
fn new_namespace() -> io::Result<OwnedFd> {
    // SAFETY: the flag concerns the network only. What makes this function unsafe is a thread's own table of files.
    #[allow(unsafe_code)]
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    current()
}

/// Makes the link's end in the thread's namespace.
fn device(address: Ipv4Addr) -> anyhow::Result<Arc<SyncDevice>> {
    let device = DeviceBuilder::new().name("link").ipv4(address, PREFIX_BITS, None).mtu(PACKET_BYTES).build_sync()?;
    device.set_nonblocking(true)?;
    Ok(Arc::new(device))
}

/// Enables the loopback interface of the thread's namespace.
fn loopback_up() -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: an `ifreq` of zeros is valid.
    #[allow(unsafe_code)]
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the kernel reads an `ifreq`, which lives for the whole call, and the socket is open.
    #[allow(unsafe_code)]
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use super::*;

    /// Sends that many datagrams through the link; returns which arrived, and what was counted.
    fn sent_through(network: &str, datagrams: u32, bytes: usize) -> Option<(Vec<u32>, Duration, Packets)> {
        let link = match PacketNetwork::open(network.parse().unwrap(), 1) {
            Ok(link) => link,
            Err(error) => {
                eprintln!("skipped: {error:#}");
                return None;
            }
        };
        let client = UdpSocket::bind((CLIENT, 0)).unwrap();
        enter(&link.server).unwrap();
        let server = UdpSocket::bind((SERVER, 0)).unwrap();
        enter(&link.client).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let (began, to) = (Instant::now(), client.local_addr().unwrap());
        let receiver = thread::spawn(move || {
            let (mut arrived, mut last, mut buffer) = (Vec::new(), Duration::ZERO, vec![0; bytes]);
            while client.recv(&mut buffer).is_ok() {
                arrived.push(u32::from_be_bytes(buffer[..4].try_into().unwrap()));
                last = began.elapsed();
            }
            (arrived, last)
        });
        let mut buffer = vec![0; bytes];
        for number in 0..datagrams {
            buffer[..4].copy_from_slice(&number.to_be_bytes());
            server.send_to(&buffer, to).unwrap();
            // A device has a short queue of its own, before the link's.
            if number % 20 == 19 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let (arrived, last) = receiver.join().unwrap();
        Some((arrived, last, link.packets()))
    }

    #[test]
    fn a_lost_packet_is_counted_and_the_others_arrive_in_order_after_the_delay() {
        let Some((arrived, last, packets)) = sent_through("delay=20ms,loss=5%", 1_000, 100) else { return };
        assert!(arrived.is_sorted() && last >= Duration::from_millis(20));
        assert_eq!((packets.down.sent, packets.down.overflowed), (1_000, 0));
        assert_eq!(packets.down.sent - packets.down.lost, arrived.len() as u64);
        assert!((20..=90).contains(&packets.down.lost), "{packets:?}");
    }

    #[test]
    fn a_full_queue_drops_the_last_packets() {
        // A packet of 1,028 bytes takes 10 ms, and 4,000 bytes may wait.
        let Some((arrived, _, packets)) = sent_through("bandwidth=0.8mbit,queue=4kB", 40, 1_000) else { return };
        assert_eq!((packets.down.sent, packets.down.lost), (40, 0));
        assert_eq!(packets.down.overflowed, 40 - arrived.len() as u64);
        assert!(arrived.starts_with(&[0, 1, 2]) && (3..20).contains(&arrived.len()), "{arrived:?}");
    }
}
