//! The floor: a helper process that writes the same bytes to each socket in turn, and reports the CPU time of that.

use std::io::Write;
use std::net::TcpListener;

use protocol::{Cursor, Envelope, clock, payload};
use server::feed::{Encoding, Feed, Next};

/// Runs the floor for this number of subscribers.
pub fn floor(subscribers: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
    super::report(listener.local_addr().expect("the listener has no address").port().into());
    let mut accepted = Vec::new();
    for _ in 0..subscribers {
        let (stream, _) = listener.accept().expect("cannot accept a connection");
        stream.set_nodelay(true).expect("cannot set TCP_NODELAY");
        stream.set_nonblocking(true).expect("cannot make a socket non-blocking");
        accepted.push(stream);
    }
    // The bytes of a WebSocket frame of such an event.
    let feed = Feed::new(1, usize::MAX);
    feed.publish(clock::now_ns(), &payload::random(1, 1, super::PAYLOAD));
    let Next::Event(entry) = feed.next(Cursor(0)) else { unreachable!("it was just published") };
    let bytes = entry.encoded(&Encoding::plain(Envelope::WebSocket));
    super::report(0);
    let mut cpu_ns = 0;
    while super::wait_for_command() {
        let before = clock::thread_cpu_ns();
        for stream in &mut accepted {
            stream.write_all(&bytes).expect("an event fits into an empty socket buffer");
        }
        cpu_ns += clock::thread_cpu_ns() - before;
        super::report(cpu_ns);
    }
}
