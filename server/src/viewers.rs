//! The address for those who only watch: how other machines reach this server, as text and as a QR code.

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
    let reached = addresses.reached();
    let url = reached.http_url() + "/";
    let code = QrCode::encode_text(&url, QrCodeEcc::Medium).expect("an address is short");
    let row = |y| (0..code.size()).map(|x| if code.get_module(x, y) { '1' } else { '0' }).collect();
    Viewers { url, this_machine_only: reached.http.ip().is_loopback(), modules: (0..code.size()).map(row).collect() }
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
