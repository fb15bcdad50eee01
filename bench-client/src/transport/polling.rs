//! Polling: a request at each interval, whether or not there is an event.

use std::convert::Infallible;
use std::time::Duration;

use protocol::clock;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::poll::poll;
use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Polls on a fixed schedule: the interval is the time from the start of one poll to the start of the next, however long a response takes. A
/// response that takes longer than the interval delays the next poll. Missed polls are skipped.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    let interval = subscriber.target.poll_interval;
    let wait = until_next(subscriber.target.poll_origin_ns, subscriber.phase, interval, clock::now_ns());
    let mut due = interval_at(Instant::now() + wait, interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        while poll(subscriber).await? {}
        subscriber.connected();
        due.tick().await;
    }
}

/// The time from `now_ns` until the next poll is due, which is `phase` after the beginning of an interval. One of the intervals begins at
/// `origin_ns`. This origin is the same for all pollers, whenever they connected, so phases that are evenly spread stay so.
fn until_next(origin_ns: u64, phase: Duration, interval: Duration, now_ns: u64) -> Duration {
    let interval = interval.as_nanos().max(1) as i128;
    let since = i128::from(now_ns) - i128::from(origin_ns) - phase.as_nanos() as i128;
    Duration::from_nanos((-since).rem_euclid(interval) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_due_at_the_phase_whenever_the_poller_connected() {
        let (phase, interval) = (Duration::from_nanos(30), Duration::from_nanos(100));
        let wait = |now| until_next(1_000, phase, interval, now).as_nanos();
        assert_eq!([1_000, 1_029, 1_030, 1_031, 1_930, 1_999].map(wait), [30, 1, 0, 99, 0, 31]);
        assert_eq!(wait(900), 30, "before the origin as well");
    }
}
