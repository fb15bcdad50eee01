//! The floor: a process that writes the same bytes to each socket in turn, and tells what CPU time that took.

use std::io::Write;
use std::net::TcpListener;

use protocol::{Cursor, clock, schedule};
use server::feed::{Feed, Framing, Next};

/// Plays the floor for so many subscribers.
pub fn floor(subscribers: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    super::answer(listener.local_addr().expect("an address").port().into());
    let mut accepted = Vec::new();
    for _ in 0..subscribers {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        stream.set_nonblocking(true).expect("non-blocking");
        accepted.push(stream);
    }
    // The bytes of a WebSocket frame of such an event.
    let feed = Feed::new(1, usize::MAX);
    feed.publish(clock::now_ns(), &schedule::payload(1, 1, super::PAYLOAD));
    let Next::Event(entry) = feed.next(Cursor(0)) else { unreachable!("it was just published") };
    let bytes = entry.framed(Framing::WebSocket);
    super::answer(0);
    let mut cpu_ns = 0;
    while super::told() {
        let before = clock::thread_cpu_ns();
        for stream in &mut accepted {
            stream.write_all(&bytes).expect("an empty buffer takes an event");
        }
        cpu_ns += clock::thread_cpu_ns() - before;
        super::answer(cpu_ns);
    }
}
