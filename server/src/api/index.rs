//! The list of all endpoints as text, each with a command that can be pasted into a terminal.

use std::fmt::Write;

use protocol::transport::{Exchange, Row};
use protocol::{Envelope, Transport};

use crate::addresses::Addresses;

/// The list for a server with these addresses, whose certificate may be self-signed. If publishing requires a token, `token` is that, or
/// the placeholder TOKEN in responses that must not reveal it.
pub fn text(addresses: &Addresses, self_signed: bool, token: Option<&str>) -> String {
    let addresses = addresses.reachable();
    let (http, ws, tcp) = (addresses.http_url(), addresses.websocket_url(), addresses.tcp);
    let bearer = token.map_or(String::new(), |token| format!(" -H 'Authorization: Bearer {token}'"));
    // curl and websocat reject a self-signed certificate unless they are given an option.
    let (k, insecure) = if self_signed { ("k", " -k") } else { ("", "") };
    let tcp = match addresses.tls {
        true => format!("openssl s_client -quiet -connect {tcp}"),
        false => format!("nc {} {}", tcp.ip(), tcp.port()),
    };
    let mut text = String::from(
        "One feed of events, over every transport. Each command can be pasted into a terminal.\n\
         With after=N, a subscriber receives the events after event N; without it, future events.\n\n",
    );
    let mut line = |name: &str, command: &str| {
        writeln!(text, "{name:<14} {command}").expect("writing to memory");
    };
    // Over HTTP/2 and with compression, the paths are the same.
    for transport in Transport::all_where(Transport::is_plain) {
        let &Row { path, subprotocol, envelope, .. } = transport.row();
        let callback = if envelope.has_callback() { "&callback=f" } else { "" };
        let protocol = subprotocol.map_or(String::new(), |name| format!(" --protocol {name}"));
        let command = match (transport.exchange(), path) {
            (_, None) => format!("(echo 'SUB 0'; cat) | {tcp}"),
            (Exchange::Poll, Some(path)) => format!("curl -{k}i '{http}{path}?after=0'"),
            (Exchange::LongPoll, Some(path)) => format!("curl -{k}i '{http}{path}?wait=25s{callback}'"),
            (Exchange::Stream, Some(path)) => format!("curl -{k}N '{http}{path}?after=0{callback}'"),
            (Exchange::Socket, Some(path)) => match envelope {
                Envelope::SockJs => format!("websocat{insecure} '{ws}{path}/000/x/websocket?after=0'"),
                Envelope::SocketIo => format!("curl{insecure} '{http}{path}?EIO=4&transport=polling'"),
                _ => format!("websocat{insecure}{protocol} '{ws}{path}?after=0'"),
            },
        };
        line(transport.label(), &command);
    }
    let version = if addresses.tls { "--http2" } else { "--http2-prior-knowledge" };
    line("HTTP/2", &format!("curl{insecure} -N {version} '{http}/sse?after=0'"));
    line("publish", &format!("curl{insecure}{bearer} -d 'hello' {http}/publish"));
    line("ask", &format!("curl{insecure} -N -d '{{\"prompt\":\"why?\",\"stream\":true}}' {http}/answer"));
    line("echo", &format!("websocat{insecure} {ws}/echo"));
    let json = " -d '{\"transport\":\"polling\",\"poll_interval_ms\":1000}'";
    line("hall control", &format!("curl{insecure}{bearer}{json} {http}/hall/control"));
    line("hall join", &format!("curl{insecure} -X POST {http}/hall/join"));
    let phone = r#""token":"TOKEN FROM /hall/join""#;
    for (path, body) in [
        ("phone", r#""version":0"#),
        ("report", r#""batch":1,"reports":[],"missed":0,"repeated":0"#),
        ("answer", r#""question":1,"answer":0"#),
    ] {
        line(&format!("hall {path}"), &format!("curl{insecure} -d '{{{phone},{body}}}' {http}/hall/{path}"));
    }
    for (name, path) in [
        ("hall", "/hall"),
        ("phone's page", "/join"),
        ("hall state", "/hall/state"),
        ("hall run", "/hall/run.json"),
        ("hall run, CSV", "/hall/run.csv"),
        ("transports", "/transports"),
        ("clock", "/time"),
        ("load", "/load"),
        ("metrics", "/metrics"),
        ("publish times", "/published?after=0"),
        ("viewers", "/viewers"),
        ("story", "/learn/index.html"),
        ("liveness", "/healthz"),
    ] {
        line(name, &format!("curl{insecure} '{http}{path}'"));
    }
    text
}
