//! Compares the bytes of a packet capture between two network namespaces with the bytes that were counted at the sockets.
//!
//! A pair of virtual interfaces with an MTU of 1500 connects the two namespaces. The interfaces send no segments that are larger than a
//! packet, like a network card without segmentation offload.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, process, thread};

use anyhow::{Context, bail, ensure};
use protocol::ledger::KernelCount;
use protocol::platform;
use protocol::result::Round;

use server::Options;

use super::Finding;
use crate::test_bed::server_process;

const SERVER: &str = "10.213.0.1";
const CLIENT: &str = "10.213.0.2";
/// The largest acceptable difference between the two counts, in per cent.
const MAX_DIFFERENCE_PERCENT: f64 = 1.0;

/// The result of the check; the inner error is the reason why it cannot run here.
pub fn check() -> anyhow::Result<Result<Finding, String>> {
    for (program, argument) in [("ip", "-V"), ("tshark", "--version")] {
        if !Command::new(program)
            .arg(argument)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
        {
            return Ok(Err(format!("{program} is not installed")));
        }
    }
    let namespaces = match Namespaces::create() {
        Ok(namespaces) => namespaces,
        Err(error) => return Ok(Err(format!("network namespaces cannot be created ({error:#})"))),
    };
    let directory = env::temp_dir().join(format!("transport-lab-capture-{}", process::id()));
    fs::create_dir_all(&directory)?;
    let found = measure(&namespaces, &directory);
    let _ = fs::remove_dir_all(&directory);
    let (rounds, packets) = found?;
    Ok(Ok(judge(&rounds, &packets)))
}

/// Two connected network namespaces; dropping this deletes both.
struct Namespaces {
    server: String,
    client: String,
}

impl Namespaces {
    fn create() -> anyhow::Result<Self> {
        let name = |side: &str| format!("lab-{}-{side}", process::id());
        let namespaces = Self { server: name("server"), client: name("client") };
        let Self { server, client } = &namespaces;
        for line in [
            format!("netns add {server}"),
            format!("netns add {client}"),
            format!("link add lab0 netns {server} mtu 1500 type veth peer name lab0 netns {client} mtu 1500"),
            format!("-n {server} address add {SERVER}/24 dev lab0"),
            format!("-n {client} address add {CLIENT}/24 dev lab0"),
            // No segment is larger than a packet, so the capture has the packets of a real wire.
            format!("-n {server} link set lab0 gso_max_segs 1 up"),
            format!("-n {client} link set lab0 gso_max_segs 1 up"),
        ] {
            let output = Command::new("ip").args(line.split(' ')).output()?;
            let errors = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "ip {line}: {}", errors.lines().next().unwrap_or("failed"));
        }
        Ok(namespaces)
    }

    /// A command that runs `program` in a namespace.
    fn command(namespace: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for namespace in [&self.server, &self.client] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).stderr(Stdio::null()).status();
        }
    }
}

/// A process that is killed when this is dropped.
struct Running(Child);

impl Running {
    /// Interrupts the process, and waits until it has ended.
    fn end(&mut self) {
        platform::interrupt(&mut self.0);
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(namespaces: &Namespaces, directory: &Path) -> anyhow::Result<(Vec<Round>, Vec<Packet>)> {
    let executable = env::current_exe().context("cannot find this program's own file")?;
    let at = |port| SocketAddr::new(SERVER.parse().expect("an address"), port);
    let options = Options { listen: at(8080), tcp_listen: at(8081), rate: 50.0, payload: 400, ..Options::default() };
    let mut program = Namespaces::command(&namespaces.server, &executable);
    let (server, address) = server_process::spawn(&mut program, &options)?;
    let (mut server, url) = (Running(server), format!("http://{address}"));
    let file = directory.join("packets.pcap");
    let mut capture = Namespaces::command(&namespaces.client, Path::new("tshark"))
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
    let status = Namespaces::command(&namespaces.client, &executable)
        .args(["compare", "--rounds", "1", "--duration", "1s", "--subscribers", "10", "--url", &url, "--out"])
        .arg(directory.join("report"))
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "the comparison between two namespaces failed");
    // tshark writes the last packets to the file with some delay.
    thread::sleep(Duration::from_millis(500));
    capture.end();
    server.end();
    let run = reports::read(&directory.join("report/run.json"))?;
    let rounds = run.comparison().context("the run has no comparison")?.rounds.clone();
    Ok((rounds, packets(&file)?))
}

/// A captured packet: the number of its TCP connection, its length with the IP header, and the target of the HTTP request that begins in it,
/// if any.
struct Packet {
    stream: u32,
    bytes: u64,
    request_target: String,
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
        Some(Packet { stream, bytes, request_target: fields.next().unwrap_or_default().into() })
    };
    let packets: Vec<Packet> = text.lines().filter_map(packet).collect();
    if packets.is_empty() {
        bail!("tshark found no packet in the capture");
    }
    Ok(packets)
}

/// The captured bytes of the subscribers' connections. Control connections are not included.
fn captured_bytes(packets: &[Packet]) -> u64 {
    let control_paths = ["/load", "/time", "/published"];
    let control_streams: HashSet<u32> = packets
        .iter()
        .filter(|packet| control_paths.iter().any(|path| packet.request_target.starts_with(path)))
        .map(|packet| packet.stream)
        .collect();
    let mut streams: HashMap<u32, u64> = HashMap::new();
    packets.iter().for_each(|packet| *streams.entry(packet.stream).or_default() += packet.bytes);
    streams.iter().filter(|(stream, _)| !control_streams.contains(stream)).map(|(_, bytes)| bytes).sum()
}

fn judge(rounds: &[Round], packets: &[Packet]) -> Finding {
    let counted: u64 = rounds
        .iter()
        .map(|round| round.ledger.wire_bytes() + round.ledger.kernel.map_or(0, KernelCount::tcp_ip_header_bytes))
        .sum();
    let captured = captured_bytes(packets);
    let difference = (captured as f64 / counted.max(1) as f64 - 1.0) * 100.0;
    Finding {
        requirement: "captured bytes equal counted bytes and TCP/IP headers",
        measured: format!("{captured} captured, {counted} counted"),
        bound: format!("within {MAX_DIFFERENCE_PERCENT} % ({difference:+.2} %)"),
        passed: counted > 0 && difference.abs() <= MAX_DIFFERENCE_PERCENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_segment_that_was_not_counted_is_found_and_control_connections_are_not_included() {
        let packet = |stream, bytes, target: &str| Packet { stream, bytes, request_target: target.into() };
        let packets =
            [packet(0, 500, "/load"), packet(0, 9_000, ""), packet(1, 152, "/poll?after=0"), packet(1, 1_500, "")];
        assert_eq!(captured_bytes(&packets), 1_652);
        let mut round = round_with([]);
        (round.ledger.received_bytes, round.ledger.sent_bytes) = (1_448, 100);
        round.ledger.kernel = Some(KernelCount { segments_received: 1, segments_sent: 1, ..KernelCount::default() });
        assert!(judge(&[round.clone()], &packets).passed);
        round.ledger.kernel = Some(KernelCount { segments_received: 1, ..KernelCount::default() });
        assert!(!judge(&[round], &packets).passed);
    }
}
