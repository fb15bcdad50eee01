//! The WebSocket of `/echo` against kosoku, a suite of conformance tests by others that follows Autobahn's. `tests/clients/install` installs it.
//!
//! In sections 12 and 13, on compression, each case sends a thousand messages, up to 128 KiB long. The shortest of them are run here; with
//! `CONFORMANCE=all` in the environment, all of them are, which takes a quarter of an hour.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};
use server::{Options, Server};

/// The results that are right: as required, as recommended by the standard where it leaves a choice, and without a required result.
const RIGHT: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

#[test]
fn the_echo_passes_every_case_of_the_conformance_suite() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/python/bin/kosoku");
    if !suite.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs {}", suite.display());
        // Written directly, since the test harness captures what `eprintln!` prints.
        let _ = writeln!(std::io::stderr(), "skipped: the conformance suite needs server/tests/clients/install");
        return;
    }
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() };
    let server = Server::start(&options).unwrap();
    let reports = std::env::temp_dir().join(format!("transport-lab-conformance-{}", std::process::id()));
    let mut cases: Vec<String> = vec!["*".into()];
    if std::env::var("CONFORMANCE").as_deref() != Ok("all") {
        cases = ["1", "2", "3", "4", "5", "6", "7", "9.1", "9.2", "10"].map(|section| format!("{section}.*")).to_vec();
        for (section, parts) in [(12, 5), (13, 7)] {
            cases.extend((1..=parts).flat_map(|part| [1, 2, 3].map(|case| format!("{section}.{part}.{case}"))));
        }
    }
    let output = Command::new(&suite)
        .args(cases.iter().flat_map(|cases| ["--include", cases]))
        .args(["--mode", "fuzzingclient", "--parallelism", "4", "--outdir"])
        .arg(&reports)
        .arg(format!("ws://{}/echo", server.addresses().http))
        .output()
        .unwrap();
    let index = std::fs::read_to_string(reports.join("index.json")).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let _ = std::fs::remove_dir_all(&reports);
    let agents: Map<String, Value> = serde_json::from_str(&index).unwrap();
    let cases = agents.values().next().and_then(Value::as_object).expect("one server was tested");
    assert!(cases.len() > 250, "only {} cases were run", cases.len());
    let of = |case: &Value, field: &str| case[field].as_str().unwrap_or_default().to_string();
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(_, case)| !RIGHT.contains(&&*of(case, "behavior")) || !RIGHT.contains(&&*of(case, "behaviorClose")))
        .map(|(name, case)| format!("{name}: {}, {}", of(case, "behavior"), of(case, "behaviorClose")))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases: {}", wrong.len(), cases.len(), wrong.join("; "));
}
