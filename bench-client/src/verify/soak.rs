//! A full hall for some minutes, with people coming and going: memory and open files stay where they are, and who stays loses nothing.

use std::time::{Duration, Instant};

use protocol::{Cursor, Transport};

use super::Finding;
use crate::bench::Bench;
use crate::lab::Setup;

/// Who stays, of each transport that holds a connection.
const STAYING: u32 = 400;
/// Who comes and goes at once.
const PASSING: u32 = 100;
const STAY: [Transport; 5] =
    [Transport::LongPolling, Transport::Ndjson, Transport::Sse, Transport::WebSocket, Transport::Tcp];
const RATE: f64 = 5.0;
const TIME: Duration = Duration::from_secs(180);

/// What the server held at a moment.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory_kib: f64,
    files: usize,
}

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let mut bench = Bench::open(&Setup { rate: RATE, ..Setup::default() }).await?;
    let mut staying = Vec::new();
    for transport in STAY {
        staying.push(bench.gather(transport, bench.target.clone(), STAYING).await?);
    }
    let (mut held, began) = (Vec::new(), Instant::now());
    for transport in Transport::ALL.into_iter().cycle() {
        let passing = bench.gather(transport, bench.target.clone(), PASSING).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        passing.leave().await;
        // The server learns that they have left a moment later.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let load = bench.control.load().await?;
        let memory_kib = load.resident_bytes.saturating_sub(load.history_bytes) as f64 / 1024.0;
        held.push(Held { memory_kib, files: bench.server.open_files()? });
        if began.elapsed() > TIME {
            break;
        }
    }
    let head = Cursor(bench.control.load().await?.head);
    let mut faults = 0;
    for crowd in staying {
        let (recorder, all_left) = crowd.leave().await;
        let found = recorder.faults;
        faults += found.lost + found.duplicates + found.reordered + found.gaps + found.reconnects;
        faults += recorder.given_up.len() as u64 + u64::from(!all_left);
        // The first event that each had is its own to know; from there on there is one for each, at most the last still on its way.
        let first = recorder.samples.iter().map(|sample| sample.seq).min().unwrap_or(head.0);
        let due = (head.0 - first) * u64::from(STAYING);
        faults += due.saturating_sub(recorder.samples.len() as u64);
    }
    Ok(judge(&held, faults))
}

fn judge(held: &[Held], faults: u64) -> Vec<Finding> {
    // The first third finds its level: buffers that were never used before, and allocations that grow once.
    let (early, late) = held[held.len() / 3..].split_at(held.len() / 3);
    let mean = |part: &[Held], of: fn(&Held) -> f64| part.iter().map(of).sum::<f64>() / part.len().max(1) as f64;
    let grown = mean(late, |held| held.memory_kib) / mean(early, |held| held.memory_kib) - 1.0;
    let files = mean(late, |held| held.files as f64) - mean(early, |held| held.files as f64);
    vec![
        Finding {
            requirement: "minutes of coming and going leave memory as it was",
            measured: format!("{:+.2} %, of {:.1} MiB", 100.0 * grown, mean(early, |held| held.memory_kib) / 1024.0),
            bound: "at most 3 % more".into(),
            holds: grown <= 0.03,
        },
        Finding {
            requirement: "and as many open files",
            measured: format!("{files:+.1}"),
            bound: "no more than 2 more".into(),
            holds: files <= 2.0,
        },
        Finding {
            requirement: "and those who stayed had every event once",
            measured: format!("{faults} faults, {} subscribers", STAYING as usize * STAY.len()),
            bound: "none".into(),
            holds: faults == 0,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_of_memory_or_of_files_and_a_lost_event_are_refused() {
        let flat: Vec<Held> = (0..30).map(|_| Held { memory_kib: 1_000.0, files: 2_010 }).collect();
        let holds = |held: &[Held], faults| judge(held, faults).iter().map(|finding| finding.holds).collect::<Vec<_>>();
        assert_eq!(holds(&flat, 0), [true; 3]);
        assert_eq!(holds(&flat, 1), [true, true, false]);
        let leaking: Vec<Held> = (0..30)
            .map(|turn| Held { memory_kib: 1_000.0 + 10.0 * f64::from(turn), files: 2_010 + turn as usize })
            .collect();
        assert_eq!(holds(&leaking, 0), [false, false, true]);
    }
}
