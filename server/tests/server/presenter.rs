//! The presenter: the token and the cookie with which a request may publish, responses to wrong tokens, and the printed links.

use std::net::{Ipv4Addr, SocketAddr};

use protocol::Cursor;
use protocol::envelope::websocket::Opcode;
use server::{Options, Server};

use crate::support::figures::load;
use crate::support::frames::{HANDSHAKE, close_frame, frame, masked};
use crate::support::{Response, Wire, get, options};

const TOKEN: &str = "abcdefgh12345678";
const BEARER: &str = "Authorization: Bearer abcdefgh12345678";

fn start() -> Server {
    Server::start(&Options { token: Some(TOKEN.into()), ..options(100) }).unwrap()
}

fn post(server: &Server, target: &str, headers: &[&str]) -> (Response, String) {
    Wire::request(server, "POST", target, &[&["Content-Length: 0"], headers].concat()).response()
}

/// Exchanges the token for the cookie, and returns a request header with it.
fn cookie(server: &Server) -> String {
    let (response, _) = post(server, "/presenter", &[BEARER]);
    let cookie = response.header("set-cookie").expect("no cookie").split(';').next().unwrap();
    format!("Cookie: theme=dark; {cookie}")
}

#[test]
fn the_token_is_accepted_in_a_header_and_exchanged_for_a_cookie_but_not_accepted_in_the_url() {
    let server = start();
    for target in ["/publish", "/control", "/presenter"] {
        let (response, body) = post(&server, target, &[]);
        assert_eq!((response.status, body.as_str()), (403, "this requires the presenter's token\n"), "{target}");
        assert_eq!(response.header("set-cookie"), None);
        let (response, _) = post(&server, &format!("{target}?token={TOKEN}"), &[BEARER]);
        assert_eq!((response.status, response.header("set-cookie")), (400, None), "{target} has no parameter token");
    }
    for target in ["/ws", "/watch"] {
        let (response, _) = Wire::request(&server, "GET", &format!("{target}?token={TOKEN}"), &HANDSHAKE).response();
        assert_eq!(response.status, 400, "{target}");
    }
    assert_eq!(server.feed().head(), Cursor(0));
    assert_eq!(post(&server, "/publish", &[BEARER]).0.status, 202);

    let (response, body) = post(&server, "/presenter", &[BEARER]);
    assert_eq!((response.status, body.as_str()), (204, ""));
    let set = response.header("set-cookie").unwrap();
    let port = server.addresses().http.port();
    assert!(set.starts_with(&format!("lab-presenter-{port}=")) && !set.contains(TOKEN), "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{set}");
    let cookie = cookie(&server);
    assert_eq!(post(&server, "/publish", &[&cookie]).0.status, 202);
    assert_eq!(post(&server, "/control", &[&cookie]).0.status, 400, "an empty body is not JSON");
    assert_eq!(post(&server, "/publish", &[&cookie, "Origin: http://evil.example"]).0.status, 403);
    assert_eq!(post(&server, "/publish", &[&cookie, "Origin: http://127.0.0.1:9"]).0.status, 403, "the same site");
    // A request with the cookie of an earlier server is a viewer's, and its response is not delayed.
    let old = format!("Cookie: lab-presenter-{port}=0123456789abcdef0123456789abcdef");
    assert_eq!(post(&server, "/publish", &[&old]).1, "this requires the presenter's token\n");
    assert_eq!(server.feed().head(), Cursor(2));
    assert_eq!(load(&server).tokens_refused, 0);
}

#[test]
fn over_a_websocket_only_the_presenter_may_publish() {
    let server = start();
    for (credentials, may) in [(BEARER.to_string(), true), (cookie(&server), true), ("X: y".into(), false)] {
        let mut wire = Wire::request(&server, "GET", "/ws", &[&HANDSHAKE[..], &[&credentials]].concat());
        assert_eq!(wire.headers().status, 101);
        wire.send(masked(Opcode::Text, b"hello"));
        match may {
            true => assert_eq!(frame(&mut wire).0, Opcode::Text, "the event is delivered to its publisher too"),
            false => assert_eq!(close_frame(&mut wire), (1008, "publishing requires the presenter's token".into())),
        }
    }
    assert_eq!(server.feed().head(), Cursor(2));
}

#[test]
fn responses_to_wrong_tokens_are_delayed_without_delaying_other_requests() {
    const SENT: usize = 40;
    const DELAYED: usize = 32;
    let server = start();
    let guess = |index| {
        let target = ["/publish", "/presenter", "/control"][index % 3];
        let wrong = format!("Authorization: Bearer {:016}", index);
        Wire::request(&server, "POST", target, &["Content-Length: 0", &wrong])
    };
    let mut guesses: Vec<Wire> = (0..SENT).map(guess).collect();
    // These are served by the same thread, while the responses to the guesses are delayed.
    assert_eq!(post(&server, "/publish", &[BEARER]).0.status, 202);
    assert_eq!(get(&server, "/healthz").0.status, 200);
    let responses: Vec<_> = guesses.iter_mut().map(|wire| wire.response()).collect();
    let with = |status: u16| responses.iter().filter(|(response, _)| response.status == status).collect::<Vec<_>>();
    assert_eq!((with(403).len(), with(429).len()), (DELAYED, SENT - DELAYED));
    assert!(with(403).iter().all(|(_, body)| body == "this is not the presenter's token\n"));
    assert!(with(429).iter().all(|(response, _)| response.header("retry-after") == Some("1")));
    assert_eq!(load(&server).tokens_refused, SENT as u64);
    assert_eq!(server.feed().head(), Cursor(1));
}

#[test]
fn the_presenter_s_links_contain_the_token_in_their_fragment() {
    let server = start();
    let url = format!("http://{}", server.addresses().http);
    assert_eq!(server.url(), url);
    assert_eq!(server.presenter_page(&url, ""), format!("{url}/presenter#token={TOKEN}"));
    assert_eq!(server.presenter_page(&url, "?lang=ko"), format!("{url}/presenter?lang=ko#token={TOKEN}"));
    assert_eq!(server.presenter_slides(&url), format!("{url}/presenter?to=slides#token={TOKEN}"));
    let (response, page) = get(&server, "/presenter");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.contains("/page/presenter.js") && !page.contains(TOKEN));
    assert_eq!(get(&server, "/presenter?lang=ko").0.status, 200, "the parameters are for the page's script");
    // If no token is required, the links contain none.
    let open = Server::start(&options(1)).unwrap();
    assert_eq!([open.presenter_page("", ""), open.presenter_slides("")], ["/", "/slides"]);
    let (response, _) = post(&open, "/presenter", &[]);
    assert_eq!((response.status, response.header("set-cookie")), (204, None));
}

#[test]
fn the_index_has_a_reachable_address_and_shows_the_token_only_when_it_is_printed() {
    let all_addresses = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let options = Options { listen: all_addresses, tcp_listen: all_addresses, ..options(1) };
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
