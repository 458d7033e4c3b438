//! The fetcher's half of the retry decision: what its policy would do about an outcome. The host decides.

use std::sync::Arc;

use opilio_core::{Fault, Hints, Host, Outcome, Proposal, RequestFacts, Timestamp};

use crate::settings::Settings;

/// Travels with a fetch, and makes the proposal that its report carries.
pub(crate) struct Advisor {
    pub(crate) settings: Arc<Settings>,
    pub(crate) host: Host,
    /// The attempt. Its time is measured from `first_start`.
    pub(crate) facts: RequestFacts,
    pub(crate) first_start: Timestamp,
    /// How often the crawl's proxies did not carry the request before.
    pub(crate) uncarried: u16,
    /// The request is for another host's sake, which tries again or does not.
    pub(crate) is_errand: bool,
    /// Uniform in `0..1`: the share of jitter in a wait.
    pub(crate) random: f64,
}

impl Advisor {
    /// Proposes what to do about an outcome that was seen `now`.
    pub(crate) fn propose(&self, now: Timestamp, outcome: Outcome, hints: Hints) -> Proposal {
        let mut facts = RequestFacts { elapsed: now.since(self.first_start), ..self.facts };
        if outcome == Outcome::Failed(Fault::Proxy) {
            // The host does not count such attempts among the URL's, since nothing reached it.
            facts.attempt = facts.attempt.max(self.uncarried.saturating_add(1));
            if self.is_errand {
                // The proxy's failure has nothing to do with the other host.
                facts.retries = None;
            }
        }
        self.settings.retry_of(&self.host).propose(&facts, outcome, hints, self.random)
    }
}
