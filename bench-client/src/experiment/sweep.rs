//! A sweep: one factor takes several values, and everything else stays the same.

use std::str::FromStr;
use std::time::Duration;

use anyhow::ensure;
use protocol::facts::Facts;
use protocol::facts::sweep::{Factor, SweepFacts, SweepPoint};
use protocol::network::Network;
use protocol::result::{Comparison, Scenario};
use protocol::run::Part;

use super::print::print_experiments;
use crate::command::compare;
use crate::report;
use crate::round::series;

/// `base` with the factor set to `value`.
fn set(factor: Factor, base: &Scenario, value: f64) -> Scenario {
    let mut scenario = base.clone();
    match factor {
        Factor::Subscribers => scenario.subscribers = value as u32,
        Factor::Rate => scenario.rate = value,
        Factor::Payload => scenario.payload_bytes = value as u32,
        Factor::PollInterval => scenario.poll_interval_ms = value as u64,
        Factor::Delay => scenario.network.delay_us = (value * 1e3) as u64,
    }
    scenario.warm_up_ms = compare::warm_up_ms(scenario.subscribers, scenario.network);
    scenario
}

/// Reads a value as the command line's option of the same name would.
fn value(factor: Factor, text: &str) -> Result<f64, String> {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    match factor {
        Factor::Subscribers => match text.parse() {
            Ok(count @ 1..=50_000u32) => Ok(count.into()),
            _ => Err("subscribers are a whole number from 1 to 50000".into()),
        },
        Factor::Rate => compare::rate(text),
        Factor::Payload => server::options::payload(text).map(|bytes| bytes as f64),
        Factor::PollInterval => compare::duration(text).map(ms),
        Factor::Delay => {
            let network: Network = format!("delay={text}").parse().map_err(|error| format!("{error}"))?;
            Ok(ms(network.delay()))
        }
    }
}

/// A factor and its values, as in `rate=1,10,100`.
#[derive(Debug, Clone, PartialEq)]
pub struct Over {
    /// The factor.
    pub factor: Factor,
    /// Its values, from the smallest to the largest.
    pub values: Vec<f64>,
}

impl FromStr for Over {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Factor::ALL.map(Factor::name).join(", ");
        let form = || format!("a sweep is over FACTOR=VALUE,VALUE,... like rate=1,10,100; factors are {}", names());
        let (name, list) = text.split_once('=').ok_or_else(form)?;
        let factor = Factor::ALL.into_iter().find(|factor| factor.name() == name).ok_or_else(form)?;
        let mut values = list.split(',').map(|text| value(factor, text)).collect::<Result<Vec<f64>, String>>()?;
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.len() < 2 {
            Err("a sweep takes at least two values that differ".into())
        } else {
            Ok(Self { factor, values })
        }
    }
}

/// Measure how figures change with one factor, and draw them as lines over it.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "sweep")]
pub struct Options {
    /// The factor and its values: subscribers=1,10,100 or rate=.. or payload=.. or poll-interval=50ms,200ms or delay=1ms,10ms
    #[arg(long, value_name = "FACTOR=VALUES")]
    pub over: Over,
    /// Subscribers connected at once
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub subscribers: u32,
    /// What stays the same
    #[command(flatten)]
    pub fixed: compare::Fixed,
}

/// Runs a sweep from the command line, and writes its report.
///
/// # Errors
/// When it cannot be measured or written.
pub fn sweep(options: &Options, command: String) -> anyhow::Result<()> {
    ensure!(options.fixed.url.is_none(), "a sweep starts servers of its own, so it takes no --url");
    let min_delay = Duration::from_secs_f64(options.over.values[0] / 1e3);
    ensure!(
        options.over.factor != Factor::Delay || options.fixed.network.jitter_us as u128 <= min_delay.as_micros(),
        "the jitter of --network is larger than the smallest delay of the sweep"
    );
    let run = report::make(&options.fixed.out, command, async |finished| {
        let base = compare::scenario(&options.fixed, options.subscribers).await?;
        finished.push(Part::Measured(Facts::Sweep(measure(&base, &options.over).await?)));
        Ok(())
    })?;
    print_experiments(&run)?;
    println!("Report: {}", options.fixed.out.join("index.html").display());
    Ok(())
}

/// Measures all points of a sweep, their rounds interleaved.
///
/// # Errors
/// When a server cannot be started or read.
pub async fn measure(base: &Scenario, over: &Over) -> anyhow::Result<SweepFacts> {
    let scenarios: Vec<Scenario> = over.values.iter().map(|&value| set(over.factor, base, value)).collect();
    compare::raise_open_files(&scenarios)?;
    eprintln!("      {} rounds, about {} s", series::order(&scenarios).len(), series::length(&scenarios).as_secs());
    let found = series::rounds(&scenarios, false).await?;
    let mut points = Vec::new();
    for ((&value, scenario), rounds) in over.values.iter().zip(scenarios).zip(found) {
        let exchange_ms = series::gap_ms(scenario.network).await?;
        points.push(SweepPoint { value, comparison: Comparison { scenario, rounds }, exchange_ms });
    }
    Ok(SweepFacts { factor: over.factor, points })
}

#[cfg(test)]
mod tests {
    use protocol::Transport;

    use super::*;

    #[test]
    fn a_sweep_is_read_as_the_options_of_the_same_names_are() {
        let over: Over = "delay=10ms,250us,10ms".parse().unwrap();
        assert_eq!(over, Over { factor: Factor::Delay, values: vec![0.25, 10.0] });
        assert_eq!("poll-interval=1s,50ms".parse::<Over>().unwrap().values, [50.0, 1_000.0]);
        for (wrong, right) in [
            ("speed=1,2", "factors are subscribers, rate"),
            ("rate", "FACTOR=VALUE"),
            ("rate=5", "at least two"),
            ("rate=5,0", "nothing to measure at 0"),
            ("subscribers=1,1.5", "whole number"),
            ("payload=1,100000", "from 0 to 65536"),
            ("delay=1,2", "has no unit; write 1ms"),
        ] {
            let message = wrong.parse::<Over>().unwrap_err();
            assert!(message.contains(right), "{wrong}: {message}");
        }
    }

    #[test]
    fn each_factor_sets_the_option_of_its_name() {
        let base = Scenario::small(&[Transport::Polling]);
        assert_eq!(set(Factor::Delay, &base, 2.5).network.delay_us, 2_500);
        assert_eq!(set(Factor::Rate, &base, 7.0).rate, 7.0);
        assert_eq!(set(Factor::Subscribers, &base, 70.0).subscribers, 70);
        assert_eq!(set(Factor::Payload, &base, 70.0).payload_bytes, 70);
        assert_eq!(set(Factor::PollInterval, &base, 70.0).poll_interval_ms, 70);
    }
}
