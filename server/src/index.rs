//! The plain index of all endpoints: a line for each that can be pasted into a terminal.

use crate::Addresses;

/// The index, for a server at these addresses, whose certificate nobody else may have signed. Where publishing takes a token, that is
/// `token`, or the placeholder TOKEN in answers that must not show it.
pub fn text(addresses: &Addresses, self_signed: bool, token: Option<&str>) -> String {
    let addresses = addresses.reached();
    let (http, ws, tcp) = (addresses.http_url(), addresses.websocket_url(), addresses.tcp);
    let bearer = token.map_or(String::new(), |token| format!(" -H 'Authorization: Bearer {token}'"));
    // Neither program takes a certificate that nobody vouches for, unless it is told to.
    let (k, insecure) = if self_signed { ("k", " -k") } else { ("", "") };
    let tcp = match addresses.tls {
        true => format!("openssl s_client -quiet -connect {tcp}"),
        false => format!("nc {} {}", tcp.ip(), tcp.port()),
    };
    format!(
        "\
One feed of events, over every transport. Each line can be pasted into a terminal;
after=N gives what follows event N, and without it a subscriber starts at the head.

polling        curl -{k}i '{http}/poll?after=0'
long polling   curl -{k}i '{http}/long-poll?wait=25s'
HTTP stream    curl -{k}N '{http}/stream?after=0'
SSE            curl -{k}N '{http}/sse?after=0'
WebSocket      websocat{insecure} '{ws}/ws?after=0'
raw TCP        (echo 'SUB 0'; cat) | {tcp}

publish        curl{insecure}{bearer} -d 'hello' {http}/publish
echo           websocat{insecure} {ws}/echo
clock          curl{insecure} {http}/time
load           curl{insecure} {http}/load
metrics        curl{insecure} {http}/metrics
publish times  curl{insecure} '{http}/published?after=0'
viewers        curl{insecure} {http}/viewers
liveness       curl{insecure} {http}/healthz
"
    )
}
