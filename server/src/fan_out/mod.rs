//! Fan-out: delivers a new event from the feed to every subscriber.
//!
//! Each worker thread has one [`Dispatcher`], which owns the records of all its subscribers. For a subscriber that keeps up, the
//! dispatcher writes the event's bytes to the socket itself, and no task is woken. The others are written to by their own tasks (see
//! `delivery.rs`).

mod batch;
mod delivery;
mod dispatcher;
mod subscriber;
mod subscription;
mod worker;

pub use delivery::{Delivery, Due, Turned};
pub use dispatcher::Dispatcher;
pub use subscription::{Subscription, Turn};
pub use worker::{HEARTBEAT, Worker, WorkerThread, start_worker};
