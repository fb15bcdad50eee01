//! The server, seen byte by byte from outside.

mod contract;
mod handshake;
mod pages;
mod policy;
mod polls;
mod presenter;
mod shutdown;
mod slow_readers;
mod streams;
mod support;
mod tls;
mod traces;
