//! TLS, with which http becomes https and ws becomes wss (RFC 8446; RFC 9110, section 4.2.2; RFC 6455, section 3).
//!
//! A [`Session`] encrypts the bytes that are written to a connection's socket into records, and decrypts the records that are received.
//! Each connection has its own keys, so each subscriber gets a different record of the same event. This encryption is the work that TLS
//! adds to a delivery.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::{Buf, BytesMut};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, version};
use socket2::SockRef;
use tokio::net::TcpStream;

/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The content type of a handshake record, which is the first byte of a TLS connection (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The name of HTTP/2 in the handshake (RFC 9113, section 3.2).
const HTTP_2: &[u8] = b"h2";

/// A server's certificate and private key.
#[derive(Clone)]
pub struct Identity {
    /// The configuration of its sessions.
    config: Arc<ServerConfig>,
    /// The SHA-256 fingerprint of the certificate, in hex, with which users can verify a self-signed certificate.
    pub fingerprint: String,
    /// Whether the certificate is self-signed.
    pub self_signed: bool,
}

impl Identity {
    /// Reads a certificate chain, the server's own certificate first, and its private key, both in PEM.
    ///
    /// # Errors
    /// When a file cannot be read, contains no certificate or no key, or the key does not belong to the certificate.
    pub fn read(certificates: &Path, key: &Path) -> anyhow::Result<Self> {
        let no_certificate = || format!("--tls-cert {} contains no certificate in PEM", certificates.display());
        let chain = CertificateDer::pem_file_iter(certificates).with_context(no_certificate)?;
        let chain = chain.collect::<Result<Vec<_>, _>>().with_context(no_certificate)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("--tls-key {} contains no private key in PEM", key.display()))?;
        let own = chain.first().cloned().with_context(no_certificate)?;
        Self::new(&own, chain, key, false).context("--tls-cert and --tls-key do not belong together")
    }

    /// The configuration of its sessions.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Makes a self-signed certificate for these host names and addresses, and for localhost.
    ///
    /// # Errors
    /// When a name is not valid, or the system provides no random numbers.
    pub fn self_signed(names: &[String], addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = certificate_for(names, addresses)?.self_signed(&key)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Self::new(certificate.der(), vec![certificate.der().clone()], key, true)
    }

    fn new(
        own: &CertificateDer<'static>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        self_signed: bool,
    ) -> anyhow::Result<Self> {
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // The first of these that a client offers is selected; if it offers only others, it is rejected (RFC 7301).
        config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: config.into(), fingerprint: fingerprint(own), self_signed })
    }
}

/// A certificate for these host names and addresses, and for localhost, that is still to be signed.
///
/// # Errors
/// When a name is not valid.
pub fn certificate_for(names: &[String], addresses: &[IpAddr]) -> anyhow::Result<CertificateParams> {
    let addresses = addresses.iter().map(IpAddr::to_string);
    let names = names.iter().cloned().chain(["localhost".into()]).chain(addresses);
    let mut parameters = CertificateParams::new(names.collect::<Vec<_>>())?;
    parameters.distinguished_name.push(DnType::CommonName, "Transport Lab, self-signed");
    Ok(parameters)
}

/// The SHA-256 hash of a certificate, in hex.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, certificate);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The TLS session of one connection.
pub struct Session {
    connection: ServerConnection,
    /// Encrypted records that are still to be written to the socket.
    encrypted: BytesMut,
    /// Number of decrypted bytes that have not been read yet.
    decrypted_bytes: usize,
    /// Whether the peer has ended its side.
    ended: bool,
    /// Whether bytes were received that are not a record of this session. Then the bytes before them are not read any more, either.
    broken: bool,
}

/// The reason why there is no session.
#[derive(Debug)]
pub enum Refusal {
    /// The peer does not use TLS.
    Plain,
    /// The peer disconnected, or offered nothing that this server supports.
    Failed,
}

impl Session {
    /// Performs the handshake with the peer of a new connection.
    ///
    /// # Errors
    /// When the peer does not use TLS, disconnects, or supports no version or protocol of this server.
    pub async fn accept(stream: &TcpStream, identity: &Identity) -> Result<Self, Refusal> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] != HANDSHAKE => return Err(Refusal::Plain),
            Ok(1) => {}
            _ => return Err(Refusal::Failed),
        }
        let connection = ServerConnection::new(identity.config.clone()).map_err(|_| Refusal::Failed)?;
        let mut session =
            Self { connection, encrypted: BytesMut::new(), decrypted_bytes: 0, ended: false, broken: false };
        session.handshake(stream).await.map_err(|_| Refusal::Failed)?;
        Ok(session)
    }

    async fn handshake(&mut self, stream: &TcpStream) -> io::Result<()> {
        while self.connection.is_handshaking() {
            stream.readable().await?;
            match self.receive(stream) {
                Ok(()) if self.ended && self.connection.is_handshaking() => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Ok(()) | Err(_) => {}
            }
            while !self.flush(stream)? {
                stream.writable().await?;
            }
        }
        Ok(())
    }

    /// Whether the client has chosen HTTP/2; `None` if it has offered no protocol.
    pub fn negotiated_http2(&self) -> Option<bool> {
        Some(self.connection.alpn_protocol()? == HTTP_2)
    }

    /// Bytes of records that are still to be written to the socket.
    pub fn backlog(&self) -> usize {
        self.encrypted.len()
    }

    /// Whether a read has a result without reading from the socket: bytes, the end or an error.
    pub fn is_read_ready(&self) -> bool {
        self.decrypted_bytes > 0 || self.ended || self.broken
    }

    /// Whether the peer has ended its side, and all that it sent was read.
    pub fn has_ended(&self) -> bool {
        self.decrypted_bytes == 0 && self.ended || self.broken
    }

    /// Reads the available bytes without waiting; returns 0 at the end. It reads from the socket at most once, so that a peer that sends
    /// empty records does not delay other connections. A connection that is closed without TLS's closing alert has ended as well: no
    /// message can be cut off unnoticed, since every envelope marks its own end.
    ///
    /// # Errors
    /// Those of the socket, `WouldBlock` if nothing is available, and `InvalidData` if the bytes are not a record of this session.
    pub fn read(&mut self, stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_read_ready() {
            self.receive(stream)?;
        }
        if self.broken {
            return Err(ErrorKind::InvalidData.into());
        }
        match self.connection.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
            Ok(read) => {
                self.decrypted_bytes -= read;
                Ok(read)
            }
        }
    }

    /// Reads from the socket once, and decrypts the received records.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn receive(&mut self, stream: &TcpStream) -> io::Result<()> {
        let read = self.connection.read_tls(&mut SocketReader(stream))?;
        let processed = self.connection.process_new_packets();
        // The session's own reply, which may be an alert.
        self.encrypt();
        self.flush(stream)?;
        let state = processed.map_err(|error| {
            self.broken = true;
            io::Error::new(ErrorKind::InvalidData, error)
        })?;
        self.decrypted_bytes = state.plaintext_bytes_to_read();
        self.ended = read == 0 || state.peer_has_closed();
        Ok(())
    }

    /// Encrypts `parts` into as few records as possible, and writes as much of these as the socket accepts. Returns how many bytes were
    /// encrypted, at most 64 KiB.
    ///
    /// # Errors
    /// Those of the socket, and `WouldBlock` while earlier records are still to be written.
    pub fn write(&mut self, stream: &TcpStream, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.flush(stream)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let written = self.connection.writer().write_vectored(parts)?;
        self.encrypt();
        self.flush(stream)?;
        Ok(written)
    }

    /// Writes as much of the encrypted records as the socket accepts. Returns whether none is left.
    ///
    /// # Errors
    /// Those of the socket; that it is full is not an error.
    pub fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while !self.encrypted.is_empty() {
            match stream.try_write(&self.encrypted) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.encrypted.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // A session with nothing to write keeps no buffer.
        self.encrypted = BytesMut::new();
        Ok(true)
    }

    /// Writes as much as the socket accepts now, even if it was last reported full. Returns how many bytes were written.
    ///
    /// # Errors
    /// Those of the socket; that it is full is not an error.
    pub fn write_now(&mut self, stream: &TcpStream) -> io::Result<usize> {
        match SockRef::from(stream).send(&self.encrypted) {
            Ok(written) => {
                self.encrypted.advance(written);
                Ok(written)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Adds the closing alert (RFC 8446, section 6.1) to the records to be written. It shows the peer that nothing was cut off.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
        self.encrypt();
    }

    /// Collects the records that rustls has to send.
    fn encrypt(&mut self) {
        while self.connection.wants_write() {
            let mut records = Records(&mut self.encrypted);
            self.connection.write_tls(&mut records).expect("writing to memory");
        }
    }
}

/// The buffer to which rustls writes records.
struct Records<'a>(&'a mut BytesMut);

impl Write for Records<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket from which rustls reads.
struct SocketReader<'a>(&'a TcpStream);

impl Read for SocketReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}
