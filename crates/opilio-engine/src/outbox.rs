//! Sending to a bounded mailbox from code that may not wait and must not lose anything.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use actix::prelude::SendError;
use actix::{Message, Recipient};

/// A sender that keeps what does not fit, in order, and hands it on as soon as there is room.
///
/// It stays bounded because every message that goes through one is paid for elsewhere: by a lease,
/// a slot or a live host.
pub(crate) struct Outbox<M>
where
    M: Message<Result = ()> + Send + 'static,
{
    inner: Rc<Inner<M>>,
}

struct Inner<M>
where
    M: Message<Result = ()> + Send + 'static,
{
    to: Recipient<M>,
    waiting: RefCell<VecDeque<M>>,
    pumping: Cell<bool>,
}

impl<M> Clone for Outbox<M>
where
    M: Message<Result = ()> + Send + 'static,
{
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<M> Outbox<M>
where
    M: Message<Result = ()> + Send + 'static,
{
    pub(crate) fn new(to: Recipient<M>) -> Self {
        Self { inner: Rc::new(Inner { to, waiting: RefCell::default(), pumping: Cell::new(false) }) }
    }

    /// Sends now, or as soon as the mailbox has room. A receiver that is gone takes nothing.
    pub(crate) fn send(&self, message: M) {
        let inner = &self.inner;
        if inner.pumping.get() {
            return inner.waiting.borrow_mut().push_back(message);
        }
        let Err(SendError::Full(message)) = inner.to.try_send(message) else { return };
        inner.waiting.borrow_mut().push_back(message);
        inner.pumping.set(true);
        let inner = inner.clone();
        actix::spawn(async move {
            loop {
                let Some(message) = inner.waiting.borrow_mut().pop_front() else { break };
                // Waits for room and for the handler, which is soon: they share this thread, or the
                // receiver never waits for anybody.
                let _ = inner.to.send(message).await;
            }
            inner.pumping.set(false);
        });
    }
}
