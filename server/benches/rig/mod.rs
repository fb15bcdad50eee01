//! The set-up of the floor benchmark: subscribers in a separate process, and a server or the floor that delivers events to them.
//!
//! The floor is a loop of plain `write()` calls with the same bytes, one call per subscriber. It is a lower bound for every server that
//! writes to each of its connections. The CPU time of the threads that serve is measured, for the server and for the floor. They run on one
//! processor, and the reader on another. Each event, or burst of events, is sent when all subscribers have received the one before it
//! (closed loop).

mod floor;
mod reader;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use protocol::transport::Carrier;
use protocol::{Transport, clock, payload};
use rustix::thread::{CpuSet, sched_setaffinity};
use server::{Options, Server};

/// Payload of each event, in bytes.
const PAYLOAD: usize = 200;
/// The processor of the server or the floor.
const SERVING: usize = 0;
/// The processor of the reader.
const READING: usize = 1;
/// The environment variable that makes this program run as a helper process: its value is the helper's name and arguments.
const HELPER: &str = "RIG_HELPER";

/// Runs the helper that this process was started for; returns `false` if it was not started as a helper.
pub fn run_helper() -> bool {
    let Ok(helper) = std::env::var(HELPER) else { return false };
    server::limits::raise_open_files();
    let arguments: Vec<&str> = helper.split(' ').collect();
    match arguments[..] {
        ["floor", subscribers] => {
            pin(SERVING);
            floor::floor(subscribers.parse().expect("the number of subscribers is not a number"));
        }
        ["reader", address, transport, subscribers] => {
            pin(READING);
            let transport = Transport::ALL.into_iter().find(|known| known.name() == transport);
            let subscribers = subscribers.parse().expect("the number of subscribers is not a number");
            reader::reader(address.parse().expect("the address is not valid"), transport, subscribers);
        }
        _ => unreachable!("unknown helper: {helper}"),
    }
    true
}

/// A helper process. It performs one step for each byte on its stdin, and writes a number of eight bytes to its stdout after each step.
struct Helper(Child);

impl Helper {
    fn start(helper: String) -> Self {
        let program = std::env::current_exe().expect("the path of this program is unknown");
        let mut command = Command::new(program);
        command.env(HELPER, helper).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().expect("cannot start a helper process"))
    }

    /// Makes the helper perform its next step.
    fn command(&mut self) {
        self.0.stdin.as_mut().expect("stdin is a pipe").write_all(&[0]).expect("the helper has ended");
    }

    /// Waits for the helper's next report.
    fn report(&mut self) -> u64 {
        let mut number = [0; 8];
        self.0.stdout.as_mut().expect("stdout is a pipe").read_exact(&mut number).expect("the helper has ended");
        u64::from_ne_bytes(number)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In a helper: waits for the command to perform the next step; returns `false` if the benchmark has ended.
fn wait_for_command() -> bool {
    std::io::stdin().read_exact(&mut [0]).is_ok()
}

/// In a helper: reports a number to the benchmark.
fn report(number: u64) {
    let mut out = std::io::stdout();
    // An error means that the benchmark has ended.
    let _ = out.write_all(&number.to_ne_bytes()).and_then(|()| out.flush());
}

/// Subscribers, and the server or the floor that delivers events to them.
pub struct Rig {
    // Dropped first, since it panics when a connection ends.
    reader: Helper,
    serving: Serving,
    data: String,
    /// CPU time of publishing, in ns.
    publishing_ns: u64,
}

enum Serving {
    Server(Box<Server>),
    /// The floor, and the CPU time that it has used, in ns.
    Floor(Helper, u64),
}

impl Rig {
    /// Connects `subscribers` to a server over `transport`, or to the floor if that is `None`.
    pub fn new(transport: Option<Transport>, subscribers: usize) -> Self {
        server::limits::raise_open_files();
        // Threads inherit the processor of the thread that starts them.
        pin(SERVING);
        let (serving, address) = match transport {
            Some(transport) => serve(transport),
            None => {
                let mut floor = Helper::start(format!("floor {subscribers}"));
                let port = floor.report() as u16;
                (Serving::Floor(floor, 0), SocketAddr::from(([127, 0, 0, 1], port)))
            }
        };
        pin(READING);
        let name = transport.map_or("floor", Transport::name);
        let mut reader = Helper::start(format!("reader {address} {name} {subscribers}"));
        // Wait until all are connected and subscribed.
        reader.report();
        let data = payload::random(1, 1, PAYLOAD);
        let mut rig = Self { reader, serving, data, publishing_ns: 0 };
        if let Serving::Floor(floor, _) = &mut rig.serving {
            floor.report();
        }
        // The first events are slower: caches are cold, and buffers are allocated.
        (0..3).for_each(|_| _ = rig.deliver(1));
        rig
    }

    /// Sends `events` at once to every subscriber and waits until all have received them. Returns how long that took.
    pub fn deliver(&mut self, events: usize) -> Duration {
        let began = Instant::now();
        match &mut self.serving {
            Serving::Server(server) => {
                let before = clock::thread_cpu_ns();
                (0..events).for_each(|_| _ = server.feed().publish(clock::now_ns(), &self.data));
                self.publishing_ns += clock::thread_cpu_ns() - before;
                (0..events).for_each(|_| self.reader.command());
            }
            Serving::Floor(floor, cpu_ns) => {
                (0..events).for_each(|_| floor.command());
                (0..events).for_each(|_| self.reader.command());
                (0..events).for_each(|_| *cpu_ns = floor.report());
            }
        }
        (0..events).for_each(|_| _ = self.reader.report());
        began.elapsed()
    }

    /// The CPU time of serving so far, publishing included.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(match self.serving {
            Serving::Server(_) => thread_cpu_ns("worker-0") + self.publishing_ns,
            Serving::Floor(_, cpu_ns) => cpu_ns,
        })
    }
}

fn serve(transport: Transport) -> (Serving, SocketAddr) {
    let any_port: SocketAddr = "127.0.0.1:0".parse().expect("this is an address");
    let options = Options { listen: any_port, tcp_listen: any_port, rate: 0.0, history: 1_000, ..Options::default() };
    let server = Server::start(&options).expect("cannot start a server");
    let addresses = server.addresses();
    let address = match transport.carrier() {
        Carrier::Tcp => addresses.tcp,
        _ => addresses.http,
    };
    (Serving::Server(Box::new(server)), address)
}

/// The CPU time of the thread with that name, in ns: the first field of its `schedstat`.
fn thread_cpu_ns(name: &str) -> u64 {
    let threads = fs::read_dir("/proc/self/task").expect("/proc/self/task exists on Linux only").flatten();
    let has_name =
        |thread: &fs::DirEntry| fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim() == name);
    let cpu = |thread: fs::DirEntry| {
        fs::read_to_string(thread.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    };
    threads.filter(has_name).find_map(cpu).expect("there is no such thread, or its kernel has no schedstat")
}

fn pin(processor: usize) {
    let mut processors = CpuSet::new();
    processors.set(processor);
    // With a single processor, this fails; the figures are noisier then, but still comparable.
    let _ = sched_setaffinity(None, &processors);
}
