//! Formulas for latency and requests, for comparison with measurements. Times are in ms, rates in events a second.
//!
//! d is the one-way delay, processing included; lambda the rate of events at random times (Poisson); T the time between the starts of two
//! polls; g the time from the response to a long poll until the next request arrives at the server.

/// The expected figures of polling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polling {
    /// Mean latency: an event waits for half an interval on average.
    pub mean_ms: f64,
    /// The latency that 99 % of the events do not exceed.
    pub p99_ms: f64,
    /// The longest latency.
    pub max_ms: f64,
    /// Polls for each event.
    pub requests_per_event: f64,
}

/// Polling: the latency is d plus a wait that is uniformly distributed between 0 and T.
pub fn polling(delay_ms: f64, interval_ms: f64, rate: f64) -> Polling {
    Polling {
        mean_ms: delay_ms + interval_ms / 2.0,
        p99_ms: delay_ms + 0.99 * interval_ms,
        max_ms: delay_ms + interval_ms,
        requests_per_event: 1e3 / (rate * interval_ms),
    }
}

/// The expected figures of long polling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LongPolling {
    /// Mean latency.
    pub mean_ms: f64,
    /// The longest latency: an event that is published just after a response waits for the next request.
    pub max_ms: f64,
    /// Events in a response, on average: B.
    pub batch: f64,
    /// Requests for each event: 1/B.
    pub requests_per_event: f64,
}

/// Long polling: events that are published while no request waits, for a time g after each response, are sent together in the next
/// response.
///
/// After each response there is no waiting request for a time g. In this time, lambda g events are published on average; they are sent
/// together at its end. Where none is published, the next event is sent at once: B = lambda g + e^(-lambda g) events a response. Events
/// published within g wait for half of it on average. With g = 2 d the mean is between d and 2 d and the longest latency is 3 d. RFC 6202,
/// section 2.2, gives "close to one network transit" on average, and over three at most.
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
    fn the_formulas_of_polling_agree_with_a_simulation() {
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
    fn the_formulas_of_long_polling_agree_with_a_simulation() {
        for in_the_gap in [0.1, 1.0, 10.0] {
            let (delay, gap) = (10.0, 20.0);
            let rate = in_the_gap / gap * 1e3;
            let (mut request_at, mut responses) = (0.0, 0);
            let mut latencies = Vec::new();
            let mut waiting: Vec<f64> = Vec::new();
            for at in events(rate) {
                // Waiting events were sent when a request arrived before this event.
                if at > request_at && !waiting.is_empty() {
                    latencies.extend(waiting.drain(..).map(|at| request_at - at + delay));
                    responses += 1;
                    request_at += gap;
                }
                if at >= request_at {
                    latencies.push(delay);
                    responses += 1;
                    request_at = at + gap;
                } else {
                    waiting.push(at);
                }
            }
            let expected = long_polling(delay, gap, rate);
            let requests = f64::from(responses) / latencies.len() as f64;
            let mean = mean(latencies.into_iter());
            assert!(off_percent(mean, expected.mean_ms).abs() < 1.0, "{in_the_gap}: {mean} {expected:?}");
            assert!(off_percent(requests, expected.requests_per_event).abs() < 1.0, "{in_the_gap}: {requests}");
        }
    }
}
