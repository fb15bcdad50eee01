//! The faults that a presenter can choose from, each as real proxies and networks have it.

use serde::{Deserialize, Serialize};

/// What goes wrong between the page and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing.
    #[default]
    Off,
    /// A proxy holds a response back until it is complete, or has 64 kB.
    Buffer,
    /// A proxy removes the headers `Upgrade` and `Connection` of requests.
    DropUpgrade,
    /// A proxy closes connections on which nothing is sent for five seconds.
    CutIdle,
    /// Nothing is forwarded any more, and no connection is closed.
    HalfOpen,
    /// Clients read slowly, so bytes wait on the way to them.
    SlowReader,
    /// Six other tabs of each browser keep a stream open, so that a request over HTTP/1.1 waits for one of them to be closed. It is the pages that
    /// open these streams; the relay forwards everything.
    SeventhTab,
    /// All connections are reset, and new ones are for three seconds. Then the fault is over.
    Crash,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 8] = [
        Self::Off,
        Self::Buffer,
        Self::DropUpgrade,
        Self::CutIdle,
        Self::HalfOpen,
        Self::SlowReader,
        Self::SeventhTab,
        Self::Crash,
    ];

    /// Whether it exists at a server with or without TLS: the relay cannot read what TLS encrypts, and over HTTP/2 all tabs share a connection.
    pub fn exists(self, tls: bool) -> bool {
        !tls || !matches!(self, Self::Buffer | Self::DropUpgrade | Self::SeventhTab)
    }
}
