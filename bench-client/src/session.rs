//! Keeps one subscriber subscribed: connects it, resumes a lost connection from where it was, and gives up in the end.

use std::rc::Rc;
use std::time::Duration;

use protocol::schedule::{seeded, uniform};
use protocol::{Cursor, Transport};
use tokio::sync::watch;

use crate::counted::Counted;
use crate::fault::Fault;
use crate::link::Link;
use crate::recorder::{Progress, Shared};
use crate::subscriber::{Subscriber, Target};
use crate::transport;

/// Failures in a row, without an event between them, after which a subscriber gives up.
const MOST_FAILURES: u32 = 5;

/// Subscribes through `transport` behind `cursor` until `stop`; a lost connection is resumed from where it was.
pub async fn run(
    transport: Transport,
    target: Rc<Target>,
    cursor: Cursor,
    phase: Duration,
    recorder: Shared,
    mut stop: watch::Receiver<bool>,
) {
    let mut progress = Progress::new(cursor);
    let mut connected = false;
    let mut failures = 0;
    // Each subscriber has a phase of its own, and so jitter of its own, of its link and of its patience.
    let mut random = seeded(phase.as_nanos() as u64);
    loop {
        let before = progress.cursor();
        let attempt = async {
            let address = if transport == Transport::Tcp { target.tcp } else { target.place.address };
            let link = || Link::new(target.network, phase.as_nanos() as u64, target.trace.as_ref());
            let link = target.network.is_modelled().then(link).transpose()?;
            Counted::connect(address, link, target.place.tls.as_ref()).await
        };
        let opened = tokio::select! {
            opened = attempt => opened,
            _ = stop.wait_for(|&stop| stop) => return,
        };
        let fault = match opened {
            Err(error) => Fault::Lost(error),
            Ok(wire) => {
                let mut subscriber =
                    Subscriber { target: target.clone(), wire, phase, progress, recorder: recorder.clone(), connected };
                let ended = tokio::select! {
                    biased;
                    Err(fault) = transport::subscribe(transport, &mut subscriber) => Some(fault),
                    _ = stop.wait_for(|&stop| stop) => None,
                };
                if ended.is_none() {
                    transport::leave(transport, &mut subscriber).await;
                }
                subscriber.wire.finish();
                recorder.borrow_mut().ledger += subscriber.wire.ledger;
                (progress, connected) = (subscriber.progress, subscriber.connected);
                match ended {
                    None => return,
                    Some(fault) => fault,
                }
            }
        };
        failures = if progress.cursor() > before { 1 } else { failures + 1 };
        if failures > MOST_FAILURES {
            recorder.borrow_mut().given_up.push(fault.to_string());
            return;
        }
        recorder.borrow_mut().faults.reconnects += 1;
        let back_off = target.back_off.least + target.back_off.jitter.mul_f64(uniform(&mut random));
        tokio::select! {
            () = tokio::time::sleep(back_off) => {}
            _ = stop.wait_for(|&stop| stop) => return,
        }
    }
}
