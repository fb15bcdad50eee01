//! Where a rendered page is opened from.

/// Where the rendered page will be opened from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// From a file. Live lanes are replaced by a recording, with a note on how to see them live.
    File,
    /// From the server, whose live page is at `/`.
    Server,
}
