//! Tests of the command line: a short comparison and its files, interruption, experiments, and invalid input of every kind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment};
use protocol::run::Run;
use reports::judge::{failures, is_sound};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench-client")).args(arguments).output().unwrap()
}

/// An empty directory for one test.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The standard error of a command that must fail.
fn error(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} should have failed");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

#[test]
fn over_a_network_that_loses_packets_only_datagrams_lose_events() {
    let out = scratch("loss");
    let output = run(&[
        "--rounds=1",
        "--duration=1s",
        "--subscribers=3",
        "--rate=100",
        "--transports=websocket,webtransport-streams,webtransport-datagrams",
        "--network=delay=2ms,loss=5%",
        "--out",
        out.to_str().unwrap(),
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("losing packets needs Linux") {
        // A machine that forbids this at all is not a fault of the lab's.
        eprintln!("skipped: {stderr}");
        return;
    }
    assert!(output.status.success(), "{stderr}");
    let run: Run = reports::read(&out.join("run.json")).unwrap();
    for round in &run.comparison().unwrap().rounds {
        assert_eq!(failures(round), [], "{}", round.transport);
        let lost = round.packets.unwrap().down.lost;
        assert!(lost > 0, "{}", round.transport);
        let missing = 300 - round.delivered;
        match round.transport.carrier().is_reliable() {
            true => assert_eq!(missing, 0, "{}", round.transport),
            false => assert!((1..=lost).contains(&missing), "{missing} of {lost}"),
        }
    }
}

#[test]
fn a_short_comparison_measures_every_transport_and_writes_a_complete_report() {
    let out = scratch("short").join("new");
    let output = run(&[
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
    assert_eq!(run.rounds.len(), protocol::Transport::today().len());
    for round in &run.rounds {
        assert_eq!(failures(round), [], "{}", round.transport);
        assert_eq!((round.sent, round.delivered), (30, 90), "{}", round.transport);
        assert_eq!(round.schedule_hash, run.rounds[0].schedule_hash, "every transport has the same schedule");
        assert_eq!(round.ledger.unexplained_bytes(), 0, "{}", round.transport);
        assert_eq!(round.naive_latency_ns.count(), 90, "{}", round.transport);
        assert!(round.server.cpu_ns > 0 && round.client.cpu_ns > 0);
        assert!(stdout.contains(round.transport.label()), "{stdout}");
    }
    // One connection for each subscriber, which was made before the window.
    for round in &run.rounds {
        assert_eq!(round.ledger.connections, 3, "{}", round.transport);
        assert_eq!(round.server.accepts, 0, "{}: no connection in the window", round.transport);
    }
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    for outside in ["src=\"http", "href=\"http", "@import", "url("] {
        assert!(!page.contains(outside), "the page must not load anything from other files: {outside}");
    }
    assert_eq!(fs::read_dir(out.join("charts")).unwrap().count(), 5);
    assert_eq!(fs::read_to_string(out.join("summary.csv")).unwrap().lines().count(), 7);
    let wide: Vec<_> = stdout.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.iter().all(|line| line.starts_with("Report: ")), "wider than a terminal: {wide:?}");
    // Progress belongs on standard error, not among the results.
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("1/6") && !stdout.contains("1/6"), "{stderr}");
}

#[test]
fn several_loads_have_a_comparison_each_and_are_shown_side_by_side() {
    let out = scratch("loads");
    let output = run(&[
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
fn a_second_report_in_the_same_directory_keeps_the_first_one_complete() {
    let out = scratch("twice");
    let compare = |transports: &str| {
        let arguments = ["--rounds=1", "--duration=200ms", "--subscribers=2", "--rate=50", transports, "--out"];
        run(&[&arguments[..], &[out.to_str().unwrap()]].concat())
    };
    assert!(compare("--transports=websocket").status.success());
    let first = fs::read(out.join("run.json")).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let stderr = String::from_utf8(compare("--transports=tcp").stderr).unwrap();
    assert!(stderr.contains("earlier/1"), "{stderr}");
    assert_eq!(fs::read(out.join("earlier/1/run.json")).unwrap(), first);
    assert!(out.join("earlier/1/charts").is_dir() && out.join("earlier/1/summary.csv").exists());
    assert!(out.join("notes.txt").exists(), "files that do not belong to a report are not moved");
    assert_ne!(fs::read(out.join("run.json")).unwrap(), first);
}

#[test]
fn ctrl_c_writes_a_report_of_the_finished_rounds_if_there_are_any() {
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
        let last_line = lines.last().unwrap_or_default();
        (child.wait().unwrap().code(), last_line)
    };
    let out = scratch("interrupted").join("new");
    let (code, error) = interrupted(&out, "2/50");
    assert_eq!(code, Some(130), "{error}");
    assert!(
        error.starts_with("bench-client: the results so far are in ") && error.ends_with(": interrupted by Ctrl-C"),
        "{error}"
    );
    let run = reports::read(&out.join("run.json")).unwrap();
    assert!(run.interrupted && (2..50).contains(&run.comparison().unwrap().rounds.len()));
    assert!(fs::read_to_string(out.join("index.html")).unwrap().contains("This run was interrupted"));

    let none = scratch("interrupted-at-once").join("new");
    let (code, error) = interrupted(&none, "");
    assert_eq!(code, Some(130), "{error}");
    assert!(!none.exists(), "no empty directory is left");
}

#[test]
fn without_a_name_all_experiments_are_listed() {
    let stdout = String::from_utf8(run(&["experiment"]).stdout).unwrap();
    assert!(stdout.lines().count() > 10 && stdout.contains("handshake"), "{stdout}");
}

/// Runs a command, which must succeed; returns the directory of its report, and the report's experiments.
fn experiments(name: &str, arguments: &[&str]) -> (PathBuf, Vec<Experiment>) {
    let out = scratch(name);
    let output = run(&[arguments, &["--out", out.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = reports::read(&out.join("run.json")).unwrap();
    (out, derived(&run))
}

/// The experiments of a run, each with its rounds.
fn derived(run: &Run) -> Vec<Experiment> {
    let chapters = reports::chapter::of(run).unwrap();
    let with_rounds = |derived: &reports::chapter::Derived| Experiment {
        rounds: derived.rounds.iter().map(|&rounds| rounds.clone()).collect(),
        ..derived.experiment.clone().into_owned()
    };
    reports::chapter::experiments(&chapters).map(with_rounds).collect()
}

#[test]
fn a_sweep_has_a_point_for_each_value_and_draws_lines_through_them() {
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
    assert!(sweep.rounds.iter().flat_map(|point| &point.rounds).all(is_sound));
    for drawing in &sweep.drawings {
        let Drawing::Lines(lines) = drawing else { panic!("lines over a factor") };
        let measured: Vec<_> = lines.lines.iter().filter(|line| !line.theory).collect();
        assert_eq!(measured.len(), 2, "{}", lines.name);
        assert!(measured.iter().all(|line| line.points.len() == 2), "{}", lines.name);
        assert!(out.join(format!("charts/{}.svg", lines.name)).exists());
    }
    let polling: Vec<_> = sweep.tables[0].rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(polling, ["Polling"; 2], "theory for long polling needs events at random times");
}

#[test]
fn every_trial_of_handshake_and_frames_has_the_result_that_the_standard_demands() {
    let (out, found) = experiments("trials", &["experiment", "handshake,frames"]);
    for experiment in &found {
        assert_eq!(experiment.doubts, [""; 0], "{}", experiment.name);
    }
    assert_eq!(found.iter().map(|experiment| experiment.verdicts.len()).collect::<Vec<_>>(), [8, 6]);
    for table in ["handshake-1", "frames-1"] {
        assert!(out.join(format!("tables/{table}.csv")).exists(), "{table}");
    }
}

#[test]
fn a_ladder_shows_what_each_transport_sends_for_three_events() {
    let (_, found) = experiments("ladder", &["experiment", "ladder"]);
    let messages = |transport: Transport| {
        let ladders = found[0].drawings.iter().map(|drawing| match drawing {
            Drawing::Ladder(ladder) => ladder,
            _ => panic!("ladders only"),
        });
        let ladder = ladders.into_iter().find(|ladder| ladder.transport == transport).unwrap();
        assert_eq!((ladder.published_ms.len(), ladder.delivered_ms.len()), (3, 3), "{transport}");
        ladder.messages.iter().map(|message| (message.up, message.label.clone())).collect::<Vec<_>>()
    };
    let up = |label: &str| (true, label.to_string());
    let down = |label: &str| (false, label.to_string());
    let opening = [up("TCP opens"), down("opened")];
    let event = |label: &str| vec![down(label); 3];
    assert_eq!(
        messages(Transport::WebSocket),
        [&opening[..], &[up("GET /ws"), down("101")], &event("frame, 1 event")].concat()
    );
    assert_eq!(messages(Transport::Tcp), [&opening[..], &[up("SUB")], &event("line, 1 event")].concat());
    // Messages of the client: opening the connection, the first request, and a request after each of the three responses.
    let sent = messages(Transport::LongPolling).iter().filter(|message| message.0).count();
    assert_eq!(sent, 1 + 1 + 3);
}

#[test]
fn the_error_of_an_invalid_option_describes_the_valid_values() {
    for (arguments, expected) in [
        (&["--transports=telegraph"][..], "there are polling, polling@h2, long_polling, "),
        (&["--subscribers=0"], "1..=50000"),
        (&["--rate=fast"], "a number of events per second"),
        (&["--rate=0"], "nothing to measure at 0"),
        (&["--rate", "-1"], "a number of events per second"),
        (&["--payload=70000"], "from 0 to 65536"),
        (&["--poll-interval=250"], "like 250ms or 2s"),
        (&["--headers=none"], "lean or browser"),
        (&["--network=pigeon"], "a network is one of loopback, lan"),
        (&["--network=delay=9"], "'9' has no unit; write 9ms"),
        (&["--network=delay=9s"], "not a time from 0ms to 500ms"),
        (&["--schedule=daily"], "periodic or poisson"),
        (&["--url=ftp://x"], "http://HOST:PORT"),
        (&["--url=http://127.0.0.1:1", "--rate=5"], "cannot be used with"),
        (&["sweep"], "--over"),
        (&["sweep", "--over=speed=1,2"], "factors are subscribers, rate, payload, poll-interval, delay"),
        (&["sweep", "--over=rate=1,2", "--url=http://127.0.0.1:1"], "takes no --url"),
        (&["experiment", "telepathy"], "messages on the wire over time"),
        (&["serve", "--listen=nowhere"], "invalid socket address"),
        (&["serve", "--threads=0"], "from 1 to 256"),
        (&["dance"], "dance"),
    ] {
        let error = error(arguments);
        assert!(!Path::new("lab-report").exists(), "{arguments:?} has created a directory");
        assert!(error.contains(expected), "the error of {arguments:?} should contain '{expected}':\n{error}");
    }
}

#[test]
fn several_client_processes_share_the_subscribers_and_lose_no_delivery() {
    let out = scratch("processes");
    let output = run(&[
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
        assert_eq!(failures(round), [], "{}", round.transport);
        assert_eq!((round.sent, round.delivered, round.ledger.connections), (30, 210, 7), "{}", round.transport);
        assert_eq!((round.latency_ns.count(), round.naive_latency_ns.count()), (210, 210), "{}", round.transport);
    }
}

#[test]
fn an_unreachable_url_is_an_error_of_one_line() {
    // A port that was free a moment ago, so that no server listens on it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let out = scratch("unreachable");
    let error = error(&["--url", &format!("http://127.0.0.1:{port}"), "--out", out.to_str().unwrap()]);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(&format!("cannot reach a server at http://127.0.0.1:{port}")), "{error}");
}

#[test]
fn an_unwritable_directory_is_found_before_anything_is_measured() {
    let file = scratch("unwritable").join("file");
    fs::write(&file, "in the way").unwrap();
    let error = error(&["--out", file.join("report").to_str().unwrap()]);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("--out") && error.contains("cannot make the directory"), "{error}");
}

#[test]
fn an_occupied_port_is_an_error_of_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for option in ["--listen", "--tcp-listen"] {
        let other = if option == "--listen" { "--tcp-listen" } else { "--listen" };
        let error = error(&["serve", option, &address, other, "127.0.0.1:0"]);
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(&format!("cannot listen on {address}; another {option} may work")), "{error}");
    }
}

/// Starts the program, without waiting for its end.
fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-client"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn when_standard_output_is_closed_the_program_exits_successfully_without_a_message() {
    let mut demo = start(&["demo", "--no-browser", "--listen=127.0.0.1:0", "--tcp-listen=127.0.0.1:0"]);
    drop(demo.stdout.take());
    let output = demo.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn when_standard_error_is_closed_the_exit_code_still_reports_the_error() {
    // An address that is reserved for documentation (RFC 5737), so no machine has it.
    let mut server = start(&["serve", "--listen=192.0.2.1:0"]);
    drop(server.stderr.take());
    assert_eq!(server.wait().unwrap().code(), Some(1));
}
