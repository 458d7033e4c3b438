//! The loop of the scheduler's thread: waits for an event, lets the scheduler take one turn, and performs the
//! effects of that turn.
//!
//! While too many rows wait for the sinks, the loop receives no messages. It still handles all other events.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::SendError;
use actix::{Message, Recipient};
use opilio_export::Written;
use opilio_frontier::FrontierError;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::state::{Effect, Scheduler, SchedulerOutcome, Turn};
use crate::clock::Clock;
use crate::message::{
    Assign, ClosedHost, ErrandResult, FromScheduler, Question, Settled, ToExporter, ToScheduler,
};

/// The scheduler's ends of its channels, except for the channel of incoming messages.
pub(crate) struct SchedulerChannels {
    /// Sends rows to the exporter. `None` after the exporter has received all rows of the run.
    pub(crate) exporter: Option<mpsc::Sender<ToExporter>>,
    pub(crate) written: mpsc::Receiver<Written>,
    pub(crate) supervisor: Recipient<FromScheduler>,
    pub(crate) shards: Vec<ShardRoad>,
    pub(crate) closed_hosts: mpsc::Receiver<ClosedHost>,
    pub(crate) hurry: Arc<Notify>,
    pub(crate) questions: mpsc::Receiver<Question>,
}

/// The addresses of a shard. All three lead to the same mailbox, so that messages arrive in the order in which they
/// were sent.
pub(crate) struct ShardRoad {
    pub(crate) assign: Recipient<Assign>,
    pub(crate) settled: Recipient<Settled>,
    pub(crate) errand_results: Recipient<ErrandResult>,
}

/// A scheduler with its channels and its clock.
pub(crate) struct SchedulerLoop {
    scheduler: Scheduler,
    ports: SchedulerChannels,
    clock: Clock,
}

impl SchedulerLoop {
    pub(crate) fn new(scheduler: Scheduler, ports: SchedulerChannels, clock: Clock) -> Self {
        Self { scheduler, ports, clock }
    }

    /// Takes turns until the run is closed, or the store or a sink fails.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<ToScheduler>,
    ) -> Result<SchedulerOutcome, FrontierError> {
        let alarm = Alarm(self.ports.supervisor.clone());
        let result = self.serve(&mut inbox).await;
        drop(alarm);
        let last = if result.is_ok() { FromScheduler::Closed } else { FromScheduler::Broken };
        let _ = deliver(&self.ports.supervisor, last).await;
        result?;
        self.scheduler.outcome(self.clock.now())
    }

    async fn serve(&mut self, inbox: &mut mpsc::Receiver<ToScheduler>) -> Result<(), FrontierError> {
        let mut turn = Turn::default();
        while !self.scheduler.is_closed() {
            self.next(inbox, &mut turn).await;
            self.clock.fault("scheduler");
            let result = self.scheduler.handle(self.clock.now(), &mut turn);
            self.perform().await;
            result?;
        }
        Ok(())
    }

    /// Waits until an event arrives or is due, and puts it into `turn`. Also takes all answers of the exporter and
    /// all saved states of hosts that have arrived by then.
    async fn next(&mut self, inbox: &mut mpsc::Receiver<ToScheduler>, turn: &mut Turn) {
        let Self { scheduler, ports, clock } = self;
        let takes_on = scheduler.takes_on();
        let wake = scheduler.wake_at().map(|at| clock.instant(at));
        let has_rows = !scheduler.rows().is_empty();
        tokio::select! {
            count = inbox.recv_many(&mut turn.messages, TURN_MAX), if takes_on => turn.is_last |= count == 0,
            written = ports.written.recv(), if !turn.exporter_ended => match written {
                Some(written) => turn.written.push(written),
                None => turn.exporter_ended = true,
            },
            Some(memo) = ports.closed_hosts.recv(), if !scheduler.is_closing() => turn.memos.push(memo),
            () = sleep_until(wake), if wake.is_some() => {}
            () = tokio::task::yield_now(), if scheduler.has_more() => {}
            () = ports.hurry.notified(), if scheduler.may_hurry() => turn.hurry = true,
            () = has_room(ports.exporter.as_ref()), if has_rows => {}
            Some(Question { scheduler: reply, exporter: other }) = ports.questions.recv() => {
                let _ = reply.send(scheduler.snapshot());
                if let Some(exporter) = &ports.exporter {
                    // If the exporter's channel is full the question is dropped, and the snapshot is made without the
                    // exporter.
                    let _ = exporter.try_send(ToExporter::Ask(other));
                }
            }
        }
        while let Ok(written) = ports.written.try_recv() {
            turn.written.push(written);
        }
        while !scheduler.is_closing()
            && let Ok(memo) = ports.closed_hosts.try_recv()
        {
            turn.memos.push(memo);
        }
    }

    /// Performs the effects of a turn.
    async fn perform(&mut self) {
        self.send_rows();
        for effect in self.scheduler.effects() {
            match effect {
                Effect::Tell(news) => {
                    let _ = deliver(&self.ports.supervisor, news).await;
                }
                Effect::TryTell(news) => {
                    let _ = self.ports.supervisor.try_send(news);
                }
                Effect::Assign { shard, assign } => {
                    let _ = deliver(&self.ports.shards[shard].assign, assign).await;
                }
                Effect::ErrandResult { shard, result } => {
                    let _ = deliver(&self.ports.shards[shard].errand_results, result).await;
                }
                Effect::Settled { shard, settled } => {
                    let _ = deliver(&self.ports.shards[shard].settled, settled).await;
                }
                Effect::Gather => tokio::time::sleep(GATHER).await,
            }
        }
        if self.scheduler.is_closing() && self.scheduler.rows().is_empty() {
            // Dropping the sender makes the exporter sync its sinks and end. Its end closes the channel of its
            // answers.
            self.ports.exporter = None;
        }
    }

    /// Sends the exporter as many rows as its channel has room for.
    fn send_rows(&mut self) {
        let rows = self.scheduler.rows();
        while let (Some(exporter), Some(first)) = (&self.ports.exporter, rows.pop_front()) {
            match exporter.try_send(ToExporter::Rows(first)) {
                // The exporter has ended too early. The scheduler notices that at the channel of the exporter's
                // answers.
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(ToExporter::Rows(first))) => return rows.push_front(first),
                Err(TrySendError::Full(ToExporter::Ask(_))) => {}
            }
        }
    }
}

/// Tells the supervisor when the scheduler panics. Without this value nothing would report the panic.
struct Alarm(Recipient<FromScheduler>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.try_send(FromScheduler::Broken);
        }
    }
}

/// Puts a message into a bounded mailbox, and waits while the mailbox is full. The wait ends, since the actors that
/// read these mailboxes never wait for the scheduler.
async fn deliver<M>(to: &Recipient<M>, message: M) -> Result<(), ()>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    let mut message = message;
    loop {
        match to.try_send(message) {
            Ok(()) => return Ok(()),
            Err(SendError::Full(back)) => message = back,
            Err(SendError::Closed(_)) => return Err(()),
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Waits until the exporter's channel has room or is closed.
async fn has_room(exporter: Option<&mpsc::Sender<ToExporter>>) {
    if let Some(exporter) = exporter {
        let _ = exporter.reserve().await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// The most messages that one turn handles.
const TURN_MAX: usize = 1_024;
/// The time that a busy scheduler waits for more messages before its next turn.
const GATHER: Duration = Duration::from_millis(1);
