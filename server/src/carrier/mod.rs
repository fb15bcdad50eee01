//! Carriers: sockets, limits on their number, and how connections over TCP, TLS, HTTP/1.1 and WebSocket are opened, served and closed.

pub(crate) mod accept;
pub(crate) mod admission;
pub(crate) mod closing;
mod frames;
pub(crate) mod http1;
mod poll_loop;
pub(crate) mod reject;
mod socket;
mod tls;
mod upgrade;

pub(crate) use admission::{Admission, Refusals};
pub(crate) use frames::WebSocket;
pub(crate) use socket::{Socket, Stream, Unsent, advance};
pub use tls::Identity;
pub(crate) use upgrade::{choose_subprotocol, upgrade};
