//! Samples the figures of this process that are expensive to read, on a thread of its own.
//!
//! To read them, the kernel walks all memory and all threads of the process, which may take milliseconds. A worker that did it would
//! keep its subscribers waiting, so it asks this thread and serves others meanwhile. A sample is good for 50 ms, and answers all
//! who ask until then, so the work does not grow with the requests.

use std::fs;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use protocol::clock;
use tokio::sync::oneshot;

use crate::counters::Counters;

/// How long a sample is good for, from when it was complete.
const MAX_AGE: Duration = Duration::from_millis(50);

/// What a sample finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it was begun, in ns on the monotonic clock.
    pub begun_ns: u64,
    /// Resident memory of the process, in bytes; 0 where the system does not tell.
    pub resident_bytes: u64,
    /// Involuntary and voluntary context switches of the process's living threads but the sampler's own.
    pub context_switches: u64,
}

/// The sampling thread; it ends when this is dropped.
pub struct Sampler {
    latest: Arc<Latest>,
    requests: Sender<oneshot::Sender<Sample>>,
}

/// The latest sample, and when it was complete.
#[derive(Default)]
struct Latest(Mutex<Option<(Instant, Sample)>>);

impl Latest {
    /// The sample, if it is still good.
    fn get(&self) -> Option<Sample> {
        let latest = self.0.lock().expect("no holder of the sample panics");
        latest.filter(|(complete, _)| complete.elapsed() < MAX_AGE).map(|(_, sample)| sample)
    }

    fn set(&self, sample: Sample) {
        *self.0.lock().expect("no holder of the sample panics") = Some((Instant::now(), sample));
    }
}

impl Sampler {
    /// Starts the thread. What it uses of the processor counts as measuring.
    ///
    /// # Errors
    /// When the system gives no further thread.
    pub fn start(counters: Arc<Counters>) -> io::Result<Self> {
        let (requests, requested) = channel();
        let latest = Arc::<Latest>::default();
        let sampler = Self { latest: latest.clone(), requests };
        std::thread::Builder::new().name("sampler".into()).spawn(move || run(&requested, &latest, &counters))?;
        Ok(sampler)
    }

    /// The latest sample if it is good still, and a new one otherwise.
    pub async fn sample(&self) -> Sample {
        if let Some(sample) = self.latest.get() {
            return sample;
        }
        let (request, sample) = oneshot::channel();
        // An error, here and below, is a thread that has ended.
        let _ = self.requests.send(request);
        sample.await.unwrap_or_default()
    }
}

fn run(requested: &Receiver<oneshot::Sender<Sample>>, latest: &Latest, counters: &Counters) {
    for request in requested {
        // Requests that came together, or while a sample was taken, share it.
        let sample = latest.get().unwrap_or_else(|| {
            let sample = counters.measuring(take);
            latest.set(sample);
            sample
        });
        // An error is a connection that has ended.
        let _ = request.send(sample);
    }
}

fn take() -> Sample {
    let begun_ns = clock::now_ns();
    Sample { begun_ns, resident_bytes: resident_bytes(), context_switches: context_switches() }
}

/// Resident memory in bytes, exact; `/proc/self/statm` may lag behind by some pages a processor.
fn resident_bytes() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    field(&rollup, "Rss:").unwrap_or(0) * 1024
}

fn context_switches() -> u64 {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return 0 };
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    threads
        .flatten()
        .filter(|thread| thread.file_name() != *own)
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
        .map(|status| {
            field(&status, "voluntary_ctxt_switches:").unwrap_or(0)
                + field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0)
        })
        .sum()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_sample_answers_all_who_ask_while_it_is_good_and_an_old_one_answers_nobody() {
        let (requests, requested) = channel();
        let latest = Arc::<Latest>::default();
        let asked: Vec<_> = (0..100)
            .map(|_| {
                let (request, sample) = oneshot::channel();
                requests.send(request).unwrap();
                sample
            })
            .collect();
        drop(requests);
        let asked_ns = clock::now_ns();
        run(&requested, &latest, &Counters::default());
        let samples: HashSet<u64> = asked.into_iter().map(|sample| sample.blocking_recv().unwrap().begun_ns).collect();
        // A hundred answers take far less than the 50 ms of a second one; but a thread may be held up.
        assert!(samples.len() <= 2, "{} samples", samples.len());
        assert!(samples.iter().all(|&begun_ns| begun_ns >= asked_ns));
        std::thread::sleep(MAX_AGE);
        assert_eq!(latest.get(), None);
    }

    #[test]
    fn a_sample_is_of_the_time_after_the_one_before_it_has_grown_old() {
        let sampler = Sampler::start(Arc::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let first = runtime.block_on(sampler.sample());
        std::thread::sleep(MAX_AGE);
        let asked_ns = clock::now_ns();
        let second = runtime.block_on(sampler.sample());
        assert!(first.begun_ns < asked_ns && second.begun_ns >= asked_ns);
        assert!(first.resident_bytes > 100_000);
    }

    #[test]
    fn the_sampler_s_own_work_counts_as_measuring() {
        let counters = Arc::new(Counters::default());
        let sampler = Sampler::start(counters.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sample = runtime.block_on(sampler.sample());
        assert!(sample.context_switches > 0 && counters.measuring_ns() > 0);
    }
}
