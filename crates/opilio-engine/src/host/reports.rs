//! Holds the reports of leases that have not ended, and returns what the spider is told about a lease that ends.

use std::collections::HashMap;
use std::time::Duration;

use opilio_core::host::{Delivery, HostState};
use opilio_core::{LeaseId, Outcome, Reason};
use opilio_spider::Answer;
use url::Url;

use crate::backlog::WaitingPage;
use crate::message::Report;

/// The reports of a host's leases that have not ended.
#[derive(Default)]
pub(super) struct Reports {
    /// The report that the current step handles. It is used if this step ends the lease of the report.
    current: Option<(LeaseId, Box<Report>)>,
    /// The reports of leases that failed and wait for other fetches to show whether the host or the URL was at
    /// fault. There are only a few of them.
    undecided: HashMap<LeaseId, Box<Report>>,
    /// The reason and the error text of the host's last failure. If a lease ends without a request because its
    /// robots.txt could not be fetched, the lease ends with this text.
    last_failure: Option<(Reason, String)>,
}

/// The last answer to a lease, or the error text of the lease's last failure.
#[derive(Default)]
pub(super) struct LastAnswer {
    pub(super) answer: Option<Answer>,
    pub(super) location: Option<Url>,
    pub(super) error: Option<String>,
    /// Counts the answer as a waiting page until the runner has taken the answer.
    pub(super) waits: Option<WaitingPage>,
}

impl Reports {
    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.current.is_none() && self.undecided.is_empty() && self.last_failure.is_none()
    }

    /// Keeps the error text of a report, if the report is about a failure.
    pub(super) fn hear(&mut self, report: &Report) {
        if let (Outcome::Failed(_), Some(error)) = (report.outcome, &report.error) {
            self.last_failure = Some((report.outcome.reason(), error.clone()));
        }
    }

    /// Begins the step that handles this report, and holds the report for that step.
    pub(super) fn begin(&mut self, lease: LeaseId, report: Report) {
        self.current = Some((lease, Box::new(report)));
    }

    /// Ends the step. A report that the step did not use is kept if other fetches have yet to show what its failure
    /// means.
    pub(super) fn finish(&mut self, state: &HostState) {
        if let Some((lease, mut report)) = self.current.take()
            && state.is_undecided(lease)
        {
            // While a page is counted as waiting for the runner, it keeps fetches from starting. This page would
            // delay the very fetches that decide about its lease, so it is no longer counted.
            report.waits = None;
            self.undecided.insert(lease, report);
        }
    }

    /// Drops the kept report of a lease that starts again, or that ends without a call of the spider.
    pub(super) fn forget(&mut self, lease: LeaseId) {
        self.undecided.remove(&lease);
    }

    /// Removes and returns the report of a lease, if the current step handles that report.
    pub(super) fn take(&mut self, lease: LeaseId) -> Option<Box<Report>> {
        self.current.take_if(|(reported, _)| *reported == lease).map(|(_, report)| report)
    }

    /// Returns the answer or the error text with which the spider is told of a lease that ends with this delivery.
    pub(super) fn end(&mut self, lease: LeaseId, delivery: Delivery) -> LastAnswer {
        let kept = self.undecided.remove(&lease);
        let report = self.take(lease).or(kept);
        let stated = report.as_ref().and_then(|report| report.proposal.hints.retry_after);
        let mut last = report.map_or_else(LastAnswer::default, |report| {
            let Report { answer, location, error, waits, .. } = *report;
            LastAnswer { answer, location, error, waits }
        });
        if let Delivery::Failure(reason) = delivery {
            last.error = self.words(reason, stated, last.error);
        }
        last
    }

    /// Returns the error text of a failure: why the host was closed, or else the text of the lease's own report, or
    /// else the text of the host's last failure.
    fn words(&self, reason: Reason, stated: Option<Duration>, own: Option<String>) -> Option<String> {
        if let (Reason::HostClosed, Some(wait)) = (reason, stated) {
            let seconds = wait.as_secs();
            return Some(format!(
                "asked for a wait of {seconds} s, which put its host aside for the rest of the run"
            ));
        }
        own.or_else(|| {
            let (last, words) = self.last_failure.as_ref()?;
            match reason {
                // The lease waited for a robots.txt that could not be fetched, or for other fetches to show whether
                // the host or the URL was at fault.
                reason if reason == *last => Some(words.clone()),
                Reason::HostClosed => Some(format!("its host was parked after this failure: {words}")),
                _ => None,
            }
        })
    }
}
