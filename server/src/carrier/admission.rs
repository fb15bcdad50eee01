//! Admission: limits the number of connections, in total and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::TcpStream;

use super::reject;
use super::socket::{Socket, Stream};
use crate::budget::{Budget, Reservation};
use crate::counters::{Counters, Open};
use crate::limits::Room;
use crate::state::ServerState;

/// The messages, in a port's own protocol, to connections that are not served.
#[derive(Clone, Copy)]
pub struct Refusals {
    /// The message if there are too many connections.
    pub full: &'static str,
    /// The message if the server uses TLS and the peer does not.
    pub plain: &'static str,
}

/// Counts the connections, and decides whether a new one is served.
pub struct Admission {
    room: Room,
    max_per_address: usize,
    counters: Arc<Counters>,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    being_refused: Arc<Budget>,
}

/// The decision about a new connection.
pub enum Decision {
    /// It is served.
    Served(Admitted),
    /// There are too many connections: the peer gets a message.
    Refused(Refused),
    /// There are too many connections, also of those being refused: this one is closed without a message.
    Dropped,
}

/// A guard of a connection that is served. The connection is counted until this is dropped.
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    _open: Open,
}

/// A guard of a connection that is being refused. The connection is counted as such until this is dropped.
pub struct Refused {
    _reservation: Reservation,
}

impl Admission {
    /// Admits as many connections as there is room for, and at most `max_per_address` of them from one address. Connections over loopback
    /// count towards the total only.
    pub fn new(room: Room, max_per_address: usize, counters: Arc<Counters>) -> Arc<Self> {
        let (addresses, being_refused) = (Mutex::default(), Arc::new(Budget::new(room.refused)));
        Arc::new(Self { room, max_per_address, counters, addresses, being_refused })
    }

    /// Decides whether a new connection from that address is served.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Decision {
        let mut addresses = self.addresses();
        let all = self.counters.open() as usize;
        let known = addresses.get(&address).copied().unwrap_or(0);
        if all >= self.room.connections || known >= self.max_per_address && !address.is_loopback() {
            self.counters.refused();
            let mut reservation = Reservation::new(self.being_refused.clone());
            return if reservation.grow_to(1) {
                Decision::Refused(Refused { _reservation: reservation })
            } else {
                Decision::Dropped
            };
        }
        addresses.insert(address, known + 1);
        Decision::Served(Admitted { admission: self.clone(), address, _open: self.counters.connection() })
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().expect("no holder of the addresses panics")
    }
}

impl Refused {
    /// Sends the peer the message that there are too many connections, and closes the connection.
    pub async fn reject(self, stream: TcpStream, state: Arc<ServerState>, refusals: Refusals) {
        if let Some(socket) = Socket::open(stream, state, refusals.plain).await {
            reject::send(Stream::new(socket), refusals.full).await;
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut addresses = self.admission.addresses();
        match addresses.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = addresses.remove(&self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(admission: &Arc<Admission>, address: &str) -> Option<Admitted> {
        match admission.admit(address.parse().unwrap()) {
            Decision::Served(admitted) => Some(admitted),
            Decision::Refused(_) | Decision::Dropped => None,
        }
    }

    #[test]
    fn an_open_connection_counts_towards_the_total_and_towards_its_address() {
        let admission = Admission::new(Room { connections: 3, refused: 1 }, 2, Arc::default());
        let [a, b, here] = ["10.0.0.1", "10.0.0.2", "127.0.0.1"];
        let first = admitted(&admission, a).unwrap();
        let _second = admitted(&admission, a).unwrap();
        assert!(admitted(&admission, a).is_none(), "there are two from this address");
        let _third = admitted(&admission, b).unwrap();
        assert!(admitted(&admission, here).is_none(), "there are three in total");
        drop(first);
        let _fourth = admitted(&admission, a).unwrap();
        assert_eq!(admission.counters.connections_refused(), 2);
    }

    #[test]
    fn connections_over_loopback_count_towards_the_total_only() {
        let admission = Admission::new(Room { connections: 3, refused: 1 }, 1, Arc::default());
        let served: Vec<_> = (0..4).filter_map(|_| admitted(&admission, "127.0.0.1")).collect();
        assert_eq!(served.len(), 3);
        drop(served);
        assert!(admission.addresses().is_empty());
    }

    #[test]
    fn a_limited_number_of_connections_is_refused_and_the_others_are_dropped() {
        let admission = Admission::new(Room { connections: 0, refused: 2 }, 1, Arc::default());
        let admit = || admission.admit("127.0.0.1".parse().unwrap());
        let refused = [admit(), admit()];
        assert!(refused.iter().all(|decision| matches!(decision, Decision::Refused(_))));
        assert!(matches!(admit(), Decision::Dropped));
        drop(refused);
        assert!(matches!(admit(), Decision::Refused(_)));
    }
}
