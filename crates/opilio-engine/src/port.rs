//! A shard's way to the scheduler. It never waits, loses no message, and says when the scheduler is behind.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use opilio_spider::parsed::Parsed;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::message::{ClosedHost, PartSnapshot, Question, ShardCounts, ToScheduler};

/// Sends to the scheduler's bounded channels. Messages that do not fit wait here. While results of leases wait, the shard
/// starts no fetches, so that no more results can wait than fetches were under way.
#[derive(Clone)]
pub(crate) struct SchedulerPort {
    messages: Rc<Pipe<ToScheduler>>,
    closed_hosts: Rc<Pipe<ClosedHost>>,
    hurry: Arc<Notify>,
    questions: mpsc::Sender<Question>,
    counts: Rc<Cell<ShardCounts>>,
}

/// The channels to the scheduler.
#[derive(Clone)]
pub(crate) struct SchedulerSenders {
    pub(crate) messages: mpsc::Sender<ToScheduler>,
    /// A channel of its own, so that the memo of a closed host waits for no other message.
    pub(crate) closed_hosts: mpsc::Sender<ClosedHost>,
    /// A signal of its own, so that a scheduler that waits for a sink hears it.
    pub(crate) hurry: Arc<Notify>,
    /// Questions where it stands, which it also answers while it waits for a sink.
    pub(crate) questions: mpsc::Sender<Question>,
}

/// A channel, and the messages that it has no room for.
struct Pipe<T> {
    to: mpsc::Sender<T>,
    waiting: RefCell<VecDeque<T>>,
    pumping: Cell<bool>,
    /// Whether a message that waits shows that the scheduler is behind.
    is_counted: fn(&T) -> bool,
    /// How many such messages wait. It is counted, since the pool asks before each grant and a hundred thousand other
    /// messages may wait.
    counted_waiting: Cell<usize>,
}

impl SchedulerPort {
    /// A port that sends these counts with each result.
    pub(crate) fn new(senders: SchedulerSenders, counts: Rc<Cell<ShardCounts>>) -> Self {
        let messages = Pipe::new(senders.messages, |message| matches!(message, ToScheduler::Parsed { .. }));
        let closed_hosts = Pipe::new(senders.closed_hosts, |_| true);
        Self { messages, closed_hosts, hurry: senders.hurry, questions: senders.questions, counts }
    }

    /// Whether the scheduler is behind: the result of a lease waits here. Other messages do not count, since each live host
    /// has at most one or two.
    pub(crate) fn is_behind(&self) -> bool {
        self.messages.counted_waiting.get() > 0
    }

    /// Sends the result of a lease of a shard. The shard's counters go along, so that the totals that are committed with a
    /// settle cover at least what it settles.
    pub(crate) fn give(&self, shard: usize, parsed: Parsed) {
        self.send(ToScheduler::Parsed { shard, counts: self.counts.get(), parsed: Box::new(parsed) });
    }

    /// Has the scheduler wait for the sinks no longer than a close may take.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Sends the memo of a host that was closed.
    pub(crate) fn tell_closed(&self, closed: ClosedHost) {
        self.closed_hosts.send(closed);
    }

    /// Asks the scheduler and the exporter where they stand. One that is gone, or has too many questions, does not answer.
    pub(crate) fn ask(&self) -> [oneshot::Receiver<PartSnapshot>; 2] {
        let (scheduler, first) = oneshot::channel();
        let (exporter, second) = oneshot::channel();
        let _ = self.questions.try_send(Question { scheduler, exporter });
        [first, second]
    }

    /// Sends a message, now or as soon as there is room.
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
