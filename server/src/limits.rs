//! The limit on open files: each connection is one, and the usual soft limit of 1,024 is soon reached.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections that get a refusal at the same time, where the limit leaves room for them.
const MAX_REFUSED: usize = 256;
/// How many of them there is room for even where connections could take all.
const RESERVED_REFUSED: usize = 32;
/// Files that the server opens now and then, to read figures of its own, and connections between the kernel and a decision.
const NOW_AND_THEN: usize = 8;
/// Files that a process without connections has open, where the system does not tell.
const USUALLY_OPEN: usize = 64;

/// Raises this process's soft limit on open files as far as it may go, and gives the limit that holds now.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // No limit at all is given as `None`; a refusal leaves the limit as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Those that are served.
    pub connections: usize,
    /// Connections that get a refusal.
    pub refused: usize,
}

impl Room {
    /// Room for at most `max_connections`, and no more than the files that this process may still open.
    pub fn new(max_connections: usize) -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let open = fs::read_dir("/proc/self/fd").map_or(USUALLY_OPEN, Iterator::count);
        Self::within(usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open), max_connections)
    }

    /// Room within so many files. A connection too many takes one as well, to be told so.
    fn within(files: usize, max_connections: usize) -> Self {
        let files = files.saturating_sub(NOW_AND_THEN);
        let least = (files / 64).clamp(1, RESERVED_REFUSED);
        let refused = files.saturating_sub(max_connections).clamp(least, MAX_REFUSED);
        Self { connections: max_connections.min(files.saturating_sub(refused)), refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_connections_than_files_and_always_one_to_refuse_with() {
        let room = |files, max| {
            let Room { connections, refused } = Room::within(files, max);
            (connections, refused)
        };
        assert_eq!(room(usize::MAX, 15_000), (15_000, 256));
        assert_eq!(room(15_108, 15_000), (15_000, 100));
        assert_eq!(room(10_008, 15_000), (10_000 - 32, 32));
        assert_eq!(room(1_008, 15_000), (1_000 - 15, 15));
        assert_eq!(room(36, 15_000), (27, 1));
        assert_eq!(room(0, 15_000), (0, 1));
        assert_eq!(room(1_008, 0), (0, 256));
    }
}
