//! A shard's road to the scheduler: it never waits, loses nothing, and tells when it is clogged.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use opilio_spider::parsed::Parsed;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::message::{ClosedHost, PartSnapshot, Question, ShardCounts, ToScheduler};

/// Sends to the store's bounded channels. What does not fit waits here; meanwhile the port is
/// clogged and the shard starts no more fetches, so that what waits is bounded by what was under way.
#[derive(Clone)]
pub(crate) struct SchedulerPort {
    messages: Rc<Pipe<ToScheduler>>,
    closed_hosts: Rc<Pipe<ClosedHost>>,
    hurry: Arc<Notify>,
    questions: mpsc::Sender<Question>,
    counts: Rc<Cell<ShardCounts>>,
}

/// The store's ends of what ports send to.
#[derive(Clone)]
pub(crate) struct SchedulerSenders {
    pub(crate) messages: mpsc::Sender<ToScheduler>,
    /// Beside the messages, so that nothing that is slow makes it wait.
    pub(crate) closed_hosts: mpsc::Sender<ClosedHost>,
    /// Beside them too: a store that waits for a sink hears it.
    pub(crate) hurry: Arc<Notify>,
    /// Where it stands: answered also while it waits for a sink.
    pub(crate) questions: mpsc::Sender<Question>,
}

struct Pipe<T> {
    to: mpsc::Sender<T>,
    waiting: RefCell<VecDeque<T>>,
    pumping: Cell<bool>,
    /// Tells which messages count towards a clogged port.
    is_counted: fn(&T) -> bool,
    /// How many of those wait: the pool asks before each grant, when a hundred thousand others may wait.
    counted_waiting: Cell<usize>,
}

impl SchedulerPort {
    /// A port of somebody who counts there.
    pub(crate) fn new(door: SchedulerSenders, counts: Rc<Cell<ShardCounts>>) -> Self {
        let messages = Pipe::new(door.messages, |message| matches!(message, ToScheduler::Parsed { .. }));
        let closed_hosts = Pipe::new(door.closed_hosts, |_| true);
        Self { messages, closed_hosts, hurry: door.hurry, questions: door.questions, counts }
    }

    /// Whether the scheduler is behind: the result of a page waits here. Other messages do not count, since each
    /// live host has one or two at the most.
    pub(crate) fn is_clogged(&self) -> bool {
        self.messages.counted_waiting.get() > 0
    }

    /// Sends the result of a lease of a shard. The shard's counters go along, so that the totals that are committed with a
    /// settle cover at least what it settles.
    pub(crate) fn give(&self, shard: usize, parsed: Parsed) {
        self.send(ToScheduler::Parsed { shard, counts: self.counts.get(), parsed: Box::new(parsed) });
    }

    /// Has the store wait for no sink any longer than it may take to close.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Sends the memo of a host that was closed.
    pub(crate) fn tell_closed(&self, closed: ClosedHost) {
        self.closed_hosts.send(closed);
    }

    /// Asks the scheduler and the exporter where they stand; nothing comes of one that is gone or has too many
    /// questions.
    pub(crate) fn ask(&self) -> [oneshot::Receiver<PartSnapshot>; 2] {
        let (scheduler, first) = oneshot::channel();
        let (exporter, second) = oneshot::channel();
        let _ = self.questions.try_send(Question { scheduler, exporter });
        [first, second]
    }

    pub(crate) fn send(&self, message: ToScheduler) {
        self.messages.send(message);
    }
}

impl<T: 'static> Pipe<T> {
    fn new(to: mpsc::Sender<T>, is_counted: fn(&T) -> bool) -> Rc<Self> {
        let (waiting, pumping) = (RefCell::default(), Cell::new(false));
        Rc::new(Self { to, waiting, pumping, is_counted, counted_waiting: Cell::new(0) })
    }

    /// Keeps a message until the channel has room.
    fn keep(&self, message: T) {
        self.counted_waiting.set(self.counted_waiting.get() + usize::from((self.is_counted)(&message)));
        self.waiting.borrow_mut().push_back(message);
    }

    /// Takes the oldest message that was kept.
    fn take(&self) -> Option<T> {
        let message = self.waiting.borrow_mut().pop_front()?;
        self.counted_waiting.set(self.counted_waiting.get() - usize::from((self.is_counted)(&message)));
        Some(message)
    }

    fn send(self: &Rc<Self>, message: T) {
        if self.pumping.get() {
            return self.keep(message);
        }
        let Err(mpsc::error::TrySendError::Full(message)) = self.to.try_send(message) else { return };
        self.keep(message);
        self.pumping.set(true);
        let pipe = self.clone();
        actix::spawn(async move {
            while !pipe.waiting.borrow().is_empty() {
                let Ok(permit) = pipe.to.reserve().await else { break };
                if let Some(message) = pipe.take() {
                    permit.send(message);
                }
            }
            pipe.pumping.set(false);
        });
    }
}
