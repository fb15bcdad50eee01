//! Long polling: ask, be answered when there is an event, ask again at once.

use std::convert::Infallible;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::poll::poll;
use crate::subscriber::Subscriber;

/// Asks again as soon as the last answer was read.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    // Whatever is published from now on will be found: each request says behind which event it waits.
    subscriber.connected();
    loop {
        let after = subscriber.place();
        let mut request = subscriber.target.get(Caller::Fetch, "/long-poll", after);
        request.push_str("\r\n");
        poll(subscriber, &request).await?;
    }
}
