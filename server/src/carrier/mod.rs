//! Carriers: sockets, limits on their number, and how connections over TCP, TLS, HTTP/1.1, HTTP/2 and WebSocket are opened, served and closed.

pub(crate) mod accept;
pub(crate) mod admission;
pub(crate) mod closing;
mod deflate;
mod floods;
mod frames;
pub(crate) mod http;
mod http1;
mod http2;
mod poll_loop;
pub(crate) mod quic;
pub(crate) mod reject;
mod socket;
mod stream_traces;
mod substream;
mod tls;
mod upgrade;

pub(crate) use admission::{Admission, Refusals};
pub(crate) use deflate::Compression;
pub(crate) use frames::WebSocket;
pub(crate) use socket::{Socket, Stream, Unsent, advance};
pub(crate) use substream::{StreamBody, Substream};
pub(crate) use tls::HANDSHAKE_TIMEOUT;
pub use tls::Identity;
pub(crate) use upgrade::{Properties, choose_subprotocol, upgrade};
