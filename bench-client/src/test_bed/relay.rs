//! A relay between a browser and the server, for demonstrations. It forwards every connection over a modelled network.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use bytes::BytesMut;
use protocol::clock;
use protocol::network::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::wire::link::{Direction, Link};
use protocol::platform::Timer;

/// The buffer size of one read, in bytes.
const READ_BYTES: usize = 4 << 10;

/// Listens on a free port of the loopback interface, and forwards each connection to `server`; returns the address to connect to.
///
/// # Errors
/// Those of listening.
pub async fn start(network: Network, server: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let seed = Rc::new(Cell::new(0));
    spawn_local(async move {
        loop {
            let Ok((near, _)) = listener.accept().await else { continue };
            seed.set(seed.get() + 1);
            // An error means that one side has failed. Both connections are closed then, so the other side learns of it.
            let forwarding = forward(near, server, network, seed.get());
            spawn_local(async move { drop(forwarding.await) });
        }
    });
    Ok(address)
}

/// Forwards one connection in both directions, until both have ended.
async fn forward(near: TcpStream, server: SocketAddr, network: Network, seed: u64) -> io::Result<()> {
    near.set_nodelay(true)?;
    let mut link = Link::new(network, seed, None)?;
    // The browser's connection to the relay is open already. The time that opening takes on the network is added here, before the first
    // bytes are forwarded.
    link.open().await?;
    let far = TcpStream::connect(server).await?;
    far.set_nodelay(true)?;
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let Link { up, down, timer } = link;
    tokio::try_join!(
        forward_one_way(near_read, far_write, up, timer),
        forward_one_way(far_read, near_write, down, Timer::new()?)
    )?;
    Ok(())
}

async fn forward_one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut direction: Direction,
    mut timer: Timer,
) -> io::Result<()> {
    let mut ended = false;
    loop {
        let due = direction.next_due();
        if ended && due.is_none() {
            return to.shutdown().await;
        }
        let mut bytes = BytesMut::with_capacity(READ_BYTES);
        tokio::select! {
            read = from.read_buf(&mut bytes), if !ended && direction.has_room() => {
                ended = read? == 0;
                if !ended {
                    direction.push(clock::now_ns(), bytes.freeze());
                }
            }
            woken = timer.sleep_until(due.unwrap_or(0)), if due.is_some() => {
                woken?;
                while let Some(bytes) = direction.pop_arrived(clock::now_ns()) {
                    to.write_all(&bytes).await?;
                }
            }
        }
    }
}
