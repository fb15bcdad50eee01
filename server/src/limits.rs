//! The limit on open files. Each connection is one, and the usual soft limit of 1,024 is soon reached.

use protocol::platform;

/// The most connections that are being refused at the same time, if the limit allows so many.
const MAX_REFUSED: usize = 256;
/// How many of them are reserved even if served connections could use all files.
const RESERVED_REFUSED: usize = 32;
/// Files for other purposes: those that the server opens to read its own figures, and connections that have been accepted but not admitted
/// or refused yet.
const SPARE_FILES: usize = 8;
/// The number of open files of a process without connections, used if the system does not report it.
const DEFAULT_OPEN_FILES: usize = 64;

/// Raises this process's soft limit on open files to the hard limit, and returns the resulting limit.
pub fn raise_open_files() -> u64 {
    platform::raise_open_files();
    platform::max_open_files()
}

/// How many connections there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The most connections that are served at once.
    pub connections: usize,
    /// The most connections that are being refused at once.
    pub refused: usize,
}

impl Room {
    /// Room for at most `max_connections`, or for fewer if this process may not open that many more files.
    pub fn new(max_connections: usize) -> Self {
        let limit = platform::max_open_files();
        let open = platform::open_files(std::process::id()).unwrap_or(DEFAULT_OPEN_FILES);
        Self::within(usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open), max_connections)
    }

    /// Room within `files` open files. A connection that is being refused also needs one, and those that come through the relay, of which there
    /// may be a sixteenth, need two more.
    fn within(files: usize, max_connections: usize) -> Self {
        let files = files.saturating_sub(SPARE_FILES);
        let min_refused = (files / 64).clamp(1, RESERVED_REFUSED);
        let refused = files.saturating_sub(max_connections).clamp(min_refused, MAX_REFUSED);
        Self { connections: max_connections.min(files.saturating_sub(refused) / 9 * 8), refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_do_not_exceed_the_limit_on_files_and_one_can_always_be_refused() {
        let room = |files, max| {
            let Room { connections, refused } = Room::within(files, max);
            (connections, refused)
        };
        assert_eq!(room(usize::MAX, 15_000), (15_000, 256));
        assert_eq!(room(18_108, 15_000), (15_000, 256));
        assert_eq!(room(15_108, 15_000), (15_000 / 9 * 8, 100));
        assert_eq!(room(10_008, 15_000), (9_968 / 9 * 8, 32));
        assert_eq!(room(1_008, 15_000), (985 / 9 * 8, 15));
        assert_eq!(room(44, 15_000), (24, 1));
        assert_eq!(room(0, 15_000), (0, 1));
        assert_eq!(room(1_008, 0), (0, 256));
    }
}
