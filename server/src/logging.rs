//! Log output for people who look into a running program: `RUST_LOG=server=debug` shows each connection and request on standard error, and
//! `RUST_LOG=bench_client=info` each round of a comparison. Without that variable, nothing is logged and nothing is recorded.

use std::io::stderr;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::output::error_line;

/// Logs as the environment variable `RUST_LOG` says, if it is set.
pub fn start() {
    let Ok(wanted) = std::env::var("RUST_LOG") else { return };
    let filter = match wanted.parse::<Targets>() {
        Ok(filter) => filter,
        Err(error) => {
            return error_line(format_args!(
                "nothing is logged: RUST_LOG={wanted}: {error}; an example is server=debug"
            ));
        }
    };
    // An error is a logger that a test has installed already.
    let _ = registry().with(fmt::layer().with_writer(stderr)).with(filter).try_init();
}
