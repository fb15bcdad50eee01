//! Rounds that nobody measured, for tests of what follows from rounds.

use protocol::result::{ClientCost, Comparison, Faults, Round, Scenario, ServerCost};
use protocol::{Histogram, Ledger, Transport};

use crate::trial::small;

/// Five sound rounds of each transport, with so many us of the server's CPU for each of 1,000 deliveries in a second.
pub fn comparison(transports: &[(Transport, f64)]) -> Comparison {
    let all: Vec<Transport> = transports.iter().map(|of| of.0).collect();
    let scenario = Scenario { rounds: 5, ..small(&all) };
    let rounds =
        (1..=5).flat_map(|number| transports.iter().map(move |&(transport, cpu_us)| round(transport, number, cpu_us)));
    Comparison { scenario, rounds: rounds.collect() }
}

fn round(transport: Transport, number: u32, cpu_us: f64) -> Round {
    // Rounds differ a little, as they do.
    let noise = 1.0 + f64::from(number % 3) / 100.0;
    let server = ServerCost {
        window_ns: 1_000_000_000,
        cpu_ns: (cpu_us * noise * 1e6) as u64,
        deliveries: 1_000,
        requests: 0,
        accepts: 0,
        context_switches: 0,
        resident_before_bytes: 0,
        resident_connected_bytes: 0,
    };
    Round {
        transport,
        round: number,
        sent: 50,
        delivered: 1_000,
        schedule_hash: String::new(),
        latency_ns: Histogram::default(),
        slowest_ns: Histogram::default(),
        naive_latency_ns: Histogram::default(),
        publisher_lateness_ns: Histogram::default(),
        clock_bound_ns: None,
        ledger: Ledger::default(),
        window_ledger: None,
        faults: Faults::default(),
        server,
        client: ClientCost { cpu_ns: 0, lag_ns: Histogram::default(), connect_ns: 0 },
        failures: Vec::new(),
        warnings: Vec::new(),
    }
}
