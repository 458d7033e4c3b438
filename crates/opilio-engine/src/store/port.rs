//! A shard's way to the store: never waits, never loses, and says when it is clogged.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::mpsc;

use crate::message::{Parsed, ShardCounts, ToStore};

/// Sends to the store's bounded channel. What does not fit waits here; meanwhile the port is
/// clogged and the shard starts no more fetches, so that what waits is bounded by what was under way.
#[derive(Clone)]
pub(crate) struct StorePort {
    inner: Rc<Inner>,
}

struct Inner {
    to: mpsc::Sender<ToStore>,
    counts: Rc<Cell<ShardCounts>>,
    waiting: RefCell<VecDeque<ToStore>>,
    pumping: Cell<bool>,
}

impl StorePort {
    /// A port of somebody who counts there.
    pub(crate) fn new(to: mpsc::Sender<ToStore>, counts: Rc<Cell<ShardCounts>>) -> Self {
        let (waiting, pumping) = (RefCell::default(), Cell::new(false));
        Self { inner: Rc::new(Inner { to, counts, waiting, pumping }) }
    }

    /// Whether the store is behind.
    pub(crate) fn is_clogged(&self) -> bool {
        self.inner.pumping.get()
    }

    /// Sends what a lease gave. The shard's counters go along, so that the totals that are
    /// committed with a settle cover at least what it settles.
    pub(crate) fn give(&self, parsed: Parsed) {
        self.send(ToStore::Parsed(Box::new(parsed), self.inner.counts.get()));
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
