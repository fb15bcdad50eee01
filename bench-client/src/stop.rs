//! The word to leave, for all subscribers of a crowd. Whoever listens looks for it each time it is woken, which for each event must cost
//! next to nothing: a glance at a flag.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Tells all who wait for it that they are to stop.
#[derive(Default)]
pub struct Stop(Rc<State>);

#[derive(Default)]
struct State {
    stop: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Stop {
    /// Says so.
    pub fn tell(&self) {
        self.0.stop.set(true);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Waits until it is said; for one task, for as long as that runs.
    pub fn told(&self) -> Stopped {
        Stopped { state: self.0.clone(), waits: false }
    }
}

/// Is ready when the word was given.
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
        // A task is woken by the same waker all its life.
        if !std::mem::replace(&mut self.waits, true) {
            self.state.waiting.borrow_mut().push(context.waker().clone());
        }
        Poll::Pending
    }
}
