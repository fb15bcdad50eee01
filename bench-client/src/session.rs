//! Keeps one subscriber subscribed: connects it, resumes a lost connection from where it was, and gives up in the end.

use std::rc::Rc;
use std::time::Duration;

use protocol::{Cursor, Transport};
use tokio::sync::watch;

use crate::counted::Counted;
use crate::fault::Fault;
use crate::recorder::{Progress, Shared};
use crate::subscriber::{Subscriber, Target};
use crate::transport;

/// How long to leave a failed connection alone before trying again.
const BACK_OFF: Duration = Duration::from_millis(100);
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
    loop {
        let before = progress.cursor();
        let attempt = async {
            let address = if transport == Transport::Tcp { target.tcp } else { target.http };
            Counted::connect(address).await
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
        tokio::select! {
            () = tokio::time::sleep(BACK_OFF) => {}
            _ = stop.wait_for(|&stop| stop) => return,
        }
    }
}
