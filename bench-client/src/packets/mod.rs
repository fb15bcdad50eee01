//! A network whose packets are lost, delayed and queued: two network stacks of this machine's kernel, and a link between them.
//!
//! The server runs in a network namespace of its own, and the load client in another. All that connects them is a pair of TUN devices, whose
//! packets this program passes from one to the other (see `router.rs`). So TCP is the kernel's own, and it retransmits and slows down as over
//! any path that loses packets; QUIC does so, too. Linux only, and with the right to create namespaces and devices.

#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod router;
#[cfg(not(target_os = "linux"))]
mod unsupported;

use std::net::{Ipv4Addr, SocketAddr};

use server::Options;

#[cfg(target_os = "linux")]
pub use namespaces::PacketNetwork;
#[cfg(not(target_os = "linux"))]
pub use unsupported::PacketNetwork;

/// The address of the server on the link.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The options of a server that listens on the link.
pub fn listening(options: Options) -> Options {
    let free = SocketAddr::new(SERVER.into(), 0);
    Options { listen: free, tcp_listen: free, ..options }
}
