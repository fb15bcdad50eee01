//! The address of a server, and whether the server uses TLS.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};

use crate::wire::tls::Tls;

/// A server's HTTP port.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// The value of the `Host` header.
    pub host: String,
    /// The TLS configuration, if the server uses TLS.
    pub tls: Option<Tls>,
}

impl Endpoint {
    /// The endpoint at an address, without TLS. Its host name is the address.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, host: address.to_string(), tls: None }
    }

    /// The endpoint of a URL like `http://127.0.0.1:8080`. With https, the server's certificate must be one that this system trusts; with
    /// `insecure`, any certificate is accepted.
    ///
    /// # Errors
    /// When the URL is not of that form, or its host has no address.
    pub fn named(url: &str, insecure: bool) -> anyhow::Result<Self> {
        let form =
            || format!("--url must be http://HOST:PORT or https://HOST:PORT, like http://127.0.0.1:8080, not '{url}'");
        let (secure, host) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(host), _) => (false, host),
            (_, Some(host)) => (true, host),
            _ => bail!(form()),
        };
        let host = host.trim_end_matches('/');
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            bail!(form());
        }
        let (name, with_port) = match host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) {
            Some((name, _)) => (name, host.to_string()),
            None => (host, format!("{host}:{}", if secure { 443 } else { 80 })),
        };
        let mut addresses =
            with_port.to_socket_addrs().with_context(|| format!("cannot resolve the host of --url {url}"))?;
        let address = addresses.next().with_context(|| format!("the host of --url {url} has no address"))?;
        let tls = secure.then(|| Tls::new(name, insecure)).transpose()?;
        Ok(Self { address, host: host.into(), tls })
    }

    /// The origin of the server's pages (RFC 6454).
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_a_host_and_an_optional_port_and_nothing_else() {
        let named = |url| Endpoint::named(url, true);
        let plain = named("http://127.0.0.1:8080/").unwrap();
        assert_eq!((plain.host.as_str(), plain.address), ("127.0.0.1:8080", "127.0.0.1:8080".parse().unwrap()));
        assert_eq!(plain.origin(), "http://127.0.0.1:8080");
        assert_eq!(named("http://127.0.0.1").unwrap().address.port(), 80);
        assert_eq!(named("https://127.0.0.1").unwrap().address.port(), 443);
        assert_eq!(named("https://[::1]:8443").unwrap().origin(), "https://[::1]:8443");
        for wrong in ["127.0.0.1:8080", "ftp://a", "http://", "https://", "http://a/poll", "http://u@a"] {
            assert!(named(wrong).unwrap_err().to_string().contains("https://HOST:PORT"), "{wrong}");
        }
    }
}
