//! How long an event waits at the server: from its publication until the message that carries it is sent.

use protocol::experiment::Ladder;
use protocol::facts::ladder::WireTrace;

/// When each event was published and when it was sent, in ms. `received` are the times at which the server's messages were sent and arrived.
/// An event was sent with the last of those that had arrived when it was decoded.
fn waits(published: &[f64], delivered: &[f64], received: impl Iterator<Item = (f64, f64)> + Clone) -> Vec<(f64, f64)> {
    let sent = |(&published, &delivered): (&f64, &f64)| {
        let arrived = received.clone().filter(|(_, arrived)| *arrived <= delivered);
        (published, arrived.map(|(left, _)| left).fold(published, f64::max))
    };
    published.iter().zip(delivered).map(sent).collect()
}

/// When each event of a ladder was published and when it was sent, in ms.
pub fn of_ladder(ladder: &Ladder) -> Vec<(f64, f64)> {
    let received = ladder.messages.iter().filter(|message| !message.up);
    waits(&ladder.published_ms, &ladder.delivered_ms, received.map(|message| (message.left_ms, message.arrived_ms)))
}

/// When each event of a trace was published and when it was sent, in ms.
pub fn of_trace(trace: &WireTrace) -> Vec<(f64, f64)> {
    let received = trace.chunks.iter().filter(|chunk| !chunk.up);
    waits(&trace.published_ms, &trace.delivered_ms, received.map(|chunk| (chunk.left_ms, chunk.arrived_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_was_sent_with_the_last_message_that_had_arrived_when_it_was_decoded() {
        let received = [(0.0, 5.0), (12.0, 20.0), (30.0, 40.0)];
        let found = waits(&[10.0, 15.0], &[20.0, 41.0], received.into_iter());
        assert_eq!(found, [(10.0, 12.0), (15.0, 30.0)]);
        assert_eq!(waits(&[13.0], &[20.0], received.into_iter()), [(13.0, 13.0)], "it was sent at once");
    }
}
