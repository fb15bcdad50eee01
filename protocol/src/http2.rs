//! The frames of HTTP/2, as far as one has to know them to attribute each byte of a connection (RFC 9113, section 4.1).

/// What a client sends before its first frame (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of a frame's header, in bytes.
pub const HEADER_BYTES: usize = 9;
/// The flag of a DATA or HEADERS frame after which the sender sends nothing more on the stream.
pub const END_STREAM: u8 = 0x1;
/// The flag of a SETTINGS or PING frame that acknowledges one of the peer's.
pub const ACK: u8 = 0x1;

/// The type of a frame (RFC 9113, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A part of a body.
    Data,
    /// The beginning of a request, a response or trailers.
    Headers,
    /// An obsolete hint on the order of responses.
    Priority,
    /// Ends a stream at once.
    ResetStream,
    /// Parameters of the connection, or their acknowledgement.
    Settings,
    /// Announces a response that was not requested.
    PushPromise,
    /// Measures a round trip, or tests whether the peer is there.
    Ping,
    /// Announces the end of the connection.
    GoAway,
    /// Allows the peer to send more.
    WindowUpdate,
    /// The rest of a header block that does not fit into one frame.
    Continuation,
    /// A type that this program does not know. Such frames are ignored.
    Other,
}

impl Kind {
    fn of(byte: u8) -> Self {
        const KNOWN: [Kind; 10] = [
            Kind::Data,
            Kind::Headers,
            Kind::Priority,
            Kind::ResetStream,
            Kind::Settings,
            Kind::PushPromise,
            Kind::Ping,
            Kind::GoAway,
            Kind::WindowUpdate,
            Kind::Continuation,
        ];
        KNOWN.get(usize::from(byte)).copied().unwrap_or(Kind::Other)
    }
}

impl std::fmt::Display for Kind {
    /// Formats the name that RFC 9113 gives it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Data => "DATA",
            Self::Headers => "HEADERS",
            Self::Priority => "PRIORITY",
            Self::ResetStream => "RST_STREAM",
            Self::Settings => "SETTINGS",
            Self::PushPromise => "PUSH_PROMISE",
            Self::Ping => "PING",
            Self::GoAway => "GOAWAY",
            Self::WindowUpdate => "WINDOW_UPDATE",
            Self::Continuation => "CONTINUATION",
            Self::Other => "unknown frame",
        })
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The length of the payload, in bytes; at most 16 MiB.
    pub length: usize,
    /// The type.
    pub kind: Kind,
    /// The flags, whose meaning depends on the type.
    pub flags: u8,
    /// The stream; 0 for the connection as a whole.
    pub stream: u32,
}

impl FrameHeader {
    /// Parses a header.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: Kind::of(kind),
            flags,
            // The first bit is reserved.
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    /// Whether the sender sends nothing more on the stream after this frame.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & END_STREAM != 0
    }

    /// Whether the frame acknowledges one of the peer's.
    pub fn acknowledges(&self) -> bool {
        matches!(self.kind, Kind::Settings | Kind::Ping) && self.flags & ACK != 0
    }
}

/// A part of what was sent in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes of the client's preface.
    Preface(usize),
    /// A complete header, [`HEADER_BYTES`] long.
    Header(FrameHeader),
    /// The next bytes of the payload of the frame with this header, never empty, and how many bytes are still to come.
    Payload(FrameHeader, &'a [u8], usize),
}

/// Divides the bytes of one direction of a connection into frames, however the bytes were divided when they were read.
#[derive(Debug, Clone)]
pub struct FrameWalker {
    preface_left: usize,
    header: [u8; HEADER_BYTES],
    /// How many bytes of the header have come.
    received: usize,
    frame: Option<FrameHeader>,
    payload_left: usize,
}

impl FrameWalker {
    /// For the bytes that the client sends.
    pub fn client() -> Self {
        Self { preface_left: PREFACE.len(), ..Self::server() }
    }

    /// For the bytes that the server sends.
    pub fn server() -> Self {
        Self { preface_left: 0, header: [0; HEADER_BYTES], received: 0, frame: None, payload_left: 0 }
    }

    /// Passes each part of the next `bytes` to `found`.
    pub fn walk<'a>(&mut self, mut bytes: &'a [u8], mut found: impl FnMut(Part<'a>)) {
        let take = |bytes: &mut &'a [u8], most: usize| {
            let (taken, rest) = bytes.split_at(most.min(bytes.len()));
            *bytes = rest;
            taken
        };
        while !bytes.is_empty() {
            if self.preface_left > 0 {
                let part = take(&mut bytes, self.preface_left);
                self.preface_left -= part.len();
                found(Part::Preface(part.len()));
            } else if let Some(frame) = self.frame.filter(|_| self.payload_left > 0) {
                let part = take(&mut bytes, self.payload_left);
                self.payload_left -= part.len();
                found(Part::Payload(frame, part, self.payload_left));
            } else {
                let part = take(&mut bytes, HEADER_BYTES - self.received);
                self.header[self.received..][..part.len()].copy_from_slice(part);
                self.received += part.len();
                if self.received == HEADER_BYTES {
                    let frame = FrameHeader::parse(&self.header);
                    (self.received, self.frame, self.payload_left) = (0, Some(frame), frame.length);
                    found(Part::Header(frame));
                }
            }
        }
    }

    /// The bytes of an incomplete header, which were passed to no one yet.
    pub fn incomplete_bytes(&self) -> usize {
        self.received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn every_byte_is_in_exactly_one_part_however_the_bytes_are_divided() {
        let frames =
            [frame(4, 0, 0, &[0; 6]), frame(1, 5, 1, b"headers"), frame(0, 1, 1, b"body"), frame(4, 1, 0, b"")];
        let bytes = [PREFACE, &frames.concat()].concat();
        for size in [1, 2, 8, 9, 10, 24, 25, bytes.len()] {
            let mut walker = FrameWalker::client();
            let (mut count, mut headers, mut data) = (0, Vec::new(), Vec::new());
            for piece in bytes.chunks(size) {
                walker.walk(piece, |part| match part {
                    Part::Preface(length) => count += length,
                    Part::Header(header) => {
                        count += HEADER_BYTES;
                        headers.push((header.kind, header.stream, header.ends_stream()));
                    }
                    Part::Payload(header, payload, _) => {
                        count += payload.len();
                        if header.kind == Kind::Data {
                            data.extend_from_slice(payload);
                        }
                    }
                });
            }
            assert_eq!((count, &data[..]), (bytes.len(), &b"body"[..]), "in pieces of {size}");
            let expected = [
                (Kind::Settings, 0, false),
                (Kind::Headers, 1, true),
                (Kind::Data, 1, true),
                (Kind::Settings, 0, false),
            ];
            assert_eq!(headers, expected);
            assert_eq!(walker.incomplete_bytes(), 0);
        }
    }

    #[test]
    fn an_incomplete_header_is_reported_and_unknown_types_are_no_error() {
        let mut walker = FrameWalker::server();
        let bytes = frame(0xfe, 0xff, 0x8000_0003, b"?");
        walker.walk(&bytes[..4], |part| panic!("{part:?}"));
        assert_eq!(walker.incomplete_bytes(), 4);
        let mut header = None;
        walker.walk(&bytes[4..], |part| {
            if let Part::Header(found) = part {
                header = Some(found);
            }
        });
        assert_eq!(header, Some(FrameHeader { length: 1, kind: Kind::Other, flags: 0xff, stream: 3 }));
    }
}
