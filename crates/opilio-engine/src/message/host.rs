//! The messages to a host actor from its shard, its fetcher pool and its fetches.

use actix::Message;
use opilio_core::{LeaseId, Outcome, Proposal, Scheme, Timestamp};
use opilio_spider::Answer;
use url::Url;

use super::Slot;
use crate::backlog::WaitingPage;

/// Tells the host actor that its shard has given the host's state an input, so that the actor handles this input.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// The answer of a pool to a host that asked for a slot.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum SlotAnswer {
    /// The right to start one fetch now.
    Granted {
        slot: Slot,
        /// True if slots are short: other hosts wait, and each free slot is needed for one of them.
        is_short: bool,
    },
    /// The host's group has used up its common budget: no start is allowed before `until`.
    Denied { until: Timestamp },
}

/// The outcome of a fetch, and the verdict that the fetcher proposes. The host decides whether to follow this
/// proposal.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Report {
    pub(crate) what: FetchFor,
    pub(crate) outcome: Outcome,
    /// The proposed verdict. It also holds the hints: facts in the answer about the host's limits.
    pub(crate) proposal: Proposal,
    pub(crate) answer: Option<Answer>,
    pub(crate) location: Option<Url>,
    pub(crate) error: Option<String>,
    /// Counts the answer in the parse backlog until the runner takes the answer.
    pub(crate) waits: Option<WaitingPage>,
}

/// The purpose of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchFor {
    /// The fetch is one attempt at this lease.
    Lease(LeaseId),
    /// The fetch is for the robots.txt of the host's origin with this scheme.
    Rules(Scheme),
}
