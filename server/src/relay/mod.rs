//! The live page's relay: a port that forwards connections to the server's own port, with a delay and a fault that the presenter sets.
//!
//! The page's lanes connect to it while a delay or a fault is set. It is part of the server, so that a class needs no second program.

mod fault;
mod forward;
mod http;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::quota::{Place, Quota};
pub use fault::Fault;

/// The longest delay in one direction.
pub const MAX_DELAY: Duration = Duration::from_secs(2);
/// The most connections at once, and the most from one address other than this machine's.
const MAX_CONNECTIONS: usize = 1_024;
const MAX_CONNECTIONS_PER_ADDRESS: usize = 512;
/// How long the relay refuses connections after [`Fault::Crash`].
const CRASH: Duration = Duration::from_secs(3);
/// The pause after an error of accepting a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the relay does to the bytes that it forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// How long bytes take, in each direction.
    pub delay: Duration,
    /// What goes wrong.
    pub fault: Fault,
}

/// The state of the relay, which the server's endpoints share with it.
pub struct Relay {
    /// The port on which it listens.
    pub port: u16,
    conditions: watch::Sender<Conditions>,
    quota: Arc<Quota>,
    /// The clients behind the relay's connections to the server, by the address of the connection's end that belongs to the relay.
    clients: Mutex<HashMap<SocketAddr, IpAddr>>,
}

impl Relay {
    /// A relay that listens on `port`, with room for at most `max` connections.
    pub fn new(port: u16, max: usize) -> Arc<Self> {
        let quota = Quota::new(max.min(MAX_CONNECTIONS), MAX_CONNECTIONS_PER_ADDRESS.min((max / 2).max(1)));
        Arc::new(Self { port, conditions: watch::Sender::default(), quota, clients: Mutex::default() })
    }

    /// The current conditions.
    pub fn conditions(&self) -> Conditions {
        *self.conditions.borrow()
    }

    /// The current conditions, and their changes.
    pub fn watch(&self) -> watch::Receiver<Conditions> {
        self.conditions.subscribe()
    }

    /// Changes the conditions.
    pub fn set(&self, conditions: Conditions) {
        self.conditions.send_if_modified(|current| std::mem::replace(current, conditions) != conditions);
    }

    /// The address of the client behind a connection from `peer`: if that is this relay, the address of the relay's own client. Without
    /// this, everybody could avoid the limits for one address by connecting through the relay.
    pub fn client(&self, peer: SocketAddr) -> IpAddr {
        self.clients().get(&peer).copied().unwrap_or(peer.ip()).to_canonical()
    }

    /// Forwards connections from `listener` to `server`, for as long as it is polled.
    pub async fn run(self: Arc<Self>, listener: TcpListener, server: SocketAddr) {
        let mut conditions = self.watch();
        let mut recovers_at = None;
        // Dropped with this task, which ends the connections.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((client, peer)) = accepted else {
                        // All files are in use, for instance.
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    };
                    if self.conditions().fault == Fault::Crash {
                        forward::reset(client);
                    } else if let Some(place) = self.quota.place(peer.ip().to_canonical()) {
                        let (relay, conditions) = (self.clone(), self.watch());
                        connections.spawn_local(async move {
                            let connect = || relay.connect(server, peer.ip());
                            // An error means that one side has ended its connection; the other is dropped with it.
                            let _ = forward::forward(client, connect, conditions).await;
                            drop::<Place>(place);
                        });
                    }
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                Ok(()) = conditions.changed() => {
                    let crashed = conditions.borrow_and_update().fault == Fault::Crash;
                    recovers_at = crashed.then(|| Instant::now() + CRASH);
                }
                () = sleep_until(recovers_at.unwrap_or_else(Instant::now)), if recovers_at.is_some() => {
                    self.set(Conditions { fault: Fault::Off, ..self.conditions() });
                }
            }
        }
    }

    /// Connects to the server for a client.
    async fn connect(self: &Arc<Self>, server: SocketAddr, client: IpAddr) -> std::io::Result<ServerSide> {
        let socket = if server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(server.ip(), 0))?;
        let address = socket.local_addr()?;
        // Before the server accepts the connection.
        self.clients().insert(address, client);
        let entry = ClientEntry { relay: self.clone(), address };
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(ServerSide { stream, _entry: entry })
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<SocketAddr, IpAddr>> {
        self.clients.lock().expect("no holder of the clients panics")
    }
}

/// The relay's connection to the server, on behalf of a client.
struct ServerSide {
    stream: TcpStream,
    _entry: ClientEntry,
}

/// The entry of a client in [`Relay::clients`]; dropping it removes the entry.
struct ClientEntry {
    relay: Arc<Relay>,
    address: SocketAddr,
}

impl Drop for ClientEntry {
    fn drop(&mut self) {
        self.relay.clients().remove(&self.address);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncReadExt;
    use tokio::runtime::{Builder, LocalOptions};
    use tokio::task::spawn_local;

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap().block_on(test);
    }

    async fn listen() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
    }

    #[test]
    fn the_server_knows_the_client_behind_a_connection_of_the_relay() {
        run(async {
            let server = listen().await;
            let relay = Relay::new(0, 10);
            let client: IpAddr = "10.0.0.7".parse().unwrap();
            let connection = relay.connect(server.local_addr().unwrap(), client).await.unwrap();
            let (_stream, peer) = server.accept().await.unwrap();
            assert_eq!(relay.client(peer), client);
            drop(connection);
            assert_eq!(relay.client(peer), peer.ip(), "and forgets it");
            assert!(relay.clients().is_empty());
        });
    }

    #[test]
    fn connections_beyond_the_limit_are_closed() {
        run(async {
            let (server, clients) = (listen().await, listen().await);
            let (server_address, address) = (server.local_addr().unwrap(), clients.local_addr().unwrap());
            let relay = Relay::new(address.port(), 2);
            spawn_local(relay.run(clients, server_address));
            let connect = || async { TcpStream::connect(address).await.unwrap() };
            let first = connect().await;
            let _second = connect().await;
            let _served = [server.accept().await.unwrap(), server.accept().await.unwrap()];
            assert_eq!(connect().await.read(&mut [0; 1]).await.unwrap(), 0);
            drop((first, _served));
            // The place is free once the relay has noticed.
            loop {
                let (mut third, mut buffer) = (connect().await, [0; 1]);
                tokio::select! {
                    _ = third.read(&mut buffer) => {}
                    served = server.accept() => break drop(served.unwrap()),
                }
            }
        });
    }
}
