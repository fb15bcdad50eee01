//! A witness on the wire: what a packet capture between two network namespaces saw, against what was counted at the sockets.
//!
//! The two are joined by a pair of virtual interfaces with an MTU of 1500 that send no segment larger than that, as a network
//! card without offloads would.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, process, thread};

use anyhow::{Context, bail, ensure};
use protocol::result::Round;
use rustix::process::{Pid, Signal, kill_process};

use super::Finding;

const SERVER: &str = "10.213.0.1";
const CLIENT: &str = "10.213.0.2";
/// How far the two may be apart, in per cent.
const APART: f64 = 1.0;

/// What was found, or why it was not looked for.
pub fn check() -> anyhow::Result<Result<Finding, String>> {
    for (program, argument) in [("ip", "-V"), ("tshark", "--version")] {
        if !Command::new(program)
            .arg(argument)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
        {
            return Ok(Err(format!("there is no {program}")));
        }
    }
    let spaces = match Spaces::make() {
        Ok(spaces) => spaces,
        Err(error) => return Ok(Err(format!("no network namespaces could be made ({error:#})"))),
    };
    let directory = env::temp_dir().join(format!("transport-lab-capture-{}", process::id()));
    fs::create_dir_all(&directory)?;
    let found = measure(&spaces, &directory);
    let _ = fs::remove_dir_all(&directory);
    let (rounds, packets) = found?;
    Ok(Ok(judge(&rounds, &packets)))
}

/// Two network namespaces with a wire between them; dropping them removes both.
struct Spaces {
    server: String,
    client: String,
}

impl Spaces {
    fn make() -> anyhow::Result<Self> {
        let name = |side: &str| format!("lab-{}-{side}", process::id());
        let spaces = Self { server: name("server"), client: name("client") };
        let Self { server, client } = &spaces;
        for line in [
            format!("netns add {server}"),
            format!("netns add {client}"),
            format!("link add lab0 netns {server} mtu 1500 type veth peer name lab0 netns {client} mtu 1500"),
            format!("-n {server} address add {SERVER}/24 dev lab0"),
            format!("-n {client} address add {CLIENT}/24 dev lab0"),
            // No segment larger than a packet is handed over: the capture sees what a wire would.
            format!("-n {server} link set lab0 gso_max_segs 1 up"),
            format!("-n {client} link set lab0 gso_max_segs 1 up"),
        ] {
            let output = Command::new("ip").args(line.split(' ')).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "ip {line}: {}", said.lines().next().unwrap_or("failed"));
        }
        Ok(spaces)
    }

    /// A command to be run in one of them.
    fn command(space: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", space]).arg(program).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for space in [&self.server, &self.client] {
            let _ = Command::new("ip").args(["netns", "delete", space]).stderr(Stdio::null()).status();
        }
    }
}

/// A process that ends with its owner.
struct Running(Child);

impl Running {
    /// Asks the process to end, and waits until it has.
    fn end(&mut self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.0), signal);
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(spaces: &Spaces, directory: &Path) -> anyhow::Result<(Vec<Round>, Vec<Packet>)> {
    let executable = env::current_exe().context("cannot find this program's own file")?;
    let mut server = Spaces::command(&spaces.server, &executable)
        .args(["serve", "--with-parent", "--rate", "50", "--payload", "400"])
        .args(["--listen", &format!("{SERVER}:8080"), "--tcp-listen", &format!("{SERVER}:8081")])
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)?;
    let mut url = String::new();
    if let Some(stdout) = server.0.stdout.take() {
        BufReader::new(stdout).read_line(&mut url)?;
    }
    let file = directory.join("packets.pcap");
    let mut capture = Spaces::command(&spaces.client, Path::new("tshark"))
        .args(["-q", "-i", "lab0", "-f", "tcp", "-w"])
        .arg(&file)
        .stdout(Stdio::null())
        .spawn()
        .map(Running)?;
    let begun = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
    ensure!(begun, "tshark did not begin to capture");
    let status = Spaces::command(&spaces.client, &executable)
        .args(["compare", "--rounds", "1", "--duration", "1s", "--subscribers", "10", "--url", url.trim(), "--out"])
        .arg(directory.join("report"))
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "no round passed its gates between two namespaces");
    // The last packets are still on their way into the file.
    thread::sleep(Duration::from_millis(500));
    capture.end(Signal::INT);
    server.end(Signal::TERM);
    let run = reports::read(&directory.join("report/run.json"))?;
    let rounds = run.comparison().context("a comparison was asked for")?.rounds.clone();
    Ok((rounds, packets(&file)?))
}

/// A packet: which TCP connection it belongs to, its length with IP header, and the request that it begins, if any.
struct Packet {
    stream: u32,
    bytes: u64,
    asks: String,
}

fn packets(file: &Path) -> anyhow::Result<Vec<Packet>> {
    let output = Command::new("tshark")
        .args([
            "-T",
            "fields",
            "-e",
            "tcp.stream",
            "-e",
            "ip.len",
            "-e",
            "http.request.uri",
            "-d",
            "tcp.port==8080,http",
            "-r",
        ])
        .arg(file)
        .stderr(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let packet = |line: &str| {
        let mut fields = line.split('\t');
        let (stream, bytes) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Packet { stream, bytes, asks: fields.next().unwrap_or_default().into() })
    };
    let packets: Vec<Packet> = text.lines().filter_map(packet).collect();
    if packets.is_empty() {
        bail!("tshark read no packet of the capture");
    }
    Ok(packets)
}

/// What subscribers' connections took on the wire; the client's own questions to the server are none of theirs.
fn captured_bytes(packets: &[Packet]) -> u64 {
    let questions = ["/load", "/time", "/published"];
    let of_ours: HashSet<u32> = packets
        .iter()
        .filter(|packet| questions.iter().any(|question| packet.asks.starts_with(question)))
        .map(|packet| packet.stream)
        .collect();
    let mut streams: HashMap<u32, u64> = HashMap::new();
    packets.iter().for_each(|packet| *streams.entry(packet.stream).or_default() += packet.bytes);
    streams.iter().filter(|(stream, _)| !of_ours.contains(stream)).map(|(_, bytes)| bytes).sum()
}

fn judge(rounds: &[Round], packets: &[Packet]) -> Finding {
    let counted: u64 = rounds.iter().map(|round| round.ledger.wire_bytes() + round.ledger.tcp_ip_header_bytes()).sum();
    let captured = captured_bytes(packets);
    let apart = (captured as f64 / counted.max(1) as f64 - 1.0) * 100.0;
    Finding {
        requirement: "a packet capture saw the same bytes, headers included",
        measured: format!("{captured} captured, {counted} counted"),
        bound: format!("within {APART} % ({apart:+.2} %)"),
        holds: counted > 0 && apart.abs() <= APART,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_segment_that_was_not_counted_is_found_and_our_own_questions_are_left_out() {
        let packet = |stream, bytes, asks: &str| Packet { stream, bytes, asks: asks.into() };
        let packets =
            [packet(0, 500, "/load"), packet(0, 9_000, ""), packet(1, 152, "/poll?after=0"), packet(1, 1_500, "")];
        assert_eq!(captured_bytes(&packets), 1_652);
        let mut round = round_with([]);
        (round.ledger.received_bytes, round.ledger.sent_bytes) = (1_448, 100);
        (round.ledger.segments_received, round.ledger.segments_sent) = (1, 1);
        assert!(judge(&[round.clone()], &packets).holds);
        round.ledger.segments_sent = 0;
        assert!(!judge(&[round], &packets).holds);
    }
}
