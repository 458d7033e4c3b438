//! The messages to a shard: leases, settled leases, errands, orders for hosts, and the order to drain. Draining
//! means to start no more requests and to wait for those in flight.

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

/// Leases, errands and orders for the hosts of one shard. `kept` lists the passive hosts of this shard whose saved
/// states (memos) are now in the store.
#[derive(Message, Debug, Default)]
#[rtype(result = "()")]
pub(crate) struct Assign {
    pub(crate) work: Vec<Work>,
    pub(crate) errands: Vec<AssignedErrand>,
    pub(crate) orders: Vec<HostOrder>,
    pub(crate) kept: Vec<(Host, Stamp)>,
    /// URLs that were redirected to known URLs. Each ends in the same way as its known URL ended, without another
    /// request.
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

/// Leases for one host, which are sent to the host's shard.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) host: Host,
    pub(crate) leases: Vec<Lease>,
    /// The saved state of the host (its memo), if the host becomes live with these leases.
    pub(crate) memo: Option<Bytes>,
}

/// An errand, addressed to the host that has to send the request.
#[derive(Debug)]
pub(crate) struct AssignedErrand {
    pub(crate) errand: Errand,
    /// The saved state of the host (its memo), if the host becomes live for this errand.
    pub(crate) memo: Option<Bytes>,
}

/// A fetch that another host or a caller asks for. The host of the fetched URL decides when the fetch may start,
/// and the fetch spends that host's budget.
///
/// The rules of robots.txt do not apply to errands, because an errand may fetch robots.txt itself: the asker is
/// responsible for the request.
#[derive(Debug)]
pub(crate) struct Errand {
    /// The host of the URL that is fetched.
    pub(crate) host: Host,
    pub(crate) request: FetchRequest,
    pub(crate) asker: Asker,
}

/// The receiver of the result of an errand.
#[derive(Debug)]
pub(crate) enum Asker {
    /// A host whose robots.txt redirects to the URL that is fetched, with its question.
    Rules(RulesQuestion),
    /// A caller that waits at the receiving end of this channel. The caller gets no result if the crawl ends before
    /// the errand does.
    #[cfg_attr(not(test), expect(dead_code, reason = "robots.txt is the only errand so far"))]
    Caller(oneshot::Sender<FetchFacts>),
}

/// The result of an errand that a host asked for because of `question`. The host that asked decides what the result
/// means.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ErrandResult {
    pub(crate) question: RulesQuestion,
    pub(crate) facts: FetchFacts,
}

/// The facts of a fetch, as a value that can be sent to another thread.
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

    /// Returns the facts of an errand that fetched nothing: they look like a timeout without a body.
    pub(crate) fn nothing() -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { outcome: Outcome::Failed(Fault::Timeout), headers, body, location: None }
    }

    /// Returns the same facts in the form of a fetch of robots.txt.
    pub(crate) fn of_rules(&self) -> RulesFacts<'_> {
        RulesFacts { outcome: self.outcome, body: &self.body, location: self.location.as_ref() }
    }
}

/// Tells a shard that the store has settled these leases.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Settled(pub(crate) Vec<(Host, Vec<LeaseId>)>);

/// Tells a shard to start no more requests.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// Tells a shard that the actor of a host has stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HostGone {
    pub(crate) host: Host,
    pub(crate) why: Gone,
}

/// The reason why a host actor stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    /// The host has no work left.
    Passive,
    /// The host only waits for a time to come.
    Asleep,
    /// The actor panicked.
    Died,
}

/// An order for one host. The order reaches the host's state, which outlives the host's actor.
#[derive(Debug)]
pub(crate) struct HostOrder {
    pub(crate) host: Host,
    pub(crate) what: OrderKind,
    /// The channel for the answer. `None` if the order had to wait until its host became live: such an order was
    /// answered when it arrived.
    pub(crate) reply: Option<oneshot::Sender<OrderAnswer>>,
}

/// The content of an order for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderKind {
    /// Start no request before this time.
    Hold { until: Timestamp },
    /// Give back the leases that have not started, let the started leases end, and then go passive with a saved
    /// state (memo).
    #[cfg_attr(not(test), expect(dead_code, reason = "a store whose hosts have owners will order it"))]
    Leave,
    /// The host belongs to another owner: drop the host without saving its state. The leases of the host go back to
    /// the store.
    #[cfg_attr(not(test), expect(dead_code, reason = "a store whose hosts have owners will order it"))]
    Lose,
}

/// The answer to an order for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrderAnswer {
    /// The host is live and has received the order.
    Obeyed,
    /// The host is not live: the order waits, and the host gets it when it becomes live in this run.
    Standing,
    /// The order was dropped, because too many orders already wait for hosts that are not live.
    Refused,
}

/// Tells the actor of a lost host to stop at once and to report nothing.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct StopHost;
