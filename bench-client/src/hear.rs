//! Hearing: what a subscriber does for all but the first moments of its life. Bytes come, and whatever is whole is taken from their
//! front, where they lie; only the beginning of something whose end has not come yet is put by.
//!
//! How much is whole is for each transport to say: it has a function, without a word about sockets, that looks at bytes and takes one
//! line, one chunk or one frame. It is told how many of them it has looked at before, so that what comes in many small pieces is not
//! searched anew for each.

use std::convert::Infallible;
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use crate::counted::with_buffer;
use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// What was found at the front of what has come. Bytes that are taken have been explained; where there is a fault and no bytes, none of
/// them are.
#[derive(Debug)]
pub enum Taken<T = Infallible> {
    /// Nothing that is whole.
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// So many bytes, with which the hearing ends.
    Last(usize, Result<T, Fault>),
}

impl Subscriber {
    /// Hears what comes on the connection, and has `take` take one thing after another from its front, until one is the last.
    ///
    /// # Errors
    /// When the connection ends, or `take` finds a fault.
    pub async fn hear<T>(
        &mut self,
        mut take: impl FnMut(&mut Self, &[u8], usize) -> Result<Taken<T>, Fault>,
    ) -> Result<T, Fault> {
        // Some of it may have come with what was taken before.
        let mut last = self.take_received(0, &mut take)?;
        loop {
            if let Some(last) = last {
                return Ok(last);
            }
            let known = self.wire.received.len();
            last = if self.wire.is_bare() && known == 0 {
                poll_fn(|context| self.poll_hear(context, &mut take)).await?
            } else {
                // Its future is large, and would take all others out of the processor's caches with it.
                Box::pin(self.wire.fill()).await?;
                self.take_received(known, &mut take)?
            };
        }
    }

    /// Takes what comes while it still lies in the buffer that all connections read into.
    fn poll_hear<T>(
        &mut self,
        context: &mut Context<'_>,
        take: &mut impl FnMut(&mut Self, &[u8], usize) -> Result<Taken<T>, Fault>,
    ) -> Poll<Result<Option<T>, Fault>> {
        with_buffer(|buffer| {
            let read = ready!(self.wire.poll_read(context, buffer))?;
            let (taken, last) = take_all(&buffer[..read], 0, |bytes, known| take(self, bytes, known));
            self.wire.received.extend_from_slice(&buffer[taken..read]);
            Poll::Ready(last)
        })
    }

    fn take_received<T>(
        &mut self,
        known: usize,
        take: &mut impl FnMut(&mut Self, &[u8], usize) -> Result<Taken<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        let mut received = mem::take(&mut self.wire.received);
        let last = take_from(&mut received, known, |bytes, known| take(self, bytes, known));
        self.wire.received = received;
        last
    }
}

/// Has `take` take all that is whole from the front of `bytes`, of which it has looked at the first `known` before.
///
/// # Errors
/// Those of `take`; what it had taken before stays taken.
pub fn take_from<T>(
    bytes: &mut BytesMut,
    known: usize,
    take: impl FnMut(&[u8], usize) -> Result<Taken<T>, Fault>,
) -> Result<Option<T>, Fault> {
    let (taken, last) = take_all(bytes, known, take);
    bytes.advance(taken);
    last
}

/// As [`take_from`], and how many bytes were taken.
pub fn take_all<T>(
    bytes: &[u8],
    mut known: usize,
    mut take: impl FnMut(&[u8], usize) -> Result<Taken<T>, Fault>,
) -> (usize, Result<Option<T>, Fault>) {
    let mut all = 0;
    while all < bytes.len() {
        match take(&bytes[all..], mem::take(&mut known)) {
            Ok(Taken::Nothing) => break,
            Ok(Taken::Bytes(taken)) => all += taken,
            Ok(Taken::Last(taken, last)) => return (all + taken, last.map(Some)),
            Err(fault) => return (all, Err(fault)),
        }
    }
    (all, Ok(None))
}
