//! The rig of the floor bench: subscribers, read by a process of their own, and two ways to serve them, the server and the floor.
//!
//! The floor is a loop of bare `write()` calls, one a subscriber, of the same bytes: what no server that writes to each of
//! its connections can go below. Both sides are measured by the CPU time of the threads that serve, on one processor; the
//! reader has the other one. An event goes out when the one before it has reached everyone (closed loop).

mod floor;
mod reader;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use protocol::{Transport, clock, schedule};
use rustix::thread::{CpuSet, sched_setaffinity};
use server::{Options, Server};

/// Payload of each event, in bytes.
const PAYLOAD: usize = 200;
/// The processor of those who serve, and that of those who read.
const SERVING: usize = 0;
const READING: usize = 1;
/// Names the part that a process of this program is to play.
const PART: &str = "RIG_PART";

/// Plays the part that this process was started for, if it was started for one.
pub fn play_a_part() -> bool {
    let Ok(part) = std::env::var(PART) else { return false };
    server::limits::raise_open_files();
    let words: Vec<&str> = part.split(' ').collect();
    match words[..] {
        ["floor", subscribers] => {
            pin(SERVING);
            floor::floor(subscribers.parse().expect("a number"));
        }
        ["reader", address, transport, subscribers] => {
            pin(READING);
            let transport = Transport::ALL.into_iter().find(|known| known.name() == transport);
            let subscribers = subscribers.parse().expect("a number");
            reader::reader(address.parse().expect("an address"), transport, subscribers);
        }
        _ => unreachable!("the rig knows its parts"),
    }
    true
}

/// A process that plays a part: it is told to go on by a byte, and answers with a number of eight bytes when it has.
struct Player(Child);

impl Player {
    fn start(part: String) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.env(PART, part).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().expect("a process"))
    }

    fn tell(&mut self) {
        self.0.stdin.as_mut().expect("a pipe").write_all(&[0]).expect("it listens");
    }

    fn answer(&mut self) -> u64 {
        let mut number = [0; 8];
        self.0.stdout.as_mut().expect("a pipe").read_exact(&mut number).expect("it answers");
        u64::from_ne_bytes(number)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A player's side: waits to be told to go on; `false` when there is nobody left to tell it.
fn told() -> bool {
    std::io::stdin().read_exact(&mut [0]).is_ok()
}

/// A player's side: answers.
fn answer(number: u64) {
    let mut out = std::io::stdout();
    // An error is a rig that has ended.
    let _ = out.write_all(&number.to_ne_bytes()).and_then(|()| out.flush());
}

/// Subscribers that are being served, by the server or by the floor.
pub struct Rig {
    // Dropped first: to it, the end of a connection is a loss.
    reader: Player,
    serving: Serving,
    data: String,
    /// CPU time of the calls that published.
    publishing_ns: u64,
}

enum Serving {
    Server(Box<Server>),
    /// With the CPU time that it has used.
    Floor(Player, u64),
}

impl Rig {
    /// `subscribers` of a server, over `transport`, or of the floor.
    pub fn new(transport: Option<Transport>, subscribers: usize) -> Self {
        server::limits::raise_open_files();
        // Threads inherit the processor of whoever starts them.
        pin(SERVING);
        let (serving, address) = match transport {
            Some(transport) => serve(transport),
            None => {
                let mut floor = Player::start(format!("floor {subscribers}"));
                let port = floor.answer() as u16;
                (Serving::Floor(floor, 0), SocketAddr::from(([127, 0, 0, 1], port)))
            }
        };
        pin(READING);
        let name = transport.map_or("floor", Transport::name);
        let mut reader = Player::start(format!("reader {address} {name} {subscribers}"));
        // It has connected and subscribed.
        reader.answer();
        let data = schedule::payload(1, 1, PAYLOAD);
        let mut rig = Self { reader, serving, data, publishing_ns: 0 };
        if let Serving::Floor(floor, _) = &mut rig.serving {
            floor.answer();
        }
        // The first events find cold caches and buffers that are still to be made.
        (0..3).for_each(|_| _ = rig.deliver(1));
        rig
    }

    /// Sends so many events at once to every subscriber and waits until all have them; how long that took.
    pub fn deliver(&mut self, burst: usize) -> Duration {
        let began = Instant::now();
        match &mut self.serving {
            Serving::Server(server) => {
                let before = clock::thread_cpu_ns();
                (0..burst).for_each(|_| _ = server.feed().publish(clock::now_ns(), &self.data));
                self.publishing_ns += clock::thread_cpu_ns() - before;
                (0..burst).for_each(|_| self.reader.tell());
            }
            Serving::Floor(floor, cpu_ns) => {
                (0..burst).for_each(|_| floor.tell());
                (0..burst).for_each(|_| self.reader.tell());
                (0..burst).for_each(|_| *cpu_ns = floor.answer());
            }
        }
        (0..burst).for_each(|_| _ = self.reader.answer());
        began.elapsed()
    }

    /// CPU time that serving has taken so far, publishing included.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(match self.serving {
            Serving::Server(_) => thread_cpu_ns("worker-0") + self.publishing_ns,
            Serving::Floor(_, cpu_ns) => cpu_ns,
        })
    }
}

fn serve(transport: Transport) -> (Serving, SocketAddr) {
    let free: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, history: 1_000, ..Options::default() };
    let server = Server::start(&options).expect("a server");
    let addresses = server.addresses();
    let address = if transport == Transport::Tcp { addresses.tcp } else { addresses.http };
    (Serving::Server(Box::new(server)), address)
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
