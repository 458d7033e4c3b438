//! Makes the report of a crawl that has ended.

use std::sync::Arc;

use opilio_export::ExportError;
use opilio_frontier::FrontierError;
use opilio_spider::run_history::RunHistory;
use opilio_spider::{CrawlError, CrawlReport, Expectation, Stopped};

use super::supervisor::{SpiderHooks, hook};
use crate::scheduler::SchedulerOutcome;
use crate::settings::Settings;
use crate::supervisor::Ended;

/// The facts of a report that no actor counts.
pub(super) struct ReportFacts {
    pub(super) outputs: Vec<String>,
    pub(super) history: RunHistory,
    pub(super) expectations: Vec<Expectation>,
    pub(super) settings: Arc<Settings>,
}

impl ReportFacts {
    /// Makes the report, logs it, and calls the spider's method `closed`.
    ///
    /// # Errors
    /// When a sink or the store failed, or an actor panicked.
    pub(super) fn conclude(
        self,
        spider: &dyn SpiderHooks,
        ended: Ended,
        scheduler: Result<SchedulerOutcome, FrontierError>,
        export: Result<(), ExportError>,
    ) -> Result<CrawlReport, CrawlError> {
        // If a sink failed, the scheduler stopped because of that failure: so the error of the sink is returned
        // first.
        export?;
        let SchedulerOutcome { stats, failures, totals, coverage, unwritten } = scheduler?;
        if let Some(error) = ended.refused {
            return Err(CrawlError::Export(error));
        }
        if let Some(name) = ended.died {
            return Err(CrawlError::Died { name });
        }
        let mut report = CrawlReport {
            outputs: self.outputs,
            elsewhere: self.settings.scope.elsewhere().cloned(),
            stopped: ended.stopped,
            slowed: ended.slowed,
            unwritten,
            coverage,
            ..CrawlReport::of_books(stats, failures, totals)
        };
        report.judge(&self.expectations);
        let is_idle = report.compare_with(&self.history);
        if is_idle
            && report.stopped == Stopped::Finished
            && let Some(why) = report.why_no_request()
        {
            tracing::warn!(target: LOG_OF_REPORT, "the crawl sent no request: {why}");
        }
        if !report.balances() {
            tracing::error!(
                ?report,
                "the counts of the report do not add up, which is a defect of Opilio: admitted URLs must be pages, sitemaps, aliases, failures or left, discovered URLs must be admitted or filtered, and each failure must be listed or counted as unlisted"
            );
        }
        for shortfall in &report.shortfalls {
            tracing::error!(target: LOG_OF_REPORT, "an expectation about a field is not met: {shortfall}");
        }
        tracing::info!(stopped = ?report.stopped, "the crawl has ended: {report}");
        hook("closed", || spider.closed(&report));
        Ok(report)
    }
}

/// The target of log lines about faults that the report contains, too. A program that prints the report can turn them
/// off.
pub const LOG_OF_REPORT: &str = "opilio_engine::of_report";
