//! TLS, the client's side, a record at a time (RFC 8446, section 5).
//!
//! What TLS costs is the ledger's business, so the records are taken apart here, by their headers, before they are opened: what
//! a record is longer than what was in it is TLS's, and a record with nothing of ours in it opened or closed the session.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use anyhow::Context;
use bytes::{Buf, BytesMut};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring::default_provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme, version,
};

/// A record's header: type, version and length.
const HEADER: usize = 5;

/// How a client speaks TLS with a server.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// TLS with the server of that name or address, whose certificate must lead to one that this system trusts; or, if `insecure`,
    /// with whoever answers there.
    ///
    /// # Errors
    /// When it is no name, or the system trusts nobody.
    pub fn new(host: &str, insecure: bool) -> anyhow::Result<Self> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_string()).with_context(|| format!("'{host}' is no server's name"))?;
        let provider = Arc::new(default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&version::TLS13])?;
        let builder = match insecure {
            true => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(algorithms))),
            false => builder.with_root_certificates(trusted()?),
        };
        let mut config = builder.with_no_client_auth();
        // Each subscriber stands for somebody else's machine, which has not been here before.
        config.resumption = Resumption::disabled();
        Ok(Self { config: config.into(), name })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TLS with {:?}", self.name)
    }
}

/// Whom this system trusts to vouch for servers.
fn trusted() -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    anyhow::ensure!(!roots.is_empty(), "this system has no certificates to trust; --insecure does without");
    Ok(roots)
}

/// One connection's TLS.
pub struct Session {
    connection: ClientConnection,
    /// The part of a record that has come.
    sealed: BytesMut,
}

/// How long a record was, and how much of it was ours.
pub struct Opened {
    /// The record, header included, in bytes.
    pub record: usize,
    /// What was in it for us, in bytes; none in one that opens or closes the session.
    pub content: usize,
}

impl Session {
    /// A session that has yet to be opened.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(tls: &Tls) -> io::Result<Self> {
        let connection = ClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(io::Error::other)?;
        Ok(Self { connection, sealed: BytesMut::new() })
    }

    /// Whether hands are still being shaken.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Where bytes from the wire are appended.
    pub fn sealed(&mut self) -> &mut BytesMut {
        &mut self.sealed
    }

    /// Opens the next record and appends what was in it to `content`; `None` while it has not come whole.
    ///
    /// # Errors
    /// `InvalidData` where it is no record of this session, or the certificate is not to be trusted.
    pub fn open(&mut self, content: &mut BytesMut) -> io::Result<Option<Opened>> {
        let Some(&[_, _, _, high, low]) = self.sealed.first_chunk::<HEADER>() else { return Ok(None) };
        let record = HEADER + usize::from(u16::from_be_bytes([high, low]));
        if self.sealed.len() < record {
            return Ok(None);
        }
        let mut rest = &self.sealed[..record];
        while !rest.is_empty() {
            if self.connection.read_tls(&mut rest)? == 0 {
                // Nothing is read behind the peer's farewell.
                break;
            }
            self.connection.process_new_packets().map_err(refused)?;
        }
        let state = self.connection.process_new_packets().map_err(refused)?;
        let before = content.len();
        content.resize(before + state.plaintext_bytes_to_read(), 0);
        if content.len() > before {
            self.connection.reader().read_exact(&mut content[before..])?;
        }
        self.sealed.advance(record);
        Ok(Some(Opened { record, content: content.len() - before }))
    }

    /// Seals `content` in records, behind what the session itself has to say.
    pub fn seal(&mut self, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut records = self.own_words()?;
        for piece in content.chunks(MOST_SEALED) {
            self.connection.writer().write_all(piece)?;
            records.append(&mut self.own_words()?);
        }
        Ok(records)
    }

    /// What the session itself has to say: its part of the handshake.
    pub fn own_words(&mut self) -> io::Result<Vec<u8>> {
        let mut records = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut records)?;
        }
        Ok(records)
    }

    /// Says that nothing follows (RFC 8446, section 6.1).
    pub fn close(&mut self) -> Vec<u8> {
        self.connection.send_close_notify();
        self.own_words().unwrap_or_default()
    }
}

/// How much is sealed at once, in bytes: one record's content (RFC 8446, section 5.1).
const MOST_SEALED: usize = 16 << 10;

fn refused(error: Error) -> io::Error {
    let self_signed = matches!(
        &error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(OtherError(_)))
    );
    let hint = if self_signed { "; --insecure takes a certificate that nobody vouches for" } else { "" };
    io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}{hint}"))
}

/// Takes any certificate whose key the server can be shown to have: who it is stays unknown.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
