//! Every exchange through nginx and HAProxy, as they come and with configurations that people have. Skipped where they are not installed.

use std::cell::RefCell;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bench_client::endpoint::Endpoint;
use bench_client::round::recorder::{Recorder, Shared};
use bench_client::subscriber::stop::Stop;
use bench_client::subscriber::{BackOff, Target, session};
use protocol::transport::Exchange;
use protocol::{Cursor, Transport};
use server::{Options, Server};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

/// How long a proxy may take to listen, and a first event to arrive.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A proxy that was started for a test; it is killed when this is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free at this moment.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts a proxy by its `program` with the configuration in a file; `arguments` come before that file's path. Without the program, prints
/// that the test was skipped; with `CI=true` in the environment, fails.
fn start(program: &str, arguments: &[&str], name: &str, config: impl Fn(SocketAddr, &Path) -> String) -> Option<Proxy> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proxies").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let (address, file) = (free_port(), folder.join("config"));
    std::fs::write(&file, config(address, &folder)).unwrap();
    let path = |directory: &str| PathBuf::from(directory).join(program);
    // Debian installs both where only the administrator's path looks.
    let found = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"].iter().map(|folder| path(folder));
    let Some(program_path) = { found }.find(|path| path.exists()) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs {program}");
        // Written directly, since the test harness captures what `eprintln!` prints.
        let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
        return None;
    };
    let mut command = Command::new(program_path);
    command.args(arguments).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    let proxy = Proxy { child: command.spawn().unwrap(), address };
    for _ in 0..300 {
        if TcpStream::connect(address).is_ok() {
            return Some(proxy);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{program} does not listen on {address}");
}

fn nginx(name: &str, server: SocketAddr, directives: &str) -> Option<Proxy> {
    // One process, so that killing it ends all of nginx.
    start("nginx", &["-c"], name, |address, folder| {
        let folder = folder.display();
        format!(
            "daemon off; master_process off; error_log stderr; pid {folder}/pid;
             events {{}}
             http {{
                 access_log off;
                 client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
                 uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
                 server {{ listen {address}; location / {{ proxy_pass http://{server}; {directives} }} }}
             }}"
        )
    })
}

fn haproxy(name: &str, server: SocketAddr, silence: &str) -> Option<Proxy> {
    start("haproxy", &["-f"], name, |address, _| {
        format!(
            "defaults\n mode http\n timeout connect 1s\n timeout client {silence}\n timeout server {silence}\n\
             frontend near\n bind {address}\n default_backend far\nbackend far\n server lab {server}\n"
        )
    })
}

fn server() -> Server {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }).unwrap();
    server.feed().publish(0, "first");
    server
}

/// A subscriber through a proxy.
struct Subscriber {
    recorder: Shared,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Subscriber {
    fn start(transport: Transport, proxy: SocketAddr) -> Self {
        let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let stop = Stop::default();
        let target = Target {
            poll_interval: Duration::from_millis(50),
            back_off: BackOff { min: Duration::from_millis(50), jitter: Duration::ZERO },
            ..Target::lean(Endpoint::plain(proxy), proxy)
        };
        let (target, shared) = (Rc::new(target), recorder.clone());
        let run =
            session::run(transport, target, Cursor(0).into(), Duration::ZERO, Rc::default(), shared, stop.stopped());
        Self { recorder, stop, task: spawn_local(run) }
    }

    /// Waits until it has received that many events; returns whether it has.
    async fn receives(&self, events: usize) -> bool {
        let received = async {
            while self.recorder.borrow().samples.len() < events {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, received).await.is_ok()
    }

    async fn end(self) -> Shared {
        self.stop.stop();
        self.task.await.unwrap();
        self.recorder
    }
}

fn block_on(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap().block_on(test);
}

/// The exchanges over which an event arrives through a proxy.
fn working(proxy: &Proxy) -> Vec<Exchange> {
    let mut working = Vec::new();
    block_on(async {
        for transport in Transport::one_per_exchange() {
            let subscriber = Subscriber::start(transport, proxy.address);
            if subscriber.receives(1).await {
                working.push(transport.exchange());
            }
            subscriber.end().await;
        }
    });
    working
}

#[test]
fn nginx_as_it_comes_drops_the_upgrade_and_forwards_everything_else() {
    let server = server();
    let Some(proxy) = nginx("default", server.addresses().http, "") else { return };
    // The header X-Accel-Buffering of a stream turns its buffering off.
    assert_eq!(working(&proxy), [Exchange::Poll, Exchange::LongPoll, Exchange::Stream]);
}

#[test]
fn an_nginx_that_buffers_whatever_the_server_says_delays_streams_until_they_end() {
    let server = server();
    let Some(proxy) = nginx("buffers", server.addresses().http, "proxy_ignore_headers X-Accel-Buffering;") else {
        return;
    };
    assert_eq!(working(&proxy), [Exchange::Poll, Exchange::LongPoll]);
}

#[test]
fn an_nginx_that_forwards_the_upgrade_forwards_everything() {
    let server = server();
    let directives =
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;";
    let Some(proxy) = nginx("upgrades", server.addresses().http, directives) else { return };
    assert_eq!(working(&proxy), Exchange::ALL);
}

#[test]
fn after_a_silence_that_haproxy_cuts_a_subscription_is_resumed_without_loss() {
    let server = server();
    let Some(proxy) = haproxy("silence", server.addresses().http, "1s") else { return };
    for transport in
        Transport::all_where(|transport| transport.is_today() && transport.is_push() && transport.row().path.is_some())
    {
        let before = server.feed().head().0 as usize;
        block_on(async {
            let subscriber = Subscriber::start(transport, proxy.address);
            assert!(subscriber.receives(before).await, "{transport}");
            sleep(Duration::from_millis(2_500)).await;
            server.feed().publish(1, "after the silence");
            assert!(subscriber.receives(before + 1).await, "{transport}");
            let recorder = subscriber.end().await;
            let faults = recorder.borrow().faults;
            assert!(faults.reconnects > 0, "{transport}: the proxy cut nothing");
            assert_eq!((faults.lost, faults.duplicates, faults.gaps), (0, 0, 0), "{transport}");
        });
    }
}
