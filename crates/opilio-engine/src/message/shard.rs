//! The messages to a shard: leases, settles, errands, orders for hosts, and the order to drain.

use actix::Message;
use bytes::Bytes;
use http::HeaderMap;
use opilio_core::scheduling::Stamp;
use opilio_core::{Fault, Host, Lease, LeaseId, Outcome, Timestamp};
use opilio_fetch::FetchRequest;
use opilio_frontier::Decided;
use opilio_spider::rules::{RulesFacts, RulesQuestion};
use tokio::sync::oneshot;
use url::Url;

use super::Report;

/// Leases, errands and orders for hosts of one shard, and which of its passive hosts the store has taken over.
#[derive(Message, Debug, Default)]
#[rtype(result = "()")]
pub(crate) struct Assign {
    pub(crate) work: Vec<Work>,
    pub(crate) errands: Vec<AssignedErrand>,
    pub(crate) orders: Vec<HostOrder>,
    pub(crate) kept: Vec<(Host, Stamp)>,
    /// Redirected URLs that end as the known URLs did that they led to, without a request.
    pub(crate) decided: Vec<Decided>,
}

impl Assign {
    pub(crate) fn is_empty(&self) -> bool {
        self.work.is_empty()
            && self.errands.is_empty()
            && self.orders.is_empty()
            && self.kept.is_empty()
            && self.decided.is_empty()
    }
}

/// Leases for one host.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) host: Host,
    pub(crate) leases: Vec<Lease>,
    /// The host's memo, if the host comes alive with these leases.
    pub(crate) memo: Option<Bytes>,
}

/// An errand on its way to the host whose gate it goes through.
#[derive(Debug)]
pub(crate) struct AssignedErrand {
    pub(crate) errand: Errand,
    /// The host's memo, if the host comes alive for this errand.
    pub(crate) memo: Option<Bytes>,
}

/// A fetch for somebody else's sake. It passes the gate of the URL's host and spends that host's budget.
///
/// robots.txt does not govern errands, so that an errand can fetch it: the asker answers for what it requests.
#[derive(Debug)]
pub(crate) struct Errand {
    /// The host of the URL.
    pub(crate) host: Host,
    pub(crate) request: FetchRequest,
    pub(crate) asker: Asker,
}

/// Who gets the result of an errand.
#[derive(Debug)]
pub(crate) enum Asker {
    /// A host whose robots.txt redirects to the URL.
    Rules(RulesQuestion),
    /// The holder of the other end. It hears nothing if the crawl ends before.
    #[cfg_attr(not(test), expect(dead_code, reason = "robots.txt is the only errand so far"))]
    Caller(oneshot::Sender<FetchFacts>),
}

/// The facts of the errand that a host's question led to. The host decides what they mean.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ErrandResult {
    pub(crate) question: RulesQuestion,
    pub(crate) facts: FetchFacts,
}

/// The facts of a fetch, as a value that travels between threads.
#[derive(Clone, Debug)]
pub(crate) struct FetchFacts {
    pub(crate) outcome: Outcome,
    /// The header fields of an answer.
    #[cfg_attr(not(test), expect(dead_code, reason = "robots.txt is read without them"))]
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) location: Option<Url>,
}

impl FetchFacts {
    pub(crate) fn of(report: &Report) -> Self {
        let answer = report.answer.as_ref().map(|answer| (answer.headers.clone(), answer.body.clone()));
        let (headers, body) = answer.unwrap_or_default();
        Self { outcome: report.outcome, headers, body, location: report.location.clone() }
    }

    /// Nothing was fetched.
    pub(crate) fn nothing() -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { outcome: Outcome::Failed(Fault::Timeout), headers, body, location: None }
    }

    /// As the facts of a fetch of robots.txt.
    pub(crate) fn of_rules(&self) -> RulesFacts<'_> {
        RulesFacts { outcome: self.outcome, body: &self.body, location: self.location.as_ref() }
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
    /// It has nothing to do.
    Passive,
    /// It panicked.
    Died,
}

/// An order for one host. It reaches the host's state, which outlives the host's actor.
#[derive(Debug)]
pub(crate) struct HostOrder {
    pub(crate) host: Host,
    pub(crate) what: OrderKind,
    /// `None` for a standing order, which was answered when it came.
    pub(crate) reply: Option<oneshot::Sender<OrderAnswer>>,
}

/// The content of an order for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderKind {
    /// Start nothing before this time.
    Hold { until: Timestamp },
    /// Give back the leases that are not started, let the others end, and go passive with a memo.
    #[cfg_attr(not(test), expect(dead_code, reason = "a store whose hosts have owners will order it"))]
    Leave,
    /// The host belongs to another owner: drop it without a memo. Its leases go back to the store.
    #[cfg_attr(not(test), expect(dead_code, reason = "a store whose hosts have owners will order it"))]
    Lose,
}

/// The answer to an order for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrderAnswer {
    /// The host is live and has it.
    Obeyed,
    /// The host is not live: it gets the order when it comes alive in this run.
    Standing,
    /// Too many orders wait for hosts that are not live.
    Refused,
}

/// The host is lost: stop at once, and report nothing.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct StopHost;
