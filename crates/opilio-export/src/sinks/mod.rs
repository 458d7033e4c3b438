//! All sinks of a crawl. They get the same numbered batches of rows, and together they confirm which batches
//! are safe.
//!
//! Rows that a sink has *taken* may still be in its buffer. A batch is *safe* (it counts as written) when
//! every sink has confirmed, by a flush or a sync, that a kill of the process loses no row up to the batch's
//! end ([`Prefix`]).

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use opilio_core::SinkPosition;

use crate::error::ExportError;
use crate::export::Sink;
use crate::prefix::Prefix;

/// The rows of all pages of one batch, in one buffer for each sink.
#[derive(Debug)]
pub struct RowBatch {
    /// The number of the batch. Each batch's number is the previous one plus 1.
    pub sequence: u64,
    /// One buffer for each sink; empty if the batch has no rows for this sink.
    pub rows: Vec<Vec<u8>>,
    /// Whether the rows must be on disk before they count as written, so that a power cut loses none of them.
    pub sync: bool,
}

/// Reports that a kill of the process loses no row up to this batch: the operating system or the database has
/// them.
#[derive(Debug)]
pub struct Written {
    /// The number of the batch.
    pub sequence: u64,
    /// The position of each sink after the batch.
    pub positions: Vec<SinkPosition>,
    /// Whether the rows are also on disk.
    pub synced: bool,
}

/// The sink that is called at the moment, and the step that it performs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkAtWork {
    /// The name of the sink.
    pub sink: Arc<str>,
    /// The step: `write`, `flush` or `sync`.
    pub step: &'static str,
}

/// The sinks of a crawl, and the position of each.
pub struct Sinks {
    sinks: Vec<Box<dyn Sink>>,
    prefix: Prefix,
    /// The position of each sink after the last row that it has taken.
    taken: Vec<u64>,
    /// The number of the last batch.
    sequence: u64,
    /// Whether a batch taken since the last confirmation must be synced.
    must_sync: bool,
    at_work: Box<dyn Fn(Option<SinkAtWork>) + Send>,
}

impl Sinks {
    /// Creates the group of sinks; all of them must have begun. `at_work` is called with a sink when it
    /// begins a step, and with `None` after the step.
    #[must_use]
    pub fn new(sinks: Vec<Box<dyn Sink>>, at_work: impl Fn(Option<SinkAtWork>) + Send + 'static) -> Self {
        let (prefix, at_work) = (Prefix::new([]), Box::new(at_work));
        Self { sinks, prefix, taken: Vec::new(), sequence: 0, must_sync: false, at_work }
    }

    /// Flushes each sink to learn the position at which it begins.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn begin(&mut self) -> Result<(), ExportError> {
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

    /// Passes a batch to all sinks.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn append(&mut self, batch: RowBatch) -> Result<(), ExportError> {
        self.must_sync |= batch.sync;
        self.sequence = batch.sequence;
        let mut rows = batch.rows.into_iter();
        for at in 0..self.sinks.len() {
            if let Some(rows) = rows.next().filter(|rows| !rows.is_empty()) {
                self.taken[at] = self.call(at, "write", |sink| sink.append(&rows))?;
            }
            self.prefix.appended(at, self.taken[at]);
        }
        Ok(())
    }

    /// Flushes the sinks, and returns the last safe batch if it is later than before. `is_last` means that no
    /// further batch is waiting. In this case rows that are still unsafe after the flush are synced, since
    /// the next batch might come late or never.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn confirm(&mut self, is_last: bool) -> Result<Option<Written>, ExportError> {
        let sync = std::mem::take(&mut self.must_sync);
        let safe = self.make_safe(sync)?;
        if !is_last || self.prefix.pending() == 0 {
            return Ok(safe);
        }
        Ok(self.sync()?.or(safe))
    }

    /// Syncs all sinks, and returns the last safe batch if it is later than before.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn sync(&mut self) -> Result<Option<Written>, ExportError> {
        self.make_safe(true)
    }

    /// Returns the number of the last batch, and how many batches are not safe yet.
    #[must_use]
    pub fn batches(&self) -> (u64, usize) {
        (self.sequence, self.prefix.pending())
    }

    /// Returns each sink's name, and its position after the last row that it has taken.
    pub fn positions(&self) -> impl Iterator<Item = (Arc<str>, u64)> {
        self.sinks.iter().zip(&self.taken).map(|(sink, taken)| (sink.name(), *taken))
    }

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

    /// Calls a sink. During the call, `at_work` shows the sink and the step.
    fn call<T>(&mut self, at: usize, step: &'static str, call: impl FnOnce(&mut dyn Sink) -> T) -> T {
        let sink = &mut self.sinks[at];
        (self.at_work)(Some(SinkAtWork { sink: sink.name(), step }));
        let result = call(&mut **sink);
        (self.at_work)(None);
        result
    }

    /// Returns the error for a sink that did not keep all rows that it had taken, although it was synced.
    fn lost(&self, at: usize, safe: u64) -> ExportError {
        let words = format!("after a sync rows are safe up to {safe} only, not {}", self.taken[at]);
        ExportError::of_write(&self.sinks[at].name(), io::Error::other(words))
    }
}
