//! A soak test: for some minutes, many subscribers stay connected while others connect and leave. The server's memory and its number of open
//! files must not grow, and the subscribers that stay must receive every event once.

use std::time::{Duration, Instant};

use protocol::{Cursor, Transport};

use super::Finding;
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use server::Options;

/// Subscribers that stay connected, of each transport except polling.
const STAYING: u32 = 400;
/// Subscribers that connect and leave at a time.
const LEAVING: u32 = 100;
/// Events per second.
const RATE: f64 = 5.0;
const TIME: Duration = Duration::from_secs(180);

/// The server's resources at a moment.
#[derive(Debug, Clone, Copy)]
struct Usage {
    /// Resident memory without that of the feed's history.
    memory_kib: f64,
    /// Number of open files.
    files: usize,
}

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let mut test_bed = TestBed::open(&Options { rate: RATE, ..options() }).await?;
    let mut staying = Vec::new();
    for transport in Transport::all_where(Transport::waits_at_server) {
        staying.push(test_bed.connect(transport, test_bed.target.clone(), STAYING).await?);
    }
    let (mut usage, began) = (Vec::new(), Instant::now());
    for transport in Transport::ALL.into_iter().cycle() {
        let leaving = test_bed.connect(transport, test_bed.target.clone(), LEAVING).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        leaving.close().await;
        // The server notices a moment later that they have left.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let load = test_bed.control.load().await?;
        let memory_kib = load.resident_bytes.saturating_sub(load.history_bytes) as f64 / 1024.0;
        // Where the system does not tell, the files cannot grow; the memory still shows a leak.
        usage.push(Usage { memory_kib, files: test_bed.server.open_files().unwrap_or(0) });
        if began.elapsed() > TIME {
            break;
        }
    }
    let head = Cursor(test_bed.control.load().await?.head);
    let mut faults = 0;
    for group in staying {
        let (recorder, all_closed) = group.close().await;
        let found = recorder.faults;
        faults += found.lost + found.duplicates + found.reordered + found.gaps + found.reconnects;
        faults += recorder.given_up.len() as u64 + u64::from(!all_closed);
        // From the first event that any subscriber has received up to the newest, each must have received every event except one, since the
        // newest may still be on its way.
        let first = recorder.samples.iter().map(|sample| sample.seq).min().unwrap_or(head.0);
        let due = (head.0 - first) * u64::from(STAYING);
        faults += due.saturating_sub(recorder.samples.len() as u64);
    }
    Ok(judge(&usage, faults))
}

fn judge(usage: &[Usage], faults: u64) -> Vec<Finding> {
    // The first third is not compared: in it, buffers are used for the first time, and some allocations grow once.
    let (early, late) = usage[usage.len() / 3..].split_at(usage.len() / 3);
    let mean = |part: &[Usage], of: fn(&Usage) -> f64| part.iter().map(of).sum::<f64>() / part.len().max(1) as f64;
    let grown = mean(late, |usage| usage.memory_kib) / mean(early, |usage| usage.memory_kib) - 1.0;
    let files = mean(late, |usage| usage.files as f64) - mean(early, |usage| usage.files as f64);
    vec![
        Finding {
            requirement: "while others connect and leave: memory does not grow",
            measured: format!("{:+.2} %, of {:.1} MiB", 100.0 * grown, mean(early, |usage| usage.memory_kib) / 1024.0),
            bound: "at most 3 % more".into(),
            passed: grown <= 0.03,
        },
        Finding {
            requirement: "while others connect and leave: no growth of open files",
            measured: format!("{files:+.1}"),
            bound: "at most 2 more".into(),
            passed: files <= 2.0,
        },
        Finding {
            requirement: "while others connect and leave: every event comes once",
            measured: format!("{faults} faults, {STAYING} subscribers of each transport"),
            bound: "none".into(),
            passed: faults == 0,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_of_memory_a_leak_of_files_and_a_lost_event_are_found() {
        let flat: Vec<Usage> = (0..30).map(|_| Usage { memory_kib: 1_000.0, files: 2_010 }).collect();
        let passed =
            |usage: &[Usage], faults| judge(usage, faults).iter().map(|finding| finding.passed).collect::<Vec<_>>();
        assert_eq!(passed(&flat, 0), [true; 3]);
        assert_eq!(passed(&flat, 1), [true, true, false]);
        let leaking: Vec<Usage> = (0..30)
            .map(|turn| Usage { memory_kib: 1_000.0 + 10.0 * f64::from(turn), files: 2_010 + turn as usize })
            .collect();
        assert_eq!(passed(&leaking, 0), [false, false, true]);
    }
}
