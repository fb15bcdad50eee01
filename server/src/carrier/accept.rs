//! Accepts connections and assigns them to the workers in turn.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::spawn_local;
use tracing::{Instrument, debug, info_span};

use super::admission::{Admission, Admitted, Decision, Refusals};
use super::socket::Socket;
use crate::fan_out::{Dispatcher, Worker};
use crate::output;
use crate::state::ServerState;

/// How many established connections the kernel may hold until we accept them: enough for all listeners of a lecture to connect at once.
const BACKLOG: u32 = 4096;
/// The kernel's send buffer of a connection, in bytes: 256 KiB, the maximum of one write to a subscriber. Linux doubles it for its own
/// bookkeeping. By default it grows to some MiB, which a peer that never reads would occupy. With half of this size, the kernel may not
/// report in time that there is room again for a subscriber that reads slowly but steadily, and that subscriber would be disconnected.
const SEND_BUFFER: u32 = 256 << 10;
/// The kernel's receive buffer of a connection, in bytes: 128 KiB, doubled as well.
const RECEIVE_BUFFER: u32 = 128 << 10;
/// The pause after a failed accept: it fails mostly because of the limit on open files, which a faster retry does not lift.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Listens on `address`; must be called within an event loop.
///
/// # Errors
/// When the address is in use, does not belong to this machine, or is not permitted.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server must not wait for the connections of the previous one to time out.
    socket.set_reuseaddr(true)?;
    // The connections inherit the sizes.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections for as long as it is polled. Each connection is served, or rejected, on the next worker.
pub async fn accept<F>(
    listener: TcpListener,
    workers: Arc<[Worker]>,
    admission: Arc<Admission>,
    state: Arc<ServerState>,
    refusals: Refusals,
    serve: impl Fn(Rc<Socket>, Admitted, Arc<ServerState>, Rc<Dispatcher>) -> F + Copy + Send + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    let mut failing = false;
    for worker in workers.iter().cycle() {
        let (stream, peer) = loop {
            match listener.accept().await.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok(accepted) => break accepted,
                Err(error) => {
                    // Report only the first of several failures in a row.
                    if !std::mem::replace(&mut failing, true) {
                        output::error_line(format_args!(
                            "cannot accept a connection ({error}); trying again every {BACK_OFF:?}"
                        ));
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        };
        failing = false;
        let decision = admission.admit(state.relay.client(peer));
        if let Decision::Dropped = decision {
            continue;
        }
        let state = state.clone();
        let span = info_span!("connection", %peer);
        worker.run(move |dispatcher| {
            let dispatcher = dispatcher.clone();
            let serve_connection = async move {
                // From here on the connection belongs to this worker's event loop.
                let Ok(stream) = TcpStream::from_std(stream) else { return };
                let admitted = match decision {
                    Decision::Served(admitted) => admitted,
                    Decision::Refused(refused) => {
                        debug!("refused: too many connections");
                        return refused.reject(stream, state, refusals).await;
                    }
                    Decision::Dropped => return,
                };
                debug!("accepted");
                if let Some(socket) = Socket::open(stream, state.clone(), refusals.plain).await {
                    // A new task, which does not keep the memory for opening the socket.
                    spawn_local(serve(socket, admitted, state, dispatcher).in_current_span());
                }
            };
            spawn_local(serve_connection.instrument(span));
        });
    }
}
