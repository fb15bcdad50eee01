//! Where a server listens, and how that is written.

use std::net::SocketAddr;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP and WebSocket.
    pub http: SocketAddr,
    /// Raw TCP.
    pub tcp: SocketAddr,
    /// Whether both ports speak TLS.
    pub tls: bool,
    /// The name that the certificate is for, where people have to ask by that.
    pub name: Option<String>,
}

impl Addresses {
    /// `http`, or `https`.
    pub fn http_scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The HTTP port as a URL names it.
    pub fn authority(&self) -> String {
        match &self.name {
            Some(name) => format!("{name}:{}", self.http.port()),
            None => self.http.to_string(),
        }
    }

    /// The HTTP port's URL, without a path.
    pub fn http_url(&self) -> String {
        format!("{}://{}", self.http_scheme(), self.authority())
    }

    /// The URL for WebSockets, without a path.
    pub fn websocket_url(&self) -> String {
        format!("{}://{}", if self.tls { "wss" } else { "ws" }, self.authority())
    }

    /// The raw TCP port's URL.
    pub fn tcp_url(&self) -> String {
        format!("{}://{}", if self.tls { "tls" } else { "tcp" }, self.tcp)
    }
}
