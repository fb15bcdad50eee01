//! A round: connect the subscribers, warm up, measure, drain, and judge whether the result is sound. Nothing here is specific to one
//! transport.

pub mod contents;
pub mod group;
pub mod judge;
pub mod processes;
pub mod recorder;
pub mod run;
pub mod series;
