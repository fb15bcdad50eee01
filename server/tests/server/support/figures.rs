//! Reads the server's load, and waits for changes of it.

use std::time::Instant;

use protocol::status::Load;
use server::Server;

use crate::support::{TIMEOUT, get};

/// Returns the response of `/load`.
pub fn load(server: &Server) -> Load {
    let (response, body) = get(server, "/load");
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    serde_json::from_str(&body).unwrap()
}

/// Requests `/load` until `condition` is true for it.
pub fn wait_until(server: &Server, mut condition: impl FnMut(&Load) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let load = load(server);
        if condition(&load) {
            return;
        }
        assert!(Instant::now() < deadline, "{load:?}");
    }
}
