//! The command line, as a person meets it: a short comparison with its files, and wrong input of every kind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

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
    assert_eq!(fs::read_dir(out.join("charts")).unwrap().count(), 5);
    assert_eq!(fs::read_to_string(out.join("summary.csv")).unwrap().lines().count(), 7);
    let wide: Vec<_> = stdout.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.iter().all(|line| line.starts_with("Report: ")), "wider than a terminal: {wide:?}");
    // Progress is no result.
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("1/6") && !stdout.contains("1/6"), "{stderr}");
}

#[test]
fn several_loads_are_compared_each_by_itself_and_set_side_by_side() {
    let out = scratch("loads");
    let output = lab(&[
        "--rounds=1",
        "--duration=300ms",
        "--subscribers=20,3",
        "--transports=polling,websocket",
        "--rate=100",
        "--poll-interval=20ms",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run: Run = reports::read(&out.join("run.json")).unwrap();
    let loads: Vec<_> = run.comparisons().map(|found| (found.scenario.subscribers, found.rounds.len())).collect();
    assert_eq!(loads, [(3, 2), (20, 2)]);
    for chart in ["latency-cdf", "latency-cdf-20", "server-cpu-by-load"] {
        assert!(out.join(format!("charts/{chart}.svg")).exists(), "{chart}");
    }
    assert!(fs::read_to_string(out.join("index.html")).unwrap().contains("An idle server and a busy one"));
    assert_eq!(fs::read_to_string(out.join("summary.csv")).unwrap().lines().count(), 1 + 4);
}

#[test]
fn a_second_report_in_the_same_place_leaves_the_first_one_whole() {
    let out = scratch("twice");
    let run = |transports: &str| {
        let arguments = ["--rounds=1", "--duration=200ms", "--subscribers=2", "--rate=50", transports, "--out"];
        lab(&[&arguments[..], &[out.to_str().unwrap()]].concat())
    };
    assert!(run("--transports=websocket").status.success());
    let first = fs::read(out.join("run.json")).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let said = String::from_utf8(run("--transports=tcp").stderr).unwrap();
    assert!(said.contains("earlier/1"), "{said}");
    assert_eq!(fs::read(out.join("earlier/1/run.json")).unwrap(), first);
    assert!(out.join("earlier/1/charts").is_dir() && out.join("earlier/1/summary.csv").exists());
    assert!(out.join("notes.txt").exists(), "what is not the report's stays");
    assert_ne!(fs::read(out.join("run.json")).unwrap(), first);
}

#[test]
fn ctrl_c_leaves_what_had_been_finished_as_a_report_that_says_so_or_nothing_at_all() {
    let interrupted = |out: &Path, after: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-client"))
            .args([
                "--rounds=50",
                "--duration=300ms",
                "--subscribers=2",
                "--rate=50",
                "--transports=websocket",
                "--out",
            ])
            .arg(out)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        if !after.is_empty() {
            assert!(lines.any(|line| line.contains(after)));
        } else {
            std::thread::sleep(Duration::from_millis(200));
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let said = lines.last().unwrap_or_default();
        (child.wait().unwrap().code(), said)
    };
    let out = scratch("interrupted").join("new");
    let (code, said) = interrupted(&out, "2/50");
    assert_eq!(code, Some(130), "{said}");
    assert!(
        said.starts_with("bench-client: what had been finished is in ") && said.ends_with(": interrupted by Ctrl-C"),
        "{said}"
    );
    let run = reports::read(&out.join("run.json")).unwrap();
    assert!(run.interrupted && (2..50).contains(&run.comparison().unwrap().rounds.len()));
    assert!(fs::read_to_string(out.join("index.html")).unwrap().contains("This run was interrupted"));

    let none = scratch("interrupted-at-once").join("new");
    let (code, said) = interrupted(&none, "");
    assert_eq!(code, Some(130), "{said}");
    assert!(!none.exists(), "no empty directory is left");
}

#[test]
fn experiments_are_listed_where_none_is_named() {
    let stdout = String::from_utf8(lab(&["experiment"]).stdout).unwrap();
    assert!(stdout.lines().count() > 10 && stdout.contains("handshake"), "{stdout}");
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
    let (out, found) = experiments("trials", &["experiment", "handshake,frames"]);
    for experiment in &found {
        assert_eq!(experiment.doubts, [""; 0], "{}", experiment.name);
    }
    assert_eq!(found.iter().map(|experiment| experiment.verdicts.len()).collect::<Vec<_>>(), [6, 7]);
    for table in ["handshake-1", "frames-1"] {
        assert!(out.join(format!("tables/{table}.csv")).exists(), "{table}");
    }
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
        (&["--network=delay=9"], "'9' lacks its unit: write 9ms"),
        (&["--network=delay=9s"], "not a time from 0ms to 500ms"),
        (&["--schedule=daily"], "periodic or poisson"),
        (&["--url=ftp://x"], "http://HOST:PORT"),
        (&["--url=http://127.0.0.1:1", "--rate=5"], "cannot be used with"),
        (&["sweep"], "--over"),
        (&["sweep", "--over=speed=1,2"], "factors are subscribers, rate, payload, poll-interval, delay"),
        (&["sweep", "--over=rate=1,2", "--url=http://127.0.0.1:1"], "takes no --url"),
        (&["experiment", "telepathy"], "what goes over the wire, and when"),
        (&["serve", "--listen=nowhere"], "invalid socket address"),
        (&["serve", "--threads=0"], "from 1 to 256"),
        (&["dance"], "dance"),
    ] {
        let said = complaint(arguments);
        assert!(!Path::new("lab-report").exists(), "{arguments:?} left a directory");
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

/// Starts the program.
fn started(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-client"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn output_that_nobody_reads_ends_the_program_in_silence() {
    let mut demo = started(&["demo", "--no-browser", "--listen=127.0.0.1:0", "--tcp-listen=127.0.0.1:0"]);
    drop(demo.stdout.take());
    let output = demo.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn an_error_that_nobody_reads_is_an_error_all_the_same() {
    // An address for documentation (RFC 5737), which no machine has.
    let mut server = started(&["serve", "--listen=192.0.2.1:0"]);
    drop(server.stderr.take());
    assert_eq!(server.wait().unwrap().code(), Some(1));
}
