//! Starts the exporter, and waits for its end.

use std::time::Duration;

use opilio_export::{ExportError, Sink};
use opilio_frontier::FrontierError;
use opilio_spider::CrawlError;
use tokio::sync::oneshot;

use super::scheduler::ExporterEnds;
use super::threads;
use crate::exporter::Exporter;
use crate::scheduler::SchedulerOutcome;

/// The exporter's part of the plan of a crawl.
pub(crate) struct ExporterPlan {
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    /// Whether the exporter gets a thread of its own even in a crawl on one thread: for tests whose sinks block.
    #[cfg(test)]
    pub(crate) apart: bool,
}

impl ExporterPlan {
    /// Returns the names of the outputs.
    pub(super) fn outputs(&self) -> Vec<String> {
        self.sinks.iter().map(|sink| sink.name().to_string()).collect()
    }

    /// Runs the exporter on a new thread, where sinks may block. The returned receiver gets the exporter's result.
    pub(super) fn run_on_a_thread(
        self,
        ends: ExporterEnds,
    ) -> Result<oneshot::Receiver<Result<(), ExportError>>, CrawlError> {
        let exporter = Exporter::new(self.sinks, ends.at_work);
        threads::run("opilio-export", move || exporter.run(ends.rows, ends.written))
    }

    /// Runs the exporter on this thread, as a task. The returned receiver gets the exporter's result.
    pub(super) fn run_here(
        self,
        ends: ExporterEnds,
    ) -> Result<oneshot::Receiver<Result<(), ExportError>>, CrawlError> {
        #[cfg(test)]
        if self.apart {
            return self.run_on_a_thread(ends);
        }
        let exporter = Exporter::new(self.sinks, ends.at_work);
        let (tell, told) = oneshot::channel();
        actix::spawn(async move {
            let _ = tell.send(exporter.run_here(ends.rows, ends.written).await);
        });
        Ok(told)
    }
}

/// Waits until the exporter has ended. If the scheduler has stopped waiting for the sinks, because of a signal or
/// because the scheduler itself failed, the wait here is only half a second: a sink may be blocked for ever, for
/// instance by a pipe that nobody reads. The report then says how much was not written.
pub(super) async fn end(
    export: oneshot::Receiver<Result<(), ExportError>>,
    scheduler: &Result<SchedulerOutcome, FrontierError>,
) -> Result<Result<(), ExportError>, CrawlError> {
    if scheduler.as_ref().is_ok_and(|outcome| outcome.unwritten.is_none()) {
        return export.await.map_err(|_| CrawlError::Died { name: "exporter" });
    }
    match tokio::time::timeout(END_MAX, export).await {
        Ok(ended) => ended.map_err(|_| CrawlError::Died { name: "exporter" }),
        Err(_) => Ok(Ok(())),
    }
}

/// The longest wait for sinks to sync after the store has closed, if the scheduler stopped waiting for them.
const END_MAX: Duration = Duration::from_millis(500);
