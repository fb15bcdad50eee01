//! The pages, and what the server tells of itself.

use protocol::status::{Published, Time};
use protocol::{Cursor, Event};
use server::{Options, Server};

use crate::support::figures::{load, wait_until};
use crate::support::{Head, Wire, get, options, publish, start};

fn ask(server: &Server, method: &str, target: &str, headers: &[&str]) -> (Head, String) {
    Wire::request(server, method, target, headers).answer()
}

#[test]
fn a_browser_gets_the_page_at_the_root_and_each_of_its_files_is_there() {
    let server = start();
    let (head, page) = ask(&server, "GET", "/", &["Accept: text/html,*/*"]);
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(ask(&server, "POST", "/", &["Accept: text/html", "Content-Length: 0"]).0.status, 405);
    let (head, script) = get(&server, "/page/transport/websocket.js");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert!(page.contains("/page/main.js") && script.contains("new WebSocket"));
    assert_eq!(get(&server, "/page/nothing.js").0.status, 404);
}

#[test]
fn the_slides_are_there_in_the_language_that_the_browser_asks_for() {
    let server = start();
    let (head, _) = ask(&server, "GET", "/slides?projector", &["Accept-Language: ko-KR, en"]);
    assert_eq!((head.status, head.header("location")), (302, Some("/slides/ko.html?projector")));
    for (path, language) in [("/slides/en.html", "en"), ("/slides/ko.html#3", "ko")] {
        let (head, page) = get(&server, path.split('#').next().unwrap());
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.contains(&format!("<html lang=\"{language}\"")));
    }
    assert_eq!(get(&server, "/slides?\u{7f}").0.status, 400);
    assert_eq!(get(&server, "/slides/fr.html").0.status, 404);
    assert_eq!(get(&server, "/slidesen.html").0.status, 404);
}

#[test]
fn viewers_get_the_slides_without_the_solutions_of_the_exercises() {
    let open = start();
    let hall = Server::start(&Options { token: Some("abcdefgh12345678".into()), ..options(10) }).unwrap();
    let bearer = "Authorization: Bearer abcdefgh12345678";
    let (welcome, _) = ask(&hall, "POST", "/presenter", &[bearer, "Content-Length: 0"]);
    let cookie = format!("Cookie: {}", welcome.header("set-cookie").unwrap().split(';').next().unwrap());
    for (server, query, headers, solved) in [
        (&open, "", [].as_slice(), true),
        (&open, "?solutions=0", &[], false),
        (&hall, "", &[], false),
        (&hall, "?solutions=1", &[], false),
        (&hall, "?token=abcdefgh12345678", &[], false),
        (&hall, "", &["Cookie: lab-presenter=1"], false),
        (&hall, "", &[bearer], true),
        (&hall, "", &[&cookie], true),
        (&hall, "?solutions=0", &[&cookie], false),
    ] {
        for language in ["en", "ko"] {
            let (_, page) = ask(server, "GET", &format!("/slides/{language}.html{query}"), headers);
            // The exercise is to unmask this frame, and what is in it solves it.
            assert!(page.contains("81 85 37 fa 21 3d 7f 9f 4d 51 58"), "{language}{query}");
            assert_eq!(page.contains("48 65 6c 6c 6f</code>"), solved, "{language}{query} {headers:?}");
        }
    }
    // A wrong token gets neither edition, so that nobody can try tokens here.
    assert_eq!(ask(&hall, "GET", "/slides/en.html", &["Authorization: Bearer another"]).0.status, 403);
}

#[test]
fn the_viewers_address_is_the_servers_own() {
    let server = start();
    let (head, body) = get(&server, "/viewers");
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((head.status, &told["this_machine_only"]), (200, &serde_json::json!(true)));
    assert_eq!(told["url"], format!("http://{}/", server.addresses().http));
}

#[test]
fn a_control_does_what_it_can_and_says_what_is_wrong_with_the_rest() {
    let server = start();
    let wish = |wish: &str| {
        let mut wire = Wire::request(&server, "POST", "/control", &[&format!("Content-Length: {}", wish.len())]);
        wire.send(wish);
        let (head, body) = wire.answer();
        (head.status, body)
    };
    assert_eq!(wish(r#"{"burst":3}"#), (204, String::new()));
    assert_eq!(server.feed().head(), Cursor(3));
    assert_eq!(wish(r#"{"payload":7,"cut":"nobody"}"#).0, 204);
    for (wrong, right) in [
        ("{", "a wish is JSON"),
        (r#"{"speed":1}"#, "rate, payload, burst or cut"),
        (r#"{"rate":-1}"#, "rate: events a second"),
        (r#"{"payload":70000}"#, "payload: bytes"),
        (r#"{"burst":1001}"#, "burst: events"),
    ] {
        let (status, body) = wish(wrong);
        assert!(status == 400 && body.contains(right), "{wrong}: {status} {body}");
    }
    assert_eq!(server.feed().head(), Cursor(3), "a wish that is wrong in part is not done in part");
    assert_eq!(get(&server, "/control").0.status, 405);
    assert_eq!(get(&server, "/watch").0.status, 400);
}

#[test]
fn the_clock_is_that_of_the_events() {
    let server = start();
    let time = || {
        let (head, body) = get(&server, "/time");
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        serde_json::from_str::<Time>(&body).unwrap().now_ns
    };
    let before = time();
    Wire::request(&server, "POST", "/publish", &["Content-Length: 0"]).answer();
    let after = time();
    let (_, body) = get(&server, "/poll?after=0");
    let at = Event::decode(body.trim_end().as_bytes()).unwrap().at;
    assert!(before < at && at < after);
}

#[test]
fn the_load_counts_connections_requests_and_events() {
    let server = start();
    let first = load(&server);
    assert_eq!((first.connections_accepted, first.requests, first.head, first.rate), (1, 1, 0, 0.0));
    assert_eq!(first.tcp_port, server.addresses().tcp.port());
    publish(&server, &["a", "b"]);
    let streams = [(); 2].map(|()| {
        let mut stream = Wire::request(&server, "GET", "/stream", &[]);
        assert_eq!(stream.head().status, 200);
        stream
    });
    let second = load(&server);
    assert_eq!((second.connections_accepted, second.requests, second.head), (4, 4, 2));
    // The connections of earlier requests may not have been seen to end yet.
    assert!(second.connections_open >= 3, "{second:?}");
    assert!(second.history_bytes > first.history_bytes && second.now_ns > first.now_ns && first.started_ns > 0);
    drop(streams);
    wait_until(&server, |load| load.connections_open == 1);
}

#[test]
fn the_metrics_are_in_the_text_format_of_prometheus() {
    let server = start();
    publish(&server, &["a"]);
    let (head, body) = get(&server, "/metrics");
    let content_type = Some("text/plain; version=0.0.4; charset=utf-8");
    assert_eq!((head.status, head.header("content-type")), (200, content_type));
    assert!(body.ends_with('\n'));
    for metric in body.lines().collect::<Vec<_>>().chunks(3) {
        let [help, kind, value] = metric else { panic!("three lines a metric: {metric:?}") };
        let (name, value) = value.split_once(' ').unwrap();
        assert!(help.starts_with(&format!("# HELP {name} ")), "{help}");
        assert!(kind.starts_with(&format!("# TYPE {name} ")), "{kind}");
        assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{name} {value}");
        assert_eq!(name.ends_with("_total"), kind.ends_with(" counter"), "{name}");
    }
    assert!(body.contains("\nlab_events_published_total 1\n") && body.contains("\nlab_requests_total 1\n"));
}

#[test]
fn the_publish_times_are_given_a_line_an_event() {
    let server = start();
    assert_eq!(get(&server, "/published").1, "");
    publish(&server, &["a", "b", "c"]);
    let times = |target| {
        let (head, body) = get(&server, target);
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/x-ndjson")));
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Published>>()
    };
    let all = times("/published");
    assert_eq!(all.iter().map(|times| times.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(all.iter().all(|times| times.at == 0 && times.entered > 0));
    assert!(all.is_sorted_by_key(|times| times.entered));
    assert_eq!(times("/published?after=2"), all[2..]);
}

#[test]
fn the_index_names_every_endpoint_and_both_ports() {
    let server = start();
    let (head, body) = get(&server, "/");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    for path in [
        "poll",
        "long-poll",
        "stream",
        "sse",
        "ws",
        "publish",
        "echo",
        "time",
        "load",
        "metrics",
        "published",
        "viewers",
        "healthz",
    ] {
        let urls = ["http", "ws"].map(|scheme| format!("{scheme}://{http}/{path}"));
        let named = body.split([' ', '\'', '?', '\n']).any(|word| urls.iter().any(|url| url == word));
        assert!(named, "{path} is missing:\n{body}");
    }
    assert!(body.contains(&format!("nc {} {}", tcp.ip(), tcp.port())));
}

#[test]
fn the_server_says_that_it_lives() {
    let (head, body) = get(&start(), "/healthz");
    assert_eq!((head.status, body.as_str()), (200, "ok\n"));
    assert_eq!(head.header("content-type"), Some("text/plain; charset=utf-8"));
}
