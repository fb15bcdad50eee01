//! Where a server listens, and how that is written.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

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
    /// The same with addresses by which others reach them: to listen on 0.0.0.0 is to listen on all that there are.
    pub fn reached(&self) -> Self {
        let by = |address: SocketAddr| SocketAddr::new(reached(address.ip()), address.port());
        Self { http: by(self.http), tcp: by(self.tcp), ..self.clone() }
    }

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

/// The address by which others reach who listens on `ip`.
pub fn reached(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() { outward() } else { ip }
}

/// The address that this machine has towards others: the one it would send from. Nothing is sent for it, and who it would be
/// sent to is an address for documentation (RFC 5737). Loopback where there is no way out.
fn outward() -> IpAddr {
    let towards = |to: SocketAddr| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(to)?;
        socket.local_addr()
    };
    towards(SocketAddr::from(([192, 0, 2, 1], 9))).map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}
