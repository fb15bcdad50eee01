//! Polling and long polling: single responses.

use protocol::{Cursor, Epoch, Event, Gap};

use crate::support::figures::wait_until;
use crate::support::{Response, Wire, event, get, publish, start, start_with_history};

const MAX_PAYLOAD_BYTES: usize = 64 << 10;

fn cursor(response: &Response) -> Option<u64> {
    response.header("cursor").map(|cursor| cursor.parse().unwrap())
}

fn lines(body: &str) -> Vec<&str> {
    assert!(body.is_empty() || body.ends_with('\n'));
    body.lines().collect()
}

#[test]
fn a_poll_returns_all_events_after_its_cursor_and_the_next_cursor() {
    let server = start();
    publish(&server, &["a", "b", "c"]);
    for path in ["/poll", "/long-poll"] {
        let (response, body) = get(&server, &format!("{path}?after=1"));
        assert_eq!((response.status, cursor(&response)), (200, Some(3)));
        assert_eq!(response.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(lines(&body), [event(2, "b"), event(3, "c")]);
    }
    let (response, _) = get(&server, "/poll?after=3");
    assert_eq!((response.status, cursor(&response)), (204, Some(3)));
}

// RFC 9110, sections 8.6 and 15.3.5.
#[test]
fn a_204_response_has_neither_body_nor_length() {
    let server = start();
    for target in ["/poll", "/long-poll?wait=10ms"] {
        let mut wire = Wire::request(&server, "GET", target, &[]);
        let response = wire.headers();
        assert_eq!((response.status, cursor(&response)), (204, Some(0)));
        for name in ["content-length", "transfer-encoding", "content-type"] {
            assert_eq!(response.header(name), None);
        }
        wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.response().1, "ok\n");
    }
}

// A script can read only a few basic headers of a response of another origin, unless the response exposes others (Fetch, section 3.3).
#[test]
fn a_page_of_another_origin_may_read_the_cursor() {
    let server = start_with_history(1);
    publish(&server, &["a", "b"]);
    for (target, status) in [("/poll?after=1", 200), ("/poll", 204), ("/poll?after=0", 410)] {
        let (response, _) = Wire::request(&server, "GET", target, &["Origin: http://other.example"]).response();
        assert_eq!((response.status, response.header("access-control-allow-origin")), (status, Some("*")));
        let exposed = response.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
        assert!(exposed.split(',').any(|name| matches!(name.trim(), "cursor" | "*")), "{target}: {response:?}");
    }
}

#[test]
fn a_poll_without_a_cursor_starts_at_the_newest_event() {
    let server = start();
    publish(&server, &["a", "b"]);
    for target in ["/poll", "/long-poll?wait=10ms"] {
        let (response, _) = get(&server, target);
        assert_eq!((response.status, cursor(&response)), (204, Some(2)));
    }
}

#[test]
fn many_large_events_are_returned_once_each_in_several_polls() {
    let server = start();
    let data = "x".repeat(MAX_PAYLOAD_BYTES);
    (0..40).for_each(|_| publish(&server, &[&data]));
    for path in ["/poll?", "/long-poll?wait=1ms&"] {
        let (mut after, mut seqs, mut polls) = (0, Vec::new(), 0);
        loop {
            let (response, body) = get(&server, &format!("{path}after={after}"));
            after = cursor(&response).unwrap();
            if response.status == 204 {
                break;
            }
            assert!(body.len() < 2 * MAX_PAYLOAD_BYTES + (1 << 20), "{} bytes", body.len());
            seqs.extend(lines(&body).into_iter().map(|line| Event::decode(line.as_bytes()).unwrap().seq));
            assert_eq!(seqs.last(), Some(&after));
            polls += 1;
        }
        assert_eq!(seqs, (1..=40).collect::<Vec<u64>>());
        assert!(polls > 1);
    }
}

#[test]
fn a_poll_from_before_the_history_is_410_with_the_gap_and_the_next_cursor() {
    let server = start_with_history(2);
    publish(&server, &["a", "b", "c", "d", "e"]);
    for path in ["/poll", "/long-poll", "/published"] {
        let (response, body) = get(&server, &format!("{path}?after=1"));
        assert_eq!((response.status, cursor(&response)), (410, Some(3)), "{path}");
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(body, format!("{{\"gap\":{{\"after\":1,\"oldest\":4,\"epoch\":{}}}}}\n", server.feed().epoch.0));
        assert_eq!(get(&server, &format!("{path}?after=3")).0.status, 200, "the cursor to resume from is valid");
    }
}

#[test]
fn a_cursor_beyond_the_newest_event_gets_a_gap_instead_of_waiting() {
    let server = start();
    for path in ["/poll", "/long-poll", "/published"] {
        for after in [7, u64::MAX] {
            let (response, body) = get(&server, &format!("{path}?after={after}"));
            assert_eq!((response.status, cursor(&response)), (410, Some(0)), "{path}");
            let gap = Gap::decode(body.as_bytes()).unwrap();
            assert_eq!((gap.after, gap.oldest, gap.epoch), (Cursor(after), 1, server.feed().epoch));
        }
    }
}

#[test]
fn a_cursor_with_the_epoch_of_another_feed_gets_a_gap_even_if_this_feed_has_its_number() {
    let server = start();
    publish(&server, &["a", "b", "c"]);
    let Epoch(epoch) = server.feed().epoch;
    for path in ["/poll", "/long-poll", "/published"] {
        assert_eq!(get(&server, &format!("{path}?after=1-{epoch}")).0.status, 200, "{path}");
        let (response, body) = get(&server, &format!("{path}?after=1-17"));
        assert_eq!((response.status, cursor(&response)), (410, Some(0)), "{path}");
        assert_eq!(Gap::decode(body.as_bytes()).unwrap().epoch, server.feed().epoch);
    }
}

#[test]
fn a_long_poll_waits_for_the_next_event() {
    let server = start();
    publish(&server, &["before"]);
    let mut poll = Wire::request(&server, "GET", "/long-poll?wait=60s", &[]);
    // All requests but the poll are those of `wait_until`. One thread serves them in turn, so the poll waits once it is counted.
    let mut own_requests = 0;
    wait_until(&server, |load| {
        own_requests += 1;
        load.requests > own_requests
    });
    publish(&server, &["now"]);
    let (response, body) = poll.response();
    assert_eq!((response.status, cursor(&response), body), (200, Some(2), event(2, "now") + "\n"));
}

#[test]
fn a_long_poll_without_an_event_gets_204_after_its_wait() {
    let server = start();
    publish(&server, &["a"]);
    for wait in ["10ms", "0s"] {
        let (response, body) = get(&server, &format!("/long-poll?after=1&wait={wait}"));
        assert_eq!((response.status, cursor(&response), body.as_str()), (204, Some(1), ""));
    }
}

#[test]
fn several_polls_can_use_one_connection_one_after_another() {
    let server = start();
    let mut wire = Wire::connect(server.addresses().http);
    for seq in 1..=5u64 {
        publish(&server, &["a"]);
        let target = if seq % 2 == 0 { "/poll" } else { "/long-poll" };
        wire.send(format!("GET {target}?after={} HTTP/1.1\r\nHost: localhost\r\n\r\n", seq - 1));
        let (response, body) = wire.response();
        assert_eq!((cursor(&response), body), (Some(seq), event(seq, "a") + "\n"));
    }
    wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
    (0..3).for_each(|_| assert_eq!(wire.response().1, "ok\n", "pipelined requests get responses too"));
}
