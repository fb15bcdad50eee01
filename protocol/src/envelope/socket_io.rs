//! Socket.IO 5: packets within the messages of Engine.IO (socket.io/docs/v4/socket-io-protocol). An event is an array of its name and its
//! arguments.

use std::borrow::Cow;

use super::Malformed;
use super::engine_io::{self, Kind};

/// The beginning of the packet that carries an event of the feed: the message of Engine.IO, the event of Socket.IO, and its name.
const BEGIN: &[u8] = br#"42["event","#;
/// The same for a gap.
const GAP: &[u8] = br#"42["gap","#;

/// The heartbeat.
pub const HEARTBEAT: &[u8] = engine_io::PING;

/// Encodes an event of the feed as the argument of a Socket.IO event called `event`. The overhead is 12 bytes.
pub fn encode(json: &[u8]) -> Vec<u8> {
    [BEGIN, json, b"]"].concat()
}

/// Encodes a gap as the argument of a Socket.IO event called `gap`.
pub fn encode_gap(json: &[u8]) -> Vec<u8> {
    [GAP, json, b"]"].concat()
}

/// The JSON of the feed's event or of the gap in a packet; empty if the packet is another one.
pub fn content(packet: &[u8]) -> &[u8] {
    let argument = packet.strip_prefix(BEGIN).or_else(|| packet.strip_prefix(GAP));
    argument.and_then(|rest| rest.strip_suffix(b"]")).unwrap_or_default()
}

/// The type of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Connects to a namespace.
    Connect,
    /// Disconnects from a namespace.
    Disconnect,
    /// An event.
    Event,
    /// The acknowledgement of an event.
    Ack,
    /// The server refuses a connection.
    ConnectError,
}

/// A packet of Socket.IO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The type.
    pub kind: Type,
    /// The namespace; `/` if the packet names none.
    pub namespace: Cow<'a, str>,
    /// The number of the acknowledgement that is wanted, or that this is.
    pub id: Option<u64>,
    /// The content, as JSON; empty if there is none.
    pub data: &'a [u8],
}

impl Packet<'_> {
    /// Encodes the packet as a message of Engine.IO.
    pub fn encode(&self) -> Vec<u8> {
        let digit = match self.kind {
            Type::Connect => b'0',
            Type::Disconnect => b'1',
            Type::Event => b'2',
            Type::Ack => b'3',
            Type::ConnectError => b'4',
        };
        let mut bytes = vec![Kind::Message.digit(), digit];
        if self.namespace != "/" {
            bytes.extend_from_slice(self.namespace.as_bytes());
            bytes.push(b',');
        }
        if let Some(id) = self.id {
            bytes.extend_from_slice(id.to_string().as_bytes());
        }
        bytes.extend_from_slice(self.data);
        bytes
    }
}

/// Parses the text of an Engine.IO message.
///
/// # Errors
/// When it is not a packet. Packets with binary attachments are not supported.
pub fn parse(text: &[u8]) -> Result<Packet<'_>, Malformed> {
    let malformed = |fault| Malformed { format: "socket.io", fault };
    let (digit, mut rest) = text.split_first().ok_or_else(|| malformed("an empty packet"))?;
    let kind = match digit {
        b'0' => Type::Connect,
        b'1' => Type::Disconnect,
        b'2' => Type::Event,
        b'3' => Type::Ack,
        b'4' => Type::ConnectError,
        b'5' | b'6' => return Err(malformed("binary attachments are not supported")),
        _ => return Err(malformed("a packet of an unknown type")),
    };
    let mut namespace = Cow::Borrowed("/");
    if rest.first() == Some(&b'/') {
        let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
        let name = std::str::from_utf8(&rest[..end]).map_err(|_| malformed("a namespace must be UTF-8"))?;
        // The query of a namespace is allowed, but has no meaning here.
        namespace = Cow::Borrowed(name.split('?').next().unwrap_or(name));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let id = match digits {
        0 => None,
        _ => {
            let text = std::str::from_utf8(&rest[..digits]).expect("digits are UTF-8");
            Some(text.parse().map_err(|_| malformed("the number of an acknowledgement is too large"))?)
        }
    };
    Ok(Packet { kind, namespace, id, data: &rest[digits..] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_feed_is_the_argument_of_an_event() {
        let packet = encode(br#"{"seq":1}"#);
        assert_eq!(packet, br#"42["event",{"seq":1}]"#);
        assert_eq!(packet.len(), 9 + 12);
        assert_eq!(content(&packet), br#"{"seq":1}"#);
        assert_eq!(content(&encode_gap(b"{}")), b"{}");
        assert_eq!(content(b"42[\"other\",1]"), b"");
    }

    #[test]
    fn packets_have_a_namespace_a_number_and_data_or_not() {
        let packet = |kind, namespace, id, data| Packet { kind, namespace: Cow::Borrowed(namespace), id, data };
        for (text, expected) in [
            ("0", packet(Type::Connect, "/", None, &b""[..])),
            ("0{\"a\":1}", packet(Type::Connect, "/", None, b"{\"a\":1}")),
            ("0/chat,{}", packet(Type::Connect, "/chat", None, b"{}")),
            ("1/chat,", packet(Type::Disconnect, "/chat", None, b"")),
            ("212[\"publish\",\"x\"]", packet(Type::Event, "/", Some(12), b"[\"publish\",\"x\"]")),
            ("3/chat,7[1]", packet(Type::Ack, "/chat", Some(7), b"[1]")),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(expected.clone()), "{text}");
            assert_eq!(expected.encode(), format!("4{text}").into_bytes());
        }
        assert_eq!(parse(b"0/chat").unwrap().namespace, "/chat");
        for wrong in ["", "9", "51-[\"a\"]", "x", "299999999999999999999999[]"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
