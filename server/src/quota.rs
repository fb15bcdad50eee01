//! A quota: a limit on how many connections or sessions there are at once, in total and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// The number of places, and the places that are taken.
pub struct Quota {
    max: usize,
    max_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    /// By address; an address without a place has no entry.
    addresses: HashMap<IpAddr, usize>,
}

/// A place that is taken. Dropping it frees the place.
pub struct Place {
    quota: Arc<Quota>,
    address: IpAddr,
}

impl Quota {
    /// `max` places, of which one address may take `max_per_address`. Loopback addresses, behind which a proxy may stand for many clients,
    /// count towards the total only.
    pub fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self { max, max_per_address, taken: Mutex::default() })
    }

    /// Takes a place for a client at `address`; `None` if there is none left for it.
    pub fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        let of_address = taken.addresses.get(&address).copied().unwrap_or(0);
        if taken.total >= self.max || of_address >= self.max_per_address && !address.is_loopback() {
            return None;
        }
        taken.total += 1;
        taken.addresses.insert(address, of_address + 1);
        Some(Place { quota: self.clone(), address })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("no holder of a quota panics")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.quota.taken();
        taken.total -= 1;
        match taken.addresses.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = taken.addresses.remove(&self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(quota: &Arc<Quota>, address: &str) -> Option<Place> {
        quota.place(address.parse().unwrap())
    }

    #[test]
    fn a_place_counts_towards_the_total_and_towards_its_address() {
        let quota = Quota::new(3, 2);
        let [a, b, here] = ["10.0.0.1", "10.0.0.2", "127.0.0.1"];
        let first = place(&quota, a).unwrap();
        let _second = place(&quota, a).unwrap();
        assert!(place(&quota, a).is_none(), "there are two from this address");
        let _third = place(&quota, b).unwrap();
        assert!(place(&quota, here).is_none(), "there are three in total");
        drop(first);
        assert!(place(&quota, a).is_some());
    }

    #[test]
    fn loopback_counts_towards_the_total_only_and_nothing_is_left_behind() {
        let quota = Quota::new(3, 1);
        let places: Vec<_> = (0..4).filter_map(|_| place(&quota, "127.0.0.1")).collect();
        assert_eq!(places.len(), 3);
        drop(places);
        let taken = quota.taken();
        assert!(taken.total == 0 && taken.addresses.is_empty());
    }
}
