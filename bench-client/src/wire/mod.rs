//! The wire: a subscriber's connection, in layers. Each layer is a type of its own: `socket` counts the bytes, `link` models a network,
//! `tls` encrypts, and `secured` puts these together. `http1` reads responses, and `http2` divides a connection into streams. `quic` is a
//! session over UDP, whose bytes `datagrams` counts. `connection` is what a subscriber has: a socket of its own, a stream, or a session.

mod connection;
mod datagrams;
pub mod http1;
pub mod http2;
pub(crate) mod link;
mod linked;
pub(crate) mod quic;
mod secured;
pub(crate) mod socket;
pub(crate) mod tls;

pub use connection::{Connection, SharedLedger};
pub use quic::QuicEndpoint;
