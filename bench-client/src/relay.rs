//! A relay that leads every connection over a modelled network: what stands between a browser and the server in a demonstration.

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

use crate::alarm::Alarm;
use crate::link::{Lane, Link};

/// What a read asks for at the least, in bytes.
const READ: usize = 4 << 10;

/// Listens on a free port of the loopback interface, and leads what connects there to `server`; gives its address.
///
/// # Errors
/// When no port can be listened on.
pub async fn start(network: Network, server: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let seed = Rc::new(Cell::new(0));
    spawn_local(async move {
        loop {
            let Ok((near, _)) = listener.accept().await else { continue };
            seed.set(seed.get() + 1);
            // An error is a side that has ended, which the other side is told by its own end.
            let carried = carry(near, server, network, seed.get());
            spawn_local(async move { drop(carried.await) });
        }
    });
    Ok(address)
}

/// Carries one connection, both ways, until both have ended.
async fn carry(near: TcpStream, server: SocketAddr, network: Network, seed: u64) -> io::Result<()> {
    near.set_nodelay(true)?;
    let mut link = Link::new(network, seed, None)?;
    // The browser's connection is open already; what opening takes is taken before its first bytes move.
    link.open().await?;
    let far = TcpStream::connect(server).await?;
    far.set_nodelay(true)?;
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let Link { up, down, alarm } = link;
    tokio::try_join!(one_way(near_read, far_write, up, alarm), one_way(far_read, near_write, down, Alarm::new()?))?;
    Ok(())
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut lane: Lane, mut alarm: Alarm) -> io::Result<()> {
    let mut ended = false;
    loop {
        let due = lane.due();
        if ended && due.is_none() {
            return to.shutdown().await;
        }
        let mut bytes = BytesMut::with_capacity(READ);
        tokio::select! {
            read = from.read_buf(&mut bytes), if !ended && lane.has_room() => {
                ended = read? == 0;
                if !ended {
                    lane.enter(clock::now_ns(), bytes.freeze());
                }
            }
            woken = alarm.until(due.unwrap_or(0)), if due.is_some() => {
                woken?;
                while let Some(bytes) = lane.leave(clock::now_ns()) {
                    to.write_all(&bytes).await?;
                }
            }
        }
    }
}
