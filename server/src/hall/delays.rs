//! The delays of reports, and their quantiles.

use super::phone::Report;

/// The smallest of the sorted values that a part `q` of them does not exceed.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The delays of these reports, sorted.
pub fn sorted<'a>(reports: impl Iterator<Item = &'a Report>) -> Vec<f64> {
    let mut delays: Vec<f64> = reports.map(|report| report.delay_ms).collect();
    delays.sort_unstable_by(f64::total_cmp);
    delays
}
