//! The plain index of all endpoints: a line for each that can be pasted into a terminal.

use crate::Addresses;

/// The index, for a server at these addresses.
pub fn text(addresses: &Addresses) -> String {
    let (http, tcp) = (addresses.http, addresses.tcp);
    let (host, port) = (tcp.ip(), tcp.port());
    format!(
        "\
One feed of events, over every transport. Each line can be pasted into a terminal;
after=N gives what follows event N, and without it a subscriber starts at the head.

polling        curl -i 'http://{http}/poll?after=0'
long polling   curl -i 'http://{http}/long-poll?wait=25s'
HTTP stream    curl -N 'http://{http}/stream?after=0'
SSE            curl -N 'http://{http}/sse?after=0'
WebSocket      websocat 'ws://{http}/ws?after=0'
raw TCP        (echo 'SUB 0'; cat) | nc {host} {port}

publish        curl -d 'hello' http://{http}/publish
echo           websocat ws://{http}/echo
clock          curl http://{http}/time
load           curl http://{http}/load
metrics        curl http://{http}/metrics
publish times  curl 'http://{http}/published?after=0'
viewers        curl http://{http}/viewers
liveness       curl http://{http}/healthz
"
    )
}
