//! Workers: threads that each serve their share of the connections on an event loop of their own.
//!
//! A connection stays with its worker, so nothing of it is shared between threads. The event loop is a `LocalRuntime`: its tasks need not
//! be `Send`, and the compiler checks that none of them leaves the thread. The feed wakes one task per worker, which hands new events to
//! the worker's dispatcher.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{Instant, MissedTickBehavior};

use super::dispatcher::Dispatcher;
use crate::feed::Feed;

/// The heartbeat interval. If nothing was sent on a connection for a whole interval, a heartbeat is sent, so that a proxy or NAT on the
/// path keeps the connection; many of them drop a connection that is idle for 60 s.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many tasks run before the event loop checks the sockets, and the feed, again.
const TASKS_PER_TURN: u32 = 256;

/// A function to run on a worker's thread.
type Job = Box<dyn FnOnce(&Rc<Dispatcher>) + Send>;

/// A handle with which other threads run functions on a worker's thread.
#[derive(Clone)]
pub struct Worker {
    jobs: mpsc::UnboundedSender<Job>,
}

impl Worker {
    /// Runs `job` on the worker's thread, within its event loop.
    pub fn run(&self, job: impl FnOnce(&Rc<Dispatcher>) + Send + 'static) {
        // An error means that the worker has ended.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Runs `job` on the worker's thread and waits for its result; `None` if the worker has ended.
    pub fn call<T: Send + 'static>(&self, job: impl FnOnce(&Rc<Dispatcher>) -> T + Send + 'static) -> Option<T> {
        let (result, done) = channel();
        self.run(move |dispatcher| _ = result.send(job(dispatcher)));
        done.recv().ok()
    }

    /// Runs the future that `make` returns on the worker, until it completes or the future that `end` returns does.
    pub fn spawn_until<T, E>(&self, make: impl FnOnce() -> T + Send + 'static, end: impl FnOnce() -> E + Send + 'static)
    where
        T: Future<Output = ()> + 'static,
        E: Future<Output = ()> + 'static,
    {
        self.run(move |_| {
            let (task, end) = (make(), end());
            spawn_local(async move {
                tokio::select! {
                    () = task => {}
                    () = end => {}
                }
            });
        });
    }
}

/// A worker's thread. Dropping it ends the thread and all tasks on it.
pub struct WorkerThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts worker number `index`, whose subscribers wait for `feed`.
///
/// # Errors
/// When the system provides no event loop or no thread.
pub fn start_worker(index: usize, feed: &Arc<Feed>) -> io::Result<(Worker, WorkerThread)> {
    let (jobs, received) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let (started, start) = channel();
    let feed = feed.clone();
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        // The runtime belongs to the thread on which it is built.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .event_interval(TASKS_PER_TURN)
            .build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                runtime.block_on(serve(&feed, received, stopped));
            }
            Err(error) => _ = started.send(Err(error)),
        }
    })?;
    start.recv().map_err(|_| io::Error::other("a worker ended before it was ready"))??;
    Ok((Worker { jobs }, WorkerThread { stop: Some(stop), thread: Some(thread) }))
}

/// Handles events, heartbeat ticks and jobs until the worker is stopped.
async fn serve(feed: &Feed, mut jobs: mpsc::UnboundedReceiver<Job>, mut stopped: oneshot::Receiver<()>) {
    let dispatcher = Rc::new(Dispatcher::default());
    let mut head = feed.watch();
    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            _ = heartbeat.tick() => dispatcher.tick(),
            changed = head.changed() => match changed {
                Ok(()) => {
                    dispatcher.fan_out(feed);
                    // The next event may have been published already; other tasks of this thread run first.
                    tokio::task::yield_now().await;
                }
                Err(_) => return,
            },
            Some(job) = jobs.recv() => {
                job(&dispatcher);
                // New connections come as jobs. Many may wait while the worker is busy with events, so several are accepted in one turn.
                for _ in 1..TASKS_PER_TURN {
                    let Ok(job) = jobs.try_recv() else { break };
                    job(&dispatcher);
                }
            }
        }
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
