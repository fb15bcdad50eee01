//! HTTP/2 by the tools of others: curl, nghttp and h2load get the same answers as the load client, and count the same bytes.

use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bench_client::endpoint::Endpoint;
use bench_client::round::recorder::Recorder;
use bench_client::subscriber::stop::Stop;
use bench_client::subscriber::{Target, session};
use protocol::{Cursor, Layer, Ledger, Transport, clock};
use server::{Options, Server};
use tokio::runtime::{Builder, LocalOptions};

/// A server with `events` events.
fn server(events: u64, tls: bool) -> Server {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, tls_self_signed: tls, ..Options::default() };
    let server = Server::start(&options).unwrap();
    (0..events).for_each(|number| _ = server.feed().publish(clock::now_ns(), &format!("event {number}")));
    server
}

/// The output of a tool; `None` if it is not installed, after a line that says so. With `CI=true`, that is a failure.
fn run(tool: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) => {
            assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs {tool}: {error}");
            // Not with eprintln!, whose output the test harness captures.
            let _ = writeln!(std::io::stderr(), "skipped: {tool} is not installed");
            None
        }
    }
}

/// The ledger of one subscriber until it has received that many events.
fn ledger(transport: Transport, server: &Server, events: usize) -> Ledger {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let target = Target::lean(Endpoint::plain(server.addresses().http), server.addresses().tcp);
        // The next poll would be a second request.
        let target = Rc::new(Target { poll_interval: Duration::from_secs(60), ..target });
        let stop = Stop::default();
        let (after, slot) = (Cursor(0).into(), Rc::default());
        let run = session::run(transport, target, after, Duration::ZERO, slot, recorder.clone(), stop.stopped());
        let task = tokio::task::spawn_local(run);
        while recorder.borrow().samples.len() < events {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.stop();
        task.await.unwrap();
        let shared = recorder.borrow().ledger.clone();
        let ledger = shared.borrow();
        *ledger
    })
}

#[test]
fn curl_receives_the_same_events_over_http2_with_and_without_tls() {
    for tls in [false, true] {
        let server = server(3, tls);
        let url = server.addresses().http_url();
        let version = if tls { "--http2" } else { "--http2-prior-knowledge" };
        let write = "\n%{http_version} %{http_code}";
        let poll = format!("{url}/poll?after=0");
        let Some(polled) = run("curl", &["-sk", version, "-w", write, &poll]) else { return };
        assert_eq!(polled.lines().filter(|line| line.starts_with("{\"seq\":")).count(), 3, "{polled}");
        assert!(polled.ends_with("\n2 200"), "{polled}");
        // The stream ends with the server.
        let sse = format!("{url}/sse?after=0");
        let reader = std::thread::spawn(move || run("curl", &["-skN", version, "--max-time", "20", &sse]));
        while server.feed().head().0 < 4 {
            std::thread::sleep(Duration::from_millis(300));
            server.feed().publish(clock::now_ns(), "the last one");
        }
        std::thread::sleep(Duration::from_millis(300));
        server.shutdown();
        let streamed = reader.join().unwrap().unwrap();
        assert_eq!(streamed.matches("id: ").count(), 4, "{streamed}");
    }
}

/// nghttp prints each frame with its length.
#[test]
fn nghttp_counts_the_same_bytes_of_headers_and_data_as_the_ledger() {
    let server = server(3, false);
    let url = format!("{}/poll?after=0", server.addresses().http_url());
    let Some(frames) = run("nghttp", &["-v", "--no-dep", &url]) else { return };
    let lengths = |kind: &str| -> Vec<u64> {
        let frames = frames.lines().filter(|line| line.contains(&format!("recv {kind} frame <length=")));
        let length = |line: &str| line.split("length=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        frames.map(length).collect()
    };
    let ledger = ledger(Transport::PollingH2, &server, 3);
    // Both have sent their first request on a new connection, so the server's compression began in the same state.
    assert_eq!(lengths("HEADERS").iter().map(|length| length + 9).sum::<u64>(), ledger[Layer::ResponseHeaders]);
    let data = lengths("DATA");
    let content: u64 = data.iter().sum();
    assert_eq!(content + 9 * data.len() as u64, ledger[Layer::Event] + ledger[Layer::Framing]);
}

#[test]
fn h2load_gets_a_response_to_every_request_and_counts_the_same_bytes_of_content() {
    const REQUESTS: u64 = 600;
    let server = server(2, false);
    let url = format!("{}/poll?after=0", server.addresses().http_url());
    let requests = REQUESTS.to_string();
    let Some(report) = run("h2load", &["-n", &requests, "-c", "3", "-m", "20", &url]) else { return };
    assert!(report.contains(&format!("{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout")), "{report}");
    assert!(report.contains(&format!("status codes: {REQUESTS} 2xx")), "{report}");
    let traffic = report.lines().find(|line| line.starts_with("traffic:")).unwrap();
    let data: u64 = traffic.rsplit_once(") data").unwrap().0.rsplit_once('(').unwrap().1.parse().unwrap();
    let ledger = ledger(Transport::PollingH2, &server, 2);
    // Both events are in one DATA frame each, with a line feed.
    assert_eq!(data, REQUESTS * (ledger[Layer::Event] + 2), "{report}");
}
