//! Bounds on QUIC, with the client of another crate: clients that do not prove their address, that read nothing, and that open too many streams.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use protocol::status::Load;
use server::{Options, Server};
use tokio::net::UdpSocket;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use url::Url;
use web_transport_quinn::{Client, ClientBuilder};

/// Ends a test that hangs.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);
/// More handshakes than may be under way with unproved addresses.
const HANDSHAKES: usize = 70;

fn start(options: Options) -> Server {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..options }).unwrap()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(TEST_TIMEOUT, test).await.expect("a hang") });
}

fn client(server: &Server) -> Client {
    let digits = server.quic_certificate();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let hash = (0..digits.len()).step_by(2).map(byte).collect();
    ClientBuilder::new().with_server_certificate_hashes(vec![hash]).unwrap()
}

fn url(address: SocketAddr) -> Url {
    Url::parse(&format!("https://{address}/webtransport?after=0")).unwrap()
}

fn load(server: &Server) -> Load {
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    stream.write_all(b"GET /load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
}

async fn wait_until(server: &Server, condition: impl Fn(&Load) -> bool) {
    while !condition(&load(server)) {
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn with_many_handshakes_under_way_a_client_has_to_prove_its_address_and_is_then_served() {
    run(async {
        let server = start(Options::default());
        let quic = server.addresses().quic.unwrap();
        // What the server replies to this socket is read by nobody, so these handshakes stay under way.
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let through = relay.local_addr().unwrap();
        let relaying = tokio::spawn(async move {
            let mut buffer = vec![0; 2_000];
            while let Ok(length) = relay.recv(&mut buffer).await {
                let _ = silent.send_to(&buffer[..length], quic).await;
            }
        });
        let client = client(&server);
        let stuck: Vec<_> = (0..HANDSHAKES)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.connect(url(through)).await.map(|_| ()) })
            })
            .collect();
        wait_until(&server, |load| load.quic_retries > 0).await;
        // Until those that are stuck have all been asked, and send nothing more for a while.
        let mut before = 0;
        while before != load(&server).quic_retries {
            before = load(&server).quic_retries;
            sleep(Duration::from_millis(100)).await;
        }
        server.feed().publish(0, "an event");
        let session = client.connect(url(quic)).await.unwrap();
        let mut stream = session.accept_uni().await.unwrap();
        let mut event = [0; 10];
        stream.read_exact(&mut event).await.unwrap();
        assert_eq!(&event, b"{\"seq\":1,\"");
        assert!(load(&server).quic_retries > before, "it had to prove its address");
        stuck.iter().for_each(tokio::task::JoinHandle::abort);
        relaying.abort();
    });
}

#[test]
fn a_client_that_reads_nothing_is_disconnected_and_counted_and_another_one_receives_everything() {
    run(async {
        const EVENTS: usize = 200;
        let server = start(Options { stall_timeout: Duration::from_secs(2), ..Options::default() });
        let (client, to) = (client(&server), url(server.addresses().quic.unwrap()));
        let unread = client.connect(to.clone()).await.unwrap();
        let reading = client.connect(to).await.unwrap();
        let text = "x".repeat(60_000);
        let reader = tokio::spawn(async move {
            let mut stream = reading.accept_uni().await.unwrap();
            let (mut events, mut buffer) = (0, vec![0; 64 << 10]);
            while events < EVENTS {
                let length = stream.read(&mut buffer).await.unwrap().unwrap();
                events += buffer[..length].iter().filter(|byte| **byte == b'\n').count();
            }
        });
        for _ in 0..EVENTS {
            server.feed().publish(0, &text);
            sleep(Duration::from_millis(2)).await;
        }
        reader.await.unwrap();
        // QUIC lets a client leave only so many bytes unread, whether or not it takes the stream.
        wait_until(&server, |load| load.connections_stalled == 1).await;
        unread.closed().await;
    });
}

#[test]
fn a_client_cannot_open_more_streams_than_it_may_and_too_long_a_message_ends_its_session() {
    run(async {
        let server = start(Options::default());
        let session = client(&server).connect(url(server.addresses().quic.unwrap())).await.unwrap();
        // Eight in all, of which HTTP/3 has taken some.
        let mut open = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(300), session.open_uni()).await {
            open.push(stream.unwrap());
            assert!(open.len() <= 8);
        }
        assert!(!open.is_empty());
        let mut longest = open.remove(0);
        let long = vec![b'x'; (64 << 10) + 1];
        // The server may end the session before all of it is written.
        let _ = longest.write_all(&long).await;
        let _ = longest.finish();
        let reason = session.closed().await.to_string();
        assert!(reason.contains("65536"), "{reason}");
        assert_eq!(load(&server).head, 0);
    });
}
