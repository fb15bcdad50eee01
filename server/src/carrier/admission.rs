//! Admission: limits the number of connections, in total and from one address.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::reject;
use super::socket::{Socket, Stream};
use crate::budget::{Budget, Reservation};
use crate::counters::{Counters, Open};
use crate::limits::Room;
use crate::quota::{Place, Quota};
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
    quota: Arc<Quota>,
    counters: Arc<Counters>,
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
    _place: Place,
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
        let (quota, being_refused) = (Quota::new(room.connections, max_per_address), Budget::new(room.refused));
        Arc::new(Self { quota, counters, being_refused: Arc::new(being_refused) })
    }

    /// Decides whether a new connection from that address is served.
    pub fn admit(&self, address: IpAddr) -> Decision {
        if let Some(place) = self.quota.place(address) {
            return Decision::Served(Admitted { _place: place, _open: self.counters.connection() });
        }
        self.counters.refused();
        let mut reservation = Reservation::new(self.being_refused.clone());
        if reservation.grow_to(1) {
            Decision::Refused(Refused { _reservation: reservation })
        } else {
            Decision::Dropped
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_admitted_up_to_both_limits_and_counted() {
        let admission = Admission::new(Room { connections: 3, refused: 2 }, 2, Arc::default());
        let admit = |address: &str| match admission.admit(address.parse().unwrap()) {
            Decision::Served(admitted) => Some(admitted),
            Decision::Refused(_) | Decision::Dropped => None,
        };
        let first = admit("10.0.0.1").unwrap();
        let _others = [admit("10.0.0.1").unwrap(), admit("10.0.0.2").unwrap()];
        assert!(admit("10.0.0.1").is_none() && admit("127.0.0.1").is_none());
        assert_eq!((admission.counters.open(), admission.counters.connections_refused()), (3, 2));
        drop(first);
        assert!(admit("10.0.0.1").is_some());
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
