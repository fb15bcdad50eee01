//! For each claim that is tested, fabricated measurements with the status that its rule derives from them.
//!
//! The rules are those of the experiments. A test in `claims` requires that for every claim some measurements confirm it, some refute it,
//! and some decide nothing.

use protocol::experiment::Status;
use protocol::facts::frames::{Capture, HttpHeaders};
use protocol::facts::layers::{LibraryTrial, Trial};
use protocol::facts::upstream::Duplex;

use super::browser::{reports_events, tells_of_slowness};
use super::compared::{
    HeaderBytes, Streaming, connect_differently, large_headers, lowest_latency, no_metadata, streaming_costs_less,
};
use super::compression::{Compressed, makes_small};
use super::evidence::{Answer, Estimate, as_claimed};
use super::fallback::{falls_back, passes_every_proxy};
use super::frames::{contradicted, no_headers_later};
use super::handshake::{authenticates, passes, replaces_http, within_http1};
use super::herd::{Returned, all_come_back};
use super::history::streaming_came_later;
use super::idle::{IdleRatios, polling_loads};
use super::keep_alive::{Accepts, not_kept};
use super::layers::{Library, at_a_cost, chooses_one, fixes_a_format, needs_an_allow_list, picks_the_best};
use super::loss::stops_every_stream;
use super::multiplexing::{Compared, nothing_is_left, share_a_connection};
use super::rooms::needs_rooms;
use super::shared_feed::needs_a_shared_feed;
use super::sweeps::{always_wasteful, no_better, responds_at_once, sends_fewer_requests, waits_for_the_poll};
use super::tls::{Within, ws_within_tls};
use super::token_stream::{Needed, needs_websocket};
use super::upstream::{Sending, full_duplex, hard_to_send};
use Answer::{No, Unclear, Yes};

/// A figure with an interval of 5 % to either side.
fn about(value: f64) -> Estimate {
    Estimate { value, interval: Some((value * 0.95, value * 1.05)) }
}

/// A figure with an interval so wide that it decides nothing.
fn noise(value: f64) -> Estimate {
    Estimate { value, interval: Some((value / 50.0, value * 50.0)) }
}

/// The statuses that a claim's rule derives, each with the expected one.
fn expected(claim: u32, cases: &[(Status, Status)]) -> impl Iterator<Item = (u32, Status)> {
    for (index, (derived, wanted)) in cases.iter().enumerate() {
        assert_eq!(derived, wanted, "claim {claim}, case {index}");
    }
    cases.iter().map(move |case| (claim, case.0)).collect::<Vec<_>>().into_iter()
}

/// Every claim's number with every status that its rule derived.
pub fn all() -> Vec<(u32, Status)> {
    use Status::{DoesNotHold, Holds, HoldsWithinLimits, NotMeasurable, Outdated};
    let mut all = Vec::new();

    let idle = |growth, over_push| polling_loads(&IdleRatios { growth, over_push });
    all.extend(expected(
        1,
        &[
            (idle(about(40.0), about(500.0)), Holds),
            (idle(about(1.0), about(500.0)), DoesNotHold),
            (idle(about(40.0), about(1.0)), DoesNotHold),
            (idle(noise(40.0), about(500.0)), NotMeasurable),
        ],
    ));
    all.extend(expected(
        2,
        &[
            (waits_for_the_poll(about(0.5)), Holds),
            (waits_for_the_poll(about(0.01)), DoesNotHold),
            (waits_for_the_poll(Estimate::UNKNOWN), NotMeasurable),
        ],
    ));
    all.extend(expected(
        3,
        &[
            (responds_at_once(about(1.0), about(1.0)), Holds),
            (responds_at_once(about(1.2), about(2.0)), HoldsWithinLimits),
            (responds_at_once(about(2.0), about(2.0)), DoesNotHold),
            (responds_at_once(noise(1.2), about(2.0)), NotMeasurable),
            (responds_at_once(about(1.2), noise(2.0)), NotMeasurable),
        ],
    ));
    all.extend(expected(
        4,
        &[
            (sends_fewer_requests(&[about(0.5), about(0.9)]), Holds),
            (sends_fewer_requests(&[about(0.5), about(5.0), about(12.0)]), HoldsWithinLimits),
            (sends_fewer_requests(&[about(2.0), about(12.0)]), DoesNotHold),
            (sends_fewer_requests(&[noise(0.5), about(12.0)]), NotMeasurable),
            (sends_fewer_requests(&[]), NotMeasurable),
        ],
    ));
    all.extend(expected(
        5,
        &[
            (no_better(about(12.0), about(1.2)), Holds),
            (no_better(about(12.0), about(0.15)), HoldsWithinLimits),
            (no_better(about(0.5), about(0.15)), DoesNotHold),
            (no_better(about(12.0), noise(0.15)), NotMeasurable),
        ],
    ));
    let herd = |at_once, later| all_come_back(&[Returned { subscribers: 1_000, at_once, later }]);
    all.extend(expected(
        6,
        &[
            (herd(1_000, 1_000), Holds),
            (herd(40, 400), DoesNotHold),
            // They all returned, but the machine was too busy for 100 ms.
            (herd(700, 1_000), NotMeasurable),
        ],
    ));
    let streaming = |small, busy, utilisation| streaming_costs_less(&Streaming { small, busy, utilisation });
    all.extend(expected(
        7,
        &[
            (streaming(about(1.5), about(1.3), 0.7), Holds),
            (streaming(about(0.8), about(1.3), 0.7), HoldsWithinLimits),
            (streaming(about(1.5), about(0.6), 0.7), HoldsWithinLimits),
            (streaming(about(0.8), about(0.6), 0.7), DoesNotHold),
            (streaming(about(1.5), noise(1.3), 0.7), NotMeasurable),
            // The server was idle, so its CPU time is the cost of its wake-ups.
            (streaming(about(1.5), about(1.3), 0.1), NotMeasurable),
            (streaming(about(1.5), about(1.3), f64::NAN), NotMeasurable),
        ],
    ));
    let headers =
        |transports: &[f64]| large_headers(Some(&HeaderBytes { transports: transports.to_vec(), event: 240.0 }));
    all.extend(expected(
        8,
        &[
            (headers(&[730.0, 738.0, 700.0, 700.0]), Holds),
            (headers(&[150.0, 738.0, 11.0, 11.0]), HoldsWithinLimits),
            (headers(&[90.0, 90.0, 2.0, 2.0]), DoesNotHold),
            (large_headers(None), NotMeasurable),
        ],
    ));
    let sending = |bytes, time| hard_to_send(&Sending { bytes, time });
    all.extend(expected(
        9,
        &[
            (sending(20.0, about(3.0)), Holds),
            (sending(20.0, about(1.0)), HoldsWithinLimits),
            (sending(1.5, about(1.0)), DoesNotHold),
            (sending(20.0, noise(1.0)), NotMeasurable),
        ],
    ));
    let accepts = |plain, close| not_kept(&Accepts { requests: 20, plain, close });
    all.extend(expected(
        10,
        &[
            (accepts(1, 20), Outdated),
            // A server that closes the connection after each response.
            (accepts(20, 20), Holds),
            (accepts(4, 20), HoldsWithinLimits),
            // The control: where a close is not counted, the count means nothing.
            (accepts(1, 1), NotMeasurable),
        ],
    ));
    let duplex = |down, requests, connections, unasked_bytes| {
        full_duplex(&Duplex {
            rate: 500.0,
            down,
            up: 20,
            requests,
            connections,
            seconds: 0.4,
            round_trip_ms: 0.1,
            unasked_bytes,
        })
    };
    all.extend(expected(
        11,
        &[
            (duplex(200, 1, 1, 0), Holds),
            (duplex(200, 21, 1, 0), DoesNotHold),
            (duplex(200, 1, 2, 0), DoesNotHold),
            (duplex(0, 1, 1, 0), DoesNotHold),
            (duplex(200, 1, 1, 240), DoesNotHold),
            // The feed itself was slow.
            (duplex(20, 1, 1, 0), NotMeasurable),
        ],
    ));
    for claim in [12, 13, 14, 15, 19] {
        all.extend(expected(
            claim,
            &[
                (as_claimed(&[Yes, Yes]), Holds),
                (as_claimed(&[Yes, No]), DoesNotHold),
                (as_claimed(&[Yes, Unclear]), NotMeasurable),
            ],
        ));
    }
    let capture = |websocket, long_polling, events| {
        let headers = |count| HttpHeaders { count, bytes: 100 * count };
        no_headers_later(&Capture {
            rate: 200.0,
            seconds: 1,
            websocket: headers(websocket),
            long_polling: headers(long_polling),
            events,
            captured_bytes: 50_000,
        })
    };
    all.extend(expected(
        17,
        &[
            (capture(0, 200, 200), Holds),
            // A server that sends headers once more.
            (capture(1, 200, 200), DoesNotHold),
            (capture(0, 0, 200), NotMeasurable),
            (capture(0, 200, 3), NotMeasurable),
        ],
    ));
    all.extend(expected(
        18,
        &[
            (passes(Yes, Yes), Holds),
            (passes(No, Yes), HoldsWithinLimits),
            (passes(No, No), DoesNotHold),
            (passes(Unclear, Yes), NotMeasurable),
        ],
    ));
    for claim in [12, 13] {
        all.extend(expected(
            claim,
            &[
                (within_http1(Holds, Some(200)), HoldsWithinLimits),
                (within_http1(Holds, Some(400)), Holds),
                (within_http1(Holds, None), Holds),
                (within_http1(DoesNotHold, Some(200)), DoesNotHold),
                (within_http1(NotMeasurable, None), NotMeasurable),
            ],
        ));
    }
    for claim in [20, 21, 25] {
        all.extend(expected(
            claim,
            &[
                (as_claimed(&[Yes, Yes]), Holds),
                (as_claimed(&[No, Yes]), DoesNotHold),
                (as_claimed(&[Unclear, Yes]), NotMeasurable),
            ],
        ));
    }
    for (claim, refuted) in [(22, Outdated), (23, DoesNotHold)] {
        all.extend(expected(
            claim,
            &[
                (contradicted(&[Yes], refuted), refuted),
                (contradicted(&[No], refuted), Holds),
                (contradicted(&[Unclear], refuted), NotMeasurable),
            ],
        ));
    }
    all.extend(expected(
        24,
        &[
            (no_metadata(Some(0.0)), Holds),
            (no_metadata(Some(4.0)), HoldsWithinLimits),
            (no_metadata(Some(60.0)), DoesNotHold),
            (no_metadata(None), NotMeasurable),
        ],
    ));
    all.extend(expected(
        26,
        &[
            (share_a_connection(200, Some(200), Some(2)), HoldsWithinLimits),
            (share_a_connection(200, Some(1), Some(1)), Holds),
            (share_a_connection(200, Some(200), Some(200)), DoesNotHold),
            (share_a_connection(200, None, Some(2)), NotMeasurable),
        ],
    ));
    let left = |limit_is_gone, bytes, cpu| nothing_is_left(&Compared { limit_is_gone, bytes, cpu });
    all.extend(expected(
        44,
        &[
            (left(Some(true), about(1.05), about(1.0)), Holds),
            (left(Some(true), about(0.5), about(0.5)), Holds),
            (left(Some(true), about(1.05), about(3.0)), HoldsWithinLimits),
            (left(Some(false), about(1.0), about(1.0)), DoesNotHold),
            (left(Some(true), about(1.05), noise(1.0)), NotMeasurable),
            (left(None, about(1.0), about(1.0)), NotMeasurable),
        ],
    ));
    let small = |shares, cpu| makes_small(&Compressed { shares, cpu });
    all.extend(expected(
        45,
        &[
            (small(Some([0.5, 0.3]), about(1.0)), Holds),
            (small(Some([0.5, 0.3]), about(4.0)), HoldsWithinLimits),
            (small(Some([0.9, 0.3]), about(1.0)), HoldsWithinLimits),
            (small(Some([0.9, 0.9]), about(1.0)), DoesNotHold),
            (small(None, about(1.0)), NotMeasurable),
            (small(Some([0.5, 0.3]), noise(1.0)), NotMeasurable),
        ],
    ));
    all.extend(expected(
        27,
        &[
            (connect_differently(Some(124.0)), Holds),
            (connect_differently(Some(1.2)), DoesNotHold),
            (connect_differently(None), NotMeasurable),
        ],
    ));
    let within = |framing, records, round_trips| ws_within_tls(&Within { framing, records, round_trips });
    all.extend(expected(
        28,
        &[
            (within(Some(1.01), 1.07, about(1.05)), Holds),
            // A server that lags puts several events into a record.
            (within(Some(1.01), 0.4, about(1.05)), Holds),
            (within(Some(1.5), 1.07, about(1.05)), DoesNotHold),
            (within(Some(1.01), 2.0, about(1.05)), DoesNotHold),
            (within(Some(1.01), 1.07, about(3.0)), DoesNotHold),
            // A busy machine: the time to open varied too much.
            (within(Some(1.01), 1.07, noise(1.05)), NotMeasurable),
            (within(None, 1.07, about(1.05)), NotMeasurable),
        ],
    ));
    let trial =
        |status, subprotocol: Option<&str>, extensions: Option<&str>, allowed_origin: Option<&str>| LibraryTrial {
            trial: Trial::OwnOrigin,
            status,
            subprotocol: subprotocol.map(Into::into),
            extensions: extensions.map(Into::into),
            allowed_origin: allowed_origin.map(Into::into),
            body: String::new(),
        };
    let offered = |subprotocol, extension| trial(101, subprotocol, extension, None);
    let (stomp, none, deflate) =
        (offered(Some("v12.stomp"), None), offered(None, None), offered(None, Some("permessage-deflate")));
    all.extend(expected(
        16,
        &[
            (chooses_one(&stomp, &none, &deflate), Holds),
            (chooses_one(&stomp, &none, &none), HoldsWithinLimits),
            (chooses_one(&offered(Some("soap"), None), &none, &deflate), DoesNotHold),
            (chooses_one(&stomp, &stomp, &deflate), DoesNotHold),
            (chooses_one(&trial(503, None, None, None), &none, &none), NotMeasurable),
        ],
    ));
    let session = |status, origin| trial(status, None, None, origin);
    let (own, refused, allowed) = (session(200, None), session(403, None), session(200, Some("http://friend.example")));
    all.extend(expected(
        33,
        &[
            (needs_an_allow_list(&own, &refused, &allowed), Holds),
            (needs_an_allow_list(&own, &allowed, &allowed), DoesNotHold),
            (needs_an_allow_list(&own, &refused, &session(200, Some("*"))), DoesNotHold),
            (needs_an_allow_list(&session(500, None), &refused, &allowed), NotMeasurable),
        ],
    ));
    all.extend(expected(
        29,
        &[
            (fixes_a_format(Yes, Some(4.0), Some(90.0)), Holds),
            (fixes_a_format(Yes, Some(4.0), Some(4.0)), DoesNotHold),
            (fixes_a_format(No, Some(4.0), Some(90.0)), DoesNotHold),
            (fixes_a_format(Yes, Some(4.0), None), NotMeasurable),
        ],
    ));
    let events = |names: [&'static str; 4]| reports_events(Some((&names, &["error", "close"])));
    all.extend(expected(
        30,
        &[
            (events(["open", "message", "message", "close"]), Holds),
            (events(["open", "message", "error", "close"]), DoesNotHold),
            (reports_events(None), NotMeasurable),
        ],
    ));
    all.extend(expected(
        39,
        &[
            (tells_of_slowness(Some((true, 0.0))), Holds),
            (tells_of_slowness(Some((false, 0.9))), DoesNotHold),
            // The peer's kernel took most of it.
            (tells_of_slowness(Some((false, 0.1))), NotMeasurable),
            (tells_of_slowness(None), NotMeasurable),
        ],
    ));
    all.extend(expected(
        31,
        &[
            (falls_back(&[(Yes, Yes), (No, Yes)]), Holds),
            (falls_back(&[(No, Yes), (No, No)]), DoesNotHold),
            // Nothing stopped WebSocket, so no fallback was needed.
            (falls_back(&[(Yes, Yes)]), NotMeasurable),
        ],
    ));
    let library = |acknowledged, framing, cpu| at_a_cost(&Library { acknowledged, framing, cpu });
    all.extend(expected(
        32,
        &[
            (library(Yes, Some(4.0), about(1.5)), Holds),
            (library(Yes, Some(4.0), about(1.0)), HoldsWithinLimits),
            (library(Yes, Some(4.0), noise(1.0)), NotMeasurable),
            (library(Yes, Some(1.0), about(0.9)), DoesNotHold),
            (library(No, Some(4.0), about(1.5)), DoesNotHold),
            (library(Yes, None, about(1.5)), NotMeasurable),
            (library(Yes, Some(1.0), noise(1.0)), NotMeasurable),
        ],
    ));
    all.extend(expected(
        35,
        &[
            (lowest_latency(&[about(0.5), about(0.6)]), Holds),
            (lowest_latency(&[about(0.5), about(1.01)]), DoesNotHold),
            (lowest_latency(&[about(0.5), noise(1.0)]), NotMeasurable),
        ],
    ));
    all.extend(expected(
        36,
        &[(authenticates(No), Holds), (authenticates(Yes), DoesNotHold), (authenticates(Unclear), NotMeasurable)],
    ));
    all.extend(expected(
        38,
        &[(picks_the_best(No), Holds), (picks_the_best(Yes), DoesNotHold), (picks_the_best(Unclear), NotMeasurable)],
    ));
    all.extend(expected(
        40,
        &[
            (streaming_came_later(Some(2006), Some(2005)), Holds),
            (streaming_came_later(Some(1995), Some(2005)), DoesNotHold),
            (streaming_came_later(None, Some(2005)), NotMeasurable),
        ],
    ));
    all.extend(expected(
        42,
        &[(replaces_http(No), Holds), (replaces_http(Yes), DoesNotHold), (replaces_http(Unclear), NotMeasurable)],
    ));
    all.extend(expected(
        43,
        &[
            (passes_every_proxy(Yes, Yes), Holds),
            (passes_every_proxy(No, Yes), DoesNotHold),
            // The proxy itself did not work.
            (passes_every_proxy(No, No), NotMeasurable),
            (passes_every_proxy(Unclear, Yes), NotMeasurable),
        ],
    ));
    all.extend(expected(
        46,
        &[
            (always_wasteful(&[about(0.1), about(0.9)]), Holds),
            (always_wasteful(&[about(0.1), about(5.0)]), DoesNotHold),
            (always_wasteful(&[about(0.1), noise(1.0)]), NotMeasurable),
        ],
    ));
    all.extend(expected(
        47,
        &[
            (needs_rooms(Some(100.0)), HoldsWithinLimits),
            (needs_rooms(Some(1.1)), DoesNotHold),
            (needs_rooms(None), NotMeasurable),
        ],
    ));
    let needed = |complete, first, late| needs_websocket(&Needed { complete, first, late });
    all.extend(expected(
        48,
        &[
            (needed(true, about(0.8), about(1.0)), DoesNotHold),
            (needed(false, about(0.8), about(1.0)), Holds),
            (needed(true, about(2.0), about(1.0)), Holds),
            (needed(true, about(0.8), about(3.0)), Holds),
            (needed(true, noise(0.8), about(1.0)), NotMeasurable),
        ],
    ));
    all.extend(expected(
        49,
        &[
            (stops_every_stream(about(6.0)), Holds),
            (stops_every_stream(about(1.1)), DoesNotHold),
            (stops_every_stream(noise(6.0)), NotMeasurable),
        ],
    ));
    all.extend(expected(
        50,
        &[
            (needs_a_shared_feed(No, Yes), Holds),
            (needs_a_shared_feed(Yes, Yes), DoesNotHold),
            (needs_a_shared_feed(Yes, Unclear), DoesNotHold),
            // A shared feed does not help either.
            (needs_a_shared_feed(No, No), DoesNotHold),
            // There was no broker.
            (needs_a_shared_feed(No, Unclear), NotMeasurable),
            (needs_a_shared_feed(Unclear, Yes), NotMeasurable),
        ],
    ));
    all
}
