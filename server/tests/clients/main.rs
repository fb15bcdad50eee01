//! The server through the client libraries of others: socket.io-client, python-socketio, sockjs-client, stompjs, ws, mcp and aioquic. `install`
//! installs them.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use server::{Options, Server};

/// The folder into which `install` installs the libraries.
fn libraries() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients")
}

/// Runs a script of this folder against a new server, with the interpreter `program`. Without the `library` that it needs, prints that it was
/// skipped; with `CI=true` in the environment, fails.
fn run(program: &Path, library: &Path, script: &str, tls: bool) {
    if !library.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs {}", library.display());
        // Written directly, since the test harness captures what `eprintln!` prints.
        let _ = writeln!(std::io::stderr(), "skipped: {script} needs server/tests/clients/install to be run first");
        return;
    }
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, tls_self_signed: tls, ..Options::default() };
    let server = Server::start(&options).unwrap();
    let output = Command::new("timeout")
        .arg("60")
        .arg(program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script))
        .arg(server.addresses().http_url())
        .env("NODE_PATH", libraries().join("node_modules"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn run_with_node(script: &str, package: &str, tls: bool) {
    run(Path::new("node"), &libraries().join("node_modules").join(package), script, tls);
}

#[test]
fn node_can_poll_stream_and_open_websockets_over_http2_and_with_compression() {
    run_with_node("http2.cjs", "ws", true);
}

#[test]
fn the_client_of_socket_io_can_use_every_feature() {
    run_with_node("socket_io.cjs", "socket.io-client", false);
}

#[test]
fn the_client_of_sockjs_can_use_every_transport_that_runs_outside_of_a_browser() {
    run_with_node("sockjs.cjs", "sockjs-client", false);
}

#[test]
fn stompjs_can_subscribe_and_publish_and_learns_of_errors() {
    run_with_node("stomp.cjs", "@stomp/stompjs", false);
}

#[test]
fn python_socketio_can_use_every_feature() {
    let python = libraries().join("python/bin/python");
    run(&python, &python, "socket_io.py", false);
}

#[test]
fn the_client_of_the_model_context_protocol_can_call_the_tool() {
    let python = libraries().join("python/bin/python");
    run(&python, &python, "mcp_client.py", false);
}

#[test]
fn aioquic_can_open_webtransport_sessions_and_learns_why_one_is_refused() {
    let python = libraries().join("python/bin/python");
    run(&python, &python, "webtransport.py", false);
}
