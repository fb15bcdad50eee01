//! The wire: a subscriber's connection, in layers. Each layer is a type of its own: `socket` counts the bytes, `link` models a network,
//! `tls` encrypts, and `http1` reads responses. `connection` puts them together.

mod connection;
pub mod http1;
pub(crate) mod kernel;
pub(crate) mod link;
mod linked;
pub(crate) mod socket;
pub(crate) mod timer;
pub(crate) mod tls;

pub use connection::{Connection, SharedLedger};
