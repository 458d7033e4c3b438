//! The fetcher's part of the retry decision: the fetcher applies the retry policy to the outcome of a fetch and
//! proposes a verdict. The host decides whether to follow the proposal.

use std::sync::Arc;

use opilio_core::{Fault, Hints, Host, Outcome, Proposal, RequestFacts, Timestamp};

use crate::settings::Settings;

/// Applies the retry policy to a fetch. It is sent to the fetcher together with the fetch, and makes the proposal
/// for the report of that fetch.
pub(crate) struct Advisor {
    pub(crate) settings: Arc<Settings>,
    pub(crate) host: Host,
    /// The facts of the attempt. Their `elapsed` is set to the time since `first_start` when the proposal is made.
    pub(crate) facts: RequestFacts,
    pub(crate) first_start: Timestamp,
    /// The number of attempts in a row that failed because a proxy of the crawl did not send the request on.
    pub(crate) uncarried: u16,
    /// Whether the request is an errand (a request that another host asked for). Then the asking host decides about
    /// further attempts.
    pub(crate) is_errand: bool,
    /// A random number, uniform in `0..1`, that sets the jitter of a backoff.
    pub(crate) random: f64,
}

impl Advisor {
    /// Proposes a verdict about the outcome of the fetch, which was known at `now`.
    pub(crate) fn propose(&self, now: Timestamp, outcome: Outcome, hints: Hints) -> Proposal {
        let mut facts = RequestFacts { elapsed: now.since(self.first_start), ..self.facts };
        if outcome == Outcome::Failed(Fault::Proxy) {
            // The host does not count a proxy's failure as an attempt of the URL, since nothing reached the host.
            facts.attempt = facts.attempt.max(self.uncarried.saturating_add(1));
            if self.is_errand {
                // A proxy's failure says nothing about the host, so the policy's retries apply.
                facts.retries = None;
            }
        }
        self.settings.retry_of(&self.host).propose(&facts, outcome, hints, self.random)
    }
}
