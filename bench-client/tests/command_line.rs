//! The command line, as a person meets it: a short comparison with its files, and wrong input of every kind.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment};
use protocol::run::Run;

fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench-client")).args(arguments).output().unwrap()
}

/// A directory for one test, empty.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The one line on stderr of a command that must fail.
fn complaint(arguments: &[&str]) -> String {
    let output = lab(arguments);
    assert!(!output.status.success(), "{arguments:?} should have failed");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

#[test]
fn a_short_comparison_measures_every_transport_and_leaves_a_whole_report() {
    let out = scratch("short").join("new");
    let output = lab(&[
        "--rounds=1",
        "--duration=300ms",
        "--subscribers=3",
        "--rate=100",
        "--poll-interval=20ms",
        "--out",
        out.to_str().unwrap(),
    ]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let run: Run = reports::read(&out.join("run.json")).unwrap();
    let run = run.comparison().unwrap();
    assert_eq!(run.rounds.len(), protocol::Transport::ALL.len());
    for round in &run.rounds {
        assert_eq!(round.failures, [""; 0], "{}", round.transport);
        assert_eq!((round.sent, round.delivered), (30, 90), "{}", round.transport);
        assert_eq!(round.schedule_hash, run.rounds[0].schedule_hash, "every transport saw the same schedule");
        assert_eq!(round.ledger.unexplained_bytes(), 0, "{}", round.transport);
        assert_eq!(round.naive_latency_ns.count(), 90, "{}", round.transport);
        assert!(round.server.cpu_ns > 0 && round.client.cpu_ns > 0);
        assert!(stdout.contains(round.transport.label()), "{stdout}");
    }
    // What the server counted is what the subscribers sent: one request each for a stream, one accept each for all.
    for round in &run.rounds {
        assert_eq!(round.ledger.connections, 3, "{}", round.transport);
        assert_eq!(round.server.accepts, 0, "{}: nobody connects in the window", round.transport);
    }
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    for outside in ["src=\"http", "href=\"http", "@import", "url("] {
        assert!(!page.contains(outside), "the page must need nothing from outside: {outside}");
    }
    assert_eq!(fs::read_dir(out.join("charts")).unwrap().count(), 6);
    assert_eq!(fs::read_to_string(out.join("summary.csv")).unwrap().lines().count(), 7);
}

/// What a command left in its directory, which must have succeeded.
fn experiments(name: &str, arguments: &[&str]) -> (PathBuf, Vec<Experiment>) {
    let out = scratch(name);
    let output = lab(&[arguments, &["--out", out.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = reports::read(&out.join("run.json")).unwrap();
    (out, run.experiments().cloned().collect())
}

#[test]
fn a_sweep_has_a_point_for_each_value_and_draws_its_lines_over_them() {
    let (out, found) = experiments(
        "sweep",
        &[
            "sweep",
            "--over=rate=200,100",
            "--transports=polling,websocket",
            "--rounds=1",
            "--duration=300ms",
            "--subscribers=50",
            "--poll-interval=20ms",
        ],
    );
    let [sweep] = &found[..] else { panic!("one experiment") };
    let sent: Vec<u64> = sweep.rounds.iter().map(|point| point.rounds[0].sent).collect();
    assert_eq!(sent, [30, 60]);
    assert!(sweep.rounds.iter().flat_map(|point| &point.rounds).all(|round| round.is_sound()));
    for drawing in &sweep.drawings {
        let Drawing::Lines(lines) = drawing else { panic!("lines over a factor") };
        let measured: Vec<_> = lines.lines.iter().filter(|line| !line.theory).collect();
        assert_eq!(measured.len(), 2, "{}", lines.name);
        assert!(measured.iter().all(|line| line.points.len() == 2), "{}", lines.name);
        assert!(out.join(format!("charts/{}.svg", lines.name)).exists());
    }
    let polling: Vec<_> = sweep.tables[0].rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(polling, ["Polling"; 2], "theory for long polling needs events at any time");
}

#[test]
fn every_trial_of_handshake_and_frames_goes_as_the_standard_has_it() {
    let (_, found) = experiments("trials", &["experiment", "handshake,frames"]);
    for experiment in &found {
        assert_eq!(experiment.doubts, [""; 0], "{}", experiment.name);
    }
    assert_eq!(found.iter().map(|experiment| experiment.verdicts.len()).collect::<Vec<_>>(), [6, 7]);
}

#[test]
fn a_ladder_shows_what_each_transport_sends_for_three_events() {
    let (_, found) = experiments("ladder", &["experiment", "ladder"]);
    let crossings = |transport: Transport| {
        let ladders = found[0].drawings.iter().map(|drawing| match drawing {
            Drawing::Ladder(ladder) => ladder,
            _ => panic!("ladders only"),
        });
        let ladder = ladders.into_iter().find(|ladder| ladder.transport == transport).unwrap();
        assert_eq!((ladder.published_ms.len(), ladder.delivered_ms.len()), (3, 3), "{transport}");
        ladder.crossings.iter().map(|crossing| (crossing.up, crossing.label.clone())).collect::<Vec<_>>()
    };
    let up = |label: &str| (true, label.to_string());
    let down = |label: &str| (false, label.to_string());
    let opening = [up("TCP opens"), down("opened")];
    let event = |label: &str| vec![down(label); 3];
    assert_eq!(
        crossings(Transport::WebSocket),
        [&opening[..], &[up("GET /ws"), down("101")], &event("frame, 1 event")].concat()
    );
    assert_eq!(crossings(Transport::Tcp), [&opening[..], &[up("SUB")], &event("line, 1 event")].concat());
    // Each answer is followed by the next request.
    let asked = crossings(Transport::LongPolling).iter().filter(|crossing| crossing.0).count();
    assert_eq!(asked, 1 + 1 + 3);
}

#[test]
fn wrong_options_are_answered_with_what_would_be_right() {
    for (arguments, right) in [
        (&["--transports=telegraph"][..], "there are polling, long_polling, ndjson, sse, websocket, tcp"),
        (&["--subscribers=0"], "1..=50000"),
        (&["--rate=fast"], "a number of events a second"),
        (&["--rate=0"], "nothing to measure at 0"),
        (&["--rate", "-1"], "a number of events a second"),
        (&["--payload=70000"], "from 0 to 65536"),
        (&["--poll-interval=250"], "like 250ms or 2s"),
        (&["--headers=none"], "lean or browser"),
        (&["--network=pigeon"], "a network is one of loopback, lan"),
        (&["--network=delay=9s"], "no time up to 500 ms"),
        (&["--schedule=daily"], "periodic or poisson"),
        (&["--url=ftp://x"], "http://HOST:PORT"),
        (&["--url=http://127.0.0.1:1", "--rate=5"], "cannot be used with"),
        (&["sweep"], "--over"),
        (&["sweep", "--over=speed=1,2"], "factors are subscribers, rate, payload, poll-interval, delay"),
        (&["sweep", "--over=rate=1,2", "--url=http://127.0.0.1:1"], "takes no --url"),
        (&["experiment", "telepathy"], "there are ladder, idle"),
        (&["serve", "--listen=nowhere"], "invalid socket address"),
        (&["serve", "--threads=0"], "from 1 to 256"),
        (&["dance"], "dance"),
    ] {
        let said = complaint(arguments);
        assert!(said.contains(right), "{arguments:?} should be answered with '{right}', not:\n{said}");
    }
}

#[test]
fn client_processes_share_the_subscribers_and_lose_nothing_between_them() {
    let out = scratch("processes");
    let output = lab(&[
        "--processes=3",
        "--rounds=1",
        "--duration=300ms",
        "--subscribers=7",
        "--rate=100",
        "--poll-interval=20ms",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run: Run = reports::read(&out.join("run.json")).unwrap();
    for round in &run.comparison().unwrap().rounds {
        assert_eq!(round.failures, [""; 0], "{}", round.transport);
        assert_eq!((round.sent, round.delivered, round.ledger.connections), (30, 210, 7), "{}", round.transport);
        assert_eq!((round.latency_ns.count(), round.naive_latency_ns.count()), (210, 210), "{}", round.transport);
    }
}

#[test]
fn an_unreachable_url_ends_in_one_line() {
    // A port that was free a moment ago, and that nobody listens on.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let out = scratch("unreachable");
    let said = complaint(&["--url", &format!("http://127.0.0.1:{port}"), "--out", out.to_str().unwrap()]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!("cannot reach a server at http://127.0.0.1:{port}")), "{said}");
}

#[test]
fn an_unwritable_directory_is_found_before_anything_is_measured() {
    let file = scratch("unwritable").join("file");
    fs::write(&file, "in the way").unwrap();
    let said = complaint(&["--out", file.join("report").to_str().unwrap()]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("--out") && said.contains("cannot make the directory"), "{said}");
}

#[test]
fn an_occupied_port_ends_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--tcp-listen"] {
        let other = if option == "--listen" { "--tcp-listen" } else { "--listen" };
        let said = complaint(&["serve", option, &address, other, "127.0.0.1:0"]);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&format!("cannot listen on {address}; another {option} may do")), "{said}");
    }
}
