//! The connection of a publisher.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// How long the server may take to respond, and to take bytes.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects.
///
/// # Errors
/// When the server cannot be reached.
pub fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).with_context(|| format!("cannot reach the server at {to}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    stream.set_write_timeout(Some(RESPONSE_TIMEOUT))?;
    Ok(stream)
}
