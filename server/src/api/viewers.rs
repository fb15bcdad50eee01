//! `GET /viewers`: the URLs of the live page and of a phone's page for other machines; the latter also as a QR code.

use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;

use crate::addresses::Addresses;

/// The link that the page shows to viewers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Viewers {
    /// The page's URL, without the presenter's token.
    pub url: String,
    /// The URL of a phone's page.
    pub join: String,
    /// Whether the URLs work on this machine only.
    pub this_machine_only: bool,
    /// The URL of a phone's page as a QR code: rows of dark (1) and light (0) modules, without the required margin of four modules around them.
    pub modules: Vec<String>,
}

/// The link to a server with these addresses.
pub fn viewers(addresses: &Addresses) -> Viewers {
    let addresses = addresses.reachable();
    let url = addresses.http_url() + "/";
    let join = format!("{url}join");
    let code = QrCode::encode_text(&join, QrCodeEcc::Medium).expect("the URL is short");
    let row = |y| (0..code.size()).map(|x| if code.get_module(x, y) { '1' } else { '0' }).collect();
    let modules = (0..code.size()).map(row).collect();
    Viewers { url, join, this_machine_only: addresses.http.ip().is_loopback(), modules }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_has_a_reachable_address_and_its_qr_code_is_square() {
        let viewers = |http: &str, tls| {
            let http = http.parse().unwrap();
            viewers(&Addresses { http, tcp: http, quic: Some(http), tls, name: None })
        };
        let local = viewers("127.0.0.1:8080", false);
        assert_eq!((&*local.url, local.this_machine_only), ("http://127.0.0.1:8080/", true));
        assert_eq!(local.join, "http://127.0.0.1:8080/join");
        assert!(local.modules.len() >= 21 && local.modules.iter().all(|row| row.len() == local.modules.len()));
        assert_eq!(viewers("127.0.0.1:8080", true).url, "https://127.0.0.1:8080/");
        let http = "0.0.0.0:8443".parse().unwrap();
        let named = Addresses { http, tcp: http, quic: Some(http), tls: true, name: Some("lab.example.org".into()) };
        assert_eq!(super::viewers(&named).url, "https://lab.example.org:8443/");
        let open = viewers("0.0.0.0:8080", false);
        assert!(!open.url.contains("0.0.0.0"), "{}", open.url);
    }
}
