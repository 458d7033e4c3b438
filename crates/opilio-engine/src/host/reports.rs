//! The reports of leases that have not ended, and what the spider is told of a lease that ends.

use std::collections::HashMap;
use std::time::Duration;

use opilio_core::host::{Delivery, HostState};
use opilio_core::{LeaseId, Outcome, Reason};
use opilio_spider::Answer;
use url::Url;

use crate::backlog::WaitingPage;
use crate::message::Report;

/// The reports of a host's leases.
#[derive(Default)]
pub(super) struct Reports {
    /// The report that the current step handles, for the delivery that it may lead to.
    current: Option<(LeaseId, Box<Report>)>,
    /// Reports of leases that wait until other fetches show whose fault their failure was. There are few of them.
    undecided: HashMap<LeaseId, Box<Report>>,
    /// The last failure: a lease that ends without a request, since its host's rules are missing, ends with its words.
    last_failure: Option<(Reason, String)>,
}

/// The last answer to a lease, or the words of its last failure.
#[derive(Default)]
pub(super) struct LastAnswer {
    pub(super) answer: Option<Answer>,
    pub(super) location: Option<Url>,
    pub(super) error: Option<String>,
    /// Counts the answer while it waits for the runner.
    pub(super) waits: Option<WaitingPage>,
}

impl Reports {
    /// Notes the words of a report of a failure.
    pub(super) fn hear(&mut self, report: &Report) {
        if let (Outcome::Failed(_), Some(error)) = (report.outcome, &report.error) {
            self.last_failure = Some((report.outcome.reason(), error.clone()));
        }
    }

    /// A step begins, which handles this report.
    pub(super) fn begin(&mut self, lease: LeaseId, report: Report) {
        self.current = Some((lease, Box::new(report)));
    }

    /// The step is over. A report that it did not use is kept if other fetches have to decide about its lease.
    pub(super) fn finish(&mut self, state: &HostState) {
        if let Some((lease, mut report)) = self.current.take()
            && state.is_undecided(lease)
        {
            // The page counts as waiting for the runner, and would keep the fetches from starting that decide.
            report.waits = None;
            self.undecided.insert(lease, report);
        }
    }

    /// Drops the kept report of a lease that starts again, or ends without the spider.
    pub(super) fn forget(&mut self, lease: LeaseId) {
        self.undecided.remove(&lease);
    }

    /// Takes the report of a lease, if the current step handles it.
    pub(super) fn take(&mut self, lease: LeaseId) -> Option<Box<Report>> {
        self.current.take_if(|(reported, _)| *reported == lease).map(|(_, report)| report)
    }

    /// Takes what the spider is told of a lease that ends this way.
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

    /// The words of a failure: why its host was put aside, what its own report says, or the host's last failure.
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
                // It waited for rules that could not be fetched, or for others to show whose fault the failure was.
                reason if reason == *last => Some(words.clone()),
                Reason::HostClosed => Some(format!("its host was put aside after this failure: {words}")),
                _ => None,
            }
        })
    }
}
