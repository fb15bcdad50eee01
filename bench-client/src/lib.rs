//! The load client: subscribes through every transport at once many times over, and measures what arrives.
//!
//! Follow a delivery: a file in [`transport`] takes an event's bytes from what a subscriber [`hear`]s on a [`counted`] connection,
//! the [`subscriber`] decodes and stamps it, the [`recorder`] keeps it, the [`runner`] judges the round, and the `reports` crate
//! draws it.
//! The [`session`] keeps a subscriber subscribed meanwhile.

// First, for its macro.
#[macro_use]
mod output;

pub mod alarm;
pub mod audience;
pub mod bench;
pub mod compare;
pub mod contents;
pub mod control;
pub mod counted;
pub mod crowd;
pub mod demo;
pub mod environment;
pub mod experiment;
pub mod fault;
pub mod headers;
pub mod hear;
pub mod http;
pub mod lab;
pub mod link;
pub mod place;
pub mod poll;
pub mod progress;
pub mod recorder;
pub mod relay;
pub mod report;
pub mod runner;
pub mod session;
pub mod stop;
pub mod stream;
pub mod subscriber;
pub mod tcp_info;
pub mod tls;
pub mod transport;
pub mod trial;
pub mod verify;
