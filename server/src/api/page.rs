//! The files of the live page, embedded in the program.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use protocol::Transport;

use super::response::{self, Response};
use crate::state::ServerState;

/// The opening scene of the live page.
const SCENE: &str = include_str!("../page/scene.html");
/// The lanes of the live page.
const LANES: &str = include_str!("../page/lanes.html");
/// The page that the presenter's link opens.
const PRESENTER: &str = include_str!("../page/presenter.html");

/// A phone's page, and the hall on the big screen.
const JOIN: &str = include_str!("../page/join.html");
const HALL: &str = include_str!("../page/hall.html");

/// The content security policy of the pages and their worker: they may load only this server's files, and only its slides may frame them.
/// WebTransport and the relay at `host`, the name at which the page was requested, have origins of their own.
fn policy(state: &ServerState, host: &str) -> HeaderValue {
    let quic = state.addresses.reachable().quic_origin().unwrap_or_default();
    let (relay, s) = (state.relay.port, if state.tls.is_some() { "s" } else { "" });
    let policy = format!(
        "default-src 'self'; connect-src 'self' {quic} http{s}://{host}:{relay} ws{s}://{host}:{relay}; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'self'"
    );
    HeaderValue::from_maybe_shared(policy).expect("host names have no other characters")
}
/// The script of the shared worker.
const WORKER: &str = "worker.js";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The module that is generated from the table of transports.
const TRANSPORTS: &str = "transports.js";

/// All other files of the page: the path below `/page/`, the media type, and the content.
const FILES: [(&str, &str, &str); 52] = [
    ("page.css", "text/css; charset=utf-8", include_str!("../page/page.css")),
    ("main.js", SCRIPT, include_str!("../page/main.js")),
    ("answer.js", SCRIPT, include_str!("../page/answer.js")),
    ("bytes.js", SCRIPT, include_str!("../page/bytes.js")),
    ("scene.css", "text/css; charset=utf-8", include_str!("../page/scene.css")),
    ("scene.js", SCRIPT, include_str!("../page/scene.js")),
    ("condition.js", SCRIPT, include_str!("../page/condition.js")),
    ("flight.js", SCRIPT, include_str!("../page/flight.js")),
    ("header.js", SCRIPT, include_str!("../page/header.js")),
    ("network.js", SCRIPT, include_str!("../page/network.js")),
    ("wires.js", SCRIPT, include_str!("../page/wires.js")),
    ("clock.js", SCRIPT, include_str!("../page/clock.js")),
    ("document.js", SCRIPT, include_str!("../page/document.js")),
    ("arrows.js", SCRIPT, include_str!("../page/arrows.js")),
    ("other_tabs.js", SCRIPT, include_str!("../page/other_tabs.js")),
    ("slider.js", SCRIPT, include_str!("../page/slider.js")),
    ("votes.js", SCRIPT, include_str!("../page/votes.js")),
    ("ladder.js", SCRIPT, include_str!("../page/ladder.js")),
    ("kept.js", SCRIPT, include_str!("../page/kept.js")),
    ("lane.js", SCRIPT, include_str!("../page/lane.js")),
    ("presenter.js", SCRIPT, include_str!("../page/presenter.js")),
    ("sha1.js", SCRIPT, include_str!("../page/sha1.js")),
    ("shared.js", SCRIPT, include_str!("../page/shared.js")),
    ("subscriptions.js", SCRIPT, include_str!("../page/subscriptions.js")),
    ("text.js", SCRIPT, include_str!("../page/text.js")),
    ("text/en.js", SCRIPT, include_str!("../page/text/en.js")),
    ("text/ko.js", SCRIPT, include_str!("../page/text/ko.js")),
    ("watch.js", SCRIPT, include_str!("../page/watch.js")),
    (WORKER, SCRIPT, include_str!("../page/worker.js")),
    ("wire.js", SCRIPT, include_str!("../page/wire.js")),
    ("hall.css", "text/css; charset=utf-8", include_str!("../page/hall.css")),
    ("hall.js", SCRIPT, include_str!("../page/hall.js")),
    ("hall_charts.js", SCRIPT, include_str!("../page/hall_charts.js")),
    ("hall_question.js", SCRIPT, include_str!("../page/hall_question.js")),
    ("delay.js", SCRIPT, include_str!("../page/delay.js")),
    ("join.js", SCRIPT, include_str!("../page/join.js")),
    ("transport/request.js", SCRIPT, include_str!("../page/transport/request.js")),
    ("transport/polling.js", SCRIPT, include_str!("../page/transport/polling.js")),
    ("transport/long_polling.js", SCRIPT, include_str!("../page/transport/long_polling.js")),
    ("transport/ndjson.js", SCRIPT, include_str!("../page/transport/ndjson.js")),
    ("transport/sse.js", SCRIPT, include_str!("../page/transport/sse.js")),
    ("transport/websocket.js", SCRIPT, include_str!("../page/transport/websocket.js")),
    ("transport/jsonp.js", SCRIPT, include_str!("../page/transport/jsonp.js")),
    ("transport/multipart.js", SCRIPT, include_str!("../page/transport/multipart.js")),
    ("transport/iframe.js", SCRIPT, include_str!("../page/transport/iframe.js")),
    ("transport/stomp.js", SCRIPT, include_str!("../page/transport/stomp.js")),
    ("transport/sockjs.js", SCRIPT, include_str!("../page/transport/sockjs.js")),
    ("transport/socket_io.js", SCRIPT, include_str!("../page/transport/socket_io.js")),
    ("transport/session.js", SCRIPT, include_str!("../page/transport/session.js")),
    ("transport/webtransport.js", SCRIPT, include_str!("../page/transport/webtransport.js")),
    ("transport/webtransport_streams.js", SCRIPT, include_str!("../page/transport/webtransport_streams.js")),
    ("transport/webtransport_datagrams.js", SCRIPT, include_str!("../page/transport/webtransport_datagrams.js")),
];

/// Whether the client accepts HTML. Browsers say so in `Accept`; curl does not.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

/// The live page: its opening scene, or the lanes, which the slides also embed.
pub fn index(state: &ServerState, host: &str, query: Option<&str>) -> Response {
    let value = |name: &str| query?.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let lanes = value("view") == Some("lanes") || value("embed").is_some_and(|embed| embed != "scene");
    response::page(if lanes { LANES } else { SCENE }, policy(state, host))
}

/// The page that the presenter's link opens.
pub fn presenter(state: &ServerState, host: &str) -> Response {
    response::page(PRESENTER, policy(state, host))
}

/// A phone's page.
pub fn join(state: &ServerState, host: &str) -> Response {
    response::page(JOIN, policy(state, host))
}

/// The hall on the big screen.
pub fn hall(state: &ServerState, host: &str) -> Response {
    response::page(HALL, policy(state, host))
}

/// A file of the page; 404 if there is no such file.
pub fn file(name: &str, state: &ServerState, host: &str) -> Response {
    if name == TRANSPORTS {
        return response::file(SCRIPT, TRANSPORTS_MODULE.as_str());
    }
    match FILES.iter().find(|file| file.0 == name) {
        // A worker has its own policy and does not inherit the page's.
        Some((WORKER, content_type, content)) => {
            response::allowed(response::file(content_type, *content), policy(state, host))
        }
        Some((_, content_type, content)) => response::file(content_type, *content),
        None => response::text(StatusCode::NOT_FOUND, "the page has no such file\n"),
    }
}

/// The source of `transports.js`: the rows of the transports that a browser can use, each with the function `subscribe` of the module named
/// after the transport.
static TRANSPORTS_MODULE: LazyLock<String> = LazyLock::new(|| {
    let transports = Transport::all_where(Transport::is_lane);
    let (mut imports, mut entries) = (String::new(), String::new());
    for (index, transport) in transports.into_iter().enumerate() {
        let row = serde_json::to_string(transport.row()).expect("a row is plain data");
        imports += &format!("import {{ subscribe as subscribe{index} }} from './transport/{transport}.js';\n");
        entries += &format!("  {{ ...{row}, subscribe: subscribe{index} }},\n");
    }
    format!(
        "// Generated from the table in protocol/src/transport.rs.\n\n{imports}\nexport const TRANSPORTS = [\n{entries}];\n"
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_browser_transport_has_a_module_and_a_name_in_each_language() {
        for transport in Transport::all_where(Transport::is_lane) {
            let module = format!("transport/{transport}.js");
            assert!(
                FILES.iter().any(|file| file.0 == module),
                "server/src/page/{module} is missing, or its line in FILES"
            );
            for (text, _, content) in FILES.iter().filter(|file| file.0.starts_with("text/")) {
                assert!(content.contains(&format!("\n  {transport}: ")), "server/src/page/{text} has no {transport}");
            }
        }
    }

    #[test]
    fn every_referenced_file_exists_and_nothing_is_loaded_from_another_host() {
        let known = |path: &str| path == TRANSPORTS || FILES.iter().any(|file| file.0 == path);
        for (name, _, content) in FILES {
            let folder = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            for line in content.lines().filter(|line| line.starts_with("import ")) {
                let path = line.split('\'').nth(1).unwrap();
                let file = match path.strip_prefix("../") {
                    Some(above) => above.to_string(),
                    None => format!("{folder}{}", path.trim_start_matches("./")),
                };
                assert!(known(&file), "{name} imports {path}");
            }
            assert!(!content.contains("http://") && !content.contains("https://"), "{name}");
        }
        for path in [SCENE, LANES, PRESENTER, JOIN, HALL]
            .iter()
            .flat_map(|page| page.split("\"/page/").skip(1))
            .map(|rest| rest.split('"').next().unwrap())
        {
            assert!(known(path), "{path}");
        }
    }
}
