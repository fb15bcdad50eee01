//! Checks a client's WebSocket frames before tungstenite parses them.
//!
//! tungstenite accepts lengths that are not encoded in their shortest form, which RFC 6455, section 5.2, forbids, and rejects close code
//! 1014, which is registered with IANA. It also allocates memory for a frame as soon as it knows the length. So `FrameChecker` parses each
//! header first, and a frame that it rejects is not passed on.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use protocol::deflate::{InflateFault, Parameters};
use protocol::envelope::Malformed;
use protocol::envelope::websocket::{Opcode, parse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;

use super::deflate::{self, Deflate};
use super::socket::{Socket, Stream};
use crate::budget::Reservation;

/// A WebSocket of this server.
pub type WebSocket = WebSocketStream<Frames>;

/// A registered close code that tungstenite does not accept: a gateway received an invalid response from the server behind it.
const BAD_GATEWAY: u16 = 1014;

/// How much is read at a time on a connection with compression, in bytes.
const READ_BYTES: usize = 2 << 10;

/// The reason why a client's frames are not read any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A frame violates the protocol.
    Malformed(Malformed),
    /// A close frame has this code, which tungstenite would reject.
    Closed(u16),
    /// There is not enough memory for the message that a frame announces.
    NoRoom,
    /// A compressed message is not in the format of DEFLATE, or becomes larger than is allowed.
    Inflate(InflateFault),
}

impl From<deflate::Fault> for Fault {
    fn from(fault: deflate::Fault) -> Self {
        match fault {
            deflate::Fault::Malformed(malformed) => Self::Malformed(malformed),
            deflate::Fault::Inflate(fault) => Self::Inflate(fault),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(formatter),
            Self::Closed(code) => write!(formatter, "closed with code {code}"),
            Self::NoRoom => formatter.write_str("too many bytes are being echoed already; try again later"),
            Self::Inflate(fault) => fault.fmt(formatter),
        }
    }
}

impl std::error::Error for Fault {}

/// The position in a stream of frames.
#[derive(Debug, Default)]
struct FrameChecker {
    /// The received part of an incomplete header, or of an incomplete header and close code.
    header: [u8; 14],
    /// The length of that part, in bytes.
    header_received: usize,
    /// Bytes of the current frame's payload that are still to be received.
    payload_left: u64,
    /// Length of the current message so far, in bytes, including the current frame.
    message_bytes: u64,
}

impl FrameChecker {
    /// Checks the next `bytes`. For each data frame, `has_room` is called with the length of its message so far, in bytes, and returns
    /// whether there is enough memory for that.
    ///
    /// # Errors
    /// The fault of the first faulty frame, and how many of `bytes` come before that frame.
    fn check(&mut self, bytes: &[u8], mut has_room: impl FnMut(u64) -> bool) -> Result<(), (usize, Fault)> {
        let mut at = 0;
        // Where the current frame begins in these bytes; 0 also if it began before them.
        let mut began = 0;
        while at < bytes.len() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min((bytes.len() - at) as u64);
                self.payload_left -= skipped;
                at += skipped as usize;
                continue;
            }
            if self.header_received == 0 {
                began = at;
            }
            self.header[self.header_received] = bytes[at];
            self.header_received += 1;
            at += 1;
            let header = match parse(&self.header[..self.header_received]) {
                Err(malformed) => return Err((began, Fault::Malformed(malformed))),
                Ok(None) => continue,
                Ok(Some(header)) => header,
            };
            if let (Opcode::Close, Some(key), 2..) = (header.opcode, header.mask, header.payload_length) {
                let Some(masked) = self.header[..self.header_received].get(header.length..header.length + 2) else {
                    continue;
                };
                let code = u16::from_be_bytes([masked[0] ^ key[0], masked[1] ^ key[1]]);
                if code == BAD_GATEWAY {
                    return Err((began, Fault::Closed(code)));
                }
            }
            if !header.opcode.is_control() {
                let before = if header.opcode == Opcode::Continuation { self.message_bytes } else { 0 };
                self.message_bytes = before.saturating_add(header.payload_length);
                if !has_room(self.message_bytes) {
                    return Err((began, Fault::NoRoom));
                }
            }
            self.payload_left = header.payload_length - (self.header_received - header.length) as u64;
            self.header_received = 0;
        }
        Ok(())
    }
}

/// The stream that tungstenite reads from and writes to; its frames are checked as they are read.
pub struct Frames {
    stream: Stream,
    /// Compresses, if that was agreed on.
    deflate: Option<Box<Deflate>>,
    checker: FrameChecker,
    /// The fault that reads return from now on.
    fault: Option<Fault>,
    /// The largest message, in bytes. tungstenite rejects larger ones.
    max_message_bytes: usize,
    /// Reserves the memory for messages, if that is limited.
    reservation: Option<Reservation>,
}

impl Frames {
    /// The frames on `stream`, in messages of at most `max_message_bytes`. If there is a `reservation`, memory for them is reserved with
    /// it.
    pub fn new(stream: Stream, max_message_bytes: usize, reservation: Option<Reservation>) -> Self {
        Self { stream, deflate: None, checker: FrameChecker::default(), fault: None, max_message_bytes, reservation }
    }

    /// The same, with compression if parameters for it were agreed on.
    pub fn compressed(mut self, parameters: Option<Parameters>) -> Self {
        self.deflate = parameters.map(|parameters| Box::new(Deflate::new(parameters, self.max_message_bytes)));
        self
    }

    /// The parameters of the compression; `None` without compression.
    pub fn compression(&self) -> Option<Parameters> {
        self.deflate.as_ref().map(|deflate| deflate.parameters)
    }

    /// The connection's socket.
    pub fn socket(&self) -> &Rc<Socket> {
        self.stream.socket()
    }

    /// The stream itself, for reading without checks.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

impl AsyncRead for Frames {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, deflate, checker, fault, max_message_bytes, reservation } = self.get_mut();
        if fault.is_none() {
            let before = buffer.filled().len();
            match deflate {
                None => ready!(Pin::new(stream).poll_read(context, buffer))?,
                Some(deflate) => match ready!(poll_inflated(stream, deflate, context, buffer))? {
                    Ok(()) => {}
                    Err(found) => {
                        *fault = Some(found.clone());
                        return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, found)));
                    }
                },
            }
            let has_room = |bytes: u64| match reservation {
                Some(reservation) if bytes <= *max_message_bytes as u64 => reservation.grow_to(bytes as usize),
                _ => true,
            };
            match checker.check(&buffer.filled()[before..], has_room) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err((sound, found)) => {
                    buffer.set_filled(before + sound);
                    *fault = Some(found);
                    if sound > 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
        let fault = fault.clone().expect("this point is reached only with a fault");
        Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, fault)))
    }
}

/// Reads frames of a connection with compression, decompressed.
fn poll_inflated(
    stream: &mut Stream,
    deflate: &mut Deflate,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<Result<(), Fault>>> {
    while deflate.inflated.is_empty() {
        if let Some(fault) = deflate.fault.take() {
            return Poll::Ready(Ok(Err(fault.into())));
        }
        let mut bytes = [0; READ_BYTES];
        let mut raw = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut raw))?;
        if raw.filled().is_empty() {
            return Poll::Ready(Ok(Ok(())));
        }
        // Frames before a faulty one are passed on first.
        deflate.fault = deflate.receive(raw.filled()).err();
    }
    let length = deflate.inflated.len().min(buffer.remaining());
    buffer.put_slice(&deflate.inflated.split_to(length));
    if deflate.inflated.is_empty() {
        deflate.inflated = BytesMut::new();
    }
    Poll::Ready(Ok(Ok(())))
}

impl Frames {
    /// Writes the frames that have been compressed.
    fn poll_deflated(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, deflate: Some(deflate), .. } = self else { return Poll::Ready(Ok(())) };
        while !deflate.deflated.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(context, &deflate.deflated))?;
            deflate.deflated.advance(written);
        }
        deflate.deflated = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Frames {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_deflated(context))?;
        let Some(deflate) = &mut this.deflate else { return Pin::new(&mut this.stream).poll_write(context, bytes) };
        deflate.send(bytes);
        // What the connection does not accept now is written before the next frame, or by a flush.
        match this.poll_deflated(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.deflate {
            None => Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts),
            Some(_) => self.poll_write(context, parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.deflate.is_none() && self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_deflated(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_deflated(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use protocol::envelope::websocket::encode_masked;

    use super::*;

    const KEY: [u8; 4] = *b"mask";

    /// Checks `bytes` in pieces of `size` bytes. An error is the number of bytes before the faulty frame, and the fault.
    fn check(bytes: &[u8], size: usize) -> Result<(), (usize, Fault)> {
        let mut checker = FrameChecker::default();
        let mut passed = 0;
        for piece in bytes.chunks(size) {
            checker.check(piece, |_| true).map_err(|(sound, fault)| (passed + sound, fault))?;
            passed += piece.len();
        }
        Ok(())
    }

    fn closed(code: u16) -> Vec<u8> {
        encode_masked(Opcode::Close, &[&code.to_be_bytes(), &b"why"[..]].concat(), KEY)
    }

    #[test]
    fn valid_frames_of_every_length_pass_however_they_are_divided() {
        let frames: Vec<u8> = [0, 1, 125, 126, 65_535, 65_536]
            .into_iter()
            .flat_map(|length| encode_masked(Opcode::Binary, &vec![7; length], KEY))
            .chain(encode_masked(Opcode::Ping, b"?", KEY))
            .chain([1000, 1013, 3000, 4999].into_iter().flat_map(closed))
            .chain(encode_masked(Opcode::Close, b"", KEY))
            .collect();
        for piece in [1, 2, 3, 7, 512, frames.len()] {
            assert_eq!(check(&frames, piece), Ok(()), "{piece}");
        }
    }

    #[test]
    fn a_length_not_in_its_shortest_form_is_a_fault_and_the_frames_before_it_pass() {
        let sound = encode_masked(Opcode::Text, b"sound", KEY);
        for header in [&[0x81, 0x80 | 126, 0, 125][..], &[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]] {
            let bytes = [&sound, header, &[0; 200]].concat();
            let (passed, fault) = check(&bytes, bytes.len()).unwrap_err();
            assert_eq!(passed, sound.len());
            assert!(matches!(fault, Fault::Malformed(_)), "{fault}");
            assert!(matches!(check(&bytes, 1), Err((_, Fault::Malformed(_)))));
        }
    }

    #[test]
    fn a_close_code_that_tungstenite_would_reject_is_found() {
        let sound = encode_masked(Opcode::Text, b"sound", KEY);
        let bytes = [sound.clone(), closed(1014)].concat();
        assert_eq!(check(&bytes, bytes.len()), Err((sound.len(), Fault::Closed(1014))));
        assert!(matches!(check(&bytes, 1), Err((_, Fault::Closed(1014)))));
    }

    #[test]
    fn the_length_of_a_message_so_far_is_checked_with_each_of_its_frame_headers() {
        let mut first = encode_masked(Opcode::Text, &[b'x'; 300], KEY);
        first[0] &= 0x7f;
        let bytes = [
            first,
            encode_masked(Opcode::Ping, b"between", KEY),
            encode_masked(Opcode::Continuation, &[b'x'; 40], KEY),
            encode_masked(Opcode::Binary, &[b'x'; 200], KEY)[..8].to_vec(),
        ]
        .concat();
        let mut lengths = Vec::new();
        FrameChecker::default()
            .check(&bytes, |length| {
                lengths.push(length);
                true
            })
            .unwrap();
        assert_eq!(lengths, [300, 340, 200]);
        assert_eq!(FrameChecker::default().check(&bytes, |length| length < 340).unwrap_err().1, Fault::NoRoom);
    }
}
