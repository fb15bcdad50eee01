//! The browser's own `fetch`, `EventSource` and `WebSocket` against the server's endpoints.

use std::net::SocketAddr;

use serde_json::json;
use server::{Options, Server};

use crate::driver::Browser;
use crate::foreign;

#[test]
fn a_page_receives_every_event_once_and_in_order_over_each_interface_of_the_browser() {
    let Some(browser) = Browser::start() else { return };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server =
        Server::start(&Options { listen: free, tcp_listen: free, rate: 200.0, payload: 50, ..Options::default() })
            .unwrap();
    browser.open(&format!("http://{}/?view=lanes", server.addresses().http));
    let expected: Vec<u64> = (1..=50).collect();

    for (interface, script) in [
        (
            "fetch, polling",
            "let seqs = [], after = 0;
             const poll = async () => {
                 const response = await fetch(`/poll?after=${after}`);
                 after = response.headers.get('cursor');
                 const lines = (await response.text()).split('\\n').filter(line => line);
                 seqs.push(...lines.map(line => JSON.parse(line).seq));
                 seqs.length < 50 ? setTimeout(poll, 20) : done(seqs.slice(0, 50));
             };
             poll();",
        ),
        (
            "fetch, long polling",
            "let seqs = [], after = 0;
             const poll = async () => {
                 const response = await fetch(`/long-poll?after=${after}&wait=5s`);
                 after = response.headers.get('cursor');
                 const lines = (await response.text()).split('\\n').filter(line => line);
                 seqs.push(...lines.map(line => JSON.parse(line).seq));
                 seqs.length < 50 ? poll() : done(seqs.slice(0, 50));
             };
             poll();",
        ),
        (
            "fetch, streaming",
            "fetch('/stream?after=0').then(async response => {
                 const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
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
        assert_eq!(browser.run(script), json!(expected), "{interface}");
    }

    let echoed = browser.run(
        "const socket = new WebSocket(`ws://${location.host}/ws`);
         socket.onopen = () => socket.send('from a page');
         socket.onmessage = event => JSON.parse(event.data).data === 'from a page' && done('received');",
    );
    assert_eq!(echoed, json!("received"), "a text that a page sends is published");
}

#[test]
fn a_page_of_another_origin_may_read_but_not_publish() {
    let Some(browser) = Browser::start() else { return };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, payload: 0, history: 10, ..Options::default() };
    let server = Server::start(&options).unwrap();
    server.feed().publish(1, "public");
    // The other page's port differs from the server's, so its origin differs too.
    browser.open(&format!("http://{}/", foreign::page()));
    let host = server.addresses().http;
    let read = browser.run(&format!(
        "const source = new EventSource('http://{host}/sse?after=0');
         source.onmessage = event => {{ source.close(); done(JSON.parse(event.data).data); }};"
    ));
    assert_eq!(read, json!("public"));
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

#[test]
fn the_page_s_line_reader_ignores_heartbeats() {
    let Some(browser) = Browser::start() else { return };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }).unwrap();
    // The content security policy of the live page allows the import of the server's module below.
    browser.open(&format!("http://{}/?lanes=polling", server.addresses().http));
    let received = browser.run(
        r#"const received = [];
           const lane = {
               requested() {}, responded() {}, requestUrl: () => '/stream',
               gap: (gap) => received.push(gap.after), event: (line) => received.push(JSON.parse(line).seq),
           };
           window.fetch = async () => new Response('\n{"seq":1}\n\n\n{"gap":{"after":7}}\n\n{"seq":2}\n\n');
           import('/page/transport/ndjson.js')
               .then(({ subscribe }) => subscribe(lane, new AbortController().signal))
               .catch((error) => done([...received, error.message]));"#,
    );
    assert_eq!(received, json!([1, 7, 2, "the stream ended"]));
}
