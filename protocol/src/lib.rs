//! The types that the server, the load client and the reports share: events, envelopes, the table of transports, and results.
//!
//! Every encoder and decoder is a pure function from bytes to bytes, so it can be tested and fuzzed without a socket. Only `platform` and `clock`
//! ask the operating system.

pub mod answer;
pub mod appearance;
pub mod chunked;
pub mod clock;
pub mod deflate;
pub mod envelope;
pub mod event;
pub mod experiment;
pub mod facts;
pub mod fnv;
pub mod histogram;
pub mod http2;
pub mod ledger;
pub mod mcp;
pub mod network;
pub mod payload;
pub mod platform;
pub mod result;
pub mod run;
pub mod schedule;
pub mod status;
pub mod timetable;
pub mod transport;

pub use envelope::Envelope;
pub use event::{Bookmark, Cursor, Epoch, Event, Gap};
pub use histogram::Histogram;
pub use ledger::{Layer, Ledger};
pub use transport::Transport;
