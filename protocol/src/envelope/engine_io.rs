//! Engine.IO 4, the connection of Socket.IO: packets of one digit for the type and a text (socket.io/docs/v4/engine-io-protocol). Over
//! WebSocket, a packet is a message. Over HTTP, several packets with [`SEPARATOR`] between them are a body.

use super::Malformed;

/// The version of the protocol, as the parameter `EIO` names it.
pub const VERSION: &str = "4";
/// The character between the packets of a body.
pub const SEPARATOR: u8 = 0x1e;
/// The heartbeat, which only the server sends.
pub const PING: &[u8] = b"2";

/// The type of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first packet of a session, with its settings.
    Open,
    /// The end of the session.
    Close,
    /// A heartbeat; with the text `probe`, the test of a WebSocket before the upgrade.
    Ping,
    /// The reply to a ping.
    Pong,
    /// A message of Socket.IO.
    Message,
    /// The session continues on the WebSocket.
    Upgrade,
    /// Nothing: the response to a poll that has to end.
    Noop,
}

impl Kind {
    /// All kinds, in the order of their digits.
    pub const ALL: [Self; 7] =
        [Self::Open, Self::Close, Self::Ping, Self::Pong, Self::Message, Self::Upgrade, Self::Noop];

    /// The digit.
    pub const fn digit(self) -> u8 {
        b'0' + self as u8
    }
}

/// Encodes a packet.
pub fn encode(kind: Kind, text: &[u8]) -> Vec<u8> {
    [&[kind.digit()], text].concat()
}

/// Parses a packet: its type, and its text.
///
/// # Errors
/// When it has no type. Binary packets, which begin with `b`, are not supported.
pub fn parse(packet: &[u8]) -> Result<(Kind, &[u8]), Malformed> {
    let malformed = |fault| Malformed { format: "engine.io", fault };
    let (digit, text) = packet.split_first().ok_or_else(|| malformed("an empty packet"))?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.digit() == *digit);
    Ok((kind.ok_or_else(|| malformed("a packet of an unknown type"))?, text))
}

/// The packets of a body.
pub fn split(body: &[u8]) -> std::slice::Split<'_, u8, fn(&u8) -> bool> {
    body.split(|&byte| byte == SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_a_digit_and_a_text() {
        for kind in Kind::ALL {
            assert_eq!(parse(&encode(kind, b"x")), Ok((kind, &b"x"[..])));
        }
        assert_eq!(encode(Kind::Ping, b""), PING);
        assert!(parse(b"").is_err() && parse(b"7").is_err() && parse(b"bAQ==").is_err());
        assert_eq!(split(b"4a\x1e2").collect::<Vec<_>>(), [&b"4a"[..], b"2"]);
    }
}
