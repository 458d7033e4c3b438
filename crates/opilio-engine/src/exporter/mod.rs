//! The exporter: the sinks, which get rows in numbered batches on a plain thread of their own.
//!
//! A sink may block that thread for any time. Rows that a sink has *taken* are not yet *safe*: a batch counts as written
//! when every sink has confirmed, by a flush or a sync, that a kill cannot take any row up to the batch's end
//! ([`Prefix`]).

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use opilio_core::SinkPosition;
use opilio_export::{ExportError, Prefix, Sink};
use tokio::sync::{mpsc, watch};

use crate::message::{PartSnapshot, ToExporter, Written};

/// The sink that is at work, and the step that it performs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SinkAtWork {
    pub(crate) sink: Arc<str>,
    pub(crate) step: &'static str,
}

/// The sinks, and the position of each.
pub(crate) struct Exporter {
    sinks: Vec<Box<dyn Sink>>,
    prefix: Prefix,
    /// The position of each sink after the rows that it has taken.
    taken: Vec<u64>,
    /// The number of the last batch.
    sequence: u64,
    at_work: watch::Sender<Option<SinkAtWork>>,
}

impl Exporter {
    /// An exporter for sinks that have begun.
    pub(crate) fn new(sinks: Vec<Box<dyn Sink>>, at_work: watch::Sender<Option<SinkAtWork>>) -> Self {
        Self { sinks, prefix: Prefix::new([]), taken: Vec::new(), sequence: 0, at_work }
    }

    /// Writes until the scheduler closes the channel, then syncs. Blocks its thread while a sink blocks.
    ///
    /// # Errors
    /// When a sink fails. The scheduler sees its channel close and stops the crawl.
    pub(crate) fn run(
        mut self,
        mut inbox: mpsc::Receiver<ToExporter>,
        written: mpsc::Sender<Written>,
    ) -> Result<(), ExportError> {
        self.begin()?;
        let mut batches = Vec::new();
        while inbox.blocking_recv_many(&mut batches, BATCHES_MAX) > 0 {
            let safe = self.write(&mut batches, inbox.is_empty())?;
            if let Some(safe) = safe
                && written.blocking_send(safe).is_err()
            {
                break;
            }
        }
        if let Some(safe) = self.make_safe(true)? {
            let _ = written.blocking_send(safe);
        }
        Ok(())
    }

    /// The same as a task, for a crawl on one thread. A sink that blocks stops the whole crawl meanwhile.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) async fn run_here(
        mut self,
        mut inbox: mpsc::Receiver<ToExporter>,
        written: mpsc::Sender<Written>,
    ) -> Result<(), ExportError> {
        self.begin()?;
        let mut batches = Vec::new();
        while inbox.recv_many(&mut batches, BATCHES_MAX).await > 0 {
            let safe = self.write(&mut batches, inbox.is_empty())?;
            if let Some(safe) = safe
                && written.send(safe).await.is_err()
            {
                break;
            }
        }
        if let Some(safe) = self.make_safe(true)? {
            let _ = written.send(safe).await;
        }
        Ok(())
    }

    /// Where the sinks stand.
    fn snapshot(&self) -> PartSnapshot {
        let sinks = self.sinks.iter().zip(&self.taken);
        let sinks = sinks.map(|(sink, taken)| (sink.name().to_string(), *taken)).collect();
        PartSnapshot::Exporter { batch: self.sequence, unsafe_batches: self.prefix.pending(), sinks }
    }

    /// Notes where each sink begins, which a flush returns.
    fn begin(&mut self) -> Result<(), ExportError> {
        for at in 0..self.sinks.len() {
            let position = self.call(at, "flush", |sink| sink.flush())?;
            self.taken.push(position);
        }
        let positions = self.sinks.iter().zip(&self.taken);
        self.prefix = Prefix::new(
            positions.map(|(sink, position)| SinkPosition { sink: sink.name(), position: *position }),
        );
        Ok(())
    }

    /// Gives batches to the sinks, and returns what is safe then. `is_last` means that no further batch waits: rows that a
    /// flush leaves unsafe are synced, since their leases would otherwise wait for a page that may never come.
    fn write(
        &mut self,
        batches: &mut Vec<ToExporter>,
        is_last: bool,
    ) -> Result<Option<Written>, ExportError> {
        let mut sync = false;
        for message in batches.drain(..) {
            let batch = match message {
                ToExporter::Rows(rows) => rows,
                ToExporter::Ask(reply) => {
                    let _ = reply.send(self.snapshot());
                    continue;
                }
            };
            sync |= batch.sync;
            self.sequence = batch.sequence;
            let mut rows = batch.rows.into_iter();
            for at in 0..self.sinks.len() {
                if let Some(rows) = rows.next().filter(|rows| !rows.is_empty()) {
                    self.taken[at] = self.call(at, "write", |sink| sink.append(&rows))?;
                }
                self.prefix.appended(at, self.taken[at]);
            }
        }
        let safe = self.make_safe(sync)?;
        if !is_last || self.prefix.pending() == 0 {
            return Ok(safe);
        }
        Ok(self.make_safe(true)?.or(safe))
    }

    /// Flushes or syncs the sinks, and returns what is safe then, if this is more than before.
    fn make_safe(&mut self, sync: bool) -> Result<Option<Written>, ExportError> {
        for at in 0..self.sinks.len() {
            let safe = match sync {
                true => self.call(at, "sync", |sink| sink.sync())?,
                false => self.call(at, "flush", |sink| sink.flush())?,
            };
            if sync && safe < self.taken[at] {
                return Err(self.lost(at, safe));
            }
            self.prefix.flushed(at, safe);
        }
        if self.sinks.is_empty() {
            let (sequence, positions) = (self.sequence, Vec::new());
            return Ok((sequence > 0).then_some(Written { sequence, positions, synced: sync }));
        }
        let advance = self.prefix.advance();
        Ok(advance.map(|advance| Written {
            sequence: advance.below,
            positions: advance.positions,
            synced: sync,
        }))
    }

    /// Calls a sink, which counts as at work meanwhile.
    fn call<T>(&mut self, at: usize, step: &'static str, call: impl FnOnce(&mut dyn Sink) -> T) -> T {
        let sink = &mut self.sinks[at];
        self.at_work.send_replace(Some(SinkAtWork { sink: sink.name(), step }));
        let result = call(&mut **sink);
        self.at_work.send_replace(None);
        result
    }

    /// The error of a sink that has synced and does not have all that it took.
    fn lost(&self, at: usize, safe: u64) -> ExportError {
        let words = format!("after a sync it has {safe} of {} that it took", self.taken[at]);
        ExportError::of_write(&self.sinks[at].name(), io::Error::other(words))
    }
}

/// Batches that are flushed together at most. The channel has room for as many.
pub(crate) const BATCHES_MAX: usize = 16;
