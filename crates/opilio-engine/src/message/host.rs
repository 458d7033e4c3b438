//! The messages to a host actor, from its shard, its pool and its fetches.

use actix::Message;
use opilio_core::{LeaseId, Outcome, Proposal, Scheme, Timestamp};
use opilio_spider::Answer;
use url::Url;

use super::Slot;
use crate::backlog::WaitingPage;

/// The shard has given the host's state an input, so the actor has to take a step.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// The answer of a pool to a host that asked for a slot.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum SlotAnswer {
    /// The right to start one fetch now.
    Granted(Slot),
    /// The common budget of the host's group affords no start before this time.
    Denied { until: Timestamp },
}

/// The outcome of a fetch, and the verdict that the fetcher proposes. The host decides.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Report {
    pub(crate) what: FetchFor,
    pub(crate) outcome: Outcome,
    /// The proposal holds the hints too: what the answer says about the host's limits.
    pub(crate) proposal: Proposal,
    pub(crate) answer: Option<Answer>,
    pub(crate) location: Option<Url>,
    pub(crate) error: Option<String>,
    /// Counts the answer until the runner has it.
    pub(crate) waits: Option<WaitingPage>,
}

/// The purpose of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchFor {
    /// One attempt of a lease.
    Lease(LeaseId),
    /// The robots.txt of an origin.
    Rules(Scheme),
}
