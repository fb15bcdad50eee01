//! The load client beside a bare reader: CPU per delivery as a multiple of an epoll loop that reads the same events and looks at none.
//!
//! `cargo bench -p bench-client --bench reader -- 200 1000 4000` takes the numbers of subscribers. Both read on one processor, in
//! turn, a few events each, and the server that they read from has the other; the machine's drift falls out of their ratio.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bench_client::crowd::{Crowd, Share};
use bench_client::place::Place;
use bench_client::recorder::Recorder;
use bench_client::subscriber::Target;
use protocol::{Cursor, Transport, clock, schedule};
use rustix::event::epoll;
use rustix::thread::{CpuSet, sched_setaffinity};
use server::{Options, Server};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Those transports on which the server writes by itself.
const TRANSPORTS: [Transport; 4] = [Transport::Ndjson, Transport::Sse, Transport::WebSocket, Transport::Tcp];
/// Ratios taken of each transport.
const ROUNDS: usize = 9;
/// Turns of either reader in a round.
const TURNS: usize = 5;
/// Deliveries in a turn, or one event where there are more subscribers.
const DELIVERIES: usize = 4_000;
/// The processors of the server and of those who read.
const SERVING: usize = 0;
const READING: usize = 1;

fn main() {
    server::limits::raise_open_files();
    // cargo passes --bench along.
    let arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let sizes: Vec<usize> = arguments.map_while(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![200, 1_000] } else { sizes };
    println!("client CPU per delivered event, {ROUNDS} rounds: median (least to greatest)\n");
    for subscribers in sizes {
        println!("{subscribers} subscribers      us per delivery             times a bare reader");
        for transport in TRANSPORTS {
            let (mut costs, mut ratios) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let mut bare = Bare::new(transport, subscribers);
                let mut client = Client::new(transport, subscribers);
                let events = (DELIVERIES / subscribers).max(1);
                // The first events find cold caches and buffers that are still to be made.
                bare.read(3);
                client.read(3);
                let (mut bare_ns, mut client_ns) = (0, 0);
                for _ in 0..TURNS {
                    bare_ns += bare.read(events);
                    client_ns += client.read(events);
                }
                costs.push(client_ns as f64 / 1e3 / (TURNS * events * subscribers) as f64);
                ratios.push(client_ns as f64 / bare_ns as f64);
            }
            println!("  {:<14} {}   {}", transport.label(), spread(costs), spread(ratios));
        }
        println!();
    }
}

/// A server of one's own, on its processor.
fn serve() -> Server {
    pin(SERVING);
    let free: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() };
    let server = Server::start(&options).expect("a server");
    pin(READING);
    server
}

/// The load client, as a comparison uses it.
struct Client {
    runtime: LocalRuntime,
    server: Server,
    crowd: Crowd,
    data: String,
    due: u64,
    subscribers: usize,
}

impl Client {
    fn new(transport: Transport, subscribers: usize) -> Self {
        let server = serve();
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = runtime.expect("an event loop");
        let target = Target::lean(Place::plain(server.addresses().http), server.addresses().tcp);
        let recorder = Recorder::new(0..u64::MAX, DELIVERIES * TURNS * 2, Arc::default());
        let crowd = Crowd::gather(
            transport,
            target,
            Cursor(0).into(),
            Share::all(subscribers as u32),
            recorder,
            1,
            clock::now_ns() + 30_000_000_000,
        );
        let crowd = runtime.block_on(crowd);
        assert_eq!(crowd.connected() as usize, subscribers);
        Self { runtime, server, crowd, data: schedule::payload(1, 1, 200), due: 0, subscribers }
    }

    /// Has so many events published, each when everyone has the one before; the CPU time that it took this thread, in ns.
    fn read(&mut self, events: usize) -> u64 {
        let before = clock::thread_cpu_ns();
        for _ in 0..events {
            self.server.feed().publish(clock::now_ns(), &self.data);
            self.due += self.subscribers as u64;
            self.runtime.block_on(self.crowd.have(self.due));
        }
        clock::thread_cpu_ns() - before
    }
}

/// One epoll loop over all connections, which counts what ends an event in every framing: the brace that ends its JSON.
struct Bare {
    server: Server,
    data: String,
    due: Sender<usize>,
    took_ns: Receiver<u64>,
}

impl Bare {
    fn new(transport: Transport, subscribers: usize) -> Self {
        let server = serve();
        let at = server.addresses();
        let address = if transport == Transport::Tcp { at.tcp } else { at.http };
        let mut streams: Vec<TcpStream> = (0..subscribers).map(|_| subscribe(address, transport)).collect();
        // Their heads, and so their subscriptions, are there before the first event is.
        if transport != Transport::Tcp {
            streams.iter_mut().for_each(|stream| while stream.read(&mut [0; 4_096]).expect("a head") == 0 {});
        }
        let (due, ordered) = channel::<usize>();
        let (tell, took_ns) = channel();
        std::thread::spawn(move || {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
            for (number, stream) in streams.iter().enumerate() {
                stream.set_nonblocking(true).expect("non-blocking");
                epoll::add(&epoll, stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)
                    .expect("a registration");
            }
            let mut ready = Vec::with_capacity(1024);
            let mut buffer = vec![0; 4 << 10];
            while let Ok(events) = ordered.recv() {
                let before = clock::thread_cpu_ns();
                let mut left = events * streams.len();
                while left > 0 {
                    ready.clear();
                    epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), None).expect("events");
                    for number in ready.iter().map(|event| event.data.u64() as usize) {
                        left -= match streams[number].read(&mut buffer) {
                            Ok(read) => memchr::memchr_iter(b'}', &buffer[..read]).count(),
                            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                            Err(error) => panic!("a subscriber was lost: {error}"),
                        };
                    }
                }
                tell.send(clock::thread_cpu_ns() - before).expect("the bench waits");
            }
        });
        Self { server, data: schedule::payload(1, 1, 200), due, took_ns }
    }

    /// As [`Client::read`].
    fn read(&mut self, events: usize) -> u64 {
        let mut took_ns = 0;
        for _ in 0..events {
            self.due.send(1).expect("the reader reads");
            self.server.feed().publish(clock::now_ns(), &self.data);
            took_ns += self.took_ns.recv().expect("the reader reads");
        }
        took_ns
    }
}

fn subscribe(address: SocketAddr, transport: Transport) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = match transport {
        Transport::Tcp => "SUB 0\n".to_string(),
        Transport::WebSocket => {
            "GET /ws?after=0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                .to_string()
        }
        transport => {
            let path = if transport == Transport::Sse { "/sse" } else { "/stream" };
            format!("GET {path}?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        }
    };
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}

fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    // On a machine with one processor, all share it.
    let _ = sched_setaffinity(None, &set);
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (least, greatest) = (values[0], values[values.len() - 1]);
    format!("{:6.2} ({least:6.2} to {greatest:6.2})", values[values.len() / 2])
}
