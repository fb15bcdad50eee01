//! The table of transports: one row for each, from which names, colours, routes and lists elsewhere are derived.
//!
//! A transport has four parts. Its [`Carrier`] moves the bytes. Its [`Exchange`] is the pattern of requests and responses. Its [`Envelope`]
//! marks where one event ends and the next begins. Its [`Coding`] is the compression of the bytes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::appearance::{Colours, Marker, Rgb};
use crate::envelope::{Envelope, stomp};

/// The protocol that moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// A TCP connection with nothing on top of it but TLS, if that is on.
    Tcp,
    /// HTTP/1.1 (RFC 9112).
    H1,
    /// HTTP/2 (RFC 9113): several requests at a time on one connection, with compressed headers.
    H2,
    /// One stream of an HTTP/3 session (RFC 9114), over QUIC (RFC 9000) and UDP.
    H3,
    /// A stream of an HTTP/3 session for each message. Streams do not wait for each other, so messages may come out of order.
    H3Streams,
    /// A datagram of an HTTP/3 session for each message (RFC 9297, RFC 9221). A lost one is not sent again.
    H3Datagrams,
}

impl Carrier {
    /// Whether the markers of its transports are drawn as outlines: those over HTTP/2 have the shapes of those over HTTP/1.1.
    pub const fn is_outlined(self) -> bool {
        matches!(self, Self::H2) || self.is_quic()
    }

    /// Whether its connections are those of QUIC.
    pub const fn is_quic(self) -> bool {
        matches!(self, Self::H3 | Self::H3Streams | Self::H3Datagrams)
    }

    /// Whether messages arrive in the order in which they were sent.
    pub const fn is_ordered(self) -> bool {
        !matches!(self, Self::H3Streams | Self::H3Datagrams)
    }

    /// Whether what a network loses is sent again.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::H3Datagrams)
    }
}

/// The pattern of requests and responses: which side sends when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// The client sends a request at each interval, and the server responds at once.
    Poll,
    /// The client sends a request, and the server responds when there is an event (RFC 6202, section 2).
    LongPoll,
    /// The client sends one request, and the response continues for as long as the subscription (RFC 6202, section 3).
    Stream,
    /// Both sides send at any time.
    Socket,
}

impl Exchange {
    /// All exchanges, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Poll, Self::LongPoll, Self::Stream, Self::Socket];
}

/// The generation of a transport, by which it is selected: by default, only the transports of [`Family::Today`] are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// What applications use without a library.
    Today,
    /// What applications used before browsers had server-sent events and WebSocket.
    BeforeWebSocket,
    /// A protocol or a library on top of WebSocket.
    Library,
    /// With compression.
    Compressed,
    /// Over HTTP/2. A page cannot choose the version of HTTP: its requests use that of its own connection.
    Http2,
    /// Over HTTP/3.
    Http3,
}

/// The compression of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// No compression.
    Identity,
    /// permessage-deflate, each message by itself: the server compresses an event once for all subscribers (RFC 7692).
    Deflate,
    /// permessage-deflate with context takeover: a compressor for each connection, which refers to earlier messages.
    DeflateTakeover,
}

/// The browser interface with which a page subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BrowserApi {
    /// `fetch()`.
    Fetch,
    /// `new EventSource()`, which resumes by itself with `Last-Event-ID`.
    EventSource,
    /// `new WebSocket()`.
    WebSocket,
    /// A `script` element, which a document can make, but a worker cannot.
    Script,
    /// An `iframe` element, which a document can make, but a worker cannot.
    Iframe,
    /// `new WebTransport()`.
    WebTransport,
}

/// A row of the table: the properties of a transport. The live page receives them as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Row {
    /// The name in JSON, CSV and on the command line.
    pub name: &'static str,
    /// The name on charts and in tables.
    pub label: &'static str,
    /// The name within a sentence.
    pub in_words: &'static str,
    /// How it works, in one or two sentences.
    pub summary: &'static str,
    /// Its generation.
    pub family: Family,
    /// The year from which applications used it; for raw TCP, that of its standard (RFC 793).
    pub since: u16,
    /// The protocol that moves the bytes.
    pub carrier: Carrier,
    /// The pattern of requests and responses.
    pub exchange: Exchange,
    /// The envelope of its events.
    pub envelope: Envelope,
    /// The compression of the bytes.
    pub coding: Coding,
    /// The path of its HTTP endpoint; `None` for a transport with a port of its own.
    pub path: Option<&'static str>,
    /// The WebSocket sub-protocol by which a client selects it among the transports of its path (RFC 6455, section 1.9).
    pub subprotocol: Option<&'static str>,
    /// The interface with which a page subscribes; `None` if a browser has none. The load client sends the headers of that interface.
    pub browser: Option<BrowserApi>,
    /// Its colours.
    pub colours: Colours,
    /// Its marker, which is drawn as an outline if [`Carrier::is_outlined`].
    pub marker: Marker,
}

/// Defines the type and its table from one list, so that every variant has a row.
macro_rules! transports {
    ($($(#[$doc:meta])* $variant:ident { $($row:tt)* })*) => {
        /// A method of sending events from the server to a subscriber.
        ///
        /// The order is that of every table and legend: from repeated requests to a plain TCP socket.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Transport {
            $($(#[$doc])* $variant,)*
        }

        impl Transport {
            /// All transports, in the order of tables and legends.
            pub const ALL: [Self; [$(stringify!($variant)),*].len()] = [$(Self::$variant),*];

            /// Its row of the table.
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Self::$variant => const { &Row { $($row)* } },)*
                }
            }
        }
    };
}

transports! {
    /// A request at each interval, to which the server responds at once, whether or not there is an event.
    Polling {
        name: "polling",
        label: "Polling",
        in_words: "polling",
        summary: "The client sends a request at each interval, and the server responds at once, with 204 if there is no event. An event waits \
            for the next request.",
        family: Family::Today,
        since: 1995,
        carrier: Carrier::H1,
        exchange: Exchange::Poll,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/poll"),
        subprotocol: None,
        browser: Some(BrowserApi::Fetch),
        colours: Colours { chart: Rgb(213, 94, 0), light: Rgb(185, 80, 0), dark: Rgb(255, 143, 74) },
        marker: Marker::Circle,
    }
    /// Polling over HTTP/2.
    PollingH2 {
        name: "polling@h2",
        label: "Polling h2",
        in_words: "polling over HTTP/2",
        summary: "Requests at an interval, as streams of one HTTP/2 connection, whose repeated headers are compressed to a few bytes each.",
        family: Family::Http2,
        since: 2015,
        carrier: Carrier::H2,
        exchange: Exchange::Poll,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/poll"),
        subprotocol: None,
        browser: Some(BrowserApi::Fetch),
        colours: Colours { chart: Rgb(150, 60, 0), light: Rgb(150, 60, 0), dark: Rgb(255, 180, 130) },
        marker: Marker::Circle,
    }
    /// A request that waits at the server for the next event (RFC 6202, section 2).
    LongPolling {
        name: "long_polling",
        label: "Long polling",
        in_words: "long polling",
        summary: "The request waits at the server until there is an event. An event that is published while the response and the next request \
            are in transit waits for that request.",
        family: Family::Today,
        since: 2005,
        carrier: Carrier::H1,
        exchange: Exchange::LongPoll,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/long-poll"),
        subprotocol: None,
        browser: Some(BrowserApi::Fetch),
        colours: Colours { chart: Rgb(190, 128, 0), light: Rgb(156, 104, 0), dark: Rgb(240, 184, 64) },
        marker: Marker::Square,
    }
    /// Long polling over HTTP/2.
    LongPollingH2 {
        name: "long_polling@h2",
        label: "Long polling h2",
        in_words: "long polling over HTTP/2",
        summary: "A waiting request, as a stream of an HTTP/2 connection, on which other requests do not wait for it.",
        family: Family::Http2,
        since: 2015,
        carrier: Carrier::H2,
        exchange: Exchange::LongPoll,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/long-poll"),
        subprotocol: None,
        browser: Some(BrowserApi::Fetch),
        colours: Colours { chart: Rgb(120, 78, 0), light: Rgb(120, 78, 0), dark: Rgb(250, 215, 140) },
        marker: Marker::Square,
    }
    /// Long polling by script elements, which may be loaded from any origin.
    Jsonp {
        name: "jsonp",
        label: "JSONP",
        in_words: "JSONP polling",
        summary: "A script element requests a script, which the server sends when there is an event: a call of the page's function. The next \
            script element is the next request.",
        family: Family::BeforeWebSocket,
        since: 2005,
        carrier: Carrier::H1,
        exchange: Exchange::LongPoll,
        envelope: Envelope::Jsonp,
        coding: Coding::Identity,
        path: Some("/jsonp"),
        subprotocol: None,
        browser: Some(BrowserApi::Script),
        colours: Colours { chart: Rgb(136, 34, 85), light: Rgb(136, 34, 85), dark: Rgb(209, 106, 155) },
        marker: Marker::Cross,
    }
    /// One endless HTTP response, with one event per line (RFC 6202, section 3).
    Ndjson {
        name: "ndjson",
        label: "HTTP stream",
        in_words: "HTTP streaming",
        summary: "One request, and an endless response with a chunk for each event.",
        family: Family::Today,
        since: 2006,
        carrier: Carrier::H1,
        exchange: Exchange::Stream,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/stream"),
        subprotocol: None,
        browser: Some(BrowserApi::Fetch),
        colours: Colours { chart: Rgb(0, 158, 115), light: Rgb(0, 133, 98), dark: Rgb(63, 208, 168) },
        marker: Marker::TriangleUp,
    }
    /// HTTP streaming over HTTP/2.
    NdjsonH2 {
        name: "ndjson@h2",
        label: "HTTP stream h2",
        in_words: "HTTP streaming over HTTP/2",
        summary: "One request, and an endless response with a DATA frame for each event.",
        family: Family::Http2,
        since: 2015,
        carrier: Carrier::H2,
        exchange: Exchange::Stream,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/stream"),
        subprotocol: None,
        browser: Some(BrowserApi::Fetch),
        colours: Colours { chart: Rgb(0, 100, 72), light: Rgb(0, 100, 72), dark: Rgb(140, 230, 205) },
        marker: Marker::TriangleUp,
    }
    /// Server-sent events: a streaming response that browsers parse themselves (WHATWG HTML, section 9.2).
    Sse {
        name: "sse",
        label: "SSE",
        in_words: "SSE",
        summary: "One request, and an endless response with a block of fields for each event, which browsers parse themselves.",
        family: Family::Today,
        since: 2006,
        carrier: Carrier::H1,
        exchange: Exchange::Stream,
        envelope: Envelope::Sse,
        coding: Coding::Identity,
        path: Some("/sse"),
        subprotocol: None,
        browser: Some(BrowserApi::EventSource),
        colours: Colours { chart: Rgb(204, 121, 167), light: Rgb(176, 85, 136), dark: Rgb(231, 156, 197) },
        marker: Marker::TriangleDown,
    }
    /// Server-sent events over HTTP/2.
    SseH2 {
        name: "sse@h2",
        label: "SSE h2",
        in_words: "SSE over HTTP/2",
        summary: "Server-sent events as a stream of an HTTP/2 connection, which the page's other requests share.",
        family: Family::Http2,
        since: 2015,
        carrier: Carrier::H2,
        exchange: Exchange::Stream,
        envelope: Envelope::Sse,
        coding: Coding::Identity,
        path: Some("/sse"),
        subprotocol: None,
        browser: Some(BrowserApi::EventSource),
        colours: Colours { chart: Rgb(140, 70, 110), light: Rgb(140, 70, 110), dark: Rgb(245, 200, 225) },
        marker: Marker::TriangleDown,
    }
    /// One endless HTTP response of several parts, as Netscape introduced it in 1995 (RFC 2046, section 5.1).
    Multipart {
        name: "multipart",
        label: "Multipart",
        in_words: "multipart streaming",
        summary: "One request, and an endless response with a part for each event: the server push of 1995.",
        family: Family::BeforeWebSocket,
        since: 1995,
        carrier: Carrier::H1,
        exchange: Exchange::Stream,
        envelope: Envelope::Multipart,
        coding: Coding::Identity,
        path: Some("/multipart"),
        subprotocol: None,
        browser: Some(BrowserApi::Fetch),
        colours: Colours { chart: Rgb(153, 153, 51), light: Rgb(122, 122, 34), dark: Rgb(198, 198, 90) },
        marker: Marker::Pentagon,
    }
    /// One endless HTML page in a hidden iframe, with a script for each event.
    Iframe {
        name: "iframe",
        label: "Hidden iframe",
        in_words: "a hidden iframe",
        summary: "A hidden iframe loads an endless page, in which each event is a script that calls the page around it.",
        family: Family::BeforeWebSocket,
        since: 2000,
        carrier: Carrier::H1,
        exchange: Exchange::Stream,
        envelope: Envelope::Iframe,
        coding: Coding::Identity,
        path: Some("/iframe"),
        subprotocol: None,
        browser: Some(BrowserApi::Iframe),
        colours: Colours { chart: Rgb(170, 68, 153), light: Rgb(170, 68, 153), dark: Rgb(217, 138, 203) },
        marker: Marker::Hexagon,
    }
    /// WebSocket: frames on a connection that was upgraded from HTTP (RFC 6455).
    WebSocket {
        name: "websocket",
        label: "WebSocket",
        in_words: "WebSocket",
        summary: "One handshake that upgrades the connection; after that, either side sends frames at any time.",
        family: Family::Today,
        since: 2011,
        carrier: Carrier::H1,
        exchange: Exchange::Socket,
        envelope: Envelope::WebSocket,
        coding: Coding::Identity,
        path: Some("/ws"),
        subprotocol: None,
        browser: Some(BrowserApi::WebSocket),
        colours: Colours { chart: Rgb(0, 114, 178), light: Rgb(0, 114, 178), dark: Rgb(86, 180, 233) },
        marker: Marker::Diamond,
    }
    /// WebSocket with permessage-deflate, each message compressed by itself (RFC 7692).
    WebSocketDeflate {
        name: "websocket+deflate",
        label: "WS deflate",
        in_words: "WebSocket with deflate",
        summary: "A WebSocket whose messages are compressed, each by itself, so that an event is compressed once for all subscribers.",
        family: Family::Compressed,
        since: 2015,
        carrier: Carrier::H1,
        exchange: Exchange::Socket,
        envelope: Envelope::WebSocket,
        coding: Coding::Deflate,
        path: Some("/ws"),
        subprotocol: None,
        browser: Some(BrowserApi::WebSocket),
        colours: Colours { chart: Rgb(50, 140, 160), light: Rgb(35, 125, 145), dark: Rgb(120, 205, 220) },
        marker: Marker::Hourglass,
    }
    /// WebSocket with permessage-deflate and context takeover (RFC 7692).
    WebSocketTakeover {
        name: "websocket+deflate_takeover",
        label: "WS takeover",
        in_words: "WebSocket with deflate and context takeover",
        summary: "A WebSocket whose messages are compressed with reference to earlier ones, by a compressor for each connection.",
        family: Family::Compressed,
        since: 2015,
        carrier: Carrier::H1,
        exchange: Exchange::Socket,
        envelope: Envelope::WebSocket,
        coding: Coding::DeflateTakeover,
        path: Some("/ws"),
        subprotocol: None,
        browser: Some(BrowserApi::WebSocket),
        colours: Colours { chart: Rgb(20, 90, 105), light: Rgb(20, 90, 105), dark: Rgb(165, 225, 235) },
        marker: Marker::Bowtie,
    }
    /// WebSocket over HTTP/2 (RFC 8441).
    WebSocketH2 {
        name: "websocket@h2",
        label: "WebSocket h2",
        in_words: "WebSocket over HTTP/2",
        summary: "A WebSocket on a stream of an HTTP/2 connection (RFC 8441): an extended CONNECT in place of the upgrade, then the same frames in DATA frames.",
        family: Family::Http2,
        since: 2018,
        carrier: Carrier::H2,
        exchange: Exchange::Socket,
        envelope: Envelope::WebSocket,
        coding: Coding::Identity,
        path: Some("/ws"),
        subprotocol: None,
        browser: Some(BrowserApi::WebSocket),
        colours: Colours { chart: Rgb(0, 66, 110), light: Rgb(0, 66, 110), dark: Rgb(150, 210, 250) },
        marker: Marker::Diamond,
    }
    /// STOMP 1.2 as a sub-protocol of WebSocket.
    Stomp {
        name: "stomp",
        label: "STOMP",
        in_words: "STOMP",
        summary: "A WebSocket with the sub-protocol v12.stomp: the client subscribes to a destination, and each event is a frame with headers.",
        family: Family::Library,
        since: 2012,
        carrier: Carrier::H1,
        exchange: Exchange::Socket,
        envelope: Envelope::Stomp,
        coding: Coding::Identity,
        path: Some("/ws"),
        subprotocol: Some(stomp::SUBPROTOCOL),
        browser: Some(BrowserApi::WebSocket),
        colours: Colours { chart: Rgb(56, 155, 210), light: Rgb(28, 122, 175), dark: Rgb(143, 208, 245) },
        marker: Marker::TriangleLeft,
    }
    /// SockJS over its WebSocket transport.
    SockJs {
        name: "sockjs",
        label: "SockJS",
        in_words: "SockJS",
        summary: "A WebSocket whose messages are arrays of JSON strings. Its library falls back to streaming and polling.",
        family: Family::Library,
        since: 2011,
        carrier: Carrier::H1,
        exchange: Exchange::Socket,
        envelope: Envelope::SockJs,
        coding: Coding::Identity,
        path: Some("/sockjs"),
        subprotocol: None,
        browser: Some(BrowserApi::WebSocket),
        colours: Colours { chart: Rgb(51, 34, 136), light: Rgb(75, 58, 176), dark: Rgb(156, 143, 240) },
        marker: Marker::TriangleRight,
    }
    /// Socket.IO 5 over Engine.IO 4: begins with long polling, and continues on a WebSocket.
    SocketIo {
        name: "socket_io",
        label: "Socket.IO",
        in_words: "Socket.IO",
        summary: "Begins with long polling, then upgrades to a WebSocket whose messages are named events with arguments, acknowledgements and rooms.",
        family: Family::Library,
        since: 2010,
        carrier: Carrier::H1,
        exchange: Exchange::Socket,
        envelope: Envelope::SocketIo,
        coding: Coding::Identity,
        path: Some("/socket.io/"),
        subprotocol: None,
        browser: Some(BrowserApi::WebSocket),
        colours: Colours { chart: Rgb(17, 119, 51), light: Rgb(17, 119, 51), dark: Rgb(92, 194, 125) },
        marker: Marker::Star,
    }
    /// WebTransport: streams of a QUIC connection that HTTP/3 has opened (draft-ietf-webtrans-http3).
    WebTransport {
        name: "webtransport",
        label: "WebTransport",
        in_words: "WebTransport",
        summary: "A session over HTTP/3, in which the server sends the events as lines of one QUIC stream, in order.",
        family: Family::Http3,
        since: 2022,
        carrier: Carrier::H3,
        exchange: Exchange::Socket,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/webtransport"),
        subprotocol: None,
        browser: Some(BrowserApi::WebTransport),
        colours: Colours { chart: Rgb(120, 94, 240), light: Rgb(104, 76, 220), dark: Rgb(178, 162, 255) },
        marker: Marker::Star,
    }
    /// WebTransport with a stream for each event.
    WebTransportStreams {
        name: "webtransport_streams",
        label: "WT streams",
        in_words: "WebTransport with a stream for each event",
        summary: "A session over HTTP/3, in which the server sends each event on a QUIC stream of its own. When a packet is lost, only its event \
            waits until it is sent again; later events overtake it.",
        family: Family::Http3,
        since: 2022,
        carrier: Carrier::H3Streams,
        exchange: Exchange::Socket,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/webtransport/streams"),
        subprotocol: None,
        browser: Some(BrowserApi::WebTransport),
        colours: Colours { chart: Rgb(80, 60, 190), light: Rgb(80, 60, 190), dark: Rgb(200, 188, 255) },
        marker: Marker::Hexagon,
    }
    /// WebTransport with a datagram for each event.
    WebTransportDatagrams {
        name: "webtransport_datagrams",
        label: "WT datagrams",
        in_words: "WebTransport with datagrams",
        summary: "A session over HTTP/3, in which the server sends each event as a datagram. What the network loses is not sent again, so \
            nothing waits, and some events never come.",
        family: Family::Http3,
        since: 2022,
        carrier: Carrier::H3Datagrams,
        exchange: Exchange::Socket,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: Some("/webtransport/datagrams"),
        subprotocol: None,
        browser: Some(BrowserApi::WebTransport),
        colours: Colours { chart: Rgb(150, 120, 255), light: Rgb(125, 90, 235), dark: Rgb(225, 216, 255) },
        marker: Marker::Cross,
    }
    /// One event per line on a plain TCP socket, without HTTP: the lower bound for the others.
    Tcp {
        name: "tcp",
        label: "Raw TCP",
        in_words: "raw TCP",
        summary: "One line to subscribe, then a line for each event, without HTTP.",
        family: Family::Today,
        since: 1981,
        carrier: Carrier::Tcp,
        exchange: Exchange::Stream,
        envelope: Envelope::Line,
        coding: Coding::Identity,
        path: None,
        subprotocol: None,
        browser: None,
        colours: Colours { chart: Rgb(70, 70, 70), light: Rgb(70, 70, 70), dark: Rgb(170, 170, 170) },
        marker: Marker::Plus,
    }
}

impl Transport {
    /// The name in JSON, CSV and on the command line.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The name on charts and in tables.
    pub const fn label(self) -> &'static str {
        self.row().label
    }

    /// The name within a sentence.
    pub const fn in_words(self) -> &'static str {
        self.row().in_words
    }

    /// The protocol that moves its bytes.
    pub const fn carrier(self) -> Carrier {
        self.row().carrier
    }

    /// Its pattern of requests and responses.
    pub const fn exchange(self) -> Exchange {
        self.row().exchange
    }

    /// The envelope of its events.
    pub const fn envelope(self) -> Envelope {
        self.row().envelope
    }

    /// Whether the server sends an event without a request for it.
    pub const fn is_push(self) -> bool {
        match self.exchange() {
            Exchange::Poll | Exchange::LongPoll => false,
            Exchange::Stream | Exchange::Socket => true,
        }
    }

    /// Whether a subscriber without an event has a connection or a request that waits at the server. Only with polling it has none.
    pub const fn waits_at_server(self) -> bool {
        self.is_push() || matches!(self.exchange(), Exchange::LongPoll)
    }

    /// Whether applications use it today without a library. These transports are compared by default.
    pub fn is_today(self) -> bool {
        self.row().family == Family::Today
    }

    /// Whether it uses HTTP/1.1 or TCP, without compression.
    pub const fn is_plain(self) -> bool {
        matches!(self.carrier(), Carrier::Tcp | Carrier::H1) && matches!(self.row().coding, Coding::Identity)
    }

    /// Whether its connections are those of TCP, whose bytes the kernel counts, too.
    pub const fn is_over_tcp(self) -> bool {
        !self.carrier().is_quic()
    }

    /// Whether a page can select it: a browser has an interface for it, and the page decides between it and every other one.
    pub const fn is_lane(self) -> bool {
        self.row().browser.is_some() && (self.is_plain() || self.carrier().is_quic())
    }

    /// The transports that are compared by default.
    pub fn today() -> Vec<Self> {
        Self::all_where(Self::is_today)
    }

    /// The transports for which `condition` is true, in the order of the table.
    pub fn all_where(condition: impl Fn(Self) -> bool) -> Vec<Self> {
        Self::ALL.into_iter().filter(|&transport| condition(transport)).collect()
    }

    /// The first transport of each exchange. An experiment measures these if its question depends on the exchange only.
    pub fn one_per_exchange() -> Vec<Self> {
        Self::one_per_exchange_over(Carrier::H1)
    }

    /// The first transport of each exchange over a carrier.
    pub fn one_per_exchange_over(carrier: Carrier) -> Vec<Self> {
        let found = |&exchange: &Exchange| {
            let is_it = |transport: &Self| transport.exchange() == exchange && transport.carrier() == carrier;
            Self::ALL.into_iter().find(is_it)
        };
        Exchange::ALL.iter().filter_map(found).collect()
    }

    /// The term for one message from the server, which depends on the exchange and the carrier.
    pub const fn message_noun(self) -> &'static str {
        match (self.exchange(), self.carrier()) {
            (Exchange::Poll | Exchange::LongPoll, _) => "response",
            (Exchange::Stream, Carrier::H1) => "chunk",
            (Exchange::Socket, Carrier::Tcp | Carrier::H1 | Carrier::H2) => "frame",
            (Exchange::Stream, Carrier::H2) => "DATA frame",
            (_, Carrier::Tcp | Carrier::H3) => "line",
            (_, Carrier::H3Streams) => "stream",
            (_, Carrier::H3Datagrams) => "datagram",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The error of a text that is not the name of a transport.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no transport is called '{0}'; there are {list}", list = Transport::ALL.map(Transport::name).join(", "))]
pub struct UnknownTransport(String);

impl FromStr for Transport {
    type Err = UnknownTransport;

    /// Parses a [`Transport::name`]; a hyphen is accepted for an underscore.
    fn from_str(text: &str) -> Result<Self, UnknownTransport> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|transport| transport.name() == name).ok_or_else(|| UnknownTransport(text.into()))
    }
}

impl Serialize for Transport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Transport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Transport {
    fn schema_name() -> Cow<'static, str> {
        "Transport".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = Self::ALL
            .iter()
            .map(|transport| {
                let row = transport.row();
                serde_json::json!({ "const": row.name, "description": row.summary })
            })
            .collect();
        schemars::json_schema!({
            "description": "A method of sending events from the server to a subscriber.",
            "type": "string",
            "oneOf": names,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_parsed_and_is_the_name_in_json() {
        for transport in Transport::ALL {
            assert_eq!(transport.name().parse(), Ok(transport));
            let json = serde_json::to_string(&transport).unwrap();
            assert_eq!(json, format!("\"{transport}\""));
            assert_eq!(serde_json::from_str::<Transport>(&json).unwrap(), transport);
        }
        assert_eq!("long-polling".parse(), Ok(Transport::LongPolling));
    }

    #[test]
    fn no_two_transports_share_a_name_a_path_a_colour_or_a_marker() {
        for (index, one) in Transport::ALL.iter().map(|transport| transport.row()).enumerate() {
            for other in Transport::ALL[..index].iter().map(|transport| transport.row()) {
                let both = format!("{} and {}", one.name, other.name);
                assert!(one.name != other.name && one.label != other.label, "{both}");
                let selected = |row: &Row| (row.path, row.subprotocol, row.carrier, row.coding);
                assert!(one.path.is_none() || selected(one) != selected(other), "{both}");
                let drawn = |row: &Row| (row.marker, row.carrier.is_outlined());
                assert!(one.colours.chart != other.colours.chart && drawn(one) != drawn(other), "{both}");
            }
        }
    }

    #[test]
    fn one_per_exchange_returns_the_first_transport_of_each_exchange() {
        let four = [Transport::Polling, Transport::LongPolling, Transport::Ndjson, Transport::WebSocket];
        assert_eq!(Transport::one_per_exchange(), four);
        assert_eq!(Transport::one_per_exchange_over(Carrier::H2).len(), 4);
        assert_eq!(Transport::one_per_exchange_over(Carrier::H3), [Transport::WebTransport]);
    }

    #[test]
    fn the_error_of_an_unknown_name_lists_the_known_ones() {
        let error = "telegraph".parse::<Transport>().unwrap_err().to_string();
        assert!(error.starts_with("no transport is called 'telegraph'; there are polling, "), "{error}");
        assert!(Transport::ALL.iter().all(|transport| error.contains(transport.name())), "{error}");
    }
}
