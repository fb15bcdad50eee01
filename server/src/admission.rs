//! Admission: how many connections there may be, of all and of one address, and what the others are told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::TcpStream;

use crate::counters::{Counters, Open};
use crate::farewell;
use crate::site::Site;
use crate::socket::{Socket, Stream};

/// How many are told at once; beyond that, a connection is closed without a word.
const MOST_TOLD: usize = 256;

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
    most: usize,
    most_an_address: usize,
    counters: Arc<Counters>,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    being_told: AtomicUsize,
}

/// A connection that was let in; it counts for as long as this lives.
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    _open: Open,
}

impl Admission {
    /// Lets in `most` connections, and of them `most_an_address` from one address. This machine's own are no crowd: they count
    /// among all only.
    pub fn new(most: usize, most_an_address: usize, counters: Arc<Counters>) -> Arc<Self> {
        let (addresses, being_told) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Self { most, most_an_address, counters, addresses, being_told })
    }

    /// Lets a connection from that address in, unless there are too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let mut addresses = self.addresses();
        let all = self.counters.open() as usize;
        let known = addresses.get(&address).copied().unwrap_or(0);
        if all >= self.most || known >= self.most_an_address && !address.is_loopback() {
            self.counters.refused();
            return None;
        }
        addresses.insert(address, known + 1);
        Some(Admitted { admission: self.clone(), address, _open: self.counters.connection() })
    }

    /// Tells a connection that was not let in, and ends it.
    pub async fn refuse(self: Arc<Self>, stream: TcpStream, site: Arc<Site>, refusals: Refusals) {
        if self.being_told.fetch_add(1, Relaxed) < MOST_TOLD
            && let Some(socket) = Socket::open(stream, site, refusals.plain).await
        {
            farewell::tell(Stream::new(socket), refusals.full).await;
        }
        self.being_told.fetch_sub(1, Relaxed);
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().expect("no holder of the addresses panics")
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

    #[test]
    fn a_connection_counts_while_it_lives_for_all_and_for_its_address() {
        let admission = Admission::new(3, 2, Arc::default());
        let [a, b, here] = ["10.0.0.1", "10.0.0.2", "127.0.0.1"].map(|address| address.parse().unwrap());
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(a).unwrap();
        assert!(admission.admit(a).is_none(), "two of one address");
        let _third = admission.admit(b).unwrap();
        assert!(admission.admit(here).is_none(), "three of all");
        drop(first);
        let _fourth = admission.admit(a).unwrap();
        assert_eq!(admission.counters.connections_refused(), 2);
    }

    #[test]
    fn this_machine_s_own_connections_are_bounded_together_only() {
        let admission = Admission::new(3, 1, Arc::default());
        let here = "127.0.0.1".parse().unwrap();
        let admitted: Vec<_> = (0..4).filter_map(|_| admission.admit(here)).collect();
        assert_eq!(admitted.len(), 3);
        drop(admitted);
        assert!(admission.addresses().is_empty());
    }
}
