//! The rig of the fan-out benches: subscribers read by one epoll loop, and two ways to serve them, the server and the floor.
//!
//! The floor is a loop of bare `write()` calls, one a subscriber, of the same bytes: what no server that writes to each of
//! its connections can go below. Both sides are measured by the CPU time of the threads that serve, on one processor; the
//! reader has the other one. An event goes out when the one before it has reached everyone (closed loop).

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use protocol::{Cursor, Transport, clock, schedule};
use rustix::event::{Timespec, epoll};
use rustix::thread::{CpuSet, sched_setaffinity};
use server::feed::Next;
use server::{Options, Server};

/// Payload of each event, in bytes.
const PAYLOAD: usize = 200;
/// The processor of those who serve, and that of those who read.
const SERVING: usize = 0;
const READING: usize = 1;
/// The name of the floor's thread.
const FLOOR: &str = "floor";

/// Subscribers that are being served, by the server or by the floor.
pub struct Rig {
    // Dropped first: to it, the end of a connection is a loss.
    reader: Reader,
    serving: Serving,
    subscribers: u64,
    data: String,
    /// Events that went out.
    events: u64,
    /// CPU time of the calls that published them.
    publishing_ns: u64,
}

enum Serving {
    Server(Server),
    Floor(Floor),
}

impl Rig {
    /// `subscribers` of a server, over `transport`, or of the floor.
    pub fn new(transport: Option<Transport>, subscribers: usize) -> Self {
        server::limits::raise_open_files();
        // Threads inherit the processor of whoever starts them.
        pin(SERVING);
        let (serving, streams) = match transport {
            Some(transport) => serve(transport, subscribers),
            None => Floor::start(subscribers),
        };
        pin(READING);
        let asks = transport.and_then(request);
        let reader = Reader::start(streams, asks);
        let data = schedule::payload(1, 1, PAYLOAD);
        let mut rig = Self { reader, serving, subscribers: subscribers as u64, data, events: 0, publishing_ns: 0 };
        // The first events find cold caches and buffers that are still to be made.
        (0..3).for_each(|_| rig.deliver());
        rig
    }

    /// Sends one event to every subscriber and waits until all have it.
    pub fn deliver(&mut self) {
        let before = clock::thread_cpu_ns();
        self.reader.expect((self.events + 1) * self.subscribers);
        match &self.serving {
            Serving::Server(server) => _ = server.feed().publish(clock::now_ns(), &self.data),
            Serving::Floor(floor) => floor.deliver(),
        }
        self.publishing_ns += clock::thread_cpu_ns() - before;
        self.events += 1;
        self.reader.ask_where_polled();
        self.reader.wait();
    }

    /// CPU time that serving has taken so far, publishing included.
    pub fn cpu(&self) -> Duration {
        let thread = match self.serving {
            Serving::Server(_) => "worker-0",
            Serving::Floor(_) => FLOOR,
        };
        Duration::from_nanos(thread_cpu_ns(thread) + self.publishing_ns)
    }
}

fn serve(transport: Transport, subscribers: usize) -> (Serving, Vec<TcpStream>) {
    let free: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, history: 1_000, ..Options::default() };
    let server = Server::start(&options).expect("a server");
    let addresses = server.addresses();
    let address = if transport == Transport::Tcp { addresses.tcp } else { addresses.http };
    let streams = (0..subscribers).map(|_| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        match transport {
            Transport::Polling => {}
            Transport::LongPolling => stream.write_all(&long_poll(Cursor(0))).expect("a request"),
            Transport::Ndjson => {
                stream.write_all(b"GET /stream?after=0 HTTP/1.1\r\nHost: lab\r\n\r\n").expect("a request")
            }
            Transport::Sse => stream.write_all(b"GET /sse?after=0 HTTP/1.1\r\nHost: lab\r\n\r\n").expect("a request"),
            Transport::WebSocket => stream
                .write_all(
                    b"GET /ws?after=0 HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                )
                .expect("a request"),
            Transport::Tcp => stream.write_all(b"SUB 0\n").expect("a request"),
        }
        stream
    });
    let streams = streams.collect();
    (Serving::Server(server), streams)
}

/// How a subscriber asks for what follows a cursor, where it has to ask each time, and when: on being answered, or when told.
fn request(transport: Transport) -> Option<Asks> {
    match transport {
        Transport::Polling => Some(Asks { request: poll, at_once: false }),
        Transport::LongPolling => Some(Asks { request: long_poll, at_once: true }),
        Transport::Ndjson | Transport::Sse | Transport::WebSocket | Transport::Tcp => None,
    }
}

#[derive(Clone, Copy)]
struct Asks {
    request: fn(Cursor) -> Vec<u8>,
    at_once: bool,
}

fn poll(after: Cursor) -> Vec<u8> {
    format!("GET /poll?after={after} HTTP/1.1\r\nHost: lab\r\n\r\n").into_bytes()
}

fn long_poll(after: Cursor) -> Vec<u8> {
    format!("GET /long-poll?after={after} HTTP/1.1\r\nHost: lab\r\n\r\n").into_bytes()
}

/// The bare loop: a thread that writes the same bytes to each socket in turn.
struct Floor {
    go: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Floor {
    fn start(subscribers: usize) -> (Serving, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut accepted = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..subscribers {
            streams.push(TcpStream::connect(address).expect("a connection"));
            let (stream, _) = listener.accept().expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            stream.set_nonblocking(true).expect("non-blocking");
            accepted.push(stream);
        }
        // The bytes of a WebSocket frame of such an event.
        let feed = server::feed::Feed::new(1);
        feed.publish(clock::now_ns(), &schedule::payload(1, 1, PAYLOAD));
        let Next::Event(entry) = feed.next(Cursor(0)) else { unreachable!("it was just published") };
        let bytes = entry.framed(server::feed::Framing::WebSocket);
        let (go, gone) = channel();
        let floor = move || {
            while gone.recv().is_ok() {
                for stream in &mut accepted {
                    stream.write_all(&bytes).expect("an empty buffer takes an event");
                }
            }
        };
        let thread = std::thread::Builder::new().name(FLOOR.into()).spawn(floor).expect("a thread");
        (Serving::Floor(Self { go: Some(go), thread: Some(thread) }), streams)
    }

    fn deliver(&self) {
        self.go.as_ref().expect("it is dropped only at the end").send(()).expect("the floor goes on");
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.go.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Reads all subscribers on a thread of its own and counts events. What ends an event in every framing is the brace that
/// ends its JSON, and our payloads hold none.
struct Reader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    events: AtomicU64,
    expected: AtomicU64,
    /// Set when the pollers are to ask.
    ask: AtomicBool,
    stop: AtomicBool,
    waiting: Thread,
    asks: Option<Asks>,
}

impl Reader {
    fn start(mut streams: Vec<TcpStream>, asks: Option<Asks>) -> Self {
        let shared = Arc::new(Shared {
            events: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            ask: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            waiting: std::thread::current(),
            asks,
        });
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        for (number, stream) in streams.iter().enumerate() {
            stream.set_nonblocking(true).expect("non-blocking");
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&epoll, stream, data, epoll::EventFlags::IN).expect("a registration");
        }
        let reading = shared.clone();
        let read = move || {
            let mut ready = Vec::with_capacity(1024);
            let mut cursors = vec![Cursor(0); streams.len()];
            let mut buffer = vec![0; 64 << 10];
            let pause = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            while !reading.stop.load(Ordering::Acquire) {
                if reading.ask.swap(false, Ordering::AcqRel) {
                    let request = reading.asks.expect("only who asks is told to").request;
                    for (stream, cursor) in streams.iter_mut().zip(&cursors) {
                        stream.write_all(&request(*cursor)).expect("a request");
                    }
                }
                ready.clear();
                let _ = epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), Some(&pause));
                for event in &ready {
                    let number = event.data.u64() as usize;
                    let events = match streams[number].read(&mut buffer) {
                        Ok(read) => buffer[..read].iter().filter(|&&byte| byte == b'}').count() as u64,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                        Err(error) => panic!("a subscriber was lost: {error}"),
                    };
                    if events > 0 {
                        cursors[number].0 += events;
                        if let Some(asks) = reading.asks.filter(|asks| asks.at_once) {
                            streams[number].write_all(&(asks.request)(cursors[number])).expect("a request");
                        }
                        let all = reading.events.fetch_add(events, Ordering::AcqRel) + events;
                        if all >= reading.expected.load(Ordering::Acquire) {
                            reading.waiting.unpark();
                        }
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("reader".into()).spawn(read).expect("a thread");
        Self { shared, thread: Some(thread) }
    }

    fn expect(&self, events: u64) {
        self.shared.expected.store(events, Ordering::Release);
    }

    fn ask_where_polled(&self) {
        if self.shared.asks.is_some_and(|asks| !asks.at_once) {
            self.shared.ask.store(true, Ordering::Release);
        }
    }

    fn wait(&self) {
        while self.shared.events.load(Ordering::Acquire) < self.shared.expected.load(Ordering::Acquire) {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// CPU time of the thread of that name, in ns: the first field of its `schedstat`.
fn thread_cpu_ns(name: &str) -> u64 {
    let threads = fs::read_dir("/proc/self/task").expect("this needs Linux").flatten();
    let is_it =
        |thread: &fs::DirEntry| fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim() == name);
    let cpu = |thread: fs::DirEntry| {
        fs::read_to_string(thread.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    };
    threads.filter(is_it).find_map(cpu).expect("the thread is there, and its kernel keeps schedstat")
}

fn pin(processor: usize) {
    let mut processors = CpuSet::new();
    processors.set(processor);
    // Where there is but one processor, the figures are noisier and still comparable.
    let _ = sched_setaffinity(None, &processors);
}
