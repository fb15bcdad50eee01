//! Says how far a run is: a bar where stdout is a terminal, a line a round where it is not.

use std::io::{IsTerminal, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::result::Round;
use reports::number::{short_or_dash, thousands};

/// How far a run is.
pub struct Progress {
    /// Drawn by a thread of its own, so that drawing holds no subscriber up.
    bar: Option<ProgressBar>,
    /// Deliveries of the round under way; the runner counts them here.
    pub deliveries: Arc<AtomicU64>,
    rounds: u32,
    done: u32,
    /// Whether each round gets a line where there is no terminal.
    each_round: bool,
    began: Instant,
    /// When the run will probably end, in ms after its beginning.
    ends_ms: Arc<AtomicU64>,
}

impl Progress {
    /// Begins a run of that many rounds, which together take about as long as is said. Where there is no terminal, each round
    /// gets a line if asked for.
    pub fn start(rounds: u32, length: Duration, each_round: bool) -> Self {
        let deliveries: Arc<AtomicU64> = Arc::default();
        let began = Instant::now();
        let ends_ms = Arc::new(AtomicU64::new(length.as_millis() as u64));
        let bar = stdout().is_terminal().then(|| {
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
            let target = ProgressDrawTarget::stdout();
            let bar = ProgressBar::with_draw_target(Some(u64::from(rounds)), target).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, deliveries, rounds, done: 0, each_round, began, ends_ms }
    }

    /// A round begins.
    pub fn begin(&mut self, transport: protocol::Transport) {
        self.deliveries.store(0, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{:<12}", transport.label()));
        }
    }

    /// A round has ended.
    pub fn end(&mut self, round: &Round) {
        self.done += 1;
        let whole = self.began.elapsed() * self.rounds / self.done;
        self.ends_ms.store(whole.as_millis() as u64, Ordering::Relaxed);
        let ms = |quantile| short_or_dash(round.latency_ns.carried_quantile(quantile).map(|ns| ns as f64 / 1e6));
        let mut lines = Vec::new();
        if self.bar.is_none() && self.each_round {
            let left = whole.saturating_sub(self.began.elapsed());
            lines.push(format!(
                "{:>3}/{}  {:<12}  p50 {:>6} ms  p99 {:>6} ms  {:>7} events  {:>3} s left",
                self.done,
                self.rounds,
                round.transport.label(),
                ms(0.5),
                ms(0.99),
                thousands(round.delivered),
                left.as_secs_f64().ceil(),
            ));
        }
        let label = round.transport.label();
        lines.extend(round.failures.iter().map(|why| format!("{label}, round {}, is rejected: {why}", round.round)));
        match &self.bar {
            Some(bar) => {
                lines.iter().for_each(|line| bar.println(line));
                bar.inc(1);
            }
            None => lines.iter().for_each(|line| println!("{line}")),
        }
    }

    /// The run has ended.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
