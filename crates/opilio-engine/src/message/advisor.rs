//! The fetcher's part of the retry decision: it proposes what the retry policy says about an outcome. The host decides.

use std::sync::Arc;

use opilio_core::{Fault, Hints, Host, Outcome, Proposal, RequestFacts, Timestamp};

use crate::settings::Settings;

/// Goes with a fetch, and makes the proposal for its report.
pub(crate) struct Advisor {
    pub(crate) settings: Arc<Settings>,
    pub(crate) host: Host,
    /// The facts of the attempt. The elapsed time is that since `first_start`.
    pub(crate) facts: RequestFacts,
    pub(crate) first_start: Timestamp,
    /// How often in a row a proxy of the crawl failed to carry the request.
    pub(crate) uncarried: u16,
    /// The request is an errand, whose asker decides whether it tries again.
    pub(crate) is_errand: bool,
    /// Uniform in `0..1`: the share of jitter in a backoff.
    pub(crate) random: f64,
}

impl Advisor {
    /// Proposes what to do about an outcome that was seen `now`.
    pub(crate) fn propose(&self, now: Timestamp, outcome: Outcome, hints: Hints) -> Proposal {
        let mut facts = RequestFacts { elapsed: now.since(self.first_start), ..self.facts };
        if outcome == Outcome::Failed(Fault::Proxy) {
            // The host does not count such an attempt as one of the URL, since nothing reached the host.
            facts.attempt = facts.attempt.max(self.uncarried.saturating_add(1));
            if self.is_errand {
                // A proxy's failure says nothing about the host, so the policy's retries apply.
                facts.retries = None;
            }
        }
        self.settings.retry_of(&self.host).propose(&facts, outcome, hints, self.random)
    }
}
