//! A page of another origin than the server's, for tests of what such a page may do.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Serves an empty page on a port of its own until the test program ends; returns the address of that port.
pub fn page() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            // A browser may open a connection in advance and send nothing on it. Such a connection must not block the next one.
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            // The request ends with an empty line, which consists of CR and LF.
            while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let page = "<!doctype html><title>another</title><body>";
            let headers = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            // An error means that the browser has closed the connection.
            let _ = stream.get_mut().write_all((headers + page).as_bytes());
        }
    });
    address
}
