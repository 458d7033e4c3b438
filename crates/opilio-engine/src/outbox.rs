//! Sends messages to a bounded mailbox from code that must neither wait nor lose a message.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use actix::prelude::SendError;
use actix::{Message, Recipient};

/// A sender to a bounded mailbox. It keeps the messages for which the mailbox has no room, and sends them in order
/// as soon as there is room.
///
/// Each message belongs to a lease, a slot, a live host or an actor. The number of these is limited, and so is the
/// number of messages that wait here.
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

    /// Sends a message now, or as soon as the mailbox has room. Drops the message if the receiver has stopped.
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
                // `send` returns when the receiver has handled the message. That does not take long: the receiver
                // runs on this thread, or it never waits for another actor.
                let _ = inner.to.send(message).await;
            }
            inner.pumping.set(false);
        });
    }
}
