//! Tests of the server over its sockets, which compare the exact bytes.

mod answers;
mod contract;
mod hall;
mod handshake;
mod libraries;
mod pages;
mod policy;
mod polls;
mod presenter;
mod relay;
mod shutdown;
mod slow_readers;
mod streams;
mod support;
mod tls;
mod traces;
