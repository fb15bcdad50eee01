//! Keeps one subscriber subscribed: connects it, resumes a lost connection from where it was, and gives up in the end.

use std::rc::Rc;
use std::time::Duration;

use protocol::schedule::{seeded, uniform};
use protocol::{Bookmark, Transport};

use crate::fault::Fault;
use crate::recorder::{Progress, Shared};
use crate::stop::Stopped;
use crate::subscriber::{Subscriber, Target};
use crate::transport;

/// Failures in a row, without an event between them, after which a subscriber gives up.
const MOST_FAILURES: u32 = 5;

/// Subscribes through `transport` behind `after` until it is `stopped`; a lost connection is resumed from where it was.
///
/// What it does now and then is in boxes of its own: thousands of these futures take turns, event by event, and each is to be small.
pub async fn run(
    transport: Transport,
    target: Rc<Target>,
    after: Bookmark,
    phase: Duration,
    recorder: Shared,
    mut stopped: Stopped,
) {
    let ledger = recorder.borrow().ledger.clone();
    let mut progress = Progress::new(after);
    let (mut connected, mut first_try) = (false, true);
    let mut failures = 0;
    // Each subscriber has a phase of its own, and so jitter of its own, of its link and of its patience.
    let seed = phase.as_nanos() as u64;
    let mut random = seeded(seed);
    loop {
        let before = progress.bookmark();
        let opened = tokio::select! {
            opened = Box::pin(target.connect(transport, seed, ledger.clone())) => opened,
            () = &mut stopped => return,
        };
        let fault = match opened {
            Err(error) => Fault::Lost(error),
            Ok(wire) => {
                let (target, recorder) = (target.clone(), recorder.clone());
                let mut subscriber =
                    Subscriber { target, wire, phase, progress, epoch_untold: !first_try, recorder, connected };
                let ended = tokio::select! {
                    biased;
                    Err(fault) = transport::subscribe(transport, &mut subscriber) => Some(fault),
                    () = &mut stopped => None,
                };
                let Some(fault) = ended else {
                    return Box::pin(transport::leave(transport, &mut subscriber)).await;
                };
                (progress, connected) = (subscriber.progress, subscriber.connected);
                fault
            }
        };
        // To be told of another feed, or of a gap, is to come on as well.
        failures = if progress.bookmark() != before { 1 } else { failures + 1 };
        if failures > MOST_FAILURES {
            recorder.borrow_mut().given_up.push(fault.to_string());
            return;
        }
        recorder.borrow_mut().faults.reconnects += 1;
        first_try = false;
        let back_off = target.back_off.least + target.back_off.jitter.mul_f64(uniform(&mut random));
        tokio::select! {
            () = tokio::time::sleep(back_off) => {}
            () = &mut stopped => return,
        }
    }
}
