//! A page of another origin, which knows nothing of this lab.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Serves an empty page at an address of its own, for as long as the tests run.
pub fn page() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            // A browser may open a connection in advance, and say nothing on it.
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let page = "<!doctype html><title>another</title><body>";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            // An error is a browser that has left.
            let _ = stream.get_mut().write_all((head + page).as_bytes());
        }
    });
    address
}
