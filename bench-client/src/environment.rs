//! The machine of a run, and how much other load it had during the run.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::clock;
use protocol::result::Environment;

/// The readings at the start of a run. At its end, they are subtracted to make its [`Environment`].
pub struct Monitor {
    started_unix_s: u64,
    started_ns: u64,
    pressure_us: Option<u64>,
    jiffies: Option<Jiffies>,
}

/// Processor time since boot, in ticks of the kernel.
#[derive(Clone, Copy)]
struct Jiffies {
    all: u64,
    /// The time that the hypervisor gave to other machines.
    stolen: u64,
}

impl Monitor {
    /// Takes the readings.
    pub fn start() -> Self {
        Self {
            started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            started_ns: clock::now_ns(),
            pressure_us: pressure_us(),
            jiffies: jiffies(),
        }
    }

    /// Describes the machine, and its other load since the start.
    pub fn finish(&self) -> Environment {
        let kernel = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let elapsed_us = (clock::now_ns() - self.started_ns) / 1_000;
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Environment {
            started_unix_s: self.started_unix_s,
            version: env!("CARGO_PKG_VERSION").into(),
            commit: env!("LAB_COMMIT").into(),
            kernel: format!("{} {}", text(kernel.sysname()), text(kernel.release())),
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| text(kernel.machine())),
            cores: std::thread::available_parallelism().map_or(0, |cores| cores.get() as u32),
            memory_bytes: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib * 1024),
            cpu_pressure: self.pressure_us.zip(pressure_us()).map(|(from, to)| share(to - from, elapsed_us)),
            steal: self.jiffies.zip(jiffies()).map(|(from, to)| share(to.stolen - from.stolen, to.all - from.all)),
        }
    }
}

/// The value of the field `name` in a file of the kernel, like `/proc/cpuinfo`: what follows the name, blanks and a colon.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().into())
}

/// The time during which at least one task waited for a processor, in us (`Documentation/accounting/psi.rst` of Linux).
fn pressure_us() -> Option<u64> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    text.lines().next()?.rsplit_once("total=")?.1.parse().ok()
}

fn jiffies() -> Option<Jiffies> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = text.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time, which follows, is part of user.
    Some(Jiffies { all: fields.iter().take(8).sum(), stolen: *fields.get(7)? })
}
