//! A real browser subscribes through its own `fetch`, `EventSource` and `WebSocket`; skipped where there is no Chromium.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use server::{Options, Server};

/// A headless Chromium, driven over WebDriver (W3C) by chromedriver.
struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

impl Browser {
    /// Starts one, or says why it is not there; under `CI=true` it must be.
    fn start() -> Option<Self> {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = match started {
            Ok(driver) => driver,
            Err(error) => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs chromedriver: {error}");
                // Past the test harness, which would keep it to itself.
                let _ = writeln!(std::io::stderr(), "skipped: no chromedriver here ({error})");
                return None;
            }
        };
        // "ChromeDriver was started successfully on port 12345."
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .filter_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok())
            .next()
            .expect("chromedriver says its port");
        let mut browser = Self { driver, address: SocketAddr::from(([127, 0, 0, 1], port)), session: String::new() };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": { "args": arguments } } } });
        let created = browser.post("/session", &capabilities);
        browser.session = created["sessionId"].as_str().expect("a session").into();
        Some(browser)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while stream.read_line(&mut line).unwrap() > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).unwrap();
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["value"]["error"].is_null(), "{answer}");
        answer["value"].take()
    }

    fn open(&self, url: &str) {
        self.post(&format!("/session/{}/url", self.session), &json!({ "url": url }));
    }

    /// Runs a script that hands its result to `done`.
    fn run(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1];\n{script}");
        self.post(&format!("/session/{}/execute/async", self.session), &json!({ "script": script, "args": [] }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // chromedriver ends its browser with the session; without an answer it is ended all the same.
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let end = format!("DELETE /session/{} HTTP/1.1\r\nHost: driver\r\nConnection: close\r\n\r\n", self.session);
            let _ = stream.write_all(end.as_bytes());
            let _ = stream.read(&mut [0; 1]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn a_page_receives_every_event_once_and_in_order_in_each_way_a_browser_has() {
    let Some(browser) = Browser::start() else { return };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server =
        Server::start(&Options { listen: free, tcp_listen: free, rate: 200.0, payload: 50, ..Options::default() })
            .unwrap();
    browser.open(&format!("http://{}/", server.addresses().http));
    let expected: Vec<u64> = (1..=50).collect();

    for (way, script) in [
        (
            "fetch, polling",
            "let seqs = [], after = 0;
             const poll = async () => {
                 const answer = await fetch(`/poll?after=${after}`);
                 after = answer.headers.get('cursor');
                 const lines = (await answer.text()).split('\\n').filter(line => line);
                 seqs.push(...lines.map(line => JSON.parse(line).seq));
                 seqs.length < 50 ? setTimeout(poll, 20) : done(seqs.slice(0, 50));
             };
             poll();",
        ),
        (
            "fetch, long polling",
            "let seqs = [], after = 0;
             const poll = async () => {
                 const answer = await fetch(`/long-poll?after=${after}&wait=5s`);
                 after = answer.headers.get('cursor');
                 const lines = (await answer.text()).split('\\n').filter(line => line);
                 seqs.push(...lines.map(line => JSON.parse(line).seq));
                 seqs.length < 50 ? poll() : done(seqs.slice(0, 50));
             };
             poll();",
        ),
        (
            "fetch, streaming",
            "const answer = fetch('/stream?after=0').then(async answer => {
                 const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
                 let text = '';
                 while (text.split('\\n').length <= 50) text += (await reader.read()).value;
                 reader.cancel();
                 done(text.split('\\n').slice(0, 50).map(line => JSON.parse(line).seq));
             });",
        ),
        (
            "EventSource",
            "const source = new EventSource('/sse?after=0'), seqs = [];
             source.onmessage = event => {
                 const { seq } = JSON.parse(event.data);
                 seqs.push(String(seq) === event.lastEventId ? seq : 'wrong id');
                 if (seqs.length === 50) { source.close(); done(seqs); }
             };",
        ),
        (
            "WebSocket",
            "const socket = new WebSocket(`ws://${location.host}/ws?after=0`), seqs = [];
             socket.onmessage = event => {
                 seqs.push(JSON.parse(event.data).seq);
                 if (seqs.length === 50) socket.close(1000);
             };
             socket.onclose = event => done(event.wasClean ? seqs.slice(0, 50) : event.code);",
        ),
    ] {
        assert_eq!(browser.run(script), json!(expected), "{way}");
    }

    let echoed = browser.run(
        "const socket = new WebSocket(`ws://${location.host}/ws`);
         socket.onopen = () => socket.send('from a page');
         socket.onmessage = event => JSON.parse(event.data).data === 'from a page' && done('came back');",
    );
    assert_eq!(echoed, json!("came back"), "what a page sends is published");
}

#[test]
fn a_page_of_another_origin_may_read_but_not_publish() {
    let Some(browser) = Browser::start() else { return };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, payload: 0, history: 10, ..Options::default() };
    let (server, other) = (Server::start(&options).unwrap(), Server::start(&options).unwrap());
    server.feed().publish(1, "for all to read");
    // Another port is another origin.
    browser.open(&format!("http://{}/", other.addresses().http));
    let host = server.addresses().http;
    let read = browser.run(&format!(
        "const source = new EventSource('http://{host}/sse?after=0');
         source.onmessage = event => {{ source.close(); done(JSON.parse(event.data).data); }};"
    ));
    assert_eq!(read, json!("for all to read"));
    let opened = browser.run(&format!(
        "const socket = new WebSocket('ws://{host}/ws');
         socket.onopen = () => done('open');
         socket.onclose = event => done(event.code);"
    ));
    assert_eq!(opened, json!(1006), "the handshake is refused");
    browser.run(&format!(
        "fetch('http://{host}/publish', {{ method: 'POST', mode: 'no-cors', body: 'forged' }}).finally(() => done(0));"
    ));
    assert_eq!(server.feed().head().0, 1, "nothing was published");
}
