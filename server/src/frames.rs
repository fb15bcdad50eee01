//! A client's WebSocket frames, looked at before tungstenite reads them.
//!
//! tungstenite takes lengths that are not in their shortest form (RFC 6455, section 5.2, demands that), and takes close code 1014 for
//! a fault, though IANA has registered it. And it makes room for a frame as soon as it knows the length. `Follower` sees each header
//! first; what it finds fault with is not passed on.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use protocol::framing::Malformed;
use protocol::framing::websocket::{Opcode, parse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;

use crate::budget::Reservation;
use crate::socket::{Socket, Stream};

/// A WebSocket of this server.
pub type WebSocket = WebSocketStream<Frames>;

/// The close code that is valid, and that tungstenite does not know: a gateway had a bad answer from the server behind it.
const BAD_GATEWAY: u16 = 1014;

/// Why what a client sends is not read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It breaks the protocol.
    Malformed(Malformed),
    /// It is a close frame with this code: valid, but to be answered by us.
    Closed(u16),
    /// There is no room for the message that it announces.
    NoRoom,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(formatter),
            Self::Closed(code) => write!(formatter, "closed with code {code}"),
            Self::NoRoom => formatter.write_str("the server holds too much already; try again later"),
        }
    }
}

impl std::error::Error for Fault {}

/// Where a stream of frames stands.
#[derive(Debug, Default)]
struct Follower {
    /// What has come of a header, or of a header and a close code.
    head: [u8; 14],
    known: usize,
    /// Bytes of the current frame's payload that are still to come.
    payload_left: u64,
    /// Bytes of the current message in the frames that have begun, this one's included.
    message: u64,
}

impl Follower {
    /// Follows `bytes`. `has_room` is asked with each data frame whether its message may be so many bytes long.
    ///
    /// # Errors
    /// The fault of the first frame that has one, and how many of `bytes` come before that frame.
    fn follow(&mut self, bytes: &[u8], mut has_room: impl FnMut(u64) -> bool) -> Result<(), (usize, Fault)> {
        let mut at = 0;
        // Where the frame began; 0 as well for one that began before these bytes.
        let mut began = 0;
        while at < bytes.len() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min((bytes.len() - at) as u64);
                self.payload_left -= skipped;
                at += skipped as usize;
                continue;
            }
            if self.known == 0 {
                began = at;
            }
            self.head[self.known] = bytes[at];
            self.known += 1;
            at += 1;
            let header = match parse(&self.head[..self.known]) {
                Err(malformed) => return Err((began, Fault::Malformed(malformed))),
                Ok(None) => continue,
                Ok(Some(header)) => header,
            };
            if let (Opcode::Close, Some(key), 2..) = (header.opcode, header.mask, header.payload_length) {
                let Some(masked) = self.head[..self.known].get(header.length..header.length + 2) else { continue };
                let code = u16::from_be_bytes([masked[0] ^ key[0], masked[1] ^ key[1]]);
                if code == BAD_GATEWAY {
                    return Err((began, Fault::Closed(code)));
                }
            }
            if !header.opcode.is_control() {
                let before = if header.opcode == Opcode::Continuation { self.message } else { 0 };
                self.message = before.saturating_add(header.payload_length);
                if !has_room(self.message) {
                    return Err((began, Fault::NoRoom));
                }
            }
            self.payload_left = header.payload_length - (self.known - header.length) as u64;
            self.known = 0;
        }
        Ok(())
    }
}

/// A connection's stream, as tungstenite reads and writes it.
pub struct Frames {
    stream: Stream,
    follower: Follower,
    /// What was found and is to be told with the next read.
    fault: Option<Fault>,
    /// The largest message that is taken, in bytes. One that announces more is left to tungstenite to refuse.
    max_message: usize,
    /// Where a message's memory has to be taken from.
    reservation: Option<Reservation>,
}

impl Frames {
    /// The frames that come over `stream`, in messages of at most `max_message` bytes, held in `reservation` if there is one.
    pub fn new(stream: Stream, max_message: usize, reservation: Option<Reservation>) -> Self {
        Self { stream, follower: Follower::default(), fault: None, max_message, reservation }
    }

    /// The socket that they come over.
    pub fn socket(&self) -> &Arc<Socket> {
        self.stream.socket()
    }

    /// The stream itself, for what is read and not looked at any more.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

impl AsyncRead for Frames {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, follower, fault, max_message, reservation } = self.get_mut();
        if fault.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(stream).poll_read(context, buffer))?;
            let has_room = |message: u64| match reservation {
                Some(reservation) if message <= *max_message as u64 => reservation.grow_to(message as usize),
                _ => true,
            };
            match follower.follow(&buffer.filled()[before..], has_room) {
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
        let fault = fault.clone().expect("it was found");
        Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, fault)))
    }
}

impl AsyncWrite for Frames {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use protocol::framing::websocket::frame_masked;

    use super::*;

    const KEY: [u8; 4] = *b"mask";

    /// What comes of `bytes`, given in pieces of one size: the bytes before the fault, and the fault.
    fn followed(bytes: &[u8], piece: usize) -> Result<(), (usize, Fault)> {
        let mut follower = Follower::default();
        let mut passed = 0;
        for piece in bytes.chunks(piece) {
            follower.follow(piece, |_| true).map_err(|(sound, fault)| (passed + sound, fault))?;
            passed += piece.len();
        }
        Ok(())
    }

    fn closed(code: u16) -> Vec<u8> {
        frame_masked(Opcode::Close, &[&code.to_be_bytes(), &b"why"[..]].concat(), KEY)
    }

    #[test]
    fn sound_frames_of_every_length_pass_however_they_are_cut() {
        let frames: Vec<u8> = [0, 1, 125, 126, 65_535, 65_536]
            .into_iter()
            .flat_map(|length| frame_masked(Opcode::Binary, &vec![7; length], KEY))
            .chain(frame_masked(Opcode::Ping, b"?", KEY))
            .chain([1000, 1013, 3000, 4999].into_iter().flat_map(closed))
            .chain(frame_masked(Opcode::Close, b"", KEY))
            .collect();
        for piece in [1, 2, 3, 7, 512, frames.len()] {
            assert_eq!(followed(&frames, piece), Ok(()), "{piece}");
        }
    }

    #[test]
    fn a_length_that_is_longer_than_it_need_be_is_a_fault_and_what_came_before_it_is_passed() {
        let sound = frame_masked(Opcode::Text, b"sound", KEY);
        for header in [&[0x81, 0x80 | 126, 0, 125][..], &[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]] {
            let bytes = [&sound, header, &[0; 200]].concat();
            let (passed, fault) = followed(&bytes, bytes.len()).unwrap_err();
            assert_eq!(passed, sound.len());
            assert!(matches!(fault, Fault::Malformed(_)), "{fault}");
            assert!(matches!(followed(&bytes, 1), Err((_, Fault::Malformed(_)))));
        }
    }

    #[test]
    fn a_close_code_that_tungstenite_does_not_know_is_ours_to_answer() {
        let sound = frame_masked(Opcode::Text, b"sound", KEY);
        let bytes = [sound.clone(), closed(1014)].concat();
        assert_eq!(followed(&bytes, bytes.len()), Err((sound.len(), Fault::Closed(1014))));
        assert!(matches!(followed(&bytes, 1), Err((_, Fault::Closed(1014)))));
    }

    #[test]
    fn a_message_asks_for_room_with_each_of_its_frames_before_its_payload_comes() {
        let mut first = frame_masked(Opcode::Text, &[b'x'; 300], KEY);
        first[0] &= 0x7f;
        let bytes = [
            first,
            frame_masked(Opcode::Ping, b"between", KEY),
            frame_masked(Opcode::Continuation, &[b'x'; 40], KEY),
            frame_masked(Opcode::Binary, &[b'x'; 200], KEY)[..8].to_vec(),
        ]
        .concat();
        let mut asked = Vec::new();
        Follower::default()
            .follow(&bytes, |message| {
                asked.push(message);
                true
            })
            .unwrap();
        assert_eq!(asked, [300, 340, 200]);
        assert_eq!(Follower::default().follow(&bytes, |message| message < 340).unwrap_err().1, Fault::NoRoom);
    }
}
