//! The client is not what is measured: the same subscribers in two processes see the same tail, or the rounds say that the
//! client limits them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fs, process};

use anyhow::{Context, ensure};
use protocol::Histogram;
use protocol::result::Round;
use reports::statistics::{FEWEST_ROUNDS, Ratio, ratio};

use super::Finding;
use crate::lab::OwnServer;
use crate::trial::{self, small};

/// Subscribers, in one process or in two.
const SUBSCRIBERS: u32 = 20;
/// How far the tail may move, as a share.
const MOVES: f64 = 0.05;

pub async fn check() -> anyhow::Result<Finding> {
    let directory = env::temp_dir().join(format!("transport-lab-processes-{}", process::id()));
    let found = measure(&directory);
    let _ = fs::remove_dir_all(&directory);
    let (one, two, rounds) = found?;
    Ok(judge(ratio(&two, &one), &rounds))
}

/// The p99 of each round with one process, and with two, and all rounds.
fn measure(directory: &Path) -> anyhow::Result<(Vec<f64>, Vec<f64>, Vec<Round>)> {
    let (mut one, mut two, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..FEWEST_ROUNDS {
        for (tails, processes) in [(&mut one, 1), (&mut two, 2)] {
            let rounds = subscribe(&directory.join(format!("{number}-{processes}")), processes)?;
            let mut latency = Histogram::default();
            rounds.iter().for_each(|round| latency.merge(&round.latency_ns));
            tails.push(latency.carried_quantile(0.99).context("too few samples for p99")? as f64);
            all.extend(rounds);
        }
    }
    Ok((one, two, all))
}

/// Subscribes from so many processes at once, and gives a round of each.
fn subscribe(directory: &Path, processes: u32) -> anyhow::Result<Vec<Round>> {
    let server = OwnServer::start(&trial::setup(&small(&[])))?;
    let executable = env::current_exe().context("cannot find this program's own file")?;
    let start = |number: u32| -> anyhow::Result<Child> {
        Ok(Command::new(&executable)
            .args(["compare", "--transports", "websocket", "--rounds", "1", "--duration", "2s", "--headers", "lean"])
            .args(["--subscribers", &(SUBSCRIBERS / processes).to_string()])
            .args(["--url", &format!("http://{}", server.place.host)])
            .arg("--out")
            .arg(directory.join(number.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?)
    };
    let children = (0..processes).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    for mut child in children {
        ensure!(child.wait()?.success(), "a client process failed; what it says of that stands above");
    }
    let read = |number: u32| {
        let run = reports::read(&directory.join(number.to_string()).join("run.json"))?;
        run.comparison().and_then(|comparison| comparison.rounds.first().cloned()).context("a round was asked for")
    };
    (0..processes).map(read).collect()
}

fn judge(moved: Option<Ratio>, rounds: &[Round]) -> Finding {
    let limited =
        rounds.iter().filter(|round| round.warnings.iter().any(|warning| warning.starts_with("client-limited")));
    let marked = 2 * limited.count() > rounds.len();
    let still = moved.is_some_and(|ratio| ratio.low <= 1.0 + MOVES && ratio.high >= 1.0 - MOVES);
    Finding {
        requirement: "twice the client processes move p99 by less than 5 %",
        measured: match moved {
            Some(Ratio { estimate, low, high }) => format!("{estimate:.2} times ({low:.2} to {high:.2})"),
            None => "too few rounds".into(),
        } + if marked { ", marked" } else { "" },
        bound: "interval reaches 0.95 to 1.05, or marked".into(),
        holds: still || marked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_tail_that_a_second_process_shortens_is_the_clients_and_must_be_marked() {
        let ratio = |low, high| Some(Ratio { estimate: 0.8, low, high });
        let silent = [round_with([])];
        assert!(judge(ratio(0.9, 1.02), &silent).holds);
        assert!(!judge(ratio(0.6, 0.8), &silent).holds);
        let mut marked = round_with([]);
        marked.warnings.push("client-limited: the client was busy".into());
        assert!(judge(ratio(0.6, 0.8), &[marked]).holds);
        assert!(!judge(None, &silent).holds);
    }
}
