//! The presenter: by which token or cookie a request may publish, what a wrong one gets, and the links that are printed.

use std::net::{Ipv4Addr, SocketAddr};

use protocol::Cursor;
use protocol::framing::websocket::Opcode;
use server::{Options, Server};

use crate::support::figures::load;
use crate::support::frames::{HANDSHAKE, close_frame, frame, masked};
use crate::support::{Head, Wire, get, options};

const TOKEN: &str = "abcdefgh12345678";
const BEARER: &str = "Authorization: Bearer abcdefgh12345678";

fn start() -> Server {
    Server::start(&Options { token: Some(TOKEN.into()), ..options(100) }).unwrap()
}

fn post(server: &Server, target: &str, headers: &[&str]) -> (Head, String) {
    Wire::request(server, "POST", target, &[&["Content-Length: 0"], headers].concat()).answer()
}

/// The cookie that the token is exchanged for, as a request bears it.
fn cookie(server: &Server) -> String {
    let (head, _) = post(server, "/presenter", &[BEARER]);
    let cookie = head.header("set-cookie").expect("a cookie").split(';').next().unwrap();
    format!("Cookie: theme=dark; {cookie}")
}

#[test]
fn the_token_is_taken_from_a_header_or_for_a_cookie_and_from_no_address() {
    let server = start();
    for target in ["/publish", "/control", "/presenter"] {
        let (head, body) = post(&server, target, &[]);
        assert_eq!((head.status, body.as_str()), (403, "this takes the presenter's token\n"), "{target}");
        assert_eq!(head.header("set-cookie"), None);
        let (head, _) = post(&server, &format!("{target}?token={TOKEN}"), &[BEARER]);
        assert_eq!((head.status, head.header("set-cookie")), (400, None), "{target} takes no token in its address");
    }
    for target in ["/ws", "/watch"] {
        let (head, _) = Wire::request(&server, "GET", &format!("{target}?token={TOKEN}"), &HANDSHAKE).answer();
        assert_eq!(head.status, 400, "{target}");
    }
    assert_eq!(server.feed().head(), Cursor(0));
    assert_eq!(post(&server, "/publish", &[BEARER]).0.status, 202);

    let (head, body) = post(&server, "/presenter", &[BEARER]);
    assert_eq!((head.status, body.as_str()), (204, ""));
    let set = head.header("set-cookie").unwrap();
    let port = server.addresses().http.port();
    assert!(set.starts_with(&format!("lab-presenter-{port}=")) && !set.contains(TOKEN), "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{set}");
    let cookie = cookie(&server);
    assert_eq!(post(&server, "/publish", &[&cookie]).0.status, 202);
    assert_eq!(post(&server, "/control", &[&cookie]).0.status, 400, "an empty wish");
    assert_eq!(post(&server, "/publish", &[&cookie, "Origin: http://evil.example"]).0.status, 403);
    assert_eq!(post(&server, "/publish", &[&cookie, "Origin: http://127.0.0.1:9"]).0.status, 403, "the same site");
    // A cookie of an earlier server makes a viewer, at once.
    let old = format!("Cookie: lab-presenter-{port}=0123456789abcdef0123456789abcdef");
    assert_eq!(post(&server, "/publish", &[&old]).1, "this takes the presenter's token\n");
    assert_eq!(server.feed().head(), Cursor(2));
    assert_eq!(load(&server).tokens_refused, 0);
}

#[test]
fn over_a_websocket_only_the_presenter_publishes_and_viewers_are_told_so() {
    let server = start();
    for (credentials, may) in [(BEARER.to_string(), true), (cookie(&server), true), ("X: y".into(), false)] {
        let mut wire = Wire::request(&server, "GET", "/ws", &[&HANDSHAKE[..], &[&credentials]].concat());
        assert_eq!(wire.head().status, 101);
        wire.send(masked(Opcode::Text, b"hello"));
        match may {
            true => assert_eq!(frame(&mut wire).0, Opcode::Text, "the event comes back"),
            false => assert_eq!(close_frame(&mut wire), (1008, "publishing takes the presenter's token".into())),
        }
    }
    assert_eq!(server.feed().head(), Cursor(2));
}

#[test]
fn wrong_tokens_wait_so_many_at_once_and_slow_nobody_else() {
    const SENT: usize = 40;
    const DELAYED: usize = 32;
    let server = start();
    let guess = |index| {
        let target = ["/publish", "/presenter", "/control"][index % 3];
        let wrong = format!("Authorization: Bearer {:016}", index);
        Wire::request(&server, "POST", target, &["Content-Length: 0", &wrong])
    };
    let mut guesses: Vec<Wire> = (0..SENT).map(guess).collect();
    // Served beside them, on the same thread.
    assert_eq!(post(&server, "/publish", &[BEARER]).0.status, 202);
    assert_eq!(get(&server, "/healthz").0.status, 200);
    let answers: Vec<_> = guesses.iter_mut().map(|wire| wire.answer()).collect();
    let of = |status: u16| answers.iter().filter(|(head, _)| head.status == status).collect::<Vec<_>>();
    assert_eq!((of(403).len(), of(429).len()), (DELAYED, SENT - DELAYED));
    assert!(of(403).iter().all(|(_, body)| body == "this is not the presenter's token\n"));
    assert!(of(429).iter().all(|(head, _)| head.header("retry-after") == Some("1")));
    assert_eq!(load(&server).tokens_refused, SENT as u64);
    assert_eq!(server.feed().head(), Cursor(1));
}

#[test]
fn the_links_for_the_presenter_bear_the_token_where_no_browser_sends_it() {
    let server = start();
    let url = format!("http://{}", server.addresses().http);
    assert_eq!(server.url(), url);
    assert_eq!(server.presenter_page(&url, ""), format!("{url}/presenter#token={TOKEN}"));
    assert_eq!(server.presenter_page(&url, "?lang=ko"), format!("{url}/presenter?lang=ko#token={TOKEN}"));
    assert_eq!(server.presenter_slides(&url), format!("{url}/presenter?to=slides#token={TOKEN}"));
    let (head, page) = get(&server, "/presenter");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.contains("/page/presenter.js") && !page.contains(TOKEN));
    assert_eq!(get(&server, "/presenter?lang=ko").0.status, 200, "its parameters are the page's");
    // Where all may publish, there is nothing to bear.
    let open = Server::start(&options(1)).unwrap();
    assert_eq!([open.presenter_page("", ""), open.presenter_slides("")], ["/", "/slides"]);
    let (head, _) = post(&open, "/presenter", &[]);
    assert_eq!((head.status, head.header("set-cookie")), (204, None));
}

#[test]
fn the_lines_to_paste_name_an_address_that_others_reach_and_only_the_printed_ones_the_token() {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let options = Options { listen: everywhere, tcp_listen: everywhere, ..options(1) };
    let server = Server::start(&Options { token: Some(TOKEN.into()), ..options }).unwrap();
    let (_, public) = get(&server, "/");
    let printed = server.index();
    for (text, token) in [(&public, "TOKEN"), (&printed, TOKEN)] {
        assert!(!text.contains("0.0.0.0"), "{text}");
        let line = format!("curl -H 'Authorization: Bearer {token}' -d 'hello' {}/publish\n", server.url());
        assert!(text.contains(&line), "{text}");
    }
    assert!(!public.contains(TOKEN));
    assert!(!server.presenter_page(&server.url(), "").contains("0.0.0.0"));
}
