//! The server reads requests in two places: in the poll loop, which serves connections that only poll, and with hyper. This test sends the
//! same requests to both, valid and randomly changed ones, and compares the responses byte by byte.

mod mutation;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rand_pcg::Pcg32;
use rand_pcg::rand_core::SeedableRng;
use server::{Options, Server};

use mutation::mutate;

/// Changed requests for each valid one: more under `CI=true`, where time matters less.
fn changes() -> usize {
    if std::env::var("CI").as_deref() == Ok("true") { 100 } else { 20 }
}

/// Sends `bytes` on a new connection, ends its side, and returns everything that is received, with the date masked.
fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    // An error means that the connection was reset.
    let _ = stream.read_to_end(&mut received);
    let text = String::from_utf8_lossy(&received).into_owned();
    text.lines()
        .map(|line| if line.starts_with("date: ") { "date: masked" } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_poll_loop_and_hyper_send_the_same_response_to_every_request() {
    // At the first request that is not a poll, hyper takes over the connection and keeps it.
    const HAND_OVER: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: any_port, tcp_listen: any_port, rate: 0.0, history: 3, ..Options::default() };
    let server = Server::start(&options).unwrap();
    ["a", "b", "c", "d", "e"].iter().for_each(|data| _ = server.feed().publish(0, data));
    let address = server.addresses().http;
    let handed_over = exchange(address, HAND_OVER.as_bytes());
    let compare = |request: &[u8]| {
        let by_poll_loop = exchange(address, request);
        let both = exchange(address, &[HAND_OVER.as_bytes(), request].concat());
        let by_hyper =
            both.strip_prefix(&*handed_over).expect("the first response is complete").trim_start_matches('\n');
        assert_eq!(by_poll_loop, by_hyper, "{}", request.escape_ascii());
    };
    let mut requests = Vec::new();
    for target in [
        "/poll?after=3",
        "/poll?after=5",
        "/poll?after=0",
        "/poll",
        "/long-poll?after=4&wait=1ms",
        "/long-poll?wait=5ms",
        "/jsonp?after=4&wait=1ms&callback=f",
        "/jsonp?after=0&callback=a.b",
        "/jsonp?after=4&callback=a(b)",
    ] {
        for headers in [
            "",
            "Accept: */*\r\n",
            "Connection: keep-alive\r\n",
            "Connection: close\r\n",
            "Origin: http://a.example\r\n",
        ] {
            requests.push(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"));
        }
        requests.push(format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        requests.push(format!("GET {target} HTTP/1.0\r\n\r\n"));
        requests.push(format!("GET http://localhost{target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        requests.push(format!("GET {target} HTTP/1.1\r\n\r\n"));
        requests.push(format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"));
    }
    let mut random = Pcg32::seed_from_u64(7);
    for request in &requests {
        compare(request.as_bytes());
        for _ in 0..changes() {
            let mut bytes = request.clone().into_bytes();
            mutate(&mut bytes, &mut random);
            compare(&bytes);
        }
    }
}
