//! The load client: many subscribers of each transport, and their measurements.
//!
//! The path of a delivery: a transport (`transport/`) finds the event in the bytes that a connection (`wire/`) has received. The subscriber
//! (`subscriber/`) decodes and timestamps it, and the recorder (`round/recorder.rs`) stores the delivery. The `reports` crate decides whether
//! the round is valid (`reports/src/judge.rs`), and draws it.

// First, since its macros are used by the modules after it.
#[macro_use]
mod output;

mod check;
pub mod command;
pub mod endpoint;
mod environment;
mod experiment;
mod fault;
mod metrics;
pub mod packets;
mod progress;
mod report;
pub mod round;
pub mod subscriber;
pub mod target;
pub mod test_bed;
mod transport;
mod verify;
pub mod wire;
