//! Publishing by messages on a WebSocket. A message of the server's confirms an event if the target file says which.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::handshake::client::ClientHandshake;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::connect::{RESPONSE_TIMEOUT, connect};
use crate::target::publish::Publish;

/// How long an acknowledgement may take: not longer than a round waits for the events that were due in it, so that its absence is what is told.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// A WebSocket.
pub struct Socket {
    socket: WebSocket<TcpStream>,
    publish: Publish,
}

impl Socket {
    /// Connects, and opens the WebSocket.
    ///
    /// # Errors
    /// When the server cannot be reached, or does not accept the handshake.
    pub fn connect(publish: Publish, host: &str, to: SocketAddr) -> anyhow::Result<Self> {
        let mut request = format!("ws://{host}{}", publish.path).into_client_request()?;
        for (name, value) in &publish.headers {
            request.headers_mut().insert(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
        }
        let opening = ClientHandshake::start(connect(to)?, request, None)?;
        match opening.handshake() {
            Ok((socket, _)) => {
                socket.get_ref().set_read_timeout(Some(ACKNOWLEDGEMENT_TIMEOUT))?;
                Ok(Self { socket, publish })
            }
            Err(HandshakeError::Failure(error)) => {
                Err(error).with_context(|| format!("cannot open the WebSocket at {}", publish.path))
            }
            Err(HandshakeError::Interrupted(_)) => {
                bail!(
                    "cannot open the WebSocket at {}: no response within {} s",
                    publish.path,
                    RESPONSE_TIMEOUT.as_secs()
                )
            }
        }
    }

    /// The message that publishes an event.
    pub fn message(&self, event: &str) -> String {
        self.publish.body(event)
    }

    /// Takes what has come, without waiting, since the server may send events to this client, too, and would stop if it did not read them.
    ///
    /// # Errors
    /// When the connection is lost or closed.
    pub fn receive(&mut self) -> anyhow::Result<()> {
        self.socket.get_ref().set_nonblocking(true)?;
        while self.next()?.is_some() {}
        Ok(self.socket.get_ref().set_nonblocking(false)?)
    }

    /// The next message; `None` if none has come in time.
    fn next(&mut self) -> anyhow::Result<Option<Message>> {
        match self.socket.read() {
            Ok(message) => Ok(Some(message)),
            // With a timeout, some systems report the latter.
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error).context("the server has ended the WebSocket"),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send(&mut self, message: String) -> anyhow::Result<()> {
        self.socket.send(Message::text(message)).context("the connection was lost")
    }

    /// Waits for the acknowledgement, if there is one.
    ///
    /// # Errors
    /// When it does not come.
    pub fn confirm(&mut self) -> anyhow::Result<()> {
        if self.publish.acknowledgement.is_none() {
            return Ok(());
        }
        let deadline = Instant::now() + ACKNOWLEDGEMENT_TIMEOUT;
        loop {
            let message = self.next()?.filter(|_| Instant::now() < deadline);
            ensure!(message.is_some(), "no acknowledgement within {} s", ACKNOWLEDGEMENT_TIMEOUT.as_secs());
            if message.is_some_and(|message| self.publish.is_acknowledged_by(&message.into_data())) {
                return Ok(());
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The server may have gone.
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }
}
