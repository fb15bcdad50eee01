//! The server beside its floor: CPU per delivery as a multiple of bare `write()` calls of the same bytes.
//!
//! `cargo bench -p server --bench floor -- 200 1000 4000` takes the numbers of subscribers. Floor and subject are served in turn,
//! a few events each, so that the machine's drift falls out of their ratio. The time that passes until the last subscriber has
//! an event is compared as well, at its median and at its 99th percentile over all events of all rounds.

mod rig;

use protocol::Transport;
use rig::Rig;

/// Ratios taken of each subject.
const ROUNDS: usize = 9;
/// Turns of floor and subject in a round.
const TURNS: usize = 10;
/// Transports of which bursts are measured, by how many events at once, and with how many subscribers.
const BURSTING: [Transport; 2] = [Transport::Ndjson, Transport::WebSocket];
const BURSTS: [usize; 4] = [1, 4, 16, 64];
const CROWD: usize = 1_000;
/// Deliveries in a turn, or one event where there are more subscribers.
const DELIVERIES: usize = 4_000;

fn main() {
    if rig::play_a_part() {
        return;
    }
    // cargo passes --bench along.
    let arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let sizes: Vec<usize> = arguments.map_while(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![200, 1_000] } else { sizes };
    println!(
        "server CPU per delivered event, {ROUNDS} rounds: median (least to greatest); and until the last has it, p50 and p99\n"
    );
    for subscribers in sizes {
        println!(
            "{subscribers} subscribers      us per delivery             times the floor             last, times the floor"
        );
        for subject in Transport::ALL {
            let (mut costs, mut ratios) = (Vec::new(), Vec::new());
            let mut took = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                let mut floor = Rig::new(None, subscribers);
                let mut server = Rig::new(Some(subject), subscribers);
                let events = (DELIVERIES / subscribers).max(1);
                let before = [floor.cpu(), server.cpu()];
                for _ in 0..TURNS {
                    for (rig, took) in [&mut floor, &mut server].into_iter().zip(&mut took) {
                        took.extend((0..events).map(|_| rig.deliver(1).as_secs_f64()));
                    }
                }
                let [bare, served] = [floor.cpu() - before[0], server.cpu() - before[1]].map(|cpu| cpu.as_secs_f64());
                costs.push(served * 1e6 / (TURNS * events * subscribers) as f64);
                ratios.push(served / bare);
            }
            let [p50, p99] = [0.5, 0.99].map(|share| at(&mut took[1], share) / at(&mut took[0], share));
            println!("  {:<14} {}   {}   {p50:.2} {p99:.2}", subject.label(), spread(costs), spread(ratios));
        }
        println!();
    }
    println!("{CROWD} subscribers, so many events at once: times the floor, which writes each by itself");
    for subject in BURSTING {
        print!("  {:<14}", subject.label());
        for burst in BURSTS {
            print!("{burst:>6}: {}", spread(bursts(subject, CROWD, burst)));
        }
        println!();
    }
}

/// The cost of events that come in bursts, times the floor.
fn bursts(subject: Transport, subscribers: usize, burst: usize) -> Vec<f64> {
    let round = |_| {
        let mut floor = Rig::new(None, subscribers);
        let mut server = Rig::new(Some(subject), subscribers);
        let before = [floor.cpu(), server.cpu()];
        for _ in 0..TURNS {
            floor.deliver(burst);
            server.deliver(burst);
        }
        let [bare, served] = [floor.cpu() - before[0], server.cpu() - before[1]].map(|cpu| cpu.as_secs_f64());
        served / bare
    };
    (0..ROUNDS).map(round).collect()
}

/// The value that a share of all values reach and no more.
fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * share) as usize).min(values.len() - 1)]
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (least, greatest) = (values[0], values[values.len() - 1]);
    format!("{:6.2} ({least:6.2} to {greatest:6.2})", values[values.len() / 2])
}
