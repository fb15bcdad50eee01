//! Where a rendered page is opened from.

/// Where the rendered page will be opened from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// From a file of the lecture alone. Live lanes are replaced by a recording, with a note on how to see them live.
    File,
    /// From a file of an exported site, in which the story is beside the lecture. The rest is as from [`Self::File`].
    Site,
    /// From the server, whose live page is at `/`.
    Server,
}
