//! The load client: many subscribers of each transport, and their measurements.
//!
//! The path of a delivery: a transport (`transport/`) finds the event in the bytes that a connection (`wire/`) has received. The subscriber
//! (`subscriber/`) decodes and timestamps it, and the recorder (`round/recorder.rs`) stores the delivery. `round/judge.rs` decides whether
//! the round is valid, and the `reports` crate draws it.

// First, since its macros are used by the modules after it.
#[macro_use]
mod output;

pub mod command;
pub mod endpoint;
pub mod environment;
pub mod experiment;
pub mod fault;
pub mod progress;
pub mod report;
pub mod round;
pub mod subscriber;
pub mod test_bed;
pub mod transport;
pub mod verify;
pub mod wire;
