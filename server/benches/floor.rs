//! The server beside its floor: CPU per delivery as a multiple of bare `write()` calls of the same bytes.
//!
//! `cargo bench -p server --bench floor -- 200 1000 4000` takes the numbers of subscribers. Floor and subject are served in turn,
//! a few events each, so that the machine's drift falls out of their ratio.

mod rig;

use protocol::Transport;
use rig::Rig;

/// Ratios taken of each subject.
const ROUNDS: usize = 9;
/// Turns of floor and subject in a round.
const TURNS: usize = 5;
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
    println!("server CPU per delivered event, {ROUNDS} rounds: median (least to greatest)\n");
    for subscribers in sizes {
        println!("{subscribers} subscribers      us per delivery             times the floor");
        for subject in Transport::ALL {
            let (mut costs, mut ratios) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let mut floor = Rig::new(None, subscribers);
                let mut server = Rig::new(Some(subject), subscribers);
                let events = (DELIVERIES / subscribers).max(1);
                let before = [floor.cpu(), server.cpu()];
                for _ in 0..TURNS {
                    (0..events).for_each(|_| floor.deliver());
                    (0..events).for_each(|_| server.deliver());
                }
                let [bare, served] = [floor.cpu() - before[0], server.cpu() - before[1]].map(|cpu| cpu.as_secs_f64());
                costs.push(served * 1e6 / (TURNS * events * subscribers) as f64);
                ratios.push(served / bare);
            }
            println!("  {:<14} {}   {}", subject.label(), spread(costs), spread(ratios));
        }
        println!();
    }
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (least, greatest) = (values[0], values[values.len() - 1]);
    format!("{:6.2} ({least:6.2} to {greatest:6.2})", values[values.len() / 2])
}
