//! The one list of transports; names, colours and command-line values everywhere follow from it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way in which events travel from the server to a subscriber.
///
/// The order is that of every table and legend: from asking again and again to a bare socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A request each interval, answered at once whether or not there is an event.
    Polling,
    /// A request that waits at the server for the next event (RFC 6202, section 2).
    LongPolling,
    /// One HTTP response without end, an event a line (RFC 6202, section 3).
    Ndjson,
    /// Server-sent events: the streaming response that browsers understand (WHATWG HTML, section 9.2).
    Sse,
    /// WebSocket: frames on a connection upgraded from HTTP (RFC 6455).
    #[serde(rename = "websocket")]
    WebSocket,
    /// A line an event on a bare TCP socket: the floor, with HTTP left out.
    Tcp,
}

impl Transport {
    /// All of them, in the order of tables and legends.
    pub const ALL: [Transport; 6] =
        [Self::Polling, Self::LongPolling, Self::Ndjson, Self::Sse, Self::WebSocket, Self::Tcp];

    /// The name in JSON, CSV and on the command line, the same as the transport's source file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::LongPolling => "long_polling",
            Self::Ndjson => "ndjson",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::Tcp => "tcp",
        }
    }

    /// The name for people, on charts and in tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Polling => "Polling",
            Self::LongPolling => "Long polling",
            Self::Ndjson => "HTTP stream",
            Self::Sse => "SSE",
            Self::WebSocket => "WebSocket",
            Self::Tcp => "Raw TCP",
        }
    }

    /// The name inside a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::LongPolling => "long polling",
            Self::Ndjson => "HTTP streaming",
            Self::Sse => "SSE",
            Self::WebSocket => "WebSocket",
            Self::Tcp => "raw TCP",
        }
    }

    /// Its colour, as red, green and blue: the Okabe-Ito set, which keeps its differences for colour-blind eyes.
    pub fn colour(self) -> (u8, u8, u8) {
        match self {
            Self::Polling => (213, 94, 0),
            Self::LongPolling => (230, 159, 0),
            Self::Ndjson => (0, 158, 115),
            Self::Sse => (204, 121, 167),
            Self::WebSocket => (0, 114, 178),
            Self::Tcp => (70, 70, 70),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no transport.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no transport is called '{0}'; there are {list}", list = Transport::ALL.map(Transport::name).join(", "))]
pub struct UnknownTransport(String);

impl FromStr for Transport {
    type Err = UnknownTransport;

    /// Reads a [`Transport::name`]; a hyphen serves as well as an underscore.
    fn from_str(text: &str) -> Result<Self, UnknownTransport> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|transport| transport.name() == name).ok_or_else(|| UnknownTransport(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_leaves_none_out() {
        // A new variant fails to compile here, which is to say: put it into ALL, and count it.
        let place = |transport| match transport {
            Transport::Polling => 0,
            Transport::LongPolling => 1,
            Transport::Ndjson => 2,
            Transport::Sse => 3,
            Transport::WebSocket => 4,
            Transport::Tcp => 5,
        };
        assert!(Transport::ALL.into_iter().map(place).eq(0..6));
    }

    #[test]
    fn every_name_is_read_back_and_is_the_name_in_json() {
        for transport in Transport::ALL {
            assert_eq!(transport.name().parse(), Ok(transport));
            assert_eq!(serde_json::to_string(&transport).unwrap(), format!("\"{transport}\""));
        }
        assert_eq!("long-polling".parse(), Ok(Transport::LongPolling));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "telegraph".parse::<Transport>().unwrap_err().to_string();
        assert_eq!(
            error,
            "no transport is called 'telegraph'; there are polling, long_polling, ndjson, sse, websocket, tcp"
        );
    }
}
