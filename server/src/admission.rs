//! Admission: how many connections there may be, of all and of one address, and what the others are told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::TcpStream;

use crate::budget::{Budget, Reservation};
use crate::counters::{Counters, Open};
use crate::farewell;
use crate::limits::Room;
use crate::site::Site;
use crate::socket::{Socket, Stream};

/// What a port says to those whom it does not serve, in the words of its own protocol.
#[derive(Clone, Copy)]
pub struct Refusals {
    /// To a connection too many.
    pub full: &'static str,
    /// To one that does not speak TLS where the server does.
    pub plain: &'static str,
}

/// Who is let in.
pub struct Admission {
    room: Room,
    most_an_address: usize,
    counters: Arc<Counters>,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    being_told: Arc<Budget>,
}

/// The decision about a new connection.
pub enum Decision {
    /// It is served.
    Served(Admitted),
    /// There are too many: it gets a refusal.
    Told(Refused),
    /// There are too many, even of those that are being refused: it is closed without a response.
    Dropped,
}

/// A connection that was let in; it counts for as long as this lives.
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    _open: Open,
}

/// A connection that is to be told that there are too many; it counts among those for as long as this lives.
pub struct Refused {
    _told: Reservation,
}

impl Admission {
    /// Lets in as many connections as there is room for, and of them `most_an_address` from one address. This machine's own are no
    /// crowd: they count among all only.
    pub fn new(room: Room, most_an_address: usize, counters: Arc<Counters>) -> Arc<Self> {
        let (addresses, being_told) = (Mutex::default(), Arc::new(Budget::new(room.refused)));
        Arc::new(Self { room, most_an_address, counters, addresses, being_told })
    }

    /// Lets a connection from that address in, unless there are too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Decision {
        let mut addresses = self.addresses();
        let all = self.counters.open() as usize;
        let known = addresses.get(&address).copied().unwrap_or(0);
        if all >= self.room.connections || known >= self.most_an_address && !address.is_loopback() {
            self.counters.refused();
            let mut told = Reservation::new(self.being_told.clone());
            return if told.grow_to(1) { Decision::Told(Refused { _told: told }) } else { Decision::Dropped };
        }
        addresses.insert(address, known + 1);
        Decision::Served(Admitted { admission: self.clone(), address, _open: self.counters.connection() })
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().expect("no holder of the addresses panics")
    }
}

impl Refused {
    /// Tells the connection, and ends it.
    pub async fn tell(self, stream: TcpStream, site: Arc<Site>, refusals: Refusals) {
        if let Some(socket) = Socket::open(stream, site, refusals.plain).await {
            farewell::tell(Stream::new(socket), refusals.full).await;
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
            Decision::Told(_) | Decision::Dropped => None,
        }
    }

    #[test]
    fn a_connection_counts_while_it_lives_for_all_and_for_its_address() {
        let admission = Admission::new(Room { connections: 3, refused: 1 }, 2, Arc::default());
        let [a, b, here] = ["10.0.0.1", "10.0.0.2", "127.0.0.1"];
        let first = admitted(&admission, a).unwrap();
        let _second = admitted(&admission, a).unwrap();
        assert!(admitted(&admission, a).is_none(), "two of one address");
        let _third = admitted(&admission, b).unwrap();
        assert!(admitted(&admission, here).is_none(), "three of all");
        drop(first);
        let _fourth = admitted(&admission, a).unwrap();
        assert_eq!(admission.counters.connections_refused(), 2);
    }

    #[test]
    fn this_machine_s_own_connections_are_bounded_together_only() {
        let admission = Admission::new(Room { connections: 3, refused: 1 }, 1, Arc::default());
        let served: Vec<_> = (0..4).filter_map(|_| admitted(&admission, "127.0.0.1")).collect();
        assert_eq!(served.len(), 3);
        drop(served);
        assert!(admission.addresses().is_empty());
    }

    #[test]
    fn so_many_are_told_at_once_that_there_are_too_many_and_the_others_are_dropped() {
        let admission = Admission::new(Room { connections: 0, refused: 2 }, 1, Arc::default());
        let admit = || admission.admit("127.0.0.1".parse().unwrap());
        let told = [admit(), admit()];
        assert!(told.iter().all(|decision| matches!(decision, Decision::Told(_))));
        assert!(matches!(admit(), Decision::Dropped));
        drop(told);
        assert!(matches!(admit(), Decision::Told(_)));
    }
}
