//! The address for those who only watch: how other machines reach this server, as text and as a QR code.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;

use crate::addresses::Addresses;

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

/// How a server that listens there is reached.
pub fn viewers(addresses: &Addresses) -> Viewers {
    let address = SocketAddr::new(reached(addresses.http.ip()), addresses.http.port());
    let url = match addresses.name {
        Some(_) => addresses.http_url() + "/",
        None => format!("{}://{address}/", addresses.http_scheme()),
    };
    let code = QrCode::encode_text(&url, QrCodeEcc::Medium).expect("an address is short");
    let row = |y| (0..code.size()).map(|x| if code.get_module(x, y) { '1' } else { '0' }).collect();
    Viewers { url, this_machine_only: address.ip().is_loopback(), modules: (0..code.size()).map(row).collect() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_one_that_can_be_typed_and_its_code_is_square() {
        let viewers = |http: &str, tls| {
            let http = http.parse().unwrap();
            viewers(&Addresses { http, tcp: http, tls, name: None })
        };
        let local = viewers("127.0.0.1:8080", false);
        assert_eq!((&*local.url, local.this_machine_only), ("http://127.0.0.1:8080/", true));
        assert!(local.modules.len() >= 21 && local.modules.iter().all(|row| row.len() == local.modules.len()));
        assert_eq!(viewers("127.0.0.1:8080", true).url, "https://127.0.0.1:8080/");
        let http = "0.0.0.0:8443".parse().unwrap();
        let named = Addresses { http, tcp: http, tls: true, name: Some("lab.example.org".into()) };
        assert_eq!(super::viewers(&named).url, "https://lab.example.org:8443/");
        let open = viewers("0.0.0.0:8080", false);
        assert!(!open.url.contains("0.0.0.0"), "{}", open.url);
    }
}
