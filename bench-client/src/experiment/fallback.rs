//! Measures every transport through faulty proxies: whether events arrive, how long the first takes, and what is lost over a silence.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use protocol::facts::Facts;
use protocol::facts::fallback::{Attempt, FallbackFacts, Proxy};
use protocol::{Cursor, Transport, clock};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use crate::round::recorder::Recorder;
use crate::subscriber::stop::Stop;
use crate::subscriber::{BackOff, Target, session};
use crate::test_bed::TestBed;
use crate::test_bed::proxy::{self, MAX_SILENCE};
use crate::test_bed::server_process::options;
use server::Options;

/// How long the first event may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The silence in the middle of a subscription: longer than the proxy that cuts silent connections waits.
const SILENCE: Duration = MAX_SILENCE.saturating_add(Duration::from_millis(1_500));
/// Events before the silence and after it, and the time between two of them.
const EVENTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);
/// How long the last event may take.
const DRAIN: Duration = Duration::from_secs(1);

/// The transports in the order in which a client tries them.
fn transports() -> Vec<Transport> {
    let mut transports = Transport::one_per_exchange();
    transports.reverse();
    transports
}

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut attempts = Vec::new();
    for proxy in Proxy::ALL {
        // All transports at the same time: each has a subscriber of its own to the same events.
        let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
        let running = proxy::start(proxy, test_bed.target.endpoint.address).await?;
        let target = Target {
            endpoint: running.endpoint.clone(),
            poll_interval: Duration::from_millis(250),
            back_off: BackOff { min: Duration::from_millis(100), jitter: Duration::ZERO },
            ..test_bed.target.clone()
        };
        // The first event is there already when the client connects.
        test_bed.control.publish("first").await?;
        let mut subscribers: Vec<Subscriber> =
            transports().into_iter().map(|transport| Subscriber::start(transport, &target)).collect();
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline && subscribers.iter().any(|subscriber| subscriber.first_ms().is_none()) {
            sleep(Duration::from_millis(1)).await;
            subscribers.iter_mut().for_each(Subscriber::notice_failure);
        }
        for subscriber in &mut subscribers {
            subscriber.give_up_without_event();
        }
        for silence in [Duration::ZERO, SILENCE] {
            sleep(silence).await;
            for _ in 0..EVENTS {
                test_bed.control.publish("next").await?;
                sleep(PAUSE).await;
            }
        }
        sleep(DRAIN).await;
        let published = u64::from(1 + 2 * EVENTS);
        for subscriber in subscribers {
            attempts.push(subscriber.end(proxy, published).await?);
        }
    }
    let timeout_ms = TIMEOUT.as_millis() as u64;
    Ok(Facts::Fallback(FallbackFacts { timeout_ms, silence_ms: SILENCE.as_millis() as u64, attempts }))
}

/// A subscriber over one of the transports.
struct Subscriber {
    transport: Transport,
    recorder: Rc<RefCell<Recorder>>,
    stop: Stop,
    running: tokio::task::JoinHandle<()>,
    began_ns: u64,
    /// From the decision to connect until the first event, in ms; set when the time for it is over.
    first_ms: Option<f64>,
    /// From then until the first connection had failed, in ms.
    failed_ms: Option<f64>,
}

impl Subscriber {
    fn start(transport: Transport, target: &Target) -> Self {
        let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let (stop, began_ns) = (Stop::default(), clock::now_ns());
        let (target, shared) = (Rc::new(target.clone()), recorder.clone());
        let run =
            session::run(transport, target, Cursor(0).into(), Duration::ZERO, Rc::default(), shared, stop.stopped());
        Self { transport, recorder, stop, running: spawn_local(run), began_ns, first_ms: None, failed_ms: None }
    }

    fn first_ms(&self) -> Option<f64> {
        let recorder = self.recorder.borrow();
        recorder.samples.first().map(|sample| (sample.received - self.began_ns) as f64 / 1e6)
    }

    fn notice_failure(&mut self) {
        let recorder = self.recorder.borrow();
        if self.failed_ms.is_none() && recorder.samples.is_empty() && recorder.faults.reconnects > 0 {
            self.failed_ms = Some((clock::now_ns() - self.began_ns) as f64 / 1e6);
        }
    }

    /// Ends the attempt if no event has come in time: the client tries the next transport.
    fn give_up_without_event(&mut self) {
        self.first_ms = self.first_ms();
        if self.first_ms.is_none() {
            self.stop.stop();
        }
    }

    async fn end(self, proxy: Proxy, published: u64) -> anyhow::Result<Attempt> {
        self.stop.stop();
        self.running.await?;
        let recorder = self.recorder.borrow();
        Ok(Attempt {
            proxy,
            transport: self.transport,
            first_event_ms: self.first_ms,
            failed_ms: self.failed_ms.filter(|_| self.first_ms.is_none()),
            error: recorder.given_up.first().cloned(),
            published: if self.first_ms.is_some() { published } else { 0 },
            received: if self.first_ms.is_some() { recorder.deliveries() } else { 0 },
            reconnects: recorder.faults.reconnects,
        })
    }
}
