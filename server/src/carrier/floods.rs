//! Detects floods of HTTP/2 frames that cost the client next to nothing and make the server work: pings, settings, resets, priorities, empty
//! data and tiny window updates (CVE-2019-9511 to 9518, CVE-2023-44487).
//!
//! Each connection has an allowance for such frames, which grows with time. A client that exceeds it is disconnected.

use std::time::Instant;

use protocol::http2::{FrameHeader, FrameWalker, Kind, Part};

/// How many such frames a client may send at once.
const BURST: f64 = 1_000.0;
/// How many it may send per second, over a long time.
const PER_SECOND: f64 = 200.0;
/// A window update of fewer bytes than this counts: it invites a small frame.
const MIN_WINDOW_BYTES: u32 = 512;

/// Watches the frames that a client sends.
pub struct FloodGuard {
    walker: FrameWalker,
    allowance: f64,
    updated: Instant,
}

impl FloodGuard {
    /// For a new connection.
    pub fn new() -> Self {
        Self { walker: FrameWalker::client(), allowance: BURST, updated: Instant::now() }
    }

    /// Watches the next `bytes`, which have come at `now`. Returns whether the connection may go on.
    pub fn admit(&mut self, bytes: &[u8], now: Instant) -> bool {
        let mut cheap = 0;
        self.walker.walk(bytes, |part| {
            cheap += u32::from(match part {
                Part::Header(header) => is_cheap(header),
                Part::Payload(FrameHeader { kind: Kind::WindowUpdate, length: 4, .. }, increment, _) => {
                    <[u8; 4]>::try_from(increment).is_ok_and(|bytes| u32::from_be_bytes(bytes) < MIN_WINDOW_BYTES)
                }
                Part::Payload(..) | Part::Preface(_) => false,
            });
        });
        if cheap > 0 {
            let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
            self.allowance = (self.allowance + elapsed * PER_SECOND).min(BURST) - f64::from(cheap);
            self.updated = now;
        }
        self.allowance >= 0.0
    }
}

fn is_cheap(header: FrameHeader) -> bool {
    match header.kind {
        Kind::Ping | Kind::Settings | Kind::ResetStream | Kind::Priority | Kind::Other => true,
        Kind::Data => header.length == 0 && !header.ends_stream(),
        // hyper limits the number and the size of the continuations of a header block.
        Kind::Headers | Kind::Continuation | Kind::PushPromise | Kind::GoAway | Kind::WindowUpdate => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::http2::PREFACE;

    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn a_flood_exceeds_the_allowance_and_a_slow_series_does_not() {
        let start = Instant::now();
        let mut guard = FloodGuard::new();
        assert!(guard.admit(PREFACE, start));
        for _ in 0..BURST as usize {
            assert!(guard.admit(&PING, start));
        }
        assert!(!guard.admit(&PING, start));
        let mut guard = FloodGuard::new();
        guard.admit(PREFACE, start);
        for index in 0..3_000 {
            assert!(guard.admit(&PING, start + Duration::from_millis(5) * index), "{index}");
        }
    }

    #[test]
    fn requests_bodies_and_large_window_updates_are_free_and_tiny_ones_are_not() {
        let frame =
            |kind: u8, payload: &[u8]| [&[0, 0, payload.len() as u8, kind, 0, 0, 0, 0, 1][..], payload].concat();
        let now = Instant::now();
        let admits = |frame: Vec<u8>| {
            let mut guard = FloodGuard::new();
            guard.admit(PREFACE, now);
            (0..5_000).all(|_| guard.admit(&frame, now))
        };
        assert!(admits(frame(1, b"headers")) && admits(frame(0, b"data")));
        assert!(admits(frame(8, &32_768u32.to_be_bytes())));
        assert!(!admits(frame(8, &1u32.to_be_bytes())) && !admits(frame(0, b"")) && !admits(frame(3, &[0; 4])));
    }
}
