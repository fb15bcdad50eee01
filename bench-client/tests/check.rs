//! `check`: this lab's server and the solutions of the exercises meet every requirement, each mutant of a solution fails the requirement that
//! names its fault, and a server that hangs, floods or lies costs points and not the grader.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use server::{Options, Server};

fn exercises() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("exercises")
}

/// An empty directory for one test.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Skips what is not installed; under `CI`, its absence is a failure.
fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// A server under check, which ends when it is dropped.
struct Running(Child, SocketAddr);

impl Running {
    fn start(program: &str, arguments: &[&Path]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command.args(arguments).arg(address.port().to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Self(command.spawn().unwrap(), address);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(running.0.try_wait().unwrap().is_none(), "{program} {arguments:?} has ended");
            assert!(Instant::now() < deadline, "{program} {arguments:?} does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(address: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench-client"))
        .arg("check")
        .arg(format!("http://{address}"))
        .args(arguments)
        .output()
        .unwrap()
}

/// The numbers of the requirements that are not met, each with what came.
fn not_met(address: SocketAddr, arguments: &[&str]) -> Vec<(String, String)> {
    let output = check(address, &[&["--json"], arguments].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let failed: Vec<_> = json["requirements"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|requirement| requirement["met"] == false)
        .map(|requirement| (requirement["id"].as_str().unwrap().to_string(), requirement["came"].to_string()))
        .collect();
    assert_eq!(output.status.code(), Some(if failed.is_empty() { 0 } else { 2 }), "{stderr}");
    failed
}

#[test]
fn this_lab_s_server_meets_every_requirement() {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }).unwrap();
    let junit = scratch("junit").join("result.xml");
    let output = check(server.addresses().http, &["--junit", junit.to_str().unwrap()]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains("Long polling") && !stdout.contains("FAILED"), "{stdout}");
    let xml = fs::read_to_string(junit).unwrap();
    assert_eq!((xml.matches("<testsuite ").count(), xml.matches("<failure").count()), (6, 0));
}

#[test]
fn the_solutions_of_the_exercises_meet_every_requirement() {
    let built = scratch("rust").join("solution");
    let rust = exercises().join("rust/solution.rs");
    let status = Command::new("rustc").args(["--edition=2021", "-O", "-o"]).args([&built, &rust]).status().unwrap();
    assert!(status.success());
    thread::scope(|scope| {
        scope.spawn(|| {
            let running = Running::start(built.to_str().unwrap(), &[]);
            assert_eq!(not_met(running.1, &[]), []);
        });
        for (program, file) in [("node", "node/solution.cjs"), ("python3", "python/solution.py")] {
            scope.spawn(move || {
                if is_here(program) {
                    let running = Running::start(program, &[&exercises().join(file)]);
                    assert_eq!(not_met(running.1, &[]), [], "{file}");
                }
            });
        }
    });
}

#[test]
fn a_server_that_is_still_to_be_written_fails_the_exercises_and_not_the_publishing_that_it_has() {
    let built = scratch("rust-server").join("server");
    let rust = exercises().join("rust/server.rs");
    let status = Command::new("rustc").args(["--edition=2021", "-o"]).args([&built, &rust]).status().unwrap();
    assert!(status.success());
    let check = |running: &Running| {
        let failed = not_met(running.1, &["--quick"]);
        let failed = |id: &str| failed.iter().any(|failed| failed.0 == id);
        assert!(!failed("U1") && !failed("U2"));
        assert!(["U3", "P2", "L2", "S3", "E3", "W1"].into_iter().all(failed));
    };
    check(&Running::start(built.to_str().unwrap(), &[]));
    for (program, file) in [("node", "node/server.cjs"), ("python3", "python/server.py")] {
        if is_here(program) {
            check(&Running::start(program, &[&exercises().join(file)]));
        }
    }
}

/// Faults of a server: the requirement that names each, and what is changed in the solution on Node.
const MUTANTS: &[(&str, &str, &str)] = &[
    ("U1", "respond(response, 202,", "respond(response, 200,"),
    ("U2", "head += 1;", "head += head === 3 ? 2 : 1;"),
    ("U3", "if (length > MAX_BYTES) return respond(response, 413, 'at most 65536 bytes\\n');", ""),
    ("U4", "{ fatal: true }).decode(Buffer.concat(parts))", "{ fatal: false }).decode(Buffer.concat(parts))"),
    ("U5", "'POST only\\n', { Allow: 'POST' }", "'POST only\\n'"),
    ("U6", "respond(response, 404, 'nothing here\\n')", "respond(response, 200, 'nothing here\\n')"),
    ("U7", "{ 'Content-Type': 'application/json' });\n  });", "{ Connection: 'close' });\n  });"),
    ("P1", "return response.writeHead(204, { Cursor: after }).end();", "return respond(response, 200, '');"),
    ("P2", "const body = found.map(", "const body = [...found].reverse().map("),
    ("P2", "const body = found.map(", "const body = [...found, ...found.slice(-1)].map("),
    ("P2", "const body = found.map(", "const body = found.slice(-10).map("),
    ("P3", "(head - after));", "(head - after) - (head > after ? 1 : 0));"),
    ("P4", "Cursor: last }", "Cursor: after }"),
    ("P5", "if (after > head || after", "if (after > head) return [];\n  if (after"),
    ("P6", "/^\\d{1,15}$/.test(text) ? Number(text) : null", "Number(text) || 0"),
    ("P7", "at: Date.now(), data })", "at: Date.now(), data: data.replace(/\\n/g, ' ') })"),
    ("L1", "if (!found || found.length > 0) return poll", "return poll"),
    ("L2", "    answer(response, after, [event]);", "    setTimeout(() => answer(response, after, [event]), 1500);"),
    ("L3", "if (!found || found.length > 0) return poll", "if (!found) return poll"),
    ("L4", "found.length > 0) return poll(response, after)", "found.length > 0) return poll(response, after - 1)"),
    ("L5", "listeners.add(listener);\n  response.on('close', done);", "listeners.clear();\n  listeners.add(listener);"),
    ("L6", "Cursor: last }", "Cursor: after }"),
    ("L7", "if (!found || found.length > 0) return poll", "if (found?.length > 0) return poll"),
    ("L8", "if (after === null) return respond", "if (after === null && url.pathname !== '/long-poll') return respond"),
    (
        "L9",
        "listeners.add(listener);\n  response.on('close', done);",
        "listeners.add(listener);\n  response.on('close', () => listeners.clear());",
    ),
    ("S1", "type: 'application/x-ndjson',\n  wrap", "type: 'text/plain',\n  wrap"),
    ("S2", "if (found) found.forEach((event) => write(wrap(event)));", "if (found);"),
    (
        "S3",
        "const listener = (event) => write(wrap(event));",
        "const listener = (event) => setTimeout(() => write(wrap(event)), 1500);",
    ),
    (
        "S4",
        "const found = since(after);\n  if (found) found.forEach(",
        "const found = since(after - 1);\n  if (found) found.forEach(",
    ),
    ("S5", "else write(tellGap(after));", ""),
    ("S7", "at: Date.now(), data })", "at: Date.now(), data: data.replace(/\\n/g, ' ') })"),
    ("S9", "listeners.delete(listener);\n  });\n}\n\nconst LINES", "listeners.clear();\n  });\n}\n\nconst LINES"),
    ("S10", "heartbeat: '\\n',", "heartbeat: '',"),
    ("E2", "if (found) found.forEach(", "if (found) [...found].reverse().forEach("),
    ("E3", "data: ${json}\\n\\n", "data: ${json}\\n"),
    ("E4", "id: ${seq}\\n", ""),
    ("E5", "url.pathname === '/sse' ? request.headers['last-event-id'] : undefined", "undefined"),
    ("E6", "event: gap\\ndata", "data"),
    ("E7", "if (after === null) return respond", "if (after === null && url.pathname !== '/sse') return respond"),
    ("E10", "heartbeat: ':\\n\\n',", "heartbeat: '',"),
    ("W1", "C5AB0DC85B11", "C5AB0DC85B12"),
    ("W2", "if (!key || Buffer.from(key, 'base64').length !== 16) return refuse('400 Bad Request');", ""),
    ("W3", "'426 Upgrade Required', 'Sec-WebSocket-Version: 13\\r\\n'", "'400 Bad Request'"),
    ("W4", "found.forEach(({ json }) => send(TEXT, json));", ""),
    ("W6", "const after = cursor(url);", "const after = Math.max(0, cursor(url) - 1);"),
    (
        "W7",
        "return Buffer.concat([header, payload]);",
        "header[1] |= 0x80;\n  return Buffer.concat([header, Buffer.alloc(4), payload]);",
    ),
    ("W8", "payload[index] ^= mask[index % 4]", "payload[index] ^= mask[0]"),
    ("W9", "    if (!fin) return;\n", ""),
    ("W10", "return send(PONG, payload)", "return send(PONG, '')"),
    ("W11", "if (opcode === CLOSE) return close(", "if (opcode === CLOSE) return socket.destroy(),("),
    ("W12", "if (!(second & 0x80)) return { error: 1002 };", ""),
    ("W13", "      close(1007);", "      publish('?');"),
    ("W14", "return { error: 1009 };", "return { error: 1002 };"),
    ("W15", "if (first & 0x70) return { error: 1002 };", ""),
    ("W16", "close(4410)", "close(1000)"),
    ("S2", "if (found) found.forEach(", "if (found) [...found, ...found].forEach("),
    ("W4", "found.forEach(({ json })", "[...found, ...found].forEach(({ json })"),
    ("W5", "const listener = ({ json }) => send(TEXT, json);", "const listener = () => {};"),
    ("S6", "if (after === null) return respond(response, 400, 'after is a number\\n');", ""),
    ("E1", "type: 'text/event-stream'", "type: 'text/plain'"),
    ("E8", "at: Date.now(), data })", "at: Date.now(), data: data.replace(/\\n/g, ' ') })"),
    (
        "S8",
        "    response.write(text);",
        "    if (globalThis.full) return;\n    if (!response.write(text)) {\n      globalThis.full = true;\n      response.once('drain', () => (globalThis.full = false));\n    }",
    ),
    (
        "E9",
        "    response.write(text);",
        "    if (globalThis.full) return;\n    if (!response.write(text)) {\n      globalThis.full = true;\n      response.once('drain', () => (globalThis.full = false));\n    }",
    ),
    (
        "W17",
        "    socket.write(frame(opcode, Buffer.from(payload)));",
        "    if (globalThis.full) return;\n    if (!socket.write(frame(opcode, Buffer.from(payload)))) {\n      globalThis.full = true;\n      socket.once('drain', () => (globalThis.full = false));\n    }",
    ),
    ("W18", "setInterval(() => send(PING, ''), HEARTBEAT_MS)", "setInterval(() => {}, HEARTBEAT_MS)"),
];

/// The requirements that wait for a heartbeat: `--quick` leaves them out.
const IDLE: [&str; 3] = ["S10", "E10", "W18"];

#[test]
fn each_mutant_of_a_solution_fails_the_requirement_that_names_its_fault() {
    if !is_here("node") {
        return;
    }
    let solution = fs::read_to_string(exercises().join("node/solution.cjs")).unwrap();
    let folder = scratch("mutants");
    let try_one = |number: usize, (id, from, to): &(&str, &str, &str), quick: &[&str]| {
        assert_eq!(solution.matches(from).count(), 1, "{id}: {from}");
        let file = folder.join(format!("{number}.cjs"));
        fs::write(&file, solution.replace(from, to)).unwrap();
        let exercise = match &id[..1] {
            "U" => "publishing",
            "P" => "polling",
            "L" => "long_polling",
            "S" => "ndjson",
            "E" => "sse",
            _ => "websocket",
        };
        let mut running = Running::start("node", &[&file]);
        let failed = not_met(running.1, &[quick, &["--exercise", exercise]].concat());
        // A server that ends, or publishes nothing, fails everything, and not the requirement that names its fault.
        assert!(running.0.try_wait().unwrap().is_none(), "{from} -> {to}: the server has ended");
        let is_failed = |id: &str| failed.iter().any(|failed| failed.0 == id);
        assert!(*id == "U1" || !is_failed("U1"), "{from} -> {to}: nothing can be published: {failed:?}");
        assert!(is_failed(id), "{from} -> {to}: {id} is not among {failed:?}");
    };
    let waits = |id: &str| IDLE.contains(&id);
    let next = Mutex::new(MUTANTS.iter().enumerate().filter(|(_, mutant)| !waits(mutant.0)));
    let work = || {
        loop {
            let item = next.lock().unwrap().next();
            let Some((number, mutant)) = item else { return };
            try_one(number, mutant, &["--quick"]);
        }
    };
    thread::scope(|scope| {
        (0..4).for_each(|_| _ = scope.spawn(work));
        for (number, mutant) in MUTANTS.iter().enumerate().filter(|(_, mutant)| waits(mutant.0)) {
            let try_one = &try_one;
            scope.spawn(move || try_one(number, mutant, &[]));
        }
    });
}

#[test]
fn each_requirement_of_the_contract_has_a_mutant() {
    // A line of a table begins with the number, or with nothing where it has the names of the columns.
    let requirement = |line: &'static str| line.strip_prefix("| ")?.split(' ').next().filter(|id| *id != "|");
    let required: BTreeSet<&str> = include_str!("../CONTRACT.md").lines().filter_map(requirement).collect();
    let tried: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.0).collect();
    assert!(required.len() > 50, "{required:?}");
    assert_eq!(required.difference(&tried).collect::<Vec<_>>(), Vec::<&&str>::new(), "without a mutant");
    assert!(IDLE.iter().all(|id| required.contains(id)), "{IDLE:?}");
}

#[test]
fn a_server_that_hangs_floods_or_lies_costs_points_and_not_the_grader() {
    let hangs: fn(TcpStream) = |stream| {
        thread::sleep(Duration::from_secs(30));
        drop(stream);
    };
    let floods: fn(TcpStream) = |mut stream| while stream.write_all(&[b'x'; 64 << 10]).is_ok() {};
    let lies: fn(TcpStream) = |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 202 Yes\r\nContent-Length: 99999999999\r\n\r\n{\"seq\":1}");
        thread::sleep(Duration::from_secs(30));
    };
    for behaviour in [hangs, floods, lies] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| _ = thread::spawn(move || behaviour(stream)))
        });
        let failed = not_met(address, &[]);
        assert!(failed.len() > 50, "{failed:?}");
        assert!(failed[1].1.contains("not tried, since U1 is not met"), "{failed:?}");
    }
    // Numbers with which nothing can be computed.
    for number in ["0", "18446744073709551615"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let body = format!("{{\"seq\":{number}}}");
        let response = format!("HTTP/1.1 202 Yes\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(response.as_bytes());
            }
        });
        let failed = not_met(address, &["--quick", "--exercise", "polling"]);
        assert!(
            failed.iter().any(|failed| failed.0 == "U2") && !failed.iter().any(|failed| failed.0 == "U1"),
            "{failed:?}"
        );
    }
    let output = check("127.0.0.1:1".parse().unwrap(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot reach a server"));
}

/// A server that publishes at its pace, and does what `behaviour` says with all other requests.
fn publishing(pause: fn(&str) -> Duration, behaviour: fn(TcpStream)) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let seen = seen.clone();
            thread::spawn(move || {
                let mut request = [0; 64 << 10];
                let length = stream.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let seq = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len()
                };
                if !request.starts_with("POST /publish") {
                    return behaviour(stream);
                }
                thread::sleep(pause(&request));
                let body = format!("{{\"seq\":{seq}}}");
                let head = format!("HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes());
            });
        }
    });
    (address, requests)
}

#[test]
fn a_server_that_accepts_events_and_then_drips_redirects_or_is_slow_does_not_hold_up_the_check() {
    let at_once: fn(&str) -> Duration = |_| Duration::ZERO;
    let drips: fn(TcpStream) = |mut stream| {
        for byte in b"HTTP/1.1 200 OK\r\n\r\n".iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    };
    let redirects: fn(TcpStream) = |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /endless\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(b"4\r\nmore\r\n").is_ok() {}
    };
    let refuses: fn(TcpStream) = |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    };
    // Each step is within its two seconds.
    let slow: fn(&str) -> Duration =
        |request| if request.contains("text ") { Duration::from_millis(1900) } else { Duration::ZERO };
    // The longest time of these requirements that the contract allows, with room for a busy machine.
    let bound = Duration::from_secs(6 * 60);
    let within = |address: SocketAddr, exercise: &str| {
        let begin = Instant::now();
        let failed = not_met(address, &["--quick", "--exercise", exercise]);
        assert!(begin.elapsed() < bound, "{exercise}: {:?}", begin.elapsed());
        failed
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let failed = within(publishing(at_once, drips).0, "sse");
            assert!(["E1", "E2", "E9"].iter().all(|id| failed.iter().any(|failed| failed.0 == *id)), "{failed:?}");
        });
        scope.spawn(|| {
            let (address, requests) = publishing(at_once, redirects);
            let failed = within(address, "polling");
            assert!(failed.iter().any(|failed| failed.0 == "P2" && failed.1.contains("302")), "{failed:?}");
            assert!(!requests.lock().unwrap().iter().any(|request| request.contains("/endless")), "it was followed");
        });
        scope.spawn(|| {
            let (address, requests) = publishing(slow, refuses);
            let failed = within(address, "polling");
            let came = &failed.iter().find(|failed| failed.0 == "P2").expect("P2 takes 40 s").1;
            assert!(came.contains("more than 20 s for the whole requirement"), "{failed:?}");
            let texts = requests.lock().unwrap().iter().filter(|request| request.contains("text 1")).count();
            assert!(texts > 4, "{texts}");
        });
    });
}

#[test]
fn a_server_is_checked_within_tls_if_its_certificate_is_trusted() {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, tls_self_signed: true, ..Options::default() };
    let server = Server::start(&options).unwrap();
    let check = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_bench-client"))
            .args(["check", "--quick", &format!("https://{}", server.addresses().http)])
            .args(arguments)
            .output()
            .unwrap()
    };
    let output = check(&["--insecure"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    let output = check(&[]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{stdout}");
    assert!(stdout.contains("--insecure accepts a self-signed certificate"), "{stdout}");
}
