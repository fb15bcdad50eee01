//! The wire: a subscriber's connection, in layers. Each layer is a type of its own: `socket` counts the bytes, `link` models a network,
//! `tls` encrypts, and `secured` puts these together. `http1` reads responses, and `http2` divides a connection into streams. `connection` is
//! what a subscriber has: a socket of its own, or a stream.

mod connection;
pub mod http1;
pub mod http2;
pub(crate) mod kernel;
pub(crate) mod link;
mod linked;
mod secured;
pub(crate) mod socket;
pub(crate) mod timer;
pub(crate) mod tls;

pub use connection::{Connection, SharedLedger};
