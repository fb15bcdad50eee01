//! The words that the server, the load client and the reports share: events, framings, transports and results.
//!
//! Nothing here does I/O and nothing here waits; every codec is a pure function from bytes to bytes, so it can be read,
//! tested and fuzzed without a socket.

pub mod clock;
pub mod event;
pub mod experiment;
pub mod fnv;
pub mod framing;
pub mod histogram;
pub mod ledger;
pub mod network;
pub mod result;
pub mod run;
pub mod schedule;
pub mod status;
pub mod timetable;
pub mod transport;

pub use event::{Bookmark, Cursor, Epoch, Event, Gap};
pub use histogram::Histogram;
pub use ledger::{Layer, Ledger};
pub use transport::Transport;
