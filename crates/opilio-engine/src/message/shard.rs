//! What a shard hears: leases, settles, errands and the order to drain.

use actix::Message;
use bytes::Bytes;
use opilio_core::scheduling::Stamp;
use opilio_core::{Fault, Host, Lease, LeaseId, Outcome, Scheme};
use opilio_frontier::Decided;
use url::Url;

use super::Report;

/// Leases for hosts of one shard, and which of its passive hosts the store has taken over.
#[derive(Message, Debug, Default)]
#[rtype(result = "()")]
pub(crate) struct Assign {
    pub(crate) work: Vec<Work>,
    pub(crate) errands: Vec<AssignedErrand>,
    pub(crate) kept: Vec<(Host, Stamp)>,
    /// Redirected URLs that end as the known ones did that they led to: nothing is asked for them.
    pub(crate) decided: Vec<Decided>,
}

impl Assign {
    pub(crate) fn is_empty(&self) -> bool {
        self.work.is_empty() && self.errands.is_empty() && self.kept.is_empty() && self.decided.is_empty()
    }
}

/// Leases for one host.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) host: Host,
    pub(crate) leases: Vec<Lease>,
    /// What it remembers, for one that comes alive.
    pub(crate) memory: Option<Bytes>,
}

/// An errand on its way to the host whose gate it goes through.
#[derive(Debug)]
pub(crate) struct AssignedErrand {
    pub(crate) errand: Errand,
    /// The memo of the host, if the errand is why it comes alive.
    pub(crate) memory: Option<Bytes>,
}

/// A fetch of one host for another host's sake: it goes through the gate of the first, out of its budget.
#[derive(Debug)]
pub(crate) struct Errand {
    /// The host that the URL belongs to.
    pub(crate) host: Host,
    pub(crate) url: Url,
    /// The host that waits for the result.
    pub(crate) asker: Asker,
}

/// Whose rules are awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) host: Host,
    pub(crate) scheme: Scheme,
    /// The number of this question: an answer to an older one is too late.
    pub(crate) question: u64,
}

/// The facts that an errand gave. The asker decides what they mean.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ErrandResult {
    pub(crate) asker: Asker,
    pub(crate) facts: RulesFacts,
}

/// What came of a fetch of robots.txt, wherever it was made.
#[derive(Clone, Debug)]
pub(crate) struct RulesFacts {
    pub(crate) outcome: Outcome,
    pub(crate) body: Bytes,
    pub(crate) location: Option<Url>,
}

impl RulesFacts {
    pub(crate) fn of(report: &Report) -> Self {
        let body = report.answer.as_ref().map(|answer| answer.body.clone()).unwrap_or_default();
        Self { outcome: report.outcome, body, location: report.location.clone() }
    }

    /// Nothing was fetched.
    pub(crate) fn nothing() -> Self {
        Self { outcome: Outcome::Failed(Fault::Timeout), body: Bytes::new(), location: None }
    }
}

/// The store has settled these leases.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Settled(pub(crate) Vec<(Host, Vec<LeaseId>)>);

/// Start nothing more.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// A host actor has stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HostGone {
    pub(crate) host: Host,
    pub(crate) why: Gone,
}

/// Why a host actor stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    /// Nothing to do.
    Passive,
    /// It panicked.
    Died,
}
