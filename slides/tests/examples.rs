//! The small server of the slides delivers events over each way that the slides show. Without Node, the test is skipped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/server.cjs");
        let started = Command::new("node").arg(script).arg("0").stdout(Stdio::piped()).spawn();
        let Ok(mut process) = started else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs Node");
            return None;
        };
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").expect("the server prints its address").into();
        Some(Self { process, address })
    }

    /// Sends a request and returns its connection.
    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
        stream
    }

    fn get(&self, path: &str) -> TcpStream {
        self.send(&format!("GET {path} HTTP/1.1\nHost: lab\nConnection: close\n\n"))
    }

    fn publish(&self, text: &str) {
        let length = text.len();
        let request =
            format!("POST /publish HTTP/1.1\nHost: lab\nConnection: close\nContent-Length: {length}\n\n{text}");
        assert!(until(&mut self.send(&request), "\r\n").starts_with("HTTP/1.1 202"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is received, up to and including `end`.
fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&received).contains(end) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{:?}", String::from_utf8_lossy(&received));
        received.push(byte[0]);
    }
    String::from_utf8(received).unwrap()
}

#[test]
fn the_server_of_the_slides_delivers_over_every_way() {
    let Some(server) = Server::start() else { return };
    assert!(until(&mut server.get("/poll?after=0"), "\r\n").starts_with("HTTP/1.1 204"));
    let mut waiting = server.get("/long-poll?after=0");
    let mut stream = server.get("/sse");
    // The stream is open before the event is published, so the event is a new one for it.
    until(&mut stream, "\r\n\r\n");
    server.publish("a");
    let event = r#"{"seq":1,"data":"a"}"#;
    for connection in [&mut waiting, &mut server.get("/poll?after=0")] {
        let response = until(connection, event);
        assert!(response.starts_with("HTTP/1.1 200") && response.contains("Cursor: 1"), "{response}");
    }
    until(&mut stream, &format!("id: 1\ndata: {event}\n\n"));
    server.publish("b");
    until(&mut stream, "\"data\":\"b\"");
    until(&mut server.send("GET /sse HTTP/1.1\nHost: lab\nLast-Event-ID: 1\n\n"), "id: 2\n");
    // The key and the Accept are those of RFC 6455, section 1.3.
    let handshake = "GET /ws?after=1 HTTP/1.1\nHost: lab\nUpgrade: websocket\nConnection: Upgrade\n\
                     Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n";
    let mut socket = server.send(handshake);
    let response = until(&mut socket, "\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 101") && response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{response}");
    let payload = br#"{"seq":2,"data":"b"}"#;
    let mut frame = vec![0; 2 + payload.len()];
    socket.read_exact(&mut frame).unwrap();
    assert_eq!(frame, protocol::envelope::websocket::text(payload));
}

/// Runs a client of the slides with stand-ins for the browser, and prints what it did.
const CLIENT: &str = r"
const code = require('fs').readFileSync(process.argv[1], 'utf8');
const did = [];
const statuses = [503, 200, 204, 503];
const response = (status) => ({
  status, ok: status < 300, headers: { get: () => '7' }, text: async () => JSON.stringify({ seq: 7 }) + '\n',
});
const page = {
  fetch: async (path) => {
    const status = statuses.shift();
    did.push(path + ' ' + status);
    return response(status);
  },
  show: (event) => did.push('event ' + event.seq),
  setTimeout: (again, ms) => {
    did.push('pause ' + ms);
    if (statuses.length) again();
    else console.log(did.join(', '));
  },
};
require('vm').runInNewContext(code + '; longPoll()', page);
";

#[test]
fn long_polling_asks_again_at_once_but_pauses_after_an_error() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/client.js");
    let Ok(output) = Command::new("node").args(["-e", CLIENT]).arg(script).output() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs Node");
        eprintln!("skipped: Node is not installed");
        return;
    };
    let first = "/long-poll?after=0 503, pause 1000, /long-poll?after=0 200, event 7";
    let then = "/long-poll?after=7 204, /long-poll?after=7 503, pause 1000";
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{first}, {then}"), "{output:?}");
}
