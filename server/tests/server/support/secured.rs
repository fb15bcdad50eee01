//! A server with a certificate from files, and TLS clients that trust only this certificate.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use server::Options;

/// A client's TLS connection.
pub type Secured = StreamOwned<ClientConnection, TcpStream>;

/// A certificate and its key, in files.
pub struct Certificate {
    der: CertificateDer<'static>,
    /// The path of the certificate.
    pub certificate: PathBuf,
    /// The path of its key.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes a certificate for localhost. `name` is a part of the file names, so each test needs its own.
    pub fn new(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_string()]).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let write = |ending: &str, text: String| {
            let path = folder.join(format!("{name}-{ending}.pem"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let key: KeyPair = signing_key;
        Self {
            der: cert.der().clone(),
            certificate: write("certificate", cert.pem()),
            key: write("key", key.serialize_pem()),
        }
    }

    /// The options of a server with this certificate.
    pub fn options(&self, options: Options) -> Options {
        Options { tls_cert: Some(self.certificate.clone()), tls_key: Some(self.key.clone()), ..options }
    }

    /// A client that trusts this certificate, on a connection that is already open.
    pub fn client(&self, stream: TcpStream) -> Secured {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(default_provider().into());
        let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config.with_no_client_auth()), name).unwrap(), stream)
    }
}
