//! A client or a server that is frozen for half a second, in a round of the default comparison: the round is doubtful, and its warnings name
//! the right one of the two.

use std::time::Duration;

use protocol::Transport;
use protocol::result::{Round, Scenario};
use tokio::time::sleep;

use super::Finding;
use crate::command::compare::warm_up_ms;
use crate::round::series::{self, small};

const FROZEN: Duration = Duration::from_millis(500);

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let default = small(&[Transport::WebSocket]);
    let warm_up_ms = warm_up_ms(50, default.network);
    let scenario = Scenario { subscribers: 50, rate: 20.0, duration_ms: 2_000, warm_up_ms, ..default };
    let into_the_window = Duration::from_millis(warm_up_ms + 700);
    let setup = || series::server_options(&scenario);
    let client = series::round_with(&scenario, Transport::WebSocket, setup(), |_| async move {
        sleep(into_the_window).await;
        // This blocks the event loop, since the subscribers run on this thread.
        std::thread::sleep(FROZEN);
    });
    let client = client.await?;
    let server = series::round_with(&scenario, Transport::WebSocket, setup(), |server| async move {
        sleep(into_the_window).await;
        let _ = server.freeze(true);
        sleep(FROZEN).await;
        let _ = server.freeze(false);
    });
    let server = server.await?;
    Ok(vec![
        judge("a client that was frozen for 0.5 s is reported", &client, CLIENT_FROZEN, SERVER_FROZEN),
        judge("a server that was frozen for 0.5 s is reported", &server, SERVER_FROZEN, CLIENT_FROZEN),
    ])
}

/// How the warnings of a frozen client and a frozen server begin, after a prefix.
const CLIENT_FROZEN: &str = "the client was unresponsive";
const SERVER_FROZEN: &str = "the server was unresponsive";

fn judge(requirement: &'static str, round: &Round, right: &str, wrong: &str) -> Finding {
    let has = |text: &str| round.warnings.iter().any(|warning| warning.contains(text));
    Finding {
        requirement,
        measured: format!("{} warnings, the right one: {}", round.warnings.len(), has(right)),
        bound: "the right one, and not the other".into(),
        passed: has(right) && !has(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_freeze_that_is_not_reported_or_reported_for_the_wrong_process_is_found() {
        let round = |warnings: &[&str]| Round {
            warnings: warnings.iter().map(ToString::to_string).collect(),
            ..round_with([1_000_000])
        };
        let passed = |warnings: &[&str]| judge("", &round(warnings), CLIENT_FROZEN, SERVER_FROZEN).passed;
        assert!(passed(&["client-limited: the client was unresponsive for 480 ms"]));
        assert!(!passed(&[]));
        assert!(!passed(&["the client was unresponsive for 480 ms", "the server was unresponsive for 480 ms"]));
    }
}
