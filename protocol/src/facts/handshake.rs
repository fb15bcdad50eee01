//! Responses to right and wrong WebSocket handshakes, and a client's reactions to wrong responses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the experiment `handshake` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HandshakeFacts {
    /// The server's response to each request.
    pub requests: Vec<RequestTrial>,
    /// The client's reaction to each wrong response.
    pub responses: Vec<ResponseTrial>,
    /// Status of the response to a handshake over HTTP/2: an extended CONNECT without `Upgrade` and without a key (RFC 8441).
    #[serde(default)]
    pub over_http2: Option<u16>,
}

/// A request that was sent to the server: a right handshake, with one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeRequest {
    /// No change; the key is that of RFC 6455, section 1.3.
    Right,
    /// POST instead of GET.
    Post,
    /// HTTP/1.0 instead of HTTP/1.1.
    Http10,
    /// Without the field `Upgrade`.
    WithoutUpgrade,
    /// Without the field `Connection`.
    WithoutConnection,
    /// Version 8 instead of 13.
    Version8,
    /// A key of 15 bytes instead of 16.
    ShortKey,
    /// With sub-protocols and permessage-deflate offered.
    Offers,
    /// To the feed, with another `Origin` than the server's.
    ForeignOriginFeed,
    /// To the echo, which does not check `Origin`, with another `Origin` than the server's.
    ForeignOriginEcho,
    /// A poll instead of a handshake, with another `Origin` than the server's.
    ForeignOriginPoll,
    /// No change, through a proxy that does not forward `Connection` and `Upgrade`.
    ThroughProxy,
    /// The same within TLS.
    ThroughProxyWithinTls,
}

impl HandshakeRequest {
    /// All requests, in the order in which they are sent.
    pub const ALL: [Self; 13] = [
        Self::Right,
        Self::Post,
        Self::Http10,
        Self::WithoutUpgrade,
        Self::WithoutConnection,
        Self::Version8,
        Self::ShortKey,
        Self::Offers,
        Self::ForeignOriginFeed,
        Self::ForeignOriginEcho,
        Self::ForeignOriginPoll,
        Self::ThroughProxy,
        Self::ThroughProxyWithinTls,
    ];
}

/// A request with the server's response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestTrial {
    /// The request.
    pub request: HandshakeRequest,
    /// The status line and headers of the response; empty where the server closed the connection, `None` where nothing arrived in time.
    pub response: Option<String>,
}

/// A response to the client's handshake, from a server made for the trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeResponse {
    /// 101 with the `Sec-WebSocket-Accept` of another key.
    AcceptOfAnotherKey,
    /// 101 with the client's key as `Sec-WebSocket-Accept`.
    RepeatedKey,
    /// 101 with another protocol in `Upgrade`.
    OtherProtocol,
    /// 200.
    Status200,
}

impl HandshakeResponse {
    /// All responses, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::AcceptOfAnotherKey, Self::RepeatedKey, Self::OtherProtocol, Self::Status200];
}

/// A wrong response with the client's reaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseTrial {
    /// The response.
    pub response: HandshakeResponse,
    /// What the client did.
    pub reaction: Reaction,
}

/// What the client did after a response to its handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// It still waited when the time was up.
    Waited,
    /// It accepted the response.
    Accepted,
    /// It refused the value of `Sec-WebSocket-Accept`.
    RefusedAccept,
    /// It refused the protocol in `Upgrade`.
    RefusedProtocol,
    /// It refused this status.
    RefusedStatus(u16),
    /// It gave up for another reason, with this error message.
    Failed(String),
}
