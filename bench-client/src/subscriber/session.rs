//! Keeps one subscriber subscribed: connects it, resumes a lost connection at its cursor, and gives up after repeated failures.

use std::rc::Rc;
use std::time::Duration;

use protocol::schedule::{seeded, uniform};
use protocol::{Bookmark, Transport};

use crate::fault::Fault;
use crate::round::recorder::{Progress, Shared};
use crate::subscriber::stop::Stopped;
use crate::subscriber::{Subscriber, Target};
use crate::target::message::Source;
use crate::transport;
use crate::wire::http2::Slot;

/// After more failures in a row, without an event between them, a subscriber gives up.
const MAX_FAILURES: u32 = 5;

/// Subscribes by `transport` to the events after `after`, until it is `stopped`; a lost connection is resumed at the cursor. Over HTTP/2, the
/// connection is that of the `slot`.
///
/// Rare steps are boxed: thousands of these futures run in turn for each event, so each should be small.
pub async fn run(
    transport: Transport,
    target: Rc<Target>,
    after: Bookmark,
    phase: Duration,
    slot: Rc<Slot>,
    recorder: Shared,
    mut stopped: Stopped,
) {
    let ledger = recorder.borrow().ledger.clone();
    let mut progress = Progress::new(after);
    let mut values = target.source.as_ref().map(Source::first_values).unwrap_or_default();
    let (mut connected, mut first_try) = (false, true);
    let mut failures = 0;
    // Each subscriber has its own phase, and so its own jitter of the modelled network and of the pause before it reconnects.
    let seed = phase.as_nanos() as u64;
    let mut random = seeded(seed);
    loop {
        let before = progress.bookmark();
        let opened = tokio::select! {
            opened = Box::pin(target.connect(transport, seed, &slot, ledger.clone())) => opened,
            () = &mut stopped => return,
        };
        let fault = match opened {
            Err(error) => Fault::Lost(error),
            Ok(wire) => {
                let (target, recorder) = (target.clone(), recorder.clone());
                let mut subscriber = Subscriber {
                    transport,
                    target,
                    wire,
                    inflater: None,
                    phase,
                    progress,
                    values,
                    closing: false,
                    send_epoch: !first_try,
                    recorder,
                    connected,
                };
                let ended = tokio::select! {
                    biased;
                    Err(fault) = transport::subscribe(&mut subscriber) => Some(fault),
                    () = &mut stopped => None,
                };
                let Some(fault) = ended else {
                    return Box::pin(transport::close(&mut subscriber)).await;
                };
                (progress, values, connected) = (subscriber.progress, subscriber.values, subscriber.connected);
                fault
            }
        };
        // Learning of another feed, or of a gap, is progress, too.
        failures = if progress.bookmark() != before { 1 } else { failures + 1 };
        if failures > MAX_FAILURES {
            recorder.borrow_mut().given_up.push(fault.to_string());
            return;
        }
        recorder.borrow_mut().faults.reconnects += 1;
        first_try = false;
        let back_off = target.back_off.min + target.back_off.jitter.mul_f64(uniform(&mut random));
        tokio::select! {
            () = tokio::time::sleep(back_off) => {}
            () = &mut stopped => return,
        }
    }
}
