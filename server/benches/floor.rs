//! The server beside its floor: CPU per delivery as a multiple of bare `write()` calls of the same bytes.
//!
//! `cargo bench -p server --bench floor -- 200 1000 5000` takes the numbers of subscribers. Subjects are measured in turn, round
//! after round, and each is divided by the floor of its own round, so that the machine's drift falls out of the ratio.

mod rig;

use protocol::Transport;
use rig::Rig;

const ROUNDS: usize = 7;
/// Deliveries in a round of a subject.
const DELIVERIES: usize = 40_000;

fn main() {
    // cargo passes --bench along.
    let sizes: Vec<usize> =
        std::env::args().skip(1).filter(|word| word != "--bench").map_while(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![100, 1_000] } else { sizes };
    println!("server CPU per delivered event, over {ROUNDS} rounds: median (least to greatest)\n");
    for subscribers in sizes {
        println!("{subscribers} subscribers      us per delivery             times the floor");
        let subjects: Vec<_> = std::iter::once(None).chain(Transport::ALL.map(Some)).collect();
        let mut costs = vec![Vec::new(); subjects.len()];
        for _ in 0..ROUNDS {
            for (subject, costs) in subjects.iter().zip(&mut costs) {
                let mut rig = Rig::new(*subject, subscribers);
                let events = (DELIVERIES / subscribers).max(1);
                let cpu: f64 = (0..events).map(|_| rig.deliver().as_secs_f64()).sum();
                costs.push(cpu * 1e6 / (events * subscribers) as f64);
            }
        }
        for (subject, costs_of) in subjects.iter().zip(&costs) {
            let ratios = costs_of.iter().zip(&costs[0]).map(|(cost, floor)| cost / floor).collect();
            let name = subject.map_or("bare write()", Transport::label);
            println!("  {name:<14} {}   {}", spread(costs_of.clone()), spread(ratios));
        }
        println!();
    }
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (least, greatest) = (values[0], values[values.len() - 1]);
    format!("{:6.2} ({least:6.2} to {greatest:6.2})", values[values.len() / 2])
}
