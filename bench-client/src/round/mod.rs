//! A round: connect the subscribers, warm up, measure, and drain. Nothing here is specific to one
//! transport.

pub(crate) mod agents;
mod contents;
pub mod group;
pub(crate) mod processes;
pub mod recorder;
mod run;
pub(crate) mod series;
pub(crate) mod worker;
