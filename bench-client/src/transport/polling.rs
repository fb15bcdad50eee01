//! Polling: ask each interval, event or not.

use std::convert::Infallible;
use std::time::Duration;

use protocol::clock;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::fault::Fault;
use crate::headers::Caller;
use crate::poll::poll;
use crate::subscriber::Subscriber;

/// Polls from a fixed schedule: the time between two polls' starts is the interval, however long a response takes. A response
/// that takes longer than the interval delays the next poll; polls are never made up for in a burst.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    let interval = subscriber.target.poll_interval;
    let wait = until_next(subscriber.target.poll_origin_ns, subscriber.phase, interval, clock::now_ns());
    let mut due = interval_at(Instant::now() + wait, interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let after = subscriber.place();
        let mut request = subscriber.target.get(Caller::Fetch, "/poll", after);
        request.push_str("\r\n");
        poll(subscriber, &request).await?;
        subscriber.connected();
        due.tick().await;
    }
}

/// How long it is from `now_ns` until a poll is due again: at `phase` after the beginning of
/// each interval, one of which begins at `origin_ns`.
/// All pollers count from one origin, whenever they connected, so phases that are evenly spread stay so.
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
