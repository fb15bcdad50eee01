//! The machine of a run, and how much other load it had during the run.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::platform::{self, CpuTime};
use protocol::result::Environment;

/// The readings at the start of a run. At its end, they are subtracted to make its [`Environment`].
pub struct Monitor {
    started_unix_s: u64,
    started_ns: u64,
    pressure_us: Option<u64>,
    cpu_time: Option<CpuTime>,
}

impl Monitor {
    /// Takes the readings.
    pub fn start() -> Self {
        Self {
            started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            started_ns: platform::monotonic_ns(),
            pressure_us: platform::cpu_pressure_us(),
            cpu_time: platform::cpu_time(),
        }
    }

    /// Describes the machine, and its other load since the start.
    pub fn finish(&self) -> Environment {
        let elapsed_us = (platform::monotonic_ns() - self.started_ns) / 1_000;
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Environment {
            started_unix_s: self.started_unix_s,
            version: env!("CARGO_PKG_VERSION").into(),
            commit: env!("LAB_COMMIT").into(),
            kernel: platform::system_name(),
            cpu: platform::cpu_name().unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: std::thread::available_parallelism().map_or(0, |cores| cores.get() as u32),
            memory_bytes: platform::memory_bytes().unwrap_or(0),
            cpu_pressure: self
                .pressure_us
                .zip(platform::cpu_pressure_us())
                .map(|(from, to)| share(to - from, elapsed_us)),
            steal: self
                .cpu_time
                .zip(platform::cpu_time())
                .map(|(from, to)| share(to.stolen - from.stolen, to.all - from.all)),
        }
    }
}
