//! A client or a server that stands still for half a second, in a round of the default comparison: the round is doubtful, and says which
//! of the two it was.

use std::time::Duration;

use protocol::Transport;
use protocol::result::{Round, Scenario};
use tokio::time::sleep;

use super::Finding;
use crate::compare::warm_up_ms;
use crate::trial::{self, small};

const FROZEN: Duration = Duration::from_millis(500);

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let default = small(&[Transport::WebSocket]);
    let warm_up_ms = warm_up_ms(50, default.network);
    let scenario = Scenario { subscribers: 50, rate: 20.0, duration_ms: 2_000, warm_up_ms, ..default };
    let into_the_window = Duration::from_millis(warm_up_ms + 700);
    let setup = || trial::setup(&scenario);
    let client = trial::round_beside(&scenario, Transport::WebSocket, setup(), |_| async move {
        sleep(into_the_window).await;
        // Subscribers and their clock share this thread.
        std::thread::sleep(FROZEN);
    });
    let client = client.await?;
    let server = trial::round_beside(&scenario, Transport::WebSocket, setup(), |server| async move {
        sleep(into_the_window).await;
        let _ = server.freeze(true);
        sleep(FROZEN).await;
        let _ = server.freeze(false);
    });
    let server = server.await?;
    Ok(vec![
        judge("a client frozen for 0.5 s is blamed", &client, "the client stood still", "the server stood still"),
        judge("a server frozen for 0.5 s is blamed", &server, "the server stood still", "the client stood still"),
    ])
}

fn judge(requirement: &'static str, round: &Round, blamed: &str, cleared: &str) -> Finding {
    let says = |what: &str| round.warnings.iter().any(|warning| warning.contains(what));
    Finding {
        requirement,
        measured: format!("{} warnings, the right one: {}", round.warnings.len(), says(blamed)),
        bound: "the right one, and not the other".into(),
        holds: says(blamed) && !says(cleared),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn an_unmarked_freeze_and_one_that_is_blamed_on_the_other_are_found() {
        let round = |warnings: &[&str]| Round {
            warnings: warnings.iter().map(ToString::to_string).collect(),
            ..round_with([1_000_000])
        };
        let holds = |warnings: &[&str]| judge("", &round(warnings), "the client stood", "the server stood").holds;
        assert!(holds(&["client-limited: the client stood still for 480 ms"]));
        assert!(!holds(&[]));
        assert!(!holds(&["the client stood still for 480 ms", "the server stood still for 480 ms"]));
    }
}
