//! Samples the figures of this process that are expensive to read, on a thread of its own.
//!
//! To provide them, the kernel visits all memory and all threads of the process, which can take milliseconds. A worker that read them would
//! delay its subscribers, so it sends a request to this thread and continues meanwhile. A sample is valid for 50 ms and is used for all
//! requests in that time, so the work does not grow with the number of requests.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use protocol::{clock, platform};
use tokio::sync::oneshot;

use crate::counters::Counters;

/// How long a sample is valid after it was taken.
const MAX_AGE: Duration = Duration::from_millis(50);

/// A sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// When sampling began, in ns on the monotonic clock.
    pub begun_ns: u64,
    /// Resident memory of the process, in bytes; 0 if the system does not report it.
    pub resident_bytes: u64,
    /// Involuntary and voluntary context switches of the process's running threads, except the sampler's; `None` if the system does not tell.
    pub context_switches: Option<u64>,
}

/// The sampling thread, which ends when this is dropped.
pub struct Sampler {
    latest: Arc<Latest>,
    requests: Sender<oneshot::Sender<Sample>>,
}

/// The latest sample, and when it was taken.
#[derive(Default)]
struct Latest(Mutex<Option<(Instant, Sample)>>);

impl Latest {
    /// The sample, if it is still valid.
    fn get(&self) -> Option<Sample> {
        let latest = self.0.lock().expect("no holder of the sample panics");
        latest.filter(|(complete, _)| complete.elapsed() < MAX_AGE).map(|(_, sample)| sample)
    }

    fn set(&self, sample: Sample) {
        *self.0.lock().expect("no holder of the sample panics") = Some((Instant::now(), sample));
    }
}

impl Sampler {
    /// Starts the thread. Its CPU time counts as measuring.
    ///
    /// # Errors
    /// When the system provides no further thread.
    pub fn start(counters: Arc<Counters>) -> io::Result<Self> {
        let (requests, requested) = channel();
        let latest = Arc::<Latest>::default();
        let sampler = Self { latest: latest.clone(), requests };
        std::thread::Builder::new().name("sampler".into()).spawn(move || run(&requested, &latest, &counters))?;
        Ok(sampler)
    }

    /// The latest sample if it is still valid, or a new one.
    pub async fn sample(&self) -> Sample {
        if let Some(sample) = self.latest.get() {
            return sample;
        }
        let (request, sample) = oneshot::channel();
        // An error, here and below, means that the thread has ended.
        let _ = self.requests.send(request);
        sample.await.unwrap_or_default()
    }
}

fn run(requested: &Receiver<oneshot::Sender<Sample>>, latest: &Latest, counters: &Counters) {
    for request in requested {
        // Requests that came while a sample was taken share it.
        let sample = latest.get().unwrap_or_else(|| {
            let sample = counters.measuring(take);
            latest.set(sample);
            sample
        });
        // An error means that the connection has ended.
        let _ = request.send(sample);
    }
}

fn take() -> Sample {
    let begun_ns = clock::now_ns();
    let resident_bytes = platform::resident_bytes().unwrap_or(0);
    Sample { begun_ns, resident_bytes, context_switches: platform::context_switches() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_sample_is_used_for_all_requests_while_it_is_valid_and_for_none_later() {
        let (requests, requested) = channel();
        let latest = Arc::<Latest>::default();
        let pending: Vec<_> = (0..100)
            .map(|_| {
                let (request, sample) = oneshot::channel();
                requests.send(request).unwrap();
                sample
            })
            .collect();
        drop(requests);
        let requested_ns = clock::now_ns();
        run(&requested, &latest, &Counters::default());
        let samples: HashSet<u64> =
            pending.into_iter().map(|sample| sample.blocking_recv().unwrap().begun_ns).collect();
        // A hundred requests take far less than the 50 ms for which a sample is valid; but the thread may be delayed.
        assert!(samples.len() <= 2, "{} samples", samples.len());
        assert!(samples.iter().all(|&begun_ns| begun_ns >= requested_ns));
        std::thread::sleep(MAX_AGE);
        assert_eq!(latest.get(), None);
    }

    #[test]
    fn a_request_after_a_sample_has_expired_gets_a_new_one() {
        let sampler = Sampler::start(Arc::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let first = runtime.block_on(sampler.sample());
        std::thread::sleep(MAX_AGE);
        let requested_ns = clock::now_ns();
        let second = runtime.block_on(sampler.sample());
        assert!(first.begun_ns < requested_ns && second.begun_ns >= requested_ns);
        assert!(first.resident_bytes > 100_000);
    }

    #[test]
    fn the_cpu_time_of_the_sampler_counts_as_measuring() {
        let counters = Arc::new(Counters::default());
        let sampler = Sampler::start(counters.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sample = runtime.block_on(sampler.sample());
        assert_ne!(sample.context_switches, Some(0));
        // Windows counts CPU time in ticks, and one sample takes less.
        assert!(cfg!(windows) || counters.measuring_ns() > 0);
    }
}
