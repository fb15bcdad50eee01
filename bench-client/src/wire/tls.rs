//! The client's side of TLS, one record at a time (RFC 8446, section 5).
//!
//! The ledger has to know what TLS adds to the bytes. So the records are separated here, by their headers, before they are decrypted. The
//! difference between the lengths of a record and of its content is overhead of TLS. A record without application data belongs to the opening
//! or closing of the session.

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

/// The length of a record's header, in bytes: type, version and length.
const HEADER_BYTES: usize = 5;
/// The most content of one record, in bytes (RFC 8446, section 5.1).
const MAX_CONTENT_BYTES: usize = 16 << 10;

/// The TLS configuration for one server.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// TLS with the server of that name or address. Its certificate must be issued by an authority that this system trusts; with `insecure`,
    /// any certificate is accepted.
    ///
    /// # Errors
    /// When `host` is not a valid name or address, or the system has no trusted certificates.
    pub fn new(host: &str, insecure: bool) -> anyhow::Result<Self> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_string()).with_context(|| format!("'{host}' is not a server name"))?;
        let provider = Arc::new(default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&version::TLS13])?;
        let builder = match insecure {
            true => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Unissued { algorithms, pinned: None }))
            }
            false => builder.with_root_certificates(trusted_roots()?),
        };
        let mut config = builder.with_no_client_auth();
        // Each subscriber represents a different machine that connects for the first time, so no session is resumed.
        config.resumption = Resumption::disabled();
        Ok(Self { config: config.into(), name })
    }
}

impl Tls {
    /// The same, but offering only this protocol in the handshake (RFC 7301).
    pub fn offering(&self, protocol: &[u8]) -> Self {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Self { config: config.into(), name: self.name.clone() }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TLS with {:?}", self.name)
    }
}

/// The root certificates that this system trusts.
fn trusted_roots() -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    anyhow::ensure!(!roots.is_empty(), "this system has no trusted certificates; --insecure accepts any certificate");
    Ok(roots)
}

/// The TLS session of one connection.
pub struct Session {
    connection: ClientConnection,
    /// Received bytes that were not decrypted yet.
    encrypted: BytesMut,
}

/// The lengths of a decrypted record.
pub struct Opened {
    /// The record, header included, in bytes.
    pub record: usize,
    /// Its application data, in bytes; 0 in a record that opens or closes the session.
    pub content: usize,
}

impl Session {
    /// A session whose handshake has not begun.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn new(tls: &Tls) -> io::Result<Self> {
        let connection = ClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(io::Error::other)?;
        Ok(Self { connection, encrypted: BytesMut::new() })
    }

    /// Whether the handshake is not finished yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The protocol that the server has chosen in the handshake, if we have offered any.
    pub fn negotiated(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The buffer to which bytes from the wire are appended.
    pub fn encrypted(&mut self) -> &mut BytesMut {
        &mut self.encrypted
    }

    /// Decrypts the next record and appends its application data to `content`; `None` while the record is incomplete.
    ///
    /// # Errors
    /// `InvalidData` where it is not a record of this session, or the certificate is not trusted.
    pub fn open(&mut self, content: &mut BytesMut) -> io::Result<Option<Opened>> {
        let Some(&[_, _, _, high, low]) = self.encrypted.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let record = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
        if self.encrypted.len() < record {
            return Ok(None);
        }
        let mut rest = &self.encrypted[..record];
        while !rest.is_empty() {
            if self.connection.read_tls(&mut rest)? == 0 {
                // After the peer's close alert, rustls reads nothing more.
                break;
            }
            self.connection.process_new_packets().map_err(rejected)?;
        }
        let state = self.connection.process_new_packets().map_err(rejected)?;
        let before = content.len();
        content.resize(before + state.plaintext_bytes_to_read(), 0);
        if content.len() > before {
            self.connection.reader().read_exact(&mut content[before..])?;
        }
        self.encrypted.advance(record);
        Ok(Some(Opened { record, content: content.len() - before }))
    }

    /// Encrypts `content`; returns its records, after those that the session itself has pending.
    ///
    /// # Errors
    /// Those of rustls.
    pub fn seal(&mut self, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut records = self.pending_records()?;
        for piece in content.chunks(MAX_CONTENT_BYTES) {
            self.connection.writer().write_all(piece)?;
            records.append(&mut self.pending_records()?);
        }
        Ok(records)
    }

    /// The records that the session has to send: those of the handshake, and encrypted content.
    ///
    /// # Errors
    /// Those of rustls.
    pub fn pending_records(&mut self) -> io::Result<Vec<u8>> {
        let mut records = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut records)?;
        }
        Ok(records)
    }

    /// Closes our side of the session; returns the record of the close alert (RFC 8446, section 6.1).
    pub fn close(&mut self) -> Vec<u8> {
        self.connection.send_close_notify();
        self.pending_records().unwrap_or_default()
    }
}

fn rejected(error: Error) -> io::Error {
    let self_signed = matches!(
        &error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(OtherError(_)))
    );
    let hint = if self_signed { "; --insecure accepts a self-signed certificate" } else { "" };
    io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}{hint}"))
}

/// Accepts a certificate that no authority needs to have issued, provided that the server proves to have its key: the one with a hash or, without
/// a hash, any; then the server's identity stays unknown.
#[derive(Debug)]
pub struct Unissued {
    /// The signatures that a server may prove its key with.
    pub algorithms: WebPkiSupportedAlgorithms,
    /// The SHA-256 hash of the certificate, in hex.
    pub pinned: Option<String>,
}

impl ServerCertVerifier for Unissued {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let has_hash = |pinned: &String| {
            let hash = ring::digest::digest(&ring::digest::SHA256, own);
            let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            hex == *pinned
        };
        match self.pinned.as_ref().is_none_or(has_hash) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
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
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
