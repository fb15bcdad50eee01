//! Polling: ask each interval, event or not.

use std::convert::Infallible;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::fault::Fault;
use crate::headers::Caller;
use crate::poll::poll;
use crate::subscriber::Subscriber;

/// Polls from a fixed schedule: the time between two polls' starts is the interval, however long an answer takes. An answer
/// that takes longer than the interval delays the next poll; polls are never made up for in a burst.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    let interval = subscriber.target.poll_interval;
    let mut due = interval_at(Instant::now() + subscriber.phase, interval);
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
