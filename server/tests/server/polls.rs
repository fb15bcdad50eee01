//! Polling and long polling, an answer at a time.

use protocol::{Cursor, Epoch, Event, Gap};

use crate::support::figures::wait_until;
use crate::support::{Head, Wire, event, get, publish, start, start_with_history};

const LARGEST_PAYLOAD: usize = 64 << 10;

fn cursor(head: &Head) -> Option<u64> {
    head.header("cursor").map(|cursor| cursor.parse().unwrap())
}

fn lines(body: &str) -> Vec<&str> {
    assert!(body.is_empty() || body.ends_with('\n'));
    body.lines().collect()
}

#[test]
fn a_poll_gives_all_that_follows_its_cursor_and_the_next_cursor() {
    let server = start();
    publish(&server, &["a", "b", "c"]);
    for path in ["/poll", "/long-poll"] {
        let (head, body) = get(&server, &format!("{path}?after=1"));
        assert_eq!((head.status, cursor(&head)), (200, Some(3)));
        assert_eq!(head.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert_eq!(lines(&body), [event(2, "b"), event(3, "c")]);
    }
    let (head, _) = get(&server, "/poll?after=3");
    assert_eq!((head.status, cursor(&head)), (204, Some(3)));
}

// RFC 9110, sections 8.6 and 15.3.5.
#[test]
fn an_answer_without_content_has_neither_body_nor_length() {
    let server = start();
    for target in ["/poll", "/long-poll?wait=10ms"] {
        let mut wire = Wire::request(&server, "GET", target, &[]);
        let head = wire.head();
        assert_eq!((head.status, cursor(&head)), (204, Some(0)));
        for name in ["content-length", "transfer-encoding", "content-type"] {
            assert_eq!(head.header(name), None);
        }
        wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.answer().1, "ok\n");
    }
}

// A script sees no headers of a foreign answer but a few basic ones, unless they are named (Fetch, section 3.3).
#[test]
fn a_page_of_another_origin_may_read_the_cursor() {
    let server = start_with_history(1);
    publish(&server, &["a", "b"]);
    for (target, status) in [("/poll?after=1", 200), ("/poll", 204), ("/poll?after=0", 410)] {
        let (head, _) = Wire::request(&server, "GET", target, &["Origin: http://other.example"]).answer();
        assert_eq!((head.status, head.header("access-control-allow-origin")), (status, Some("*")));
        let exposed = head.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
        assert!(exposed.split(',').any(|name| matches!(name.trim(), "cursor" | "*")), "{target}: {head:?}");
    }
}

#[test]
fn a_poll_without_a_cursor_starts_at_the_head() {
    let server = start();
    publish(&server, &["a", "b"]);
    for target in ["/poll", "/long-poll?wait=10ms"] {
        let (head, _) = get(&server, target);
        assert_eq!((head.status, cursor(&head)), (204, Some(2)));
    }
}

#[test]
fn many_large_events_take_several_polls_and_each_comes_once() {
    let server = start();
    let data = "x".repeat(LARGEST_PAYLOAD);
    (0..40).for_each(|_| publish(&server, &[&data]));
    for path in ["/poll?", "/long-poll?wait=1ms&"] {
        let (mut after, mut seqs, mut polls) = (0, Vec::new(), 0);
        loop {
            let (head, body) = get(&server, &format!("{path}after={after}"));
            after = cursor(&head).unwrap();
            if head.status == 204 {
                break;
            }
            assert!(body.len() < 2 * LARGEST_PAYLOAD + (1 << 20), "{} bytes", body.len());
            seqs.extend(lines(&body).into_iter().map(|line| Event::decode(line.as_bytes()).unwrap().seq));
            assert_eq!(seqs.last(), Some(&after));
            polls += 1;
        }
        assert_eq!(seqs, (1..=40).collect::<Vec<u64>>());
        assert!(polls > 1);
    }
}

#[test]
fn a_poll_whose_cursor_has_left_the_history_is_410_with_the_gap_and_the_next_cursor() {
    let server = start_with_history(2);
    publish(&server, &["a", "b", "c", "d", "e"]);
    for path in ["/poll", "/long-poll", "/published"] {
        let (head, body) = get(&server, &format!("{path}?after=1"));
        assert_eq!((head.status, cursor(&head)), (410, Some(3)), "{path}");
        assert_eq!(head.header("content-type"), Some("application/json"));
        assert_eq!(body, format!("{{\"gap\":{{\"after\":1,\"oldest\":4,\"epoch\":{}}}}}\n", server.feed().epoch.0));
        assert_eq!(get(&server, &format!("{path}?after=3")).0.status, 200, "the cursor to go on from works");
    }
}

#[test]
fn a_cursor_from_before_a_restart_is_told_as_a_gap_and_not_waited_for() {
    let server = start();
    for path in ["/poll", "/long-poll", "/published"] {
        for after in [7, u64::MAX] {
            let (head, body) = get(&server, &format!("{path}?after={after}"));
            assert_eq!((head.status, cursor(&head)), (410, Some(0)), "{path}");
            let gap = Gap::decode(body.as_bytes()).unwrap();
            assert_eq!((gap.after, gap.oldest, gap.epoch), (Cursor(after), 1, server.feed().epoch));
        }
    }
}

#[test]
fn a_cursor_that_says_it_is_of_another_feed_is_told_so_even_where_this_one_has_its_number() {
    let server = start();
    publish(&server, &["a", "b", "c"]);
    let Epoch(epoch) = server.feed().epoch;
    for path in ["/poll", "/long-poll", "/published"] {
        assert_eq!(get(&server, &format!("{path}?after=1-{epoch}")).0.status, 200, "{path}");
        let (head, body) = get(&server, &format!("{path}?after=1-17"));
        assert_eq!((head.status, cursor(&head)), (410, Some(0)), "{path}");
        assert_eq!(Gap::decode(body.as_bytes()).unwrap().epoch, server.feed().epoch);
    }
}

#[test]
fn a_long_poll_waits_for_the_next_event() {
    let server = start();
    publish(&server, &["before"]);
    let mut poll = Wire::request(&server, "GET", "/long-poll?wait=60s", &[]);
    // A request beside our own is the poll. It waits by then: one thread serves, and took them in turn.
    let mut own = 0;
    wait_until(&server, |load| {
        own += 1;
        load.requests > own
    });
    publish(&server, &["now"]);
    let (head, body) = poll.answer();
    assert_eq!((head.status, cursor(&head), body), (200, Some(2), event(2, "now") + "\n"));
}

#[test]
fn a_waiting_long_poll_is_answered_with_204_when_its_wait_is_over() {
    let server = start();
    publish(&server, &["a"]);
    for wait in ["10ms", "0s"] {
        let (head, body) = get(&server, &format!("/long-poll?after=1&wait={wait}"));
        assert_eq!((head.status, cursor(&head), body.as_str()), (204, Some(1), ""));
    }
}

#[test]
fn one_connection_carries_one_poll_after_another() {
    let server = start();
    let mut wire = Wire::connect(server.addresses().http);
    for seq in 1..=5u64 {
        publish(&server, &["a"]);
        let target = if seq % 2 == 0 { "/poll" } else { "/long-poll" };
        wire.send(format!("GET {target}?after={} HTTP/1.1\r\nHost: localhost\r\n\r\n", seq - 1));
        let (head, body) = wire.answer();
        assert_eq!((cursor(&head), body), (Some(seq), event(seq, "a") + "\n"));
    }
    wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
    (0..3).for_each(|_| assert_eq!(wire.answer().1, "ok\n", "pipelined requests are answered too"));
}
