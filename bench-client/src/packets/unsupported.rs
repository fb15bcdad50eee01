//! The link on systems that have no network namespaces: it cannot be made.

use std::convert::Infallible;

use anyhow::bail;
use protocol::network::Network;
use protocol::result::Packets;

/// A link that does not exist.
pub struct PacketNetwork(Infallible);

impl PacketNetwork {
    /// Says what would be needed.
    ///
    /// # Errors
    /// Always.
    pub fn open(_network: Network, _seed: u64) -> anyhow::Result<Self> {
        bail!("losing packets needs Linux, with the right to make network namespaces; this is {}", std::env::consts::OS)
    }

    /// Runs a future at the server's end of the link.
    ///
    /// # Errors
    /// Those of the future.
    pub async fn at_server<T>(&self, _future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        match self.0 {}
    }

    /// The packets so far.
    pub fn packets(&self) -> Packets {
        match self.0 {}
    }
}
