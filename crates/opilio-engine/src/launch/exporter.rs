//! The exporter: its thread, and how long its end is waited for.

use std::time::Duration;

use opilio_export::{ExportError, Sink};
use opilio_frontier::FrontierError;
use opilio_spider::CrawlError;
use tokio::sync::oneshot;

use super::scheduler::ExporterEnds;
use super::threads;
use crate::exporter::Exporter;
use crate::scheduler::SchedulerOutcome;

/// The exporter's part of a plan.
pub(crate) struct ExporterPlan {
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    /// In a crawl on one thread, the exporter has one of its own all the same: for tests whose sinks block.
    #[cfg(test)]
    pub(crate) apart: bool,
}

impl ExporterPlan {
    /// The names of the outputs.
    pub(super) fn outputs(&self) -> Vec<String> {
        self.sinks.iter().map(|sink| sink.name().to_string()).collect()
    }

    /// Runs on a thread of its own, where sinks may block.
    pub(super) fn run_on_a_thread(
        self,
        ends: ExporterEnds,
    ) -> Result<oneshot::Receiver<Result<(), ExportError>>, CrawlError> {
        let exporter = Exporter::new(self.sinks, ends.at_work);
        threads::run("opilio-export", move || exporter.run(ends.rows, ends.written))
    }

    /// Runs on this thread, as a task.
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

/// Waits until the exporter has ended. When the scheduler has given up waiting, since a signal came or it failed
/// itself, a sink that takes nothing (a pipe that nobody reads) is not waited for: the report says what was not
/// written.
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

/// How long sinks may take to sync after the store has closed, if the scheduler did not wait for them.
const END_MAX: Duration = Duration::from_millis(500);
