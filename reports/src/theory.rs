//! The formulas that measurements are held against. Times are in ms, rates in events a second.
//!
//! d is the one-way delay, processing included; lambda the rate of events that come at any time (Poisson); T the time
//! between two polls' starts; g the time from an answer of a long poll until the next request is there.

/// What polling must show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polling {
    /// Mean latency: an event waits for half an interval on average.
    pub mean_ms: f64,
    /// The latency of all but a hundredth.
    pub p99_ms: f64,
    /// The longest latency.
    pub max_ms: f64,
    /// Polls for each event.
    pub requests_per_event: f64,
}

/// Polling: the latency is d and a wait that is uniform between 0 and T.
pub fn polling(delay_ms: f64, interval_ms: f64, rate: f64) -> Polling {
    Polling {
        mean_ms: delay_ms + interval_ms / 2.0,
        p99_ms: delay_ms + 0.99 * interval_ms,
        max_ms: delay_ms + interval_ms,
        requests_per_event: 1e3 / (rate * interval_ms),
    }
}

/// What long polling must show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LongPolling {
    /// Mean latency.
    pub mean_ms: f64,
    /// The longest latency: an event that comes just after an answer waits for the next request.
    pub max_ms: f64,
    /// Events in an answer, on average: B.
    pub batch: f64,
    /// Requests for each event: 1/B.
    pub requests_per_event: f64,
}

/// Long polling: what comes while no request waits, for a time g after each answer, goes out together with the next one.
///
/// An answer is followed by g without a request. In it come lambda g events on average; they leave together at its end, or,
/// where none came, the next event leaves at once: B = lambda g + e^(-lambda g) events an answer. Events that came in g wait
/// for half of it on average. With g = 2 d the mean lies between d and 2 d and the longest is 3 d: what RFC 6202, section 2.2,
/// puts as "close to one network transit" on average, and over three at most.
pub fn long_polling(delay_ms: f64, gap_ms: f64, rate: f64) -> LongPolling {
    let in_the_gap = rate * gap_ms / 1e3;
    let batch = in_the_gap + (-in_the_gap).exp();
    LongPolling {
        mean_ms: delay_ms + in_the_gap / batch * gap_ms / 2.0,
        max_ms: delay_ms + gap_ms,
        batch,
        requests_per_event: 1.0 / batch,
    }
}

/// How far `measured` is from `expected`, in per cent, with its sign.
pub fn off_percent(measured: f64, expected: f64) -> f64 {
    (measured / expected - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use protocol::schedule::{Spacing, offsets, seeded, uniform};

    use super::*;

    /// The events of a Poisson schedule, in ms.
    fn events(rate: f64) -> Vec<f64> {
        offsets(Spacing::Poisson, rate, 7).take(100_000).map(|at| at.as_secs_f64() * 1e3).collect()
    }

    fn mean(values: impl Iterator<Item = f64>) -> f64 {
        let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        sum / f64::from(count)
    }

    #[test]
    fn polling_is_as_a_simulation_of_it_has_it() {
        let (delay, interval, rate) = (7.0, 200.0, 20.0);
        let mut random = seeded(1);
        let phase = uniform(&mut random) * interval;
        let wait = |at: f64| interval - (at + phase) % interval;
        let expected = polling(delay, interval, rate);
        let mean = mean(events(rate).into_iter().map(|at| delay + wait(at)));
        assert!(off_percent(mean, expected.mean_ms).abs() < 1.0, "{mean} {expected:?}");
        assert_eq!((expected.max_ms, expected.requests_per_event), (207.0, 0.25));
    }

    #[test]
    fn long_polling_is_as_a_simulation_of_it_has_it() {
        for in_the_gap in [0.1, 1.0, 10.0] {
            let (delay, gap) = (10.0, 20.0);
            let rate = in_the_gap / gap * 1e3;
            let (mut asked, mut answers) = (0.0, 0);
            let mut latencies = Vec::new();
            let mut waiting: Vec<f64> = Vec::new();
            for at in events(rate) {
                // What waited has left with the request that came before this event.
                if at > asked && !waiting.is_empty() {
                    latencies.extend(waiting.drain(..).map(|at| asked - at + delay));
                    answers += 1;
                    asked += gap;
                }
                if at >= asked {
                    latencies.push(delay);
                    answers += 1;
                    asked = at + gap;
                } else {
                    waiting.push(at);
                }
            }
            let expected = long_polling(delay, gap, rate);
            let requests = f64::from(answers) / latencies.len() as f64;
            let mean = mean(latencies.into_iter());
            assert!(off_percent(mean, expected.mean_ms).abs() < 1.0, "{in_the_gap}: {mean} {expected:?}");
            assert!(off_percent(requests, expected.requests_per_event).abs() < 1.0, "{in_the_gap}: {requests}");
        }
    }
}
