//! Servers of another kind, measured by their target files: the ready ones, as far as their programs are here, and faulty ones.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use protocol::run::Run;
use reports::judge::failures;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("targets")
}

/// The packages that `server/tests/clients/install` has installed.
fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/node_modules")
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// An empty directory for one test.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn target(arguments: &[&str], out: &Path) -> Output {
    let short = ["--rounds=1", "--duration=500ms", "--subscribers=5", "--rate=50"];
    Command::new(env!("CARGO_BIN_EXE_bench-client"))
        .arg("target")
        .args(arguments)
        .args(short)
        .arg("--out")
        .arg(out)
        .env("NODE_PATH", packages())
        .output()
        .unwrap()
}

/// Skips what is not installed; under `CI`, its absence is a failure.
fn or_skipped(name: &str, is_here: bool) -> bool {
    if !is_here {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
        eprintln!("skipped: {name} is not installed");
    }
    is_here
}

#[test]
fn the_ready_targets_are_measured_beside_this_lab_in_one_run() {
    let node = is_installed("node");
    let ready = [
        ("node-sse", node),
        ("node-ws", node && packages().join("ws").exists()),
        ("socket-io", node && packages().join("socket.io").exists()),
        ("nchan", Path::new("/usr/lib/nginx/modules/ngx_nchan_module.so").exists()),
    ];
    let here: Vec<&str> =
        ready.into_iter().filter(|(name, is_here)| or_skipped(name, *is_here)).map(|of| of.0).collect();
    if here.is_empty() {
        return;
    }
    let files: Vec<String> =
        here.iter().map(|name| folder().join(name).join("target.toml").display().to_string()).collect();
    let out = scratch("ready");
    let output = target(&files.iter().map(String::as_str).collect::<Vec<_>>(), &out);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let run: Run = reports::read(&out.join("run.json")).unwrap();
    assert_eq!(run.comparisons().count(), here.len() + 1);
    for comparison in run.comparisons() {
        let name = comparison.scenario.target.as_deref().unwrap_or("this lab");
        assert!(stdout.contains(name), "{stdout}");
        for round in &comparison.rounds {
            assert_eq!(failures(round), [], "{name}, {}", round.transport);
            assert_eq!((round.sent, round.delivered), (25, 125), "{name}, {}", round.transport);
            assert!(round.server.cpu_ns > 0 && round.server.resident_before_bytes > 1 << 20, "{name}");
        }
    }
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("Several servers") && page.contains("the comparison with 5 subscribers"));
}

#[test]
fn a_target_without_its_server_or_with_a_fault_is_an_error_in_one_line() {
    let out = scratch("faulty");
    let error = |text: &str| {
        let file = out.join("target.toml");
        fs::write(&file, text).unwrap();
        let output = target(&[file.to_str().unwrap(), "--alone"], &out.join("report"));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(!stderr.contains("panicked") && stderr.lines().count() <= 2, "{stderr}");
        stderr
    };
    let of = |url: &str| {
        format!("name = \"x\"\nurl = \"{url}\"\n[publish]\npath = \"/p\"\n[transports.sse]\npath = \"/e\"\n")
    };
    assert!(error("name = 1\n").contains("target.toml:1: invalid type"));
    assert!(error(&of("http://127.0.0.1:1")).contains("cannot reach the server at 127.0.0.1:1"));
    let absent = of("http://127.0.0.1:{port}") + "\n";
    let absent = absent.replacen("[publish]", "command = [\"./nothing\"]\n[publish]", 1);
    assert!(error(&absent).contains("cannot start x: ./nothing"));
    let ends = absent.replace("./nothing", "false");
    assert!(error(&ends).contains("x ended at its start"));
    // A server that does not accept what is published.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
                }
            });
        }
    });
    assert!(error(&of(&format!("http://127.0.0.1:{port}"))).contains("publishing has failed: status 500"));
}
