//! The browser's own `WebTransport` against the server, whose certificate it trusts by its hash.

use std::net::SocketAddr;

use serde_json::json;
use server::{Options, Server};

use crate::driver::Browser;

#[test]
fn a_page_receives_every_event_over_webtransport_and_can_publish_and_resume() {
    let Some(browser) = Browser::start() else { return };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 200.0, payload: 50, ..Options::default() };
    let server = Server::start(&options).unwrap();
    browser.open(&format!("http://{}/?view=lanes", server.addresses().http));
    let script = "
        const rows = await (await fetch('/transports')).json();
        const row = rows.find(row => row.name === 'webtransport');
        const value = Uint8Array.from(row.certificate_hash.match(/../g), hex => parseInt(hex, 16));
        const open = after => new WebTransport(`${row.url}?after=${after}`, {serverCertificateHashes: [{algorithm: 'sha-256', value}]});
        const read = async (session, count) => {
            await session.ready;
            const {value: stream} = await session.incomingUnidirectionalStreams.getReader().read();
            const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
            let text = '';
            while (text.split('\\n').length <= count) text += (await reader.read()).value;
            return text.split('\\n').slice(0, count).map(line => JSON.parse(line));
        };
        const first = open(0);
        const seqs = (await read(first, 50)).map(event => event.seq);
        const writer = (await first.createUnidirectionalStream()).getWriter();
        await writer.write(new TextEncoder().encode('from the page'));
        await writer.close();
        const second = open(45);
        const resumed = (await read(second, 400)).map(event => event);
        first.close();
        second.close();
        const other = new WebTransport(row.url.replace('webtransport', 'nothing'), {serverCertificateHashes: [{algorithm: 'sha-256', value}]});
        const refused = await other.ready.then(() => false, () => true);
        return {seqs, next: resumed[0].seq, published: resumed.some(event => event.data === 'from the page'), refused};";
    let result = browser.run(&format!("(async () => {{ {script} }})().then(done, error => done(String(error)));"));
    let expected: Vec<u64> = (1..=50).collect();
    assert_eq!(result, json!({ "seqs": expected, "next": 46, "published": true, "refused": true }));
}
