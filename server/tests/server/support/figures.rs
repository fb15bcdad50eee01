//! Reads the server's own figures, and waits for what only they show.

use std::time::Instant;

use protocol::status::Load;
use server::Server;

use crate::support::{PATIENCE, get};

/// What `/load` says.
pub fn load(server: &Server) -> Load {
    let (head, body) = get(server, "/load");
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    serde_json::from_str(&body).unwrap()
}

/// Asks for `/load` until it is as wanted.
pub fn wait_until(server: &Server, mut wanted: impl FnMut(&Load) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let load = load(server);
        if wanted(&load) {
            return;
        }
        assert!(Instant::now() < deadline, "{load:?}");
    }
}
