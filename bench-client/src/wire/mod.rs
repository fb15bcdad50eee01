//! The wire: a subscriber's connection, in layers. Each layer is a type of its own: [`socket`] counts the bytes, [`link`] models a network,
//! [`tls`] encrypts, and [`http1`] reads responses. [`connection`] puts them together.

pub mod connection;
pub mod http1;
pub mod kernel;
pub mod link;
pub mod linked;
pub mod socket;
pub mod timer;
pub mod tls;

pub use connection::{Connection, SharedLedger};
