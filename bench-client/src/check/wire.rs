//! A connection to a server under check. Each step is bounded in time and bytes, and all of a requirement's steps together in time, so that
//! a server that hangs, floods or sends a byte now and then fails a requirement and does not hold up the check.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::endpoint::Endpoint;
use crate::wire::tls::Session;

/// How long a step may take.
pub const STEP: Duration = Duration::from_secs(2);
/// The most bytes that are received on a connection.
const MAX_BYTES: usize = 8 << 20;
/// The most characters of a message that a report shows.
const SHOWN_CHARS: usize = 200;

/// A server under check, as one requirement sees it.
#[derive(Debug, Clone)]
pub struct Server {
    endpoint: Endpoint,
    time: Allowed,
    /// The number of the newest event, for a requirement beside which nothing is published; 0 for others.
    pub newest: u64,
}

/// The time that a requirement may take as a whole.
#[derive(Debug, Clone, Copy)]
struct Allowed {
    limit: Duration,
    until: Instant,
}

impl Allowed {
    /// Whether it is not over; the error is what a report says then.
    fn check(self) -> Result<(), String> {
        match Instant::now() < self.until {
            true => Ok(()),
            false => Err(format!("more than {} s for the whole requirement", self.limit.as_secs_f64())),
        }
    }
}

impl Server {
    /// The server at `endpoint`, for a requirement that may take `limit` from now on.
    pub fn within(endpoint: &Endpoint, limit: Duration) -> Self {
        Self { endpoint: endpoint.clone(), time: Allowed { limit, until: Instant::now() + limit }, newest: 0 }
    }

    /// The value of `Host`.
    pub fn host(&self) -> &str {
        &self.endpoint.host
    }
}

/// Why a requirement is not met: what was sent, and what came instead of what is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What was sent.
    pub sent: String,
    /// What came.
    pub came: String,
}

/// Whether a requirement is met.
pub type Outcome = Result<(), Fault>;

/// A connection.
pub struct Wire {
    stream: TcpStream,
    tls: Option<Box<Session>>,
    /// Received bytes that no step has taken yet.
    pub received: BytesMut,
    total: usize,
    /// What was sent last, for the report.
    sent: String,
    /// What is left of the chunk that is being received.
    pub chunk: usize,
    has_ended: bool,
    time: Allowed,
}

impl Wire {
    /// Opens a connection, with the handshake of TLS if the server uses it.
    ///
    /// # Errors
    /// When the server does not accept it, or its certificate is not trusted.
    pub fn open(server: &Server) -> Result<Self, Fault> {
        let refused = |error: std::io::Error| Fault {
            sent: "a request to connect".into(),
            came: server.time.check().err().unwrap_or_else(|| error.to_string()),
        };
        // A time of 0 would be an error of another kind.
        let left = server.time.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let stream = TcpStream::connect_timeout(&server.endpoint.address, STEP.min(left)).map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let mut wire = Self {
            stream,
            tls: None,
            received: BytesMut::new(),
            total: 0,
            sent: "a request to connect".into(),
            chunk: 0,
            has_ended: false,
            time: server.time,
        };
        wire.in_time()?;
        if let Some(tls) = &server.endpoint.tls {
            wire.tls = Some(Session::new(tls).map_err(refused)?.into());
            wire.shake_hands()?;
        }
        Ok(wire)
    }

    /// The handshake of TLS.
    fn shake_hands(&mut self) -> Outcome {
        self.sent = "the beginning of a handshake of TLS".into();
        let deadline = Instant::now() + STEP;
        while let Some(session) = &mut self.tls {
            let records = session.pending_records();
            let is_done = !session.is_handshaking();
            let records = records.map_err(|error| self.fault(error.to_string()))?;
            self.write(&records)?;
            if is_done {
                break;
            }
            if !self.receive(deadline)? {
                return Err(self.fault("no whole handshake of TLS within 2 s"));
            }
        }
        Ok(())
    }

    /// Sends bytes, which the report describes by `told`.
    ///
    /// # Errors
    /// When the server does not read them in time.
    pub fn send(&mut self, bytes: &[u8], told: &str) -> Outcome {
        self.sent = told.chars().take(SHOWN_CHARS).collect();
        match &mut self.tls {
            None => self.write(bytes),
            Some(session) => match session.seal(bytes) {
                Ok(records) => self.write(&records),
                Err(error) => Err(self.fault(error.to_string())),
            },
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Outcome {
        let deadline = Instant::now() + STEP;
        while !bytes.is_empty() {
            let left = self.left(deadline);
            if left.is_zero() {
                self.in_time()?;
                return Err(self.fault("it does not read all of that within 2 s"));
            }
            let _ = self.stream.set_write_timeout(Some(left));
            match self.stream.write(bytes) {
                Ok(written) if written > 0 => bytes = &bytes[written..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                // The server may have rejected it before it has read everything. What it says is still to be read.
                _ => break,
            }
        }
        Ok(())
    }

    /// What is left until a deadline, or until the requirement's own if that is earlier.
    fn left(&self, deadline: Instant) -> Duration {
        deadline.min(self.time.until).saturating_duration_since(Instant::now())
    }

    /// A fault at this point of the connection.
    pub fn fault(&self, came: impl Into<String>) -> Fault {
        // Nothing that a server sends may control the terminal in which this is read.
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        Fault { sent: self.sent.clone(), came: came.into().chars().map(shown).take(SHOWN_CHARS).collect() }
    }

    /// Whether the requirement may still go on. Whatever parses received bytes again and again must ask this.
    ///
    /// # Errors
    /// When its time is over.
    pub fn in_time(&self) -> Outcome {
        self.time.check().map_err(|came| self.fault(came))
    }

    /// Receives more bytes until the deadline; returns whether some came.
    ///
    /// # Errors
    /// When the connection has ended, too many bytes have come, or the requirement's time is over.
    pub fn fill(&mut self, deadline: Instant) -> Result<bool, Fault> {
        let before = self.received.len();
        // A record of TLS may have no content.
        while self.received.len() == before {
            if !self.receive(deadline)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads from the socket once, and decrypts what has come; returns whether bytes came.
    fn receive(&mut self, deadline: Instant) -> Result<bool, Fault> {
        let mut buffer = [0; 16 << 10];
        let read = loop {
            let left = self.left(deadline);
            if left.is_zero() {
                self.in_time()?;
                return Ok(false);
            }
            let _ = self.stream.set_read_timeout(Some(left));
            match self.stream.read(&mut buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => {
                self.has_ended = true;
                Err(self.fault("the end of the connection"))
            }
            Ok(length) => {
                self.total += length;
                if self.total > MAX_BYTES {
                    return Err(self.fault("more than 8 MiB"));
                }
                self.take(&buffer[..length])?;
                Ok(true)
            }
            Err(error) => {
                self.has_ended = true;
                Err(self.fault(format!("the end of the connection: {error}")))
            }
        }
    }

    /// Appends bytes of the socket to those received, decrypted.
    fn take(&mut self, bytes: &[u8]) -> Outcome {
        let Some(session) = &mut self.tls else {
            self.received.extend_from_slice(bytes);
            return Ok(());
        };
        session.encrypted().extend_from_slice(bytes);
        loop {
            match session.open(&mut self.received) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.fault(error.to_string())),
            }
        }
    }

    /// Begins to count received bytes anew, for a connection on which many are wanted.
    pub fn forget(&mut self) {
        self.total = 0;
    }

    /// Whether the server ends the connection in time; what comes before that is discarded.
    pub fn ends(&mut self) -> bool {
        let deadline = Instant::now() + STEP;
        while matches!(self.fill(deadline), Ok(true)) {
            self.received.clear();
        }
        self.has_ended
    }
}
