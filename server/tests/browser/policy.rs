//! The content security policy of the pages: a browser runs the server's own scripts only, and no other origin can frame the pages.

use std::net::SocketAddr;

use serde_json::json;
use server::{Options, Server};

use crate::driver::Browser;
use crate::foreign;

fn server() -> Server {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }).unwrap()
}

#[test]
fn an_injected_script_does_not_run() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    for path in ["/?lang=en", "/presenter", "/slides/en.html", "/learn/index.html"] {
        browser.open(&format!("{}{path}", server.url()));
        let ran = browser.run(
            "const script = document.createElement('script');
             script.textContent = 'window.injected = true';
             document.head.append(script);
             done(window.injected ?? false);",
        );
        assert_eq!(ran, json!(false), "{path}");
        let errors = browser.console_errors();
        assert!(errors.iter().any(|error| error.contains("Content Security Policy")), "{path}: {errors:?}");
    }
}

#[test]
fn a_page_of_another_origin_can_frame_neither_the_live_page_nor_the_slides() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    let foreign = foreign::page();
    for path in ["/?lang=en", "/presenter", "/slides/en.html", "/learn/index.html", "/load"] {
        browser.open(&format!("http://{foreign}/"));
        browser.run(&format!(
            "const frame = document.createElement('iframe');
             frame.onload = () => done(true);
             frame.src = '{}{path}';
             document.body.append(frame);",
            server.url()
        ));
        let errors = browser.console_errors();
        assert!(errors.iter().any(|error| error.contains("frame-ancestors")), "{path}: {errors:?}");
    }
}
