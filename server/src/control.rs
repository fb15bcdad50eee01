//! `POST /control`: what a presenter may change while the server runs.

use hyper::StatusCode;
use protocol::{clock, schedule};
use serde::Deserialize;

use crate::answer::{self, Answer};
use crate::options::{FASTEST, LARGEST_PAYLOAD};
use crate::site::Site;

/// Events that one burst may have.
const LARGEST_BURST: u32 = 1_000;

/// What is wished for; what is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// Events a second.
    rate: Option<f64>,
    /// Payload of the schedule's events, in bytes.
    payload: Option<usize>,
    /// Events to publish at once.
    burst: Option<u32>,
    /// The session whose connections are to be cut.
    cut: Option<String>,
}

/// Does what the body wishes for, and answers 204; 400 says what cannot be.
pub fn control(body: &[u8], site: &Site) -> Answer {
    let wish: Wish = match serde_json::from_slice(body) {
        Ok(wish) => wish,
        Err(error) => return answer::bad_request(format!("a wish is JSON with rate, payload, burst or cut: {error}")),
    };
    let mut plan = site.plan.borrow().clone();
    if let Some(rate) = wish.rate {
        if !(0.0..=FASTEST).contains(&rate) {
            return answer::bad_request("rate: events a second, from 0 to 1000000");
        }
        plan.rate = rate;
    }
    if let Some(payload) = wish.payload {
        if payload > LARGEST_PAYLOAD {
            return answer::bad_request("payload: bytes, from 0 to 65536");
        }
        plan.payload = payload;
    }
    if wish.burst.is_some_and(|burst| burst > LARGEST_BURST) {
        return answer::bad_request("burst: events, from 0 to 1000");
    }
    if *site.plan.borrow() != plan {
        site.replan(plan.clone());
    }
    for _ in 0..wish.burst.unwrap_or(0) {
        let data = schedule::payload(plan.seed, site.feed.head().next_seq(), plan.payload);
        site.feed.publish(clock::now_ns(), &data);
    }
    if let Some(session) = wish.cut {
        site.taps.cut(&session);
    }
    answer::empty(StatusCode::NO_CONTENT)
}
