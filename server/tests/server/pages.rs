//! The pages, and the server's reports about itself.

use protocol::status::{Published, Time};
use protocol::{Cursor, Event};
use server::{Options, Server};

use crate::support::figures::{load, wait_until};
use crate::support::{Response, Wire, get, options, publish, start};

fn fetch(server: &Server, method: &str, target: &str, headers: &[&str]) -> (Response, String) {
    Wire::request(server, method, target, headers).response()
}

#[test]
fn browsers_get_the_live_page_at_the_root_and_its_files() {
    let server = start();
    let (response, page) = fetch(&server, "GET", "/", &["Accept: text/html,*/*"]);
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(fetch(&server, "POST", "/", &["Accept: text/html", "Content-Length: 0"]).0.status, 405);
    let (response, script) = get(&server, "/page/transport/websocket.js");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert!(page.contains("/page/scene.js") && script.contains("new WebSocket"));
    for (target, script) in [
        ("/?view=lanes&lang=ko", "main.js"),
        ("/?embed=wire", "main.js"),
        ("/?embed=scene", "scene.js"),
        ("/?view=x", "scene.js"),
    ] {
        let (_, page) = fetch(&server, "GET", target, &["Accept: text/html"]);
        assert!(page.contains(&format!("/page/{script}")), "{target}");
    }
    assert_eq!(get(&server, "/page/nothing.js").0.status, 404);
}

#[test]
fn the_slides_are_available_in_the_language_that_the_browser_prefers() {
    let server = start();
    let (response, _) = fetch(&server, "GET", "/slides?projector", &["Accept-Language: ko-KR, en"]);
    assert_eq!((response.status, response.header("location")), (302, Some("/slides/ko.html?projector")));
    for (path, language) in [("/slides/en.html", "en"), ("/slides/ko.html#3", "ko")] {
        let (response, page) = get(&server, path.split('#').next().unwrap());
        assert_eq!((response.status, response.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.contains(&format!("<html lang=\"{language}\"")));
    }
    assert_eq!(get(&server, "/slides?\u{7f}").0.status, 400);
    // The same as the programs render: with the later recorded runs.
    let figures = slides::Figures::recorded().unwrap();
    let rendered = slides::render(&slides::LANGUAGES[0], &figures, slides::Destination::Server, slides::Edition::Full);
    assert_eq!(get(&server, "/slides/en.html").1, rendered.unwrap());
    assert_eq!(get(&server, "/slides/fr.html").0.status, 404);
    assert_eq!(get(&server, "/slidesen.html").0.status, 404);
}

#[test]
fn the_story_is_available_in_the_language_that_the_browser_prefers() {
    let server = start();
    for (language, page) in [("ko-KR, en", "/learn/index.ko.html"), ("de", "/learn/index.html")] {
        let (response, _) = fetch(&server, "GET", "/learn?scene=3", &[&format!("Accept-Language: {language}")]);
        assert_eq!((response.status, response.header("location")), (302, Some(&*format!("{page}?scene=3"))));
        let (response, text) = get(&server, page);
        assert_eq!((response.status, response.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(text.contains("<script src=\"learn.js\"></script>") && !text.contains("style="));
    }
    for (file, kind) in [("learn.js", "text/javascript; charset=utf-8"), ("learn.css", "text/css; charset=utf-8")] {
        assert_eq!(get(&server, &format!("/learn/{file}")).0.header("content-type"), Some(kind));
    }
    assert_eq!(get(&server, "/learn/none.html").0.status, 404);
    assert_eq!(get(&server, "/learning").0.status, 404);
    assert_eq!(fetch(&server, "POST", "/learn", &["Content-Length: 0"]).0.status, 405);
}

#[test]
fn viewers_get_the_slides_without_the_solutions_of_the_exercises() {
    let open = start();
    let protected = Server::start(&Options { token: Some("abcdefgh12345678".into()), ..options(10) }).unwrap();
    let bearer = "Authorization: Bearer abcdefgh12345678";
    let (response, _) = fetch(&protected, "POST", "/presenter", &[bearer, "Content-Length: 0"]);
    let cookie = format!("Cookie: {}", response.header("set-cookie").unwrap().split(';').next().unwrap());
    for (server, query, headers, with_solutions) in [
        (&open, "", [].as_slice(), true),
        (&open, "?solutions=0", &[], false),
        (&protected, "", &[], false),
        (&protected, "?solutions=1", &[], false),
        (&protected, "?token=abcdefgh12345678", &[], false),
        (&protected, "", &["Cookie: lab-presenter=1"], false),
        (&protected, "", &[bearer], true),
        (&protected, "", &[&cookie], true),
        (&protected, "?solutions=0", &[&cookie], false),
    ] {
        for language in ["en", "ko"] {
            let (_, page) = fetch(server, "GET", &format!("/slides/{language}.html{query}"), headers);
            // The exercise is to unmask this frame; the solution is its payload.
            assert!(page.contains("81 85 37 fa 21 3d 7f 9f 4d 51 58"), "{language}{query}");
            assert_eq!(page.contains("48 65 6c 6c 6f</code>"), with_solutions, "{language}{query} {headers:?}");
        }
    }
    // With a wrong token, neither edition is returned, so that tokens cannot be guessed faster here.
    assert_eq!(fetch(&protected, "GET", "/slides/en.html", &["Authorization: Bearer another"]).0.status, 403);
}

#[test]
fn the_viewers_url_is_that_of_the_server() {
    let server = start();
    let (response, body) = get(&server, "/viewers");
    let viewers: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((response.status, &viewers["this_machine_only"]), (200, &serde_json::json!(true)));
    assert_eq!(viewers["url"], format!("http://{}/", server.addresses().http));
    assert_eq!(viewers["join"], format!("http://{}/join", server.addresses().http));
}

#[test]
fn control_makes_all_changes_or_none_and_names_the_error() {
    let server = start();
    let control = |body: &str| {
        let mut wire = Wire::request(&server, "POST", "/control", &[&format!("Content-Length: {}", body.len())]);
        wire.send(body);
        let (response, body) = wire.response();
        (response.status, body)
    };
    assert_eq!(control(r#"{"burst":3}"#), (204, String::new()));
    assert_eq!(server.feed().head(), Cursor(3));
    assert_eq!(control(r#"{"payload":7,"cut":"unknown"}"#).0, 204);
    for (wrong, error) in [
        ("{", "the body must be JSON"),
        (r#"{"speed":1}"#, "burst, delay_ms, fault or cut"),
        (r#"{"rate":-1}"#, "rate: events per second"),
        (r#"{"payload":70000}"#, "payload: bytes"),
        (r#"{"burst":1001}"#, "burst: events"),
    ] {
        let (status, body) = control(wrong);
        assert!(status == 400 && body.contains(error), "{wrong}: {status} {body}");
    }
    assert_eq!(server.feed().head(), Cursor(3), "a request with an error changes nothing");
    assert_eq!(get(&server, "/control").0.status, 405);
    assert_eq!(get(&server, "/watch").0.status, 400);
}

#[test]
fn time_returns_the_clock_from_which_events_have_their_timestamps() {
    let server = start();
    let time = || {
        let (response, body) = get(&server, "/time");
        assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        serde_json::from_str::<Time>(&body).unwrap().now_ns
    };
    let before = time();
    Wire::request(&server, "POST", "/publish", &["Content-Length: 0"]).response();
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
        assert_eq!(stream.headers().status, 200);
        stream
    });
    let second = load(&server);
    assert_eq!((second.connections_accepted, second.requests, second.head), (4, 4, 2));
    // The server may not have noticed yet that the connections of earlier requests have ended.
    assert!(second.connections_open >= 3, "{second:?}");
    assert!(second.history_bytes > first.history_bytes && second.now_ns > first.now_ns && first.started_ns > 0);
    drop(streams);
    wait_until(&server, |load| load.connections_open == 1);
}

#[test]
fn the_metrics_are_in_the_text_format_of_prometheus() {
    let server = start();
    publish(&server, &["a"]);
    let (response, body) = get(&server, "/metrics");
    let content_type = Some("text/plain; version=0.0.4; charset=utf-8");
    assert_eq!((response.status, response.header("content-type")), (200, content_type));
    assert!(body.ends_with('\n'));
    for metric in body.lines().collect::<Vec<_>>().chunks(3) {
        let [help, kind, value] = metric else { panic!("a metric has three lines: {metric:?}") };
        let (name, value) = value.split_once(' ').unwrap();
        assert!(help.starts_with(&format!("# HELP {name} ")), "{help}");
        assert!(kind.starts_with(&format!("# TYPE {name} ")), "{kind}");
        assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{name} {value}");
        assert_eq!(name.ends_with("_total"), kind.ends_with(" counter"), "{name}");
    }
    assert!(body.contains("\nlab_events_published_total 1\n") && body.contains("\nlab_requests_total 1\n"));
}

#[test]
fn published_returns_one_line_per_event() {
    let server = start();
    assert_eq!(get(&server, "/published").1, "");
    publish(&server, &["a", "b", "c"]);
    let times = |target| {
        let (response, body) = get(&server, target);
        assert_eq!((response.status, response.header("content-type")), (200, Some("application/x-ndjson")));
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Published>>()
    };
    let all = times("/published");
    assert_eq!(all.iter().map(|times| times.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(all.iter().all(|times| times.at == 0 && times.entered > 0));
    assert!(all.is_sorted_by_key(|times| times.entered));
    assert_eq!(times("/published?after=2"), all[2..]);
}

#[test]
fn the_index_lists_every_endpoint_and_both_ports() {
    let server = start();
    let (response, body) = get(&server, "/");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/plain; charset=utf-8")));
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
        "hall",
        "join",
        "hall/join",
        "hall/phone",
        "hall/report",
        "hall/answer",
        "hall/control",
        "hall/state",
        "hall/run.json",
        "hall/run.csv",
        "healthz",
    ] {
        let urls = ["http", "ws"].map(|scheme| format!("{scheme}://{http}/{path}"));
        let named = body.split([' ', '\'', '?', '\n']).any(|word| urls.iter().any(|url| url == word));
        assert!(named, "{path} is missing:\n{body}");
    }
    assert!(body.contains(&format!("nc {} {}", tcp.ip(), tcp.port())));
}

#[test]
fn healthz_responds_with_ok() {
    let (response, body) = get(&start(), "/healthz");
    assert_eq!((response.status, body.as_str()), (200, "ok\n"));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
}
