//! Compares the load client with a minimal reader: its CPU time per delivery, as a multiple of that of an epoll loop that reads the same
//! events without decoding them.
//!
//! `cargo bench -p bench-client --bench reader -- 200 1000 4000` measures with these numbers of subscribers. Both readers run on one
//! processor and take turns after a few events, and their servers run on another. So a drift of the machine affects both and cancels out in
//! the ratio.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bench_client::endpoint::Endpoint;
use bench_client::round::group::{Share, SubscriberGroup};
use bench_client::round::recorder::Recorder;
use bench_client::subscriber::Target;
use protocol::transport::{Carrier, Exchange};
use protocol::{Cursor, Transport, clock, payload};
use rustix::event::epoll;
use rustix::thread::{CpuSet, sched_setaffinity};
use server::{Options, Server};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Ratios measured for each transport.
const ROUNDS: usize = 9;
/// Turns of either reader in a round.
const TURNS: usize = 5;
/// Deliveries in a turn, or one event where there are more subscribers.
const DELIVERIES: usize = 4_000;
/// The processors of the servers and of the readers.
const SERVER_PROCESSOR: usize = 0;
const READER_PROCESSOR: usize = 1;

fn main() {
    server::limits::raise_open_files();
    // cargo adds --bench to the arguments.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let sizes: Vec<usize> = arguments.map_while(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![200, 1_000] } else { sizes };
    println!("client CPU per delivered event, {ROUNDS} rounds: median (minimum to maximum)\n");
    for subscribers in sizes {
        println!("{subscribers} subscribers      us per delivery             multiple of the minimal reader");
        for transport in Transport::all_where(has_minimal_reader) {
            let (mut costs, mut ratios) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let mut minimal = MinimalReader::new(transport, subscribers);
                let mut client = Client::new(transport, subscribers);
                let events = (DELIVERIES / subscribers).max(1);
                // The first events are not measured: caches are cold, and buffers are allocated.
                minimal.read(3);
                client.read(3);
                let (mut minimal_ns, mut client_ns) = (0, 0);
                for _ in 0..TURNS {
                    minimal_ns += minimal.read(events);
                    client_ns += client.read(events);
                }
                costs.push(client_ns as f64 / 1e3 / (TURNS * events * subscribers) as f64);
                ratios.push(client_ns as f64 / minimal_ns as f64);
            }
            println!("  {:<14} {}   {}", transport.label(), spread(costs), spread(ratios));
        }
        println!();
    }
}

/// Starts a server on the servers' processor.
fn start_server() -> Server {
    pin_to(SERVER_PROCESSOR);
    let free: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() };
    let server = Server::start(&options).expect("a server");
    pin_to(READER_PROCESSOR);
    server
}

/// The load client, as a comparison uses it.
struct Client {
    runtime: LocalRuntime,
    server: Server,
    group: SubscriberGroup,
    data: String,
    /// Deliveries that should have been made so far.
    due: u64,
    subscribers: usize,
}

impl Client {
    fn new(transport: Transport, subscribers: usize) -> Self {
        let server = start_server();
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = runtime.expect("an event loop");
        let target = Target::lean(Endpoint::plain(server.addresses().http), server.addresses().tcp);
        let recorder = Recorder::new(0..u64::MAX, DELIVERIES * TURNS * 2, Arc::default());
        let group = SubscriberGroup::connect(
            transport,
            target,
            Cursor(0).into(),
            Share::all(subscribers as u32),
            recorder,
            1,
            clock::now_ns() + 30_000_000_000,
        );
        let group = runtime.block_on(group);
        assert_eq!(group.connected() as usize, subscribers);
        Self { runtime, server, group, data: payload::random(1, 1, 200), due: 0, subscribers }
    }

    /// Publishes that many events, each when all subscribers have received the one before; returns the CPU time of this thread, in ns.
    fn read(&mut self, events: usize) -> u64 {
        let before = clock::thread_cpu_ns();
        for _ in 0..events {
            self.server.feed().publish(clock::now_ns(), &self.data);
            self.due += self.subscribers as u64;
            self.runtime.block_on(self.group.wait_for(self.due));
        }
        clock::thread_cpu_ns() - before
    }
}

/// Whether events can be counted in its bytes by their braces: over HTTP/2 they are in frames, and with compression they have none.
fn has_minimal_reader(transport: Transport) -> bool {
    transport.is_push() && transport.is_plain()
}

/// One epoll loop over all connections. It counts the braces that end an event's JSON, which are the same in every envelope.
struct MinimalReader {
    server: Server,
    data: String,
    /// How many events to read.
    orders: Sender<usize>,
    /// The CPU time that reading them took, in ns.
    cpu_ns: Receiver<u64>,
}

impl MinimalReader {
    fn new(transport: Transport, subscribers: usize) -> Self {
        let server = start_server();
        let at = server.addresses();
        let address = match transport.carrier() {
            Carrier::Tcp => at.tcp,
            _ => at.http,
        };
        let mut streams: Vec<TcpStream> = (0..subscribers).map(|_| subscribe(address, transport)).collect();
        // Reads the response headers, so that all are subscribed before the first event.
        if transport.carrier() == Carrier::H1 {
            streams.iter_mut().for_each(|stream| while stream.read(&mut [0; 4_096]).expect("headers") == 0 {});
        }
        let (orders, received_orders) = channel::<usize>();
        let (results, cpu_ns) = channel();
        std::thread::spawn(move || {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
            for (number, stream) in streams.iter().enumerate() {
                stream.set_nonblocking(true).expect("non-blocking");
                epoll::add(&epoll, stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)
                    .expect("a registration");
            }
            let mut ready = Vec::with_capacity(1024);
            let mut buffer = vec![0; 4 << 10];
            while let Ok(events) = received_orders.recv() {
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
                results.send(clock::thread_cpu_ns() - before).expect("the main thread waits");
            }
        });
        Self { server, data: payload::random(1, 1, 200), orders, cpu_ns }
    }

    /// As [`Client::read`].
    fn read(&mut self, events: usize) -> u64 {
        let mut cpu_ns = 0;
        for _ in 0..events {
            self.orders.send(1).expect("the reader thread runs");
            self.server.feed().publish(clock::now_ns(), &self.data);
            cpu_ns += self.cpu_ns.recv().expect("the reader thread runs");
        }
        cpu_ns
    }
}

fn subscribe(address: SocketAddr, transport: Transport) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = match (transport.exchange(), transport.row().path) {
        (_, None) => "SUB 0\n".to_string(),
        (Exchange::Socket, Some(path)) => format!(
            "GET {path}?after=0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
        (Exchange::Poll | Exchange::LongPoll | Exchange::Stream, Some(path)) => {
            format!("GET {path}?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        }
    };
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}

/// Restricts this thread, and threads that it starts, to one processor.
fn pin_to(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    // An error is a machine with one processor, which all share.
    let _ = sched_setaffinity(None, &set);
}

/// The median of the values, with their minimum and maximum.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (min, max) = (values[0], values[values.len() - 1]);
    format!("{:6.2} ({min:6.2} to {max:6.2})", values[values.len() / 2])
}
