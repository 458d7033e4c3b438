//! The exporter runs the sinks on a plain thread of its own. It gets rows in numbered batches.
//!
//! A sink may block that thread for any length of time. [`Sinks`] decides which batches count as written.

use opilio_export::{ExportError, Sink, SinkAtWork, Sinks, Written};
use tokio::sync::{mpsc, watch};

use crate::message::{PartSnapshot, ToExporter};

/// The sinks of a crawl. They get their rows through a channel.
pub(crate) struct Exporter(Sinks);

impl Exporter {
    /// Makes an exporter for these sinks. While a sink is being called, `at_work` holds the name of that
    /// sink.
    pub(crate) fn new(sinks: Vec<Box<dyn Sink>>, at_work: watch::Sender<Option<SinkAtWork>>) -> Self {
        Self(Sinks::new(sinks, move |sink| {
            at_work.send_replace(sink);
        }))
    }

    /// Writes rows until the scheduler closes the channel, then syncs the sinks. Blocks its thread while a sink
    /// blocks.
    ///
    /// # Errors
    /// When a sink fails. The scheduler sees its channel close and stops the crawl.
    pub(crate) fn run(
        mut self,
        mut inbox: mpsc::Receiver<ToExporter>,
        written: mpsc::Sender<Written>,
    ) -> Result<(), ExportError> {
        self.0.begin()?;
        let mut batches = Vec::new();
        while inbox.blocking_recv_many(&mut batches, BATCHES_MAX) > 0 {
            let safe = self.write(&mut batches, inbox.is_empty())?;
            if let Some(safe) = safe
                && written.blocking_send(safe).is_err()
            {
                break;
            }
        }
        if let Some(safe) = self.0.sync()? {
            let _ = written.blocking_send(safe);
        }
        Ok(())
    }

    /// Does the same as `run` in a task, for a crawl on one thread. A sink that blocks stops the whole crawl while it
    /// blocks.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) async fn run_here(
        mut self,
        mut inbox: mpsc::Receiver<ToExporter>,
        written: mpsc::Sender<Written>,
    ) -> Result<(), ExportError> {
        self.0.begin()?;
        let mut batches = Vec::new();
        while inbox.recv_many(&mut batches, BATCHES_MAX).await > 0 {
            let safe = self.write(&mut batches, inbox.is_empty())?;
            if let Some(safe) = safe
                && written.send(safe).await.is_err()
            {
                break;
            }
        }
        if let Some(safe) = self.0.sync()? {
            let _ = written.send(safe).await;
        }
        Ok(())
    }

    /// Gives batches to the sinks and answers requests for snapshots. Returns the number of the last batch
    /// that is safely written afterwards, if this number has changed.
    fn write(
        &mut self,
        messages: &mut Vec<ToExporter>,
        is_last: bool,
    ) -> Result<Option<Written>, ExportError> {
        for message in messages.drain(..) {
            match message {
                ToExporter::Rows(batch) => self.0.append(batch)?,
                ToExporter::Ask(reply) => {
                    let _ = reply.send(self.snapshot());
                }
            }
        }
        self.0.confirm(is_last)
    }

    /// Returns the positions of the sinks, the number of the last batch, and how many batches are not safely
    /// written yet.
    fn snapshot(&self) -> PartSnapshot {
        let (batch, unsafe_batches) = self.0.batches();
        let sinks = self.0.positions().map(|(name, position)| (name.to_string(), position)).collect();
        PartSnapshot::Exporter { batch, unsafe_batches, sinks }
    }
}

/// The most batches that are written before the sinks are flushed. The channel to the exporter has room for
/// as many.
pub(crate) const BATCHES_MAX: usize = 16;
