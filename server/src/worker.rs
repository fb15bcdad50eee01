//! Workers: threads that each serve their share of the connections on an event loop of their own.
//!
//! A connection stays with its worker, so nothing of it is shared between processors. The publisher wakes one task a
//! worker, the herald, and the herald brings what is new to the worker's waiting subscriptions.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};

use crate::fan_out::WakeList;
use crate::feed::Feed;

/// How often idle connections are looked at. One that was silent for the whole of it shows a sign of life, so that a proxy or
/// a NAT between, many of which forget a connection after 60 s, does not take the silence for the end.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many tasks run before the herald, and the sockets, are looked at again.
const TASKS_A_TURN: u32 = 256;

/// Where a worker's tasks are put, and where its subscriptions wait.
#[derive(Clone)]
pub struct Worker {
    handle: Handle,
    /// The wake list of this worker's subscriptions.
    pub wake_list: Arc<WakeList>,
}

impl Worker {
    /// Makes this worker's event loop the current one, for what is registered with it from outside.
    pub fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.handle.enter()
    }

    /// Runs `task` on this worker, for as long as `end` does not resolve.
    pub fn spawn_until(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
        end: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(async move {
            tokio::select! {
                () = task => {}
                () = end => {}
            }
        });
    }

    /// Runs `task` on this worker.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }
}

/// A worker's thread; dropping it ends it, and whatever still runs on it.
pub struct WorkerThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a worker whose subscriptions wait for `feed`.
///
/// # Errors
/// When the system gives no event loop or no thread.
pub fn start(index: usize, feed: &Arc<Feed>) -> io::Result<(Worker, WorkerThread)> {
    let runtime = Builder::new_current_thread().enable_all().event_interval(TASKS_A_TURN).build()?;
    let worker = Worker { handle: runtime.handle().clone(), wake_list: Arc::new(WakeList::default()) };
    let (stop, mut stopped) = oneshot::channel();
    let (feed, mut head, wake_list) = (feed.clone(), feed.watch(), worker.wake_list.clone());
    let herald = async move {
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                _ = heartbeat.tick() => wake_list.beat(),
                changed = head.changed() => match changed {
                    Ok(()) => {
                        wake_list.fan_out(&feed);
                        // The next event may be there already; who else waits for this thread has a turn in between.
                        tokio::task::yield_now().await;
                    }
                    Err(_) => return,
                },
            }
        }
    };
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || runtime.block_on(herald))?;
    Ok((worker, WorkerThread { stop: Some(stop), thread: Some(thread) }))
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
