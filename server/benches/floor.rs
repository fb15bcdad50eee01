//! Compares the server with a lower bound, the floor: its CPU time per delivery as a multiple of that of plain `write()` calls with the
//! same bytes.
//!
//! The numbers of subscribers are arguments: `cargo bench -p server --bench floor -- 200 1000 4000`. The floor and a transport are measured
//! alternately, a few events each, so that slow changes of the machine's speed do not affect their ratio. The time until the last
//! subscriber has received an event is compared as well: the median and the 99th percentile over all events of all rounds.

mod rig;

use protocol::Transport;
use protocol::transport::Family;
use rig::Rig;

/// Rounds for each transport; each round gives one ratio.
const ROUNDS: usize = 9;
/// How often the floor and the transport alternate in a round.
const TURNS: usize = 10;
/// Transports with which bursts are measured.
const BURST_TRANSPORTS: [Transport; 2] = [Transport::Ndjson, Transport::WebSocket];
/// Numbers of events in a burst.
const BURST_EVENTS: [usize; 4] = [1, 4, 16, 64];
/// Subscribers that receive the bursts.
const BURST_SUBSCRIBERS: usize = 1_000;
/// Deliveries in a turn, if that is at least one event to each subscriber.
const DELIVERIES: usize = 4_000;

fn main() {
    if rig::run_helper() {
        return;
    }
    // cargo adds the argument --bench.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let sizes: Vec<usize> = arguments.map_while(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![200, 1_000] } else { sizes };
    println!(
        "server CPU per delivered event, {ROUNDS} rounds: median (minimum to maximum); time until the last delivery: p50 and p99\n"
    );
    for subscribers in sizes {
        println!(
            "{subscribers} subscribers          us per delivery             times the floor             last, times the floor"
        );
        for transport in Transport::ALL.into_iter().filter(|&transport| is_measured(transport)) {
            let (mut costs, mut ratios) = (Vec::new(), Vec::new());
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                let mut floor = Rig::new(None, subscribers);
                let mut server = Rig::new(Some(transport), subscribers);
                let events = (DELIVERIES / subscribers).max(1);
                let before = [floor.cpu(), server.cpu()];
                for _ in 0..TURNS {
                    for (rig, times) in [&mut floor, &mut server].into_iter().zip(&mut times) {
                        times.extend((0..events).map(|_| rig.deliver(1).as_secs_f64()));
                    }
                }
                let [floor_cpu, server_cpu] =
                    [floor.cpu() - before[0], server.cpu() - before[1]].map(|cpu| cpu.as_secs_f64());
                costs.push(server_cpu * 1e6 / (TURNS * events * subscribers) as f64);
                ratios.push(server_cpu / floor_cpu);
            }
            let [p50, p99] = [0.5, 0.99].map(|share| quantile(&mut times[1], share) / quantile(&mut times[0], share));
            println!("  {:<18} {}   {}   {p50:.2} {p99:.2}", transport.label(), summary(costs), summary(ratios));
        }
        println!();
    }
    println!("{BURST_SUBSCRIBERS} subscribers, bursts of events: times the floor, which writes each event separately");
    for transport in BURST_TRANSPORTS {
        print!("  {:<14}", transport.label());
        for events in BURST_EVENTS {
            print!("{events:>6}: {}", summary(bursts(transport, BURST_SUBSCRIBERS, events)));
        }
        println!();
    }
}

/// Whether the reader can subscribe over the transport with a single request. The transports from before WebSocket are left out because the code
/// of the others serves them, with other envelopes; libraries because they have handshakes of their own; HTTP/3
/// because the floor is one of TCP.
fn is_measured(transport: Transport) -> bool {
    match transport.row().family {
        Family::Today | Family::Compressed | Family::Http2 => true,
        Family::BeforeWebSocket | Family::Library | Family::Http3 => false,
    }
}

/// The CPU time for bursts of events, as a multiple of the floor's, once per round.
fn bursts(transport: Transport, subscribers: usize, events: usize) -> Vec<f64> {
    let round = |_| {
        let mut floor = Rig::new(None, subscribers);
        let mut server = Rig::new(Some(transport), subscribers);
        let before = [floor.cpu(), server.cpu()];
        for _ in 0..TURNS {
            floor.deliver(events);
            server.deliver(events);
        }
        let [floor_cpu, server_cpu] = [floor.cpu() - before[0], server.cpu() - before[1]].map(|cpu| cpu.as_secs_f64());
        server_cpu / floor_cpu
    };
    (0..ROUNDS).map(round).collect()
}

/// The quantile of the values at `share`, in [0, 1].
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * share) as usize).min(values.len() - 1)]
}

/// The median, minimum and maximum as text.
fn summary(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (min, max) = (values[0], values[values.len() - 1]);
    format!("{:6.2} ({min:6.2} to {max:6.2})", values[values.len() / 2])
}
