//! Publishing by messages on a WebSocket. A message of the server's confirms an event if the target file says which.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::handshake::client::ClientHandshake;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::connect::{Bounded, RESPONSE_TIMEOUT};
use crate::target::publish::Publish;

/// How long an acknowledgement may take. A round waits as long for the events that were due in it; if it waited less, the error would be about the
/// events and not about the missing acknowledgement.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long what has come is taken before the next event: a server that never stops sending must not keep events from being published.
const RECEIVING: Duration = Duration::from_millis(1);

/// A WebSocket.
pub struct Socket {
    socket: WebSocket<Bounded>,
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
        let opening = ClientHandshake::start(Bounded::connect(to)?, request, None)?;
        match opening.handshake() {
            Ok((socket, _)) => Ok(Self { socket, publish }),
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
        // A short timeout instead would be rounded up to a tick of the kernel, and the event published late.
        self.socket.get_ref().stream().set_nonblocking(true)?;
        self.socket.get_mut().within(RECEIVING);
        while self.next()?.is_some() {}
        Ok(self.socket.get_ref().stream().set_nonblocking(false)?)
    }

    /// The next message; `None` if none has come in time.
    fn next(&mut self) -> anyhow::Result<Option<Message>> {
        match self.socket.read() {
            Ok(message) => Ok(Some(message)),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("the server has ended the WebSocket"),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send(&mut self, message: String) -> anyhow::Result<()> {
        self.socket.get_mut().within(RESPONSE_TIMEOUT);
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
        self.socket.get_mut().within(ACKNOWLEDGEMENT_TIMEOUT);
        while let Some(message) = self.next()? {
            if self.publish.is_acknowledged_by(&message.into_data()) {
                return Ok(());
            }
        }
        bail!("no acknowledgement within {} s", ACKNOWLEDGEMENT_TIMEOUT.as_secs());
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.get_mut().within(RESPONSE_TIMEOUT);
        // The server may have gone.
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{self, Write};
    use std::net::TcpStream;
    use std::thread;

    use tokio_tungstenite::tungstenite::accept;

    use super::super::connect::tests::{drip, server};
    use super::*;
    use crate::target::publish::Over;

    fn socket(to: SocketAddr) -> Socket {
        let publish = Publish {
            over: Over::Websocket,
            path: "/".into(),
            method: None,
            headers: BTreeMap::new(),
            body: "{event}".into(),
            acknowledgement: Some("/ok".into()),
        };
        Socket::connect(publish, "test", to).unwrap()
    }

    /// Accepts a WebSocket, whose frames the test itself writes.
    fn accepted(stream: TcpStream) -> io::Result<TcpStream> {
        let socket = accept(stream.try_clone()?).map_err(io::Error::other)?;
        drop(socket);
        Ok(stream)
    }

    #[test]
    fn a_server_that_never_stops_sending_delays_no_event_and_confirms_none() {
        let flood = |stream| {
            let mut stream = accepted(stream)?;
            loop {
                stream.write_all(&b"\x81\x01x".repeat(1_000))?;
            }
        };
        let mut socket = socket(server(flood));
        socket.receive().unwrap();
        socket.receive().unwrap();
        assert_eq!(socket.confirm().unwrap_err().to_string(), "no acknowledgement within 2 s");
    }

    #[test]
    fn neither_a_message_without_end_nor_others_are_an_acknowledgement() {
        let endless = |stream| {
            let mut stream = accepted(stream)?;
            stream.write_all(b"\x81\x7e\xff\xff")?;
            drip(stream)
        };
        assert!(socket(server(endless)).confirm().unwrap_err().to_string().contains("no acknowledgement"));
        let chatty = |stream| {
            let mut stream = accepted(stream)?;
            loop {
                thread::sleep(Duration::from_millis(300));
                stream.write_all(b"\x81\x01x")?;
            }
        };
        assert!(socket(server(chatty)).confirm().unwrap_err().to_string().contains("no acknowledgement"));
    }
}
