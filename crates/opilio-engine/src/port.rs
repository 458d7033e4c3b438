//! A shard's sender to the scheduler. It never waits, loses no message, and reports when the scheduler is behind.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use opilio_spider::parsed::Parsed;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::message::{ClosedHost, PartSnapshot, Question, ShardCounts, ToScheduler};

/// Sends messages to the scheduler's bounded channels. Messages that do not fit into a channel wait here. While
/// results of leases wait here, the shard starts no fetches. So at most the results of the fetches in flight are
/// added.
#[derive(Clone)]
pub(crate) struct SchedulerPort {
    messages: Rc<Pipe<ToScheduler>>,
    closed_hosts: Rc<Pipe<ClosedHost>>,
    hurry: Arc<Notify>,
    questions: mpsc::Sender<Question>,
    counts: Rc<Cell<ShardCounts>>,
}

/// The sending ends of the channels to the scheduler.
#[derive(Clone)]
pub(crate) struct SchedulerSenders {
    pub(crate) messages: mpsc::Sender<ToScheduler>,
    /// Carries the saved states (memos) of closed hosts. This channel is separate, so that a memo does not wait
    /// behind other messages.
    pub(crate) closed_hosts: mpsc::Sender<ClosedHost>,
    /// Tells the scheduler to hurry. This signal is separate, so that the scheduler receives it even while it waits
    /// for a sink.
    pub(crate) hurry: Arc<Notify>,
    /// Carries requests for a snapshot. The scheduler answers them even while it waits for a sink.
    pub(crate) questions: mpsc::Sender<Question>,
}

/// A channel, and the messages that wait because the channel has no room.
struct Pipe<T> {
    to: mpsc::Sender<T>,
    waiting: RefCell<VecDeque<T>>,
    pumping: Cell<bool>,
    /// Returns whether this message, if it has to wait, shows that the scheduler is behind.
    is_counted: fn(&T) -> bool,
    /// The number of waiting messages for which `is_counted` returns true. The number is stored and not computed,
    /// since the pool asks for it before each grant and a hundred thousand other messages may wait.
    counted_waiting: Cell<usize>,
}

impl SchedulerPort {
    /// Returns a port that sends these counts along with each result.
    pub(crate) fn new(senders: SchedulerSenders, counts: Rc<Cell<ShardCounts>>) -> Self {
        let messages = Pipe::new(senders.messages, |message| matches!(message, ToScheduler::Parsed { .. }));
        let closed_hosts = Pipe::new(senders.closed_hosts, |_| true);
        Self { messages, closed_hosts, hurry: senders.hurry, questions: senders.questions, counts }
    }

    /// Returns whether the scheduler is behind: whether the result of a lease waits here. Messages of other kinds
    /// do not count, since each live host has at most one or two of them.
    pub(crate) fn is_behind(&self) -> bool {
        self.messages.counted_waiting.get() > 0
    }

    /// Sends the result of a lease of a shard, together with the shard's counts. So the totals that are saved when
    /// the lease is settled include this lease.
    pub(crate) fn give(&self, shard: usize, parsed: Parsed) {
        self.send(ToScheduler::Parsed { shard, counts: self.counts.get(), parsed: Box::new(parsed) });
    }

    /// Tells the scheduler to end its waits for sinks soon: from now on it may wait for them only as long as a
    /// close may take.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Sends the saved state (memo) of a host that was closed.
    pub(crate) fn tell_closed(&self, closed: ClosedHost) {
        self.closed_hosts.send(closed);
    }

    /// Asks the scheduler and the exporter for their parts of a snapshot. If one of them has ended, or too many
    /// requests for snapshots wait, the receiver of its part gets an error.
    pub(crate) fn ask(&self) -> [oneshot::Receiver<PartSnapshot>; 2] {
        let (scheduler, first) = oneshot::channel();
        let (exporter, second) = oneshot::channel();
        let _ = self.questions.try_send(Question { scheduler, exporter });
        [first, second]
    }

    /// Sends a message now, or as soon as there is room.
    pub(crate) fn send(&self, message: ToScheduler) {
        self.messages.send(message);
    }
}

impl<T: 'static> Pipe<T> {
    fn new(to: mpsc::Sender<T>, is_counted: fn(&T) -> bool) -> Rc<Self> {
        let (waiting, pumping) = (RefCell::default(), Cell::new(false));
        Rc::new(Self { to, waiting, pumping, is_counted, counted_waiting: Cell::new(0) })
    }

    /// Keeps a message here until the channel has room.
    fn keep(&self, message: T) {
        self.counted_waiting.set(self.counted_waiting.get() + usize::from((self.is_counted)(&message)));
        self.waiting.borrow_mut().push_back(message);
    }

    /// Removes and returns the oldest message that waits here.
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
