//! A shard's way to the store: never waits, never loses, and says when it is clogged.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::mpsc;

use crate::message::ToStore;

/// Sends to the store's bounded channel. What does not fit waits here; meanwhile the port is
/// clogged and the shard starts no more fetches, so that what waits is bounded by what was under way.
#[derive(Clone)]
pub(crate) struct StorePort {
    inner: Rc<Inner>,
}

struct Inner {
    to: mpsc::Sender<ToStore>,
    waiting: RefCell<VecDeque<ToStore>>,
    pumping: Cell<bool>,
}

impl StorePort {
    pub(crate) fn new(to: mpsc::Sender<ToStore>) -> Self {
        Self { inner: Rc::new(Inner { to, waiting: RefCell::default(), pumping: Cell::new(false) }) }
    }

    /// Whether the store is behind.
    pub(crate) fn is_clogged(&self) -> bool {
        self.inner.pumping.get()
    }

    pub(crate) fn send(&self, message: ToStore) {
        let inner = &self.inner;
        if inner.pumping.get() {
            return inner.waiting.borrow_mut().push_back(message);
        }
        let Err(mpsc::error::TrySendError::Full(message)) = inner.to.try_send(message) else { return };
        inner.waiting.borrow_mut().push_back(message);
        inner.pumping.set(true);
        let inner = inner.clone();
        actix::spawn(async move {
            while !inner.waiting.borrow().is_empty() {
                let Ok(permit) = inner.to.reserve().await else { break };
                if let Some(message) = inner.waiting.borrow_mut().pop_front() {
                    permit.send(message);
                }
            }
            inner.pumping.set(false);
        });
    }
}
