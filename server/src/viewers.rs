//! The address for those who only watch: how other machines reach this server, as text and as a QR code.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;

/// What the page shows to those who want to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Viewers {
    /// The page's address, without the presenter's token.
    pub url: String,
    /// Whether it leads here from this machine only.
    pub this_machine_only: bool,
    /// The address as a QR code: rows of dark (1) and light (0) modules, without the margin of four that belongs around them.
    pub modules: Vec<String>,
}

/// How a server that listens at `http` is reached.
pub fn viewers(http: SocketAddr) -> Viewers {
    let address = SocketAddr::new(if http.ip().is_unspecified() { outward() } else { http.ip() }, http.port());
    let url = format!("http://{address}/");
    let code = QrCode::encode_text(&url, QrCodeEcc::Medium).expect("an address is short");
    let row = |y| (0..code.size()).map(|x| if code.get_module(x, y) { '1' } else { '0' }).collect();
    Viewers { url, this_machine_only: address.ip().is_loopback(), modules: (0..code.size()).map(row).collect() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_one_that_can_be_typed_and_its_code_is_square() {
        let local = viewers("127.0.0.1:8080".parse().unwrap());
        assert_eq!((&*local.url, local.this_machine_only), ("http://127.0.0.1:8080/", true));
        assert!(local.modules.len() >= 21 && local.modules.iter().all(|row| row.len() == local.modules.len()));
        let open = viewers("0.0.0.0:8080".parse().unwrap());
        assert!(!open.url.contains("0.0.0.0"), "{}", open.url);
    }
}
