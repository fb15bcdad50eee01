//! The addresses on which a server listens, and their URLs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use protocol::Transport;

/// The addresses on which a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The address for HTTP and WebSocket.
    pub http: SocketAddr,
    /// The address for raw TCP.
    pub tcp: SocketAddr,
    /// The address for WebTransport, of UDP; `None` on a system whose sockets cannot do what QUIC needs.
    pub quic: Option<SocketAddr>,
    /// Whether both ports of TCP use TLS; that of UDP always does.
    pub tls: bool,
    /// The host name for which the certificate is valid, if clients must use that instead of an address.
    pub name: Option<String>,
}

impl Addresses {
    /// The same with addresses to which other machines can connect. A server that listens on 0.0.0.0 listens on all addresses of its
    /// machine, but 0.0.0.0 itself is not one of them.
    pub fn reachable(&self) -> Self {
        let with_reachable_ip = |address: SocketAddr| SocketAddr::new(reachable(address.ip()), address.port());
        Self {
            http: with_reachable_ip(self.http),
            tcp: with_reachable_ip(self.tcp),
            quic: self.quic.map(with_reachable_ip),
            ..self.clone()
        }
    }

    /// `http`, or `https` with TLS.
    pub fn http_scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The host and port of the HTTP address, as in a URL.
    pub fn authority(&self) -> String {
        match &self.name {
            Some(name) => format!("{name}:{}", self.http.port()),
            None => self.http.to_string(),
        }
    }

    /// The URL for HTTP, without a path.
    pub fn http_url(&self) -> String {
        format!("{}://{}", self.http_scheme(), self.authority())
    }

    /// The URL for WebSockets, without a path.
    pub fn websocket_url(&self) -> String {
        format!("{}://{}", if self.tls { "wss" } else { "ws" }, self.authority())
    }

    /// The origin of the transports over QUIC, if there are any.
    pub fn quic_origin(&self) -> Option<String> {
        let address = self.quic?;
        Some(match &self.name {
            Some(name) => format!("https://{name}:{}", address.port()),
            None => format!("https://{address}"),
        })
    }

    /// The URL of a transport over QUIC, if there are any.
    pub fn quic_url(&self, transport: Transport) -> Option<String> {
        Some(self.quic_origin()? + transport.row().path.unwrap_or_default())
    }

    /// The URL for raw TCP.
    pub fn tcp_url(&self) -> String {
        format!("{}://{}", if self.tls { "tls" } else { "tcp" }, self.tcp)
    }
}

/// The address to which other machines connect if a server listens on `ip`.
pub fn reachable(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() { source_address() } else { ip }
}

/// The address to which this machine itself connects if a server listens on `ip`.
pub fn local(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// The source address that this machine uses for packets to other networks; loopback if it has no route to them.
fn source_address() -> IpAddr {
    // Connecting a UDP socket sends nothing. The destination is an address for documentation (RFC 5737).
    let source = |destination: SocketAddr| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(destination)?;
        socket.local_addr()
    };
    source(SocketAddr::from(([192, 0, 2, 1], 9))).map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}
