//! Accepts connections and deals them out to the workers, one each in turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::admission::{Admission, Admitted, Decision, Refusals};
use crate::site::Site;
use crate::socket::Socket;
use crate::worker::Worker;

/// How many handshaken connections the kernel may hold until we accept them: a lecture hall that connects at once.
const BACKLOG: u32 = 4096;
/// How much the kernel may hold of what is sent and not read yet, in bytes: 256 KiB, as much as goes into one write to a subscriber. Linux
/// doubles it for what it needs itself. Left to itself it goes up to some MiB, and a peer that asks and never reads has that for
/// nothing. With half of it, a subscriber that reads little at a time but steadily may find no room in time, and be given up.
const SEND_BUFFER: u32 = 256 << 10;
/// How much it may hold of what was received and is not read yet, in bytes: 128 KiB, doubled as well.
const RECEIVE_BUFFER: u32 = 128 << 10;
/// How long to leave a failing accept alone: the file limit is not lifted by asking faster.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Listens on `address`; to be called from within an event loop.
///
/// # Errors
/// When the address is taken, not of this machine or not permitted.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that is started again must not wait for the old one's connections to time out.
    socket.set_reuseaddr(true)?;
    // The connections inherit it, without a call for each.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts for as long as it is polled, and has each connection that is let in served on the next worker; the others are told
/// why not.
pub async fn accept<F>(
    listener: TcpListener,
    workers: Arc<[Worker]>,
    admission: Arc<Admission>,
    site: Arc<Site>,
    refusals: Refusals,
    serve: impl Fn(Arc<Socket>, Admitted, &Worker) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut failing = false;
    for worker in workers.iter().cycle() {
        let (stream, peer) = loop {
            match listener.accept().await.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok(accepted) => break accepted,
                Err(error) => {
                    // Once, until it goes well again.
                    if !std::mem::replace(&mut failing, true) {
                        eprintln!("cannot accept a connection ({error}); trying again each {BACK_OFF:?}");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        };
        failing = false;
        let decision = admission.admit(peer.ip().to_canonical());
        if let Decision::Dropped = decision {
            continue;
        }
        let (site, serve, home) = (site.clone(), serve.clone(), worker.clone());
        worker.spawn(async move {
            // From here on the connection belongs to this worker's event loop.
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            let admitted = match decision {
                Decision::Served(admitted) => admitted,
                Decision::Told(refused) => return refused.tell(stream, site, refusals).await,
                Decision::Dropped => return,
            };
            if let Some(socket) = Socket::open(stream, site, refusals.plain).await {
                // A task of its own, without what opening took.
                tokio::spawn(serve(socket, admitted, &home));
            }
        });
    }
}
