//! Shows the progress of a run on standard error: a progress bar if that is a terminal, otherwise a line for each round.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::result::Round;
use reports::judge::{Failure, failures};
use reports::number::{short_or_dash, thousands};

use crate::metrics::Metrics;

/// The progress of a run.
pub struct Progress {
    /// Drawn by a separate thread, so that drawing delays no subscriber.
    bar: Option<ProgressBar>,
    /// Deliveries of the current round. The round counts them here.
    pub deliveries: Arc<AtomicU64>,
    rounds: u32,
    done: u32,
    /// Whether a line is printed for each round if there is no terminal.
    each_round: bool,
    began: Instant,
    /// When the run will probably end, in ms after its beginning.
    ends_ms: Arc<AtomicU64>,
    /// For Prometheus.
    metrics: Option<Metrics>,
}

impl Progress {
    /// Begins a run of that many rounds, which together take about `length`. If there is no terminal, a line is printed for each round with
    /// `each_round`.
    pub fn start(rounds: u32, length: Duration, each_round: bool, metrics: Option<Metrics>) -> Self {
        let deliveries: Arc<AtomicU64> = Arc::default();
        if let Some(metrics) = &metrics {
            metrics.begin_run(rounds, deliveries.clone());
        }
        let began = Instant::now();
        let ends_ms = Arc::new(AtomicU64::new(length.as_millis() as u64));
        let bar = stderr().is_terminal().then(|| {
            let (live, ends) = (deliveries.clone(), ends_ms.clone());
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}  {live} events  {left} s left")
                .expect("the template is a constant")
                .with_key("live", move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:>7}", thousands(live.load(Ordering::Relaxed)));
                })
                .with_key("left", move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let left = Duration::from_millis(ends.load(Ordering::Relaxed)).saturating_sub(began.elapsed());
                    let _ = write!(out, "{:>3}", left.as_secs());
                });
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(u64::from(rounds)), target).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, deliveries, rounds, done: 0, each_round, began, ends_ms, metrics }
    }

    /// Call this when a round with that many subscribers begins.
    pub fn begin(&mut self, transport: protocol::Transport, subscribers: u32) {
        self.deliveries.store(0, Ordering::Relaxed);
        if let Some(metrics) = &self.metrics {
            metrics.begin(transport, subscribers);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{:<12} {subscribers:>6}", transport.label()));
        }
    }

    /// Call this when a round with that many subscribers has ended.
    pub fn end(&mut self, round: &Round, subscribers: u32) {
        self.done += 1;
        if let Some(metrics) = &self.metrics {
            metrics.end(round, subscribers);
        }
        let whole = self.began.elapsed() * self.rounds / self.done;
        self.ends_ms.store(whole.as_millis() as u64, Ordering::Relaxed);
        let ms = |ns: Option<u64>| short_or_dash(ns.map(|ns| ns as f64 / 1e6));
        let mut lines = Vec::new();
        if self.bar.is_none() && self.each_round {
            let left = whole.saturating_sub(self.began.elapsed());
            lines.push(format!(
                "{:>3}/{}  {:<12} {subscribers:>6}  p50 {:>6} ms  max {:>6} ms  {:>4} s left",
                self.done,
                self.rounds,
                round.transport.label(),
                ms(round.latency_ns.quantile(0.5)),
                ms(round.latency_ns.max()),
                left.as_secs_f64().ceil(),
            ));
        }
        let label = round.transport.label();
        let rejected = |failure: Failure| format!("{label}, round {}, is rejected: {failure}", round.round);
        lines.extend(failures(round).into_iter().map(rejected));
        match &self.bar {
            Some(bar) => {
                lines.iter().for_each(|line| bar.println(line));
                bar.inc(1);
            }
            None => lines.iter().for_each(|line| eprintln!("{line}")),
        }
    }

    /// Call this when the run has ended.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
