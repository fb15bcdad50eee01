//! The progress of a run for Prometheus, while the run is under way.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use protocol::Transport;
use protocol::result::Round;
use reports::judge::is_sound;

/// How long a client may take to send its request, and to read the response.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The figures of a run so far. Cloning it is shallow.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Figures>>);

#[derive(Default)]
struct Figures {
    rounds: u32,
    done: u32,
    rejected: u32,
    /// The transport of the current round, and its subscribers.
    current: Option<(Transport, u32)>,
    /// Deliveries of the rounds that have ended, and a counter of those of the current one.
    delivered: u64,
    deliveries: Arc<AtomicU64>,
    /// Latencies of the latest sound round of each transport and number of subscribers, in ns, by percentile.
    latencies: BTreeMap<(Transport, u32), [(&'static str, u64); 3]>,
}

impl Metrics {
    /// Serves the figures at `http://ADDRESS/metrics`, from a thread of its own.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn serve(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot serve metrics on {address}"))?;
        let metrics = Self::default();
        eprintln!("metrics at http://{}/metrics", listener.local_addr()?);
        let served = metrics.clone();
        // One after another: it is for one Prometheus server, which asks every few seconds.
        std::thread::Builder::new().name("metrics".into()).spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    // An error means that the client has gone.
                    Ok(stream) => _ = served.respond(stream),
                    // Without a free file, this would be repeated at once.
                    Err(_) => std::thread::sleep(TIMEOUT),
                }
            }
        })?;
        Ok(metrics)
    }

    /// A run with that many rounds begins; `deliveries` counts those of its current round.
    pub fn begin_run(&self, rounds: u32, deliveries: Arc<AtomicU64>) {
        let mut figures = self.0.lock().expect("no holder panics");
        (figures.rounds, figures.deliveries) = (rounds, deliveries);
    }

    /// A round begins.
    pub fn begin(&self, transport: Transport, subscribers: u32) {
        self.0.lock().expect("no holder panics").current = Some((transport, subscribers));
    }

    /// A round has ended.
    pub fn end(&self, round: &Round, subscribers: u32) {
        let mut figures = self.0.lock().expect("no holder panics");
        figures.done += 1;
        figures.current = None;
        figures.delivered += figures.deliveries.swap(0, Ordering::Relaxed);
        if !is_sound(round) {
            figures.rejected += 1;
            return;
        }
        let at = |share: f64| round.latency_ns.quantile(share).unwrap_or(0);
        let latencies = [("0.5", at(0.5)), ("0.99", at(0.99)), ("1", round.latency_ns.max().unwrap_or(0))];
        figures.latencies.insert((round.transport, subscribers), latencies);
    }

    fn respond(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut request = [0; 4096];
        let length = stream.read(&mut request)?;
        let (status, body) = match request[..length].starts_with(b"GET /metrics ") {
            true => ("200 OK", self.text()),
            false => ("404 Not Found", "the metrics are at /metrics\n".into()),
        };
        let length = body.len();
        let headers = "Content-Type: text/plain; version=0.0.4\r\nConnection: close";
        write!(stream, "HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    /// The figures in the text format of Prometheus.
    fn text(&self) -> String {
        let figures = self.0.lock().expect("no holder panics");
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, values: &[(String, f64)]| {
            _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            values.iter().for_each(|(labels, value)| _ = writeln!(text, "{name}{labels} {value}"));
        };
        let one = |value: f64| [(String::new(), value)];
        let labels = |(transport, subscribers): (Transport, u32), more: &str| {
            format!("{{transport=\"{transport}\",subscribers=\"{subscribers}\"{more}}}")
        };
        metric("lab_run_rounds", "gauge", "Rounds of the run.", &one(figures.rounds.into()));
        metric("lab_run_rounds_done_total", "counter", "Rounds that have ended.", &one(figures.done.into()));
        metric("lab_run_rounds_rejected_total", "counter", "Rounds that were rejected.", &one(figures.rejected.into()));
        let delivered = (figures.delivered + figures.deliveries.load(Ordering::Relaxed)) as f64;
        metric("lab_run_deliveries_total", "counter", "Deliveries so far.", &one(delivered));
        let current: Vec<_> = figures.current.iter().map(|&round| (labels(round, ""), 1.0)).collect();
        metric("lab_run_current", "gauge", "The round under way.", &current);
        let latencies: Vec<_> = figures
            .latencies
            .iter()
            .flat_map(|(&round, latencies)| {
                latencies.map(|(quantile, ns)| (labels(round, &format!(",quantile=\"{quantile}\"")), ns as f64 / 1e9))
            })
            .collect();
        metric("lab_run_latency_seconds", "gauge", "Delivery latency of the latest sound round.", &latencies);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_grow_with_each_round_and_other_paths_are_not_found() {
        let metrics = Metrics::default();
        let deliveries = Arc::<AtomicU64>::default();
        metrics.begin_run(4, deliveries.clone());
        metrics.begin(Transport::Sse, 50);
        deliveries.store(7, Ordering::Relaxed);
        let text = metrics.text();
        assert!(text.contains("\nlab_run_deliveries_total 7\n") && text.contains("\nlab_run_rounds_done_total 0\n"));
        assert!(text.contains("\nlab_run_current{transport=\"sse\",subscribers=\"50\"} 1\n"), "{text}");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for (path, status) in [("/metrics", "200 OK"), ("/", "404 Not Found")] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            metrics.respond(listener.accept().unwrap().0).unwrap();
            let mut response = String::new();
            client.read_to_string(&mut response).unwrap();
            assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
        }
    }
}
