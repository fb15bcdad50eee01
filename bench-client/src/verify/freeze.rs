//! A client or a server that is frozen for half a second, in a round of the default comparison: the round is doubtful, and its warnings name
//! the right one of the two.

use std::time::Duration;

use protocol::Transport;
use protocol::result::{Round, Scenario};
use reports::judge::{Warning, warnings};
use tokio::time::sleep;

use super::Finding;
use crate::command::compare::warm_up_ms;
use crate::round::series;

const FROZEN: Duration = Duration::from_millis(500);

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let default = Scenario::small(&[Transport::WebSocket]);
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
        judge("a client that was frozen for 0.5 s is reported", &client, (client_frozen, server_frozen)),
        judge("a server that was frozen for 0.5 s is reported", &server, (server_frozen, client_frozen)),
    ])
}

fn client_frozen(warning: &Warning) -> bool {
    matches!(warning, Warning::ClientUnresponsive(_))
}

fn server_frozen(warning: &Warning) -> bool {
    matches!(warning, Warning::ServerUnresponsive(_))
}

type Kind = fn(&Warning) -> bool;

fn judge(requirement: &'static str, round: &Round, (right, wrong): (Kind, Kind)) -> Finding {
    let warnings = warnings(round);
    let has = |kind: Kind| warnings.iter().any(kind);
    Finding {
        requirement,
        measured: format!("{} warnings, the right one: {}", warnings.len(), has(right)),
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
        let passed = |client_ms: u64, server_ms: u64| {
            let mut round = round_with([1_000_000]);
            round.client.lag_ns.record(client_ms * 1_000_000);
            round.publisher_lateness_ns.record(server_ms * 1_000_000);
            judge("", &round, (client_frozen, server_frozen)).passed
        };
        assert!(passed(480, 0));
        assert!(!passed(0, 0));
        assert!(!passed(480, 480));
    }
}
