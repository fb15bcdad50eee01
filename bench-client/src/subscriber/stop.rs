//! The signal for all subscribers of a group to stop. A subscriber checks it each time it is woken, so the check has to be cheap: it reads
//! a flag.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Sends the signal.
#[derive(Default)]
pub struct Stop(Rc<State>);

#[derive(Default)]
struct State {
    stop: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Stop {
    /// Sends the signal.
    pub fn stop(&self) {
        self.0.stop.set(true);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// A future for one task, which resolves when the signal is sent.
    pub fn stopped(&self) -> Stopped {
        Stopped { state: self.0.clone(), waits: false }
    }
}

/// Resolves when the signal was sent.
pub struct Stopped {
    state: Rc<State>,
    waits: bool,
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.state.stop.get() {
            return Poll::Ready(());
        }
        // A task has the same waker for as long as it runs.
        if !std::mem::replace(&mut self.waits, true) {
            self.state.waiting.borrow_mut().push(context.waker().clone());
        }
        Poll::Pending
    }
}
