//! `POST /control`: changes that a presenter can make while the server runs.

use std::time::Duration;

use hyper::StatusCode;
use protocol::clock;
use protocol::schedule::Spacing;
use serde::Deserialize;
use tokio::time::timeout;

use super::response::{self, Response};
use crate::feed::Unavailable;
use crate::options::{MAX_PAYLOAD_BYTES, MAX_RATE};
use crate::relay::{Fault, MAX_DELAY};
use crate::state::ServerState;

/// The most events in a burst.
const MAX_BURST_EVENTS: u32 = 1_000;
/// How long a broker may take to store a burst.
const BURST_TIMEOUT: Duration = Duration::from_secs(5);

/// The requested changes. Settings whose field is left out stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Events per second.
    rate: Option<f64>,
    /// Their spacing.
    schedule: Option<Spacing>,
    /// Payload of the schedule's events, in bytes.
    payload: Option<usize>,
    /// Number of events to publish immediately.
    burst: Option<u32>,
    /// How long the relay delays bytes in each direction, in ms.
    delay_ms: Option<u64>,
    /// What goes wrong in the relay.
    fault: Option<Fault>,
    /// The trace session whose connections are to be cut.
    cut: Option<String>,
}

/// Makes all changes in the body and responds with 204, or makes none of them and responds with 400 and the error. With a broker, 503 means that it
/// has not stored the whole burst; the other changes are made.
pub async fn control(body: &[u8], state: &ServerState) -> Response {
    let change: Change = match serde_json::from_slice(body) {
        Ok(change) => change,
        Err(error) => {
            return response::bad_request(format!(
                "the body must be JSON with rate, schedule, payload, burst, delay_ms, fault or cut: {error}"
            ));
        }
    };
    let mut plan = state.plan.borrow().clone();
    if let Some(rate) = change.rate {
        if !(0.0..=MAX_RATE).contains(&rate) {
            return response::bad_request("rate: events per second, from 0 to 1000000");
        }
        plan.rate = rate;
    }
    plan.spacing = change.schedule.unwrap_or(plan.spacing);
    if let Some(payload) = change.payload {
        if payload > MAX_PAYLOAD_BYTES {
            return response::bad_request("payload: bytes, from 0 to 65536");
        }
        plan.payload = payload;
    }
    if change.burst.is_some_and(|burst| burst > MAX_BURST_EVENTS) {
        return response::bad_request("burst: events, from 0 to 1000");
    }
    let mut conditions = state.relay.conditions();
    if let Some(delay) = change.delay_ms.map(Duration::from_millis) {
        if delay > MAX_DELAY {
            return response::bad_request("delay_ms: ms in each direction, from 0 to 2000");
        }
        conditions.delay = delay;
    }
    if let Some(fault) = change.fault {
        if !fault.exists(state.tls.is_some()) {
            return response::bad_request("fault: there is none of this kind with TLS");
        }
        conditions.fault = fault;
    }
    state.relay.set(conditions);
    if *state.plan.borrow() != plan {
        state.replan(plan.clone());
    }
    if let Some(session) = change.cut {
        state.traces.cut(&session);
    }
    let burst = async {
        for _ in 0..change.burst.unwrap_or(0) {
            let data = plan.payload_kind.generate(plan.seed, state.feed.head().next_seq(), plan.payload);
            state.sink.publish(clock::now_ns(), &data).await?;
        }
        Ok(())
    };
    match timeout(BURST_TIMEOUT, burst).await.unwrap_or(Err(Unavailable)) {
        Ok(()) => response::empty(StatusCode::NO_CONTENT),
        Err(unavailable) => response::text(StatusCode::SERVICE_UNAVAILABLE, format!("{unavailable}\n")),
    }
}
