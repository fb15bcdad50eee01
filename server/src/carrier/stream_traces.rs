//! The wire trace of HTTP/2: finds the streams of a page's lanes in the frames of a connection, so that the page is sent their real sizes.
//!
//! hyper does not tell which stream a request came on, nor how long its compressed headers were. Requests reach the service in the order in which
//! their headers came, so the two are matched by that order.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use protocol::clock;
use protocol::http2::{FrameHeader, FrameWalker, HEADER_BYTES, Kind, Part};

use crate::trace::WireTrace;

/// The flag of a HEADERS or CONTINUATION frame that ends a header block.
const END_HEADERS: u8 = 0x4;

/// The frames of a connection in both directions, and the streams whose frames are traced.
pub struct StreamTraces {
    received: RefCell<FrameWalker>,
    sent: RefCell<FrameWalker>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The requests that have come and were not handled yet: their streams, and the bytes of their headers.
    requests: VecDeque<(u32, usize)>,
    /// The newest stream that the client has opened.
    newest: u32,
    /// The bytes of an incomplete header block, received and sent.
    block_bytes: [usize; 2],
    traced: HashMap<u32, Traced>,
}

/// A stream of a lane.
struct Traced {
    trace: Rc<WireTrace>,
    /// The response's headers as text, until its frames are sent.
    response: Vec<u8>,
    /// Headers of DATA frames that are recorded together with their payload, received and sent.
    header_bytes: [usize; 2],
}

impl Traced {
    /// Records a part of a DATA frame, which was read or written at `at_ns`.
    fn data(&mut self, up: bool, part: Part<'_>, at_ns: u64) {
        let header_bytes = &mut self.header_bytes[usize::from(!up)];
        match part {
            Part::Header(header) if header.length > 0 => *header_bytes = HEADER_BYTES,
            Part::Payload(_, payload, _) => {
                self.trace.frame(up, std::mem::take(header_bytes) + payload.len(), payload, at_ns);
            }
            Part::Header(_) => self.trace.frame(up, HEADER_BYTES, b"", at_ns),
            Part::Preface(_) => {}
        }
    }
}

impl StreamTraces {
    /// For a new connection.
    pub fn new() -> Self {
        let (received, sent) = (FrameWalker::client().into(), FrameWalker::server().into());
        Self { received, sent, state: RefCell::default() }
    }

    /// The stream of the next request, and the bytes of its headers.
    pub fn next_request(&self) -> (u32, usize) {
        self.state.borrow_mut().requests.pop_front().unwrap_or_default()
    }

    /// Traces a stream from now on.
    pub fn trace(&self, stream: u32, trace: Rc<WireTrace>) {
        self.state.borrow_mut().traced.insert(stream, Traced { trace, response: Vec::new(), header_bytes: [0; 2] });
    }

    /// The text of the headers of a stream's response, which will be sent next.
    pub fn response(&self, stream: u32, text: Vec<u8>) {
        if let Some(traced) = self.state.borrow_mut().traced.get_mut(&stream) {
            traced.response = text;
        }
    }

    /// Follows bytes that the client has sent.
    pub fn received(&self, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        self.received.borrow_mut().walk(bytes, |part| {
            let (header, payload) = match part {
                Part::Preface(_) => return,
                Part::Header(header) => (header, &[][..]),
                Part::Payload(header, payload, _) => (header, payload),
            };
            let added = if payload.is_empty() { HEADER_BYTES } else { payload.len() };
            if let Some(bytes) = state.header_block(0, header, added, part)
                && header.stream > state.newest
            {
                state.newest = header.stream;
                state.requests.push_back((header.stream, bytes));
            }
            if let (Kind::Data, Some(traced)) = (header.kind, state.traced.get_mut(&header.stream)) {
                traced.data(true, part, clock::now_ns());
            }
            state.forget_if_reset(header);
        });
    }

    /// The time before a write, in ns on the monotonic clock; `None` if no stream is traced.
    pub fn before_write(&self) -> Option<u64> {
        (!self.state.borrow().traced.is_empty()).then(clock::now_ns)
    }

    /// Follows bytes that were sent to the client, in a write before which [`Self::before_write`] returned `at_ns`.
    pub fn sent(&self, bytes: &[u8], at_ns: Option<u64>) {
        let mut state = self.state.borrow_mut();
        self.sent.borrow_mut().walk(bytes, |part| {
            let (header, payload) = match part {
                Part::Preface(_) => return,
                Part::Header(header) => (header, &[][..]),
                Part::Payload(header, payload, _) => (header, payload),
            };
            let added = if payload.is_empty() { HEADER_BYTES } else { payload.len() };
            // Requests that hyper answers itself, or refuses, do not reach the service.
            if let (Kind::Headers | Kind::ResetStream, Part::Header(_)) = (header.kind, part) {
                state.requests.retain(|request| request.0 != header.stream);
            }
            if let Some(bytes) = state.header_block(1, header, added, part)
                && let (Some(traced), Some(at_ns)) = (state.traced.get_mut(&header.stream), at_ns)
            {
                let text = std::mem::take(&mut traced.response);
                traced.trace.frame(false, bytes, &text, at_ns);
            }
            if let (Kind::Data, Some(traced), Some(at_ns)) = (header.kind, state.traced.get_mut(&header.stream), at_ns)
            {
                traced.data(false, part, at_ns);
            }
            let is_complete = matches!(part, Part::Payload(.., 0)) || header.length == 0;
            if header.ends_stream() && is_complete {
                state.traced.remove(&header.stream);
            }
            state.forget_if_reset(header);
        });
    }
}

impl State {
    /// Adds to the header block of one direction; returns its bytes once it is complete.
    fn header_block(&mut self, direction: usize, header: FrameHeader, added: usize, part: Part<'_>) -> Option<usize> {
        if !matches!(header.kind, Kind::Headers | Kind::Continuation) {
            return None;
        }
        self.block_bytes[direction] += added;
        let is_complete = matches!(part, Part::Payload(.., 0)) || header.length == 0;
        let is_last = header.flags & END_HEADERS != 0 && is_complete;
        is_last.then(|| std::mem::take(&mut self.block_bytes[direction]))
    }

    fn forget_if_reset(&mut self, header: FrameHeader) {
        if header.kind == Kind::ResetStream {
            self.traced.remove(&header.stream);
        }
    }
}
