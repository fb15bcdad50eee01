//! `check`: holds a server to the contract of this lab's servers, which is a list of numbered requirements: for students who write a server, and
//! for teachers who grade it.

mod feed;
mod http;
mod output;
mod polls;
mod publishing;
mod sockets;
mod streams;
mod wire;

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::endpoint::Endpoint;
use wire::{Fault, Outcome, Server};

/// How long a requirement may take as a whole, and one that waits for a heartbeat.
const LIMIT: Duration = Duration::from_secs(20);
const IDLE_LIMIT: Duration = Duration::from_secs(45);

/// A requirement of the contract.
pub struct Requirement {
    /// Its number: a letter for its group, and the number within that.
    id: &'static str,
    /// The points that it is worth.
    points: u32,
    /// What the server must do.
    text: &'static str,
    /// Where that is from, or why.
    see: &'static str,
    /// Tries it.
    run: fn(&Server) -> Outcome,
}

/// A group of requirements: an exercise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Exercise {
    /// Publishing, and HTTP in general
    Publishing,
    /// Polling
    Polling,
    /// Long polling
    LongPolling,
    /// HTTP streaming, a line for each event
    Ndjson,
    /// Server-sent events
    Sse,
    /// WebSocket
    Websocket,
}

impl Exercise {
    fn title(self) -> &'static str {
        match self {
            Self::Publishing => "Publishing",
            Self::Polling => "Polling",
            Self::LongPolling => "Long polling",
            Self::Ndjson => "HTTP streaming",
            Self::Sse => "Server-sent events",
            Self::Websocket => "WebSocket",
        }
    }

    fn requirements(self) -> impl Iterator<Item = &'static Requirement> {
        let of_group = |letter: char| move |requirement: &&Requirement| requirement.id.starts_with(letter);
        let (tried, waited, letter) = match self {
            Self::Publishing => (publishing::ALL, &[][..], 'U'),
            Self::Polling => (polls::POLLING, &[][..], 'P'),
            Self::LongPolling => (polls::LONG_POLLING, &[][..], 'L'),
            Self::Ndjson => (streams::STREAM, streams::IDLE, 'S'),
            Self::Sse => (streams::SSE, streams::IDLE, 'E'),
            Self::Websocket => (sockets::ALL, sockets::IDLE, 'W'),
        };
        tried.iter().chain(waited.iter().filter(of_group(letter)))
    }
}

/// Whether a requirement waits for a heartbeat. Such ones are tried at the same time, after all others, since nothing may be published meanwhile.
fn waits(requirement: &Requirement) -> bool {
    streams::IDLE.iter().chain(sockets::IDLE).any(|idle| idle.id == requirement.id)
}

impl Requirement {
    /// How long it may take as a whole, whatever the server does.
    fn limit(&self) -> Duration {
        if waits(self) { IDLE_LIMIT } else { LIMIT }
    }
}

/// The result of a requirement.
struct Graded {
    exercise: Exercise,
    requirement: &'static Requirement,
    outcome: Outcome,
}

/// Check a server against the contract of this lab's servers.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The server, as http://HOST:PORT or https://HOST:PORT. It must publish nothing by itself: start this lab's with --rate 0
    #[arg(value_name = "URL", required_unless_present = "contract")]
    pub url: Option<String>,
    /// Accept any certificate of a server at https://, even a self-signed one
    #[arg(long)]
    pub insecure: bool,
    /// Check only some exercises, separated by commas: publishing (always checked), polling, long_polling, ndjson, sse, websocket
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub exercise: Vec<Exercise>,
    /// Leave out the requirements that wait 35 seconds for a heartbeat
    #[arg(long)]
    pub quick: bool,
    /// Also write the result as JUnit XML, which graders and build servers read
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print the result as JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// Print the contract, a page in Markdown, instead of checking a server
    #[arg(long, conflicts_with_all = ["url", "exercise", "junit", "json", "quick", "insecure"])]
    pub contract: bool,
}

/// The error of a server that does not meet some requirements.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {count} requirements are not met")]
pub struct NotMet {
    failed: usize,
    count: usize,
}

const ALL: [Exercise; 6] = [
    Exercise::Publishing,
    Exercise::Polling,
    Exercise::LongPolling,
    Exercise::Ndjson,
    Exercise::Sse,
    Exercise::Websocket,
];

/// Checks the server, and prints the result.
///
/// # Errors
/// [`NotMet`] if a requirement is not met; and when the URL is none, the server cannot be reached, or the file cannot be written.
pub fn check(options: &Options) -> anyhow::Result<()> {
    let Some(url) = &options.url else {
        print!("{}", output::contract());
        return Ok(());
    };
    let endpoint =
        Endpoint::named(url, options.insecure).with_context(|| format!("'{url}' is not the URL of a server"))?;
    TcpStream::connect_timeout(&endpoint.address, wire::STEP)
        .with_context(|| format!("cannot reach a server at {url}"))?;
    let wanted = |exercise: &Exercise| {
        *exercise == Exercise::Publishing || options.exercise.is_empty() || options.exercise.contains(exercise)
    };
    let tried: Vec<(Exercise, &'static Requirement)> = ALL
        .into_iter()
        .filter(wanted)
        .flat_map(|exercise| exercise.requirements().map(move |requirement| (exercise, requirement)))
        .filter(|(_, requirement)| !options.quick || !waits(requirement))
        .collect();
    let graded = grade(&endpoint, &tried);
    if let Some(file) = &options.junit {
        fs::write(file, output::junit(url, &graded)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    match options.json {
        true => println!("{}", output::json(url, &graded)),
        false => print!("{}", output::text(&graded)),
    }
    let failed = graded.iter().filter(|graded| graded.outcome.is_err()).count();
    if failed > 0 { Err(NotMet { failed, count: graded.len() }.into()) } else { Ok(()) }
}

/// The longest time that a check can take, of all requirements and with a server that does its worst.
fn longest() -> Duration {
    let one_after_another = ALL.into_iter().flat_map(Exercise::requirements).filter(|requirement| !waits(requirement));
    one_after_another.map(Requirement::limit).sum::<Duration>() + wire::STEP + IDLE_LIMIT
}

/// Tries the requirements one after another; those that wait for a heartbeat at the end, all at once. Without the first one, that an event can be
/// published, none of the others can be tried.
fn grade(endpoint: &Endpoint, tried: &[(Exercise, &'static Requirement)]) -> Vec<Graded> {
    let mut graded: Vec<Graded> = Vec::new();
    for &(exercise, requirement) in tried.iter().filter(|(_, requirement)| !waits(requirement)) {
        let outcome = match graded.first() {
            Some(Graded { outcome: Err(_), .. }) => Err(not_tried()),
            _ => tried_alone(requirement, endpoint),
        };
        graded.push(Graded { exercise, requirement, outcome });
    }
    let is_tried = graded.first().is_some_and(|first| first.outcome.is_ok());
    // Published before all of them: an event that one of them published would be no heartbeat for another.
    let newest = match is_tried && tried.iter().any(|(_, requirement)| waits(requirement)) {
        true => Server::within(endpoint, wire::STEP).publish("the last one"),
        false => Err(not_tried()),
    };
    let waiting: Vec<_> = tried
        .iter()
        .filter(|(_, requirement)| waits(requirement))
        .map(|&(exercise, requirement)| {
            let mut server = Server::within(endpoint, requirement.limit());
            let newest = newest.clone();
            let run = move || {
                server.newest = newest?;
                (requirement.run)(&server)
            };
            (exercise, requirement, thread::spawn(run))
        })
        .collect();
    for (exercise, requirement, running) in waiting {
        graded.push(Graded { exercise, requirement, outcome: running.join().unwrap_or_else(|_| failed()) });
    }
    // Stable, so the requirements of an exercise stay in order.
    graded.sort_by_key(|graded| ALL.iter().position(|exercise| *exercise == graded.exercise));
    graded
}

/// Tries a requirement in a thread of its own, so that whatever a server makes go wrong there is the end of that requirement only.
fn tried_alone(requirement: &Requirement, endpoint: &Endpoint) -> Outcome {
    let server = Server::within(endpoint, requirement.limit());
    thread::scope(|scope| scope.spawn(|| (requirement.run)(&server)).join()).unwrap_or_else(|_| failed())
}

fn failed() -> Outcome {
    Err(Fault { sent: String::new(), came: "the check itself has failed".into() })
}

fn not_tried() -> Fault {
    Fault { sent: "nothing".into(), came: "not tried, since U1 is not met".into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use super::*;

    #[test]
    fn every_requirement_has_a_number_of_its_own_and_points() {
        let all: Vec<_> = ALL.into_iter().flat_map(Exercise::requirements).collect();
        let ids: BTreeSet<_> = all.iter().map(|requirement| requirement.id).collect();
        assert_eq!(ids.len(), all.len());
        assert!(all.len() >= 50 && all.iter().all(|requirement| requirement.points > 0), "{}", all.len());
    }

    /// What a hostile server does with a connection, whose request it has read.
    type Behaviour = fn(TcpStream, &str);

    fn listening(behaviour: Behaviour) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::plain(listener.local_addr().unwrap());
        let serve = move |mut stream: TcpStream| {
            let mut request = [0; 64 << 10];
            let length = stream.read(&mut request).unwrap_or(0);
            behaviour(stream, &String::from_utf8_lossy(&request[..length]));
        };
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| _ = thread::spawn(move || serve(stream)))
        });
        endpoint
    }

    /// Accepts each event, as a good server does.
    fn publishes(mut stream: &TcpStream, request: &str) -> bool {
        let accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n{\"seq\":7}";
        request.starts_with("POST") && stream.write_all(accepted).is_ok()
    }

    #[test]
    fn whatever_a_server_does_a_requirement_ends_when_its_time_is_over() {
        let silent: Behaviour = |stream, request| {
            publishes(&stream, request);
            thread::sleep(Duration::from_secs(60));
        };
        let drips: Behaviour = |mut stream, request| {
            publishes(&stream, request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while stream.write_all(b"1\r\n{\r\n").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        };
        // As many small parts as possible, so that parsing takes long.
        let floods: Behaviour = |mut stream, request| {
            publishes(&stream, request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while stream.write_all(&b"1\r\nx\r\n".repeat(1000)).is_ok() {}
        };
        let limit = Duration::from_millis(300);
        for behaviour in [silent, drips, floods] {
            let endpoint = listening(behaviour);
            thread::scope(|scope| {
                for requirement in ALL.into_iter().flat_map(Exercise::requirements) {
                    let server = Server::within(&endpoint, limit);
                    scope.spawn(move || {
                        let begin = Instant::now();
                        let _ = (requirement.run)(&server);
                        // Without a limit, some would take more than 20 s.
                        assert!(begin.elapsed() < Duration::from_secs(10), "{}", requirement.id);
                    });
                }
            });
        }
        let slow: Behaviour = |stream, request| {
            thread::sleep(Duration::from_millis(50));
            publishes(&stream, request);
        };
        let server = Server::within(&listening(slow), limit);
        let fault = server.publish_all(1_000).unwrap_err();
        assert_eq!(fault.came, "more than 0.3 s for the whole requirement");
    }

    #[test]
    fn nothing_is_published_beside_a_requirement_that_waits_for_a_heartbeat() {
        static PUBLISHED: AtomicU64 = AtomicU64::new(0);
        static CURSORS: AtomicU64 = AtomicU64::new(0);
        let endpoint = listening(|stream, request| {
            if request.contains("the last one") {
                PUBLISHED.fetch_add(1, Ordering::Relaxed);
            }
            if request.contains("?after=7 ") {
                CURSORS.fetch_add(1, Ordering::Relaxed);
            }
            publishes(&stream, request);
        });
        let all = ALL.into_iter().flat_map(|exercise| exercise.requirements().map(move |found| (exercise, found)));
        let tried: Vec<_> = all.filter(|(_, requirement)| requirement.id == "U1" || waits(requirement)).collect();
        let met: Vec<_> = grade(&endpoint, &tried).iter().map(|graded| graded.outcome.is_ok()).collect();
        assert_eq!(met, [true, false, false, false]);
        assert_eq!((PUBLISHED.load(Ordering::Relaxed), CURSORS.load(Ordering::Relaxed)), (1, 3));
    }

    #[test]
    fn many_events_are_published_on_one_connection_unless_the_server_ends_it() {
        static KEPT: AtomicU64 = AtomicU64::new(0);
        static ENDED: AtomicU64 = AtomicU64::new(0);
        let keeps: Behaviour = |mut stream, request| {
            KEPT.fetch_add(1, Ordering::Relaxed);
            publishes(&stream, request);
            while stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                publishes(&stream, "POST");
            }
        };
        let ends: Behaviour = |mut stream, _| {
            ENDED.fetch_add(1, Ordering::Relaxed);
            let _ =
                stream.write_all(b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{\"seq\":7}");
        };
        for behaviour in [keeps, ends] {
            let server = Server::within(&listening(behaviour), LIMIT);
            let mut connection = None;
            for _ in 0..5 {
                assert_eq!(server.publish_on(&mut connection, "a text"), Ok(7));
            }
        }
        assert_eq!((KEPT.load(Ordering::Relaxed), ENDED.load(Ordering::Relaxed)), (1, 5));
    }

    #[test]
    fn the_published_contract_is_that_of_the_program() {
        let published = include_str!("../../CONTRACT.md");
        assert!(
            published == output::contract(),
            "bench-client/CONTRACT.md: cargo run -- check --contract > bench-client/CONTRACT.md"
        );
    }
}
