//! A round: connect the subscribers, warm up, measure, and drain. Nothing here is specific to one
//! transport.

pub(crate) mod agents;
mod contents;
pub mod group;
mod local;
pub(crate) mod processes;
pub mod recorder;
mod run;
pub(crate) mod series;
mod task;
pub(crate) mod worker;
