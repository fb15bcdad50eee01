//! TLS: https and wss are http and ws within it (RFC 8446; RFC 9110, section 4.2.2; RFC 6455, section 3).
//!
//! A [`Session`] stands between a connection's socket and all who use that: what they write is sealed in records, what comes is
//! opened. Each connection has keys of its own, so of an event that is the same for all, each subscriber's record is different:
//! sealing is the work that TLS adds to a delivery.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::{Buf, BytesMut};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustix::net::{SendFlags, send};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, version};
use tokio::net::TcpStream;

/// How long a handshake may take, from the connection on.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How the first record of a handshake begins (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Who a server says it is, and that it knows the key to it.
#[derive(Clone)]
pub struct Identity {
    /// What sessions are opened with.
    config: Arc<ServerConfig>,
    /// The SHA-256 of its certificate, in hex: what people compare who trust no one else for it.
    pub fingerprint: String,
    /// Whether nobody vouches for it.
    pub self_signed: bool,
}

impl Identity {
    /// Reads a certificate chain, the server's own first, and its private key, both in PEM.
    ///
    /// # Errors
    /// When a file cannot be read, holds nothing of the kind, or the key is another certificate's.
    pub fn read(certificates: &Path, key: &Path) -> anyhow::Result<Self> {
        let what = || format!("--tls-cert {} holds no certificates in PEM", certificates.display());
        let chain = CertificateDer::pem_file_iter(certificates).with_context(what)?;
        let chain = chain.collect::<Result<Vec<_>, _>>().with_context(what)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("--tls-key {} holds no private key in PEM", key.display()))?;
        let own = chain.first().cloned().with_context(what)?;
        Self::new(&own, chain, key, false).context("--tls-cert and --tls-key do not belong together")
    }

    /// Makes a certificate for these names and addresses, which nobody but itself has signed.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn self_signed(names: &[String], addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let addresses = addresses.iter().map(IpAddr::to_string);
        let names = names.iter().cloned().chain(["localhost".into()]).chain(addresses);
        let mut parameters = CertificateParams::new(names.collect::<Vec<_>>())?;
        parameters.distinguished_name.push(DnType::CommonName, "Transport Lab, self-signed");
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Self::new(certificate.der(), vec![certificate.der().clone()], key, true)
    }

    fn new(
        own: &CertificateDer<'static>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        self_signed: bool,
    ) -> anyhow::Result<Self> {
        let hash = ring::digest::digest(&ring::digest::SHA256, own);
        let fingerprint = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // Who offers several protocols is told which it will be; who knows only others is refused (RFC 7301).
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: config.into(), fingerprint, self_signed })
    }
}

/// One connection's TLS.
pub struct Session {
    connection: ServerConnection,
    /// Records that the socket has not taken yet.
    sealed: BytesMut,
    /// Opened bytes that nobody has read yet.
    opened: usize,
    /// Whether the peer has ended what it sends.
    ended: bool,
    /// Whether something came that is no record of this session; what had come before it is not read any more.
    broken: bool,
}

/// Why there is no session.
#[derive(Debug)]
pub enum Refusal {
    /// What came is no TLS.
    Plain,
    /// The peer left, or offered nothing that we can do.
    Failed,
}

impl Session {
    /// Shakes hands with a new connection's peer.
    ///
    /// # Errors
    /// When the peer does not speak TLS, or not ours.
    pub async fn accept(stream: &TcpStream, identity: &Identity) -> Result<Self, Refusal> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] != HANDSHAKE => return Err(Refusal::Plain),
            Ok(1) => {}
            _ => return Err(Refusal::Failed),
        }
        let connection = ServerConnection::new(identity.config.clone()).map_err(|_| Refusal::Failed)?;
        let mut session = Self { connection, sealed: BytesMut::new(), opened: 0, ended: false, broken: false };
        session.shake_hands(stream).await.map_err(|_| Refusal::Failed)?;
        Ok(session)
    }

    async fn shake_hands(&mut self, stream: &TcpStream) -> io::Result<()> {
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

    /// Bytes of records that the socket has not taken yet.
    pub fn backlog(&self) -> usize {
        self.sealed.len()
    }

    /// Whether there is something to read that is not in the socket any more.
    pub fn has_opened(&self) -> bool {
        self.opened > 0 || self.ended || self.broken
    }

    /// Whether the peer has ended what it sends, and all of it was read.
    pub fn has_ended(&self) -> bool {
        self.opened == 0 && self.ended || self.broken
    }

    /// Reads what there is, without waiting; 0 is the end. It looks into the socket once at the most: who sends records with nothing in
    /// them shall hold up nobody. A connection that ends without a word of TLS has ended as well: every
    /// framing here says by itself where its end is.
    ///
    /// # Errors
    /// Those of the socket, `WouldBlock` where there is nothing, and `InvalidData` where what came is no record of this session.
    pub fn read(&mut self, stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.has_opened() {
            self.receive(stream)?;
        }
        if self.broken {
            return Err(ErrorKind::InvalidData.into());
        }
        match self.connection.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
            Ok(read) => {
                self.opened -= read;
                Ok(read)
            }
        }
    }

    /// Takes records from the socket, once, and opens them.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn receive(&mut self, stream: &TcpStream) -> io::Result<()> {
        let read = self.connection.read_tls(&mut Calls(stream))?;
        let processed = self.connection.process_new_packets();
        // What we answer, be it only that we did not understand.
        self.seal();
        self.flush(stream)?;
        let state = processed.map_err(|error| {
            self.broken = true;
            io::Error::new(ErrorKind::InvalidData, error)
        })?;
        self.opened = state.plaintext_bytes_to_read();
        self.ended = read == 0 || state.peer_has_closed();
        Ok(())
    }

    /// Seals `parts` in records, as few as it takes, and writes them as far as the socket takes them; gives how many bytes were
    /// sealed, 64 KiB at the most.
    ///
    /// # Errors
    /// Those of the socket, and `WouldBlock` while earlier records wait for it.
    pub fn write(&mut self, stream: &TcpStream, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.flush(stream)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = self.connection.writer().write_vectored(parts)?;
        self.seal();
        self.flush(stream)?;
        Ok(taken)
    }

    /// Writes the records that wait as far as the socket takes them; whether none is left.
    ///
    /// # Errors
    /// Those of the socket; a full one is none.
    pub fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while !self.sealed.is_empty() {
            match stream.try_write(&self.sealed) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.sealed.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // Memory is for those who have something waiting.
        self.sealed = BytesMut::new();
        Ok(true)
    }

    /// Writes what the socket takes now, whatever it was last known to do; how many bytes.
    ///
    /// # Errors
    /// Those of the socket; a full one is none.
    pub fn write_now(&mut self, stream: &TcpStream) -> io::Result<usize> {
        match send(stream, &self.sealed, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(written) => {
                self.sealed.advance(written);
                Ok(written)
            }
            Err(rustix::io::Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that nothing follows (RFC 8446, section 6.1), so that nobody can have cut the end off unseen.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
        self.seal();
    }

    fn seal(&mut self) {
        while self.connection.wants_write() {
            let mut records = Records(&mut self.sealed);
            self.connection.write_tls(&mut records).expect("writing to memory");
        }
    }
}

/// Where records gather.
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

/// The socket, as rustls reads from it.
struct Calls<'a>(&'a TcpStream);

impl Read for Calls<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}
