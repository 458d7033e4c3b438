//! The loop of the store's thread: one selected event, one turn of the desk, and what it gave is sent.
//!
//! Waiting for the sinks is no loop of its own: while they have too much before them, messages are not received,
//! and everything else is heard.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::SendError;
use actix::{Message, Recipient};
use opilio_frontier::FrontierError;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::desk::{Desk, DeskTurn, Effect, StoreOutcome};
use crate::clock::Clock;
use crate::exporter::{Rows, Written};
use crate::message::{FromStore, Remember, Settled, ToStore};

/// The ends of the channels between the store's thread and everybody else, but for its inbox.
pub(crate) struct StorePorts {
    /// None once it has been given all.
    pub(crate) exporter: Option<mpsc::Sender<Rows>>,
    pub(crate) written: mpsc::Receiver<Written>,
    pub(crate) scheduler: Recipient<FromStore>,
    pub(crate) shards: Vec<Recipient<Settled>>,
    pub(crate) closed_hosts: mpsc::Receiver<Remember>,
    pub(crate) hurry: Arc<Notify>,
}

/// A desk with its channels and its clock.
pub(crate) struct StoreLoop {
    desk: Desk,
    ports: StorePorts,
    clock: Clock,
}

impl StoreLoop {
    pub(crate) fn new(desk: Desk, ports: StorePorts, clock: Clock) -> Self {
        Self { desk, ports, clock }
    }

    /// Serves until it is told to close, or the store or a sink fails.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<ToStore>,
    ) -> Result<StoreOutcome, FrontierError> {
        let alarm = Alarm(self.ports.scheduler.clone());
        let result = self.serve(&mut inbox).await;
        drop(alarm);
        let last = if result.is_ok() { FromStore::Closed } else { FromStore::Broken };
        let _ = deliver(&self.ports.scheduler, last).await;
        result?;
        self.desk.outcome(self.clock.now())
    }

    async fn serve(&mut self, inbox: &mut mpsc::Receiver<ToStore>) -> Result<(), FrontierError> {
        let mut turn = DeskTurn::default();
        while !self.desk.is_closed() {
            self.next(inbox, &mut turn).await;
            self.clock.fault("store");
            let result = self.desk.handle(self.clock.now(), &mut turn);
            self.perform().await;
            result?;
        }
        Ok(())
    }

    /// Waits until something comes in or is due, and takes whatever else is there.
    async fn next(&mut self, inbox: &mut mpsc::Receiver<ToStore>, turn: &mut DeskTurn) {
        let Self { desk, ports, clock } = self;
        let takes_on = desk.takes_on();
        let wake = desk.wake_at().map(|at| clock.instant(at));
        let has_rows = !desk.rows().is_empty();
        tokio::select! {
            count = inbox.recv_many(&mut turn.messages, TURN_MAX), if takes_on => turn.is_last |= count == 0,
            written = ports.written.recv(), if !turn.exporter_ended => match written {
                Some(written) => turn.written.push(written),
                None => turn.exporter_ended = true,
            },
            Some(memo) = ports.closed_hosts.recv(), if !desk.is_closing() => turn.memos.push(memo),
            () = sleep_until(wake), if wake.is_some() => {}
            () = tokio::task::yield_now(), if desk.has_more() => {}
            () = ports.hurry.notified(), if desk.may_hurry() => turn.hurry = true,
            () = has_room(ports.exporter.as_ref()), if has_rows => {}
        }
        while let Ok(written) = ports.written.try_recv() {
            turn.written.push(written);
        }
        while !desk.is_closing()
            && let Ok(memo) = ports.closed_hosts.try_recv()
        {
            turn.memos.push(memo);
        }
    }

    /// Sends what a turn gave.
    async fn perform(&mut self) {
        self.send_rows();
        for effect in self.desk.effects() {
            match effect {
                Effect::Tell(news) => {
                    let _ = deliver(&self.ports.scheduler, news).await;
                }
                Effect::TryTell(news) => {
                    let _ = self.ports.scheduler.try_send(news);
                }
                Effect::Settled { shard, settled } => {
                    let _ = deliver(&self.ports.shards[shard], settled).await;
                }
                Effect::Gather => tokio::time::sleep(GATHER).await,
            }
        }
        if self.desk.is_closing() && self.desk.rows().is_empty() {
            // Without its sender the exporter syncs and ends, and then its answers end.
            self.ports.exporter = None;
        }
    }

    /// Gives the exporter what it has room for.
    fn send_rows(&mut self) {
        let rows = self.desk.rows();
        while let (Some(exporter), Some(first)) = (&self.ports.exporter, rows.pop_front()) {
            match exporter.try_send(first) {
                // An exporter that ended early is known by its answers, which end too.
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(first)) => return rows.push_front(first),
            }
        }
    }
}

/// Tells the scheduler when a store panics: nobody else would.
struct Alarm(Recipient<FromStore>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.try_send(FromStore::Broken);
        }
    }
}

/// Puts a message into a bounded mailbox, waiting while it is full. Those mailboxes are emptied by
/// actors that never wait for the store, so this ends.
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

/// Waits until the exporter has room, or is gone.
async fn has_room(exporter: Option<&mpsc::Sender<Rows>>) {
    if let Some(exporter) = exporter {
        let _ = exporter.reserve().await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// Messages that one turn takes at the most.
const TURN_MAX: usize = 1_024;
/// How long a busy desk lets the next batch grow.
const GATHER: Duration = Duration::from_millis(1);
