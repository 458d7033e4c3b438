//! Waits for the sinks: logs which sink is late, and records how many rows remain unwritten if the wait is given up.

use std::collections::VecDeque;
use std::time::Duration;

use opilio_core::Timestamp;
use opilio_export::{RowBatch, SinkAtWork};
use opilio_spider::Unwritten;
use tokio::sync::watch;

use super::{Effect, Scheduler};
use crate::message::FromScheduler;

/// The rows for the sinks, and the sink that the scheduler waits for.
pub(super) struct SinkWatch {
    /// Rows that the exporter has not received yet.
    pub(super) rows: VecDeque<RowBatch>,
    at_work: watch::Receiver<Option<SinkAtWork>>,
    /// The later of two times: when a sink last wrote something, and when the wait was last logged.
    since: Timestamp,
    pub(super) unwritten: Option<Unwritten>,
}

impl SinkWatch {
    pub(super) fn new(at_work: watch::Receiver<Option<SinkAtWork>>) -> Self {
        Self { rows: VecDeque::new(), at_work, since: Timestamp::EPOCH, unwritten: None }
    }

    /// Records that a sink has written something, or that the scheduler waits for no sink.
    pub(super) fn moved(&mut self, now: Timestamp) {
        self.since = now;
    }

    /// Returns when the next log line is due if no sink writes anything until then.
    pub(super) fn says_at(&self) -> Timestamp {
        self.since + SAY_EVERY
    }

    fn at_work(&self) -> (String, &'static str) {
        let at_work = self.at_work.borrow().clone();
        at_work.map_or((String::new(), "none"), |SinkAtWork { sink, step }| (sink.to_string(), step))
    }
}

impl Scheduler {
    /// Logs which sink the scheduler waits for. Also tells the supervisor that a sink is late: then the supervisor
    /// does not abandon the requests whose pages wait for this sink.
    pub(super) fn tell_of_waiting(&mut self, now: Timestamp) {
        if self.takes_on() || self.is_closed() || now < self.sinks.says_at() {
            return;
        }
        self.sinks.moved(now);
        let (sink, step) = self.sinks.at_work();
        let (pages, bytes) = self.ledger.before_sinks();
        tracing::warn!(sink, step, pages, bytes, "the crawl waits for this output to be written");
        self.effects.push(Effect::TryTell(FromScheduler::SinkIsLate));
    }

    /// Stops waiting for sinks that have not written everything, and records how many pages and bytes are
    /// unwritten.
    pub(super) fn give_up_waiting(&mut self) {
        let (sink, _) = self.sinks.at_work();
        let (pages, bytes) = self.ledger.before_sinks();
        if self.ledger.is_all_written() {
            tracing::warn!(
                sink,
                "the output is written, but syncing it to the disk did not end in time: a power cut could lose the last rows"
            );
        } else {
            tracing::warn!(
                sink,
                pages,
                bytes,
                "the output did not take its rows in time: the pages of these rows are not done, and a resumed crawl fetches them again"
            );
        }
        let (pages, bytes) = (pages as u64, bytes as u64);
        self.sinks.unwritten = Some(Unwritten { sink, pages, bytes });
    }
}

/// The time between two log lines about a wait for a sink. It is shorter than the longest drain, since the
/// supervisor is told at the same moment that a sink delays the drain.
const SAY_EVERY: Duration = Duration::from_secs(5);
