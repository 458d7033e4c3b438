//! Waiting for the sinks: a line for people while that lasts, and what is said of one that was not waited for to
//! the end.

use std::collections::VecDeque;
use std::time::Duration;

use opilio_core::Timestamp;
use opilio_spider::Unwritten;
use tokio::sync::watch;

use super::{Effect, Scheduler};
use crate::exporter::SinkAtWork;
use crate::message::FromScheduler;
use crate::message::Rows;

/// The rows for the sinks, and what the scheduler knows of the sinks that it waits for.
pub(super) struct SinkWatch {
    /// Rows that the exporter has not been given.
    pub(super) rows: VecDeque<Rows>,
    at_work: watch::Receiver<Option<SinkAtWork>>,
    /// Since when nothing was written, or the last line about it.
    since: Timestamp,
    pub(super) unwritten: Option<Unwritten>,
}

impl SinkWatch {
    pub(super) fn new(at_work: watch::Receiver<Option<SinkAtWork>>) -> Self {
        Self { rows: VecDeque::new(), at_work, since: Timestamp::EPOCH, unwritten: None }
    }

    /// Something was written, or nothing is waited for.
    pub(super) fn moved(&mut self, now: Timestamp) {
        self.since = now;
    }

    /// When the next line is due, should nothing be written until then.
    pub(super) fn says_at(&self) -> Timestamp {
        self.since + SAY_EVERY
    }

    fn at_work(&self) -> (String, &'static str) {
        let at_work = self.at_work.borrow().clone();
        at_work.map_or((String::new(), "none"), |SinkAtWork { sink, step }| (sink.to_string(), step))
    }
}

impl Scheduler {
    /// Says which sink is waited for, and tells the supervisor, which then does not give up what that holds up.
    pub(super) fn say_who_is_waited_for(&mut self, now: Timestamp) {
        if self.takes_on() || self.is_closed() || now < self.sinks.says_at() {
            return;
        }
        self.sinks.moved(now);
        let (sink, step) = self.sinks.at_work();
        let (pages, bytes) = self.ledger.before_sinks();
        tracing::warn!(sink, step, pages, bytes, "the crawl waits for this output to be written");
        self.effects.push(Effect::TryTell(FromScheduler::SinkIsLate));
    }

    /// The sinks were to be waited for no longer, and are not done.
    pub(super) fn give_up_waiting(&mut self) {
        let (sink, _) = self.sinks.at_work();
        let (pages, bytes) = self.ledger.before_sinks();
        if self.ledger.is_all_written() {
            tracing::warn!(
                sink,
                "the output is written, but syncing it to the disk did not end in time: a power cut could take its end"
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

/// How often it is said that a sink is waited for. More often than a drain may take: the supervisor asks by it
/// whether a sink holds up the drain.
const SAY_EVERY: Duration = Duration::from_secs(5);
