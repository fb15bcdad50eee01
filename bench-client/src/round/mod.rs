//! A round: connect the subscribers, warm up, measure, drain, and judge. Nothing here depends on a transport.

pub mod contents;
pub mod group;
pub mod judge;
pub mod processes;
pub mod recorder;
pub mod run;
pub mod series;
