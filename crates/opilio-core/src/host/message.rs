//! The inputs and outputs of a host.
//!
//! | input | from | bounded by |
//! | --- | --- | --- |
//! | [`Input::Assign`] | scheduler | the credit that was asked for |
//! | [`Input::Granted`], [`Input::Refused`], [`Input::SlotDenied`] | fetcher pool | one slot asked for at a time |
//! | [`Input::Report`], [`Input::Rules`], [`Input::Undelivered`] | fetcher | the in-flight limit |
//! | [`Input::Disallowed`] | robots rules | ready leases |
//! | [`Input::Settled`] | store | leases out |
//! | [`Input::Tick`], [`Input::Drain`], [`Input::Restarted`] | shell | – |

use std::time::Duration;

use crate::name::Scheme;
use crate::outcome::{Outcome, Reason};
use crate::record::{Ending, Lease, LeaseId};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal};

/// An input of a host.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Leases for this host: the answer to [`Output::Credit`], perhaps with fewer than asked for.
    Assign(Vec<Lease>),
    /// The right to start one fetch now.
    Granted,
    /// The pool's mailbox was full: ask again a little later.
    Refused,
    /// An attempt is over.
    Report {
        /// The attempt's lease.
        lease: LeaseId,
        /// The attempt's outcome.
        outcome: Outcome,
        /// The fetcher's proposal: a verdict, and what the answer said about the host.
        proposal: Proposal,
    },
    /// The slot that was asked for is not granted: the common budget of the host's group affords no start before
    /// this time. Nothing was spent of the host's own.
    SlotDenied {
        /// When the host may ask again.
        until: Timestamp,
    },
    /// A fetch could not be handed to the fetcher: nothing was sent. The start stays spent.
    Undelivered(LeaseId),
    /// The fetch of an origin's rules is over.
    Rules {
        /// One of the host's two origins.
        scheme: Scheme,
        /// The result of the fetch.
        answer: RulesAnswer,
        /// What this host said about itself in its answer. Hints of another host do not belong here.
        hints: Hints,
    },
    /// robots.txt does not allow this ready lease.
    Disallowed(LeaseId),
    /// The store has settled these leases, so they leave the host.
    Settled(Vec<LeaseId>),
    /// The time named by `wake_at` has come.
    Tick,
    /// An order: nothing starts before this time, or before the longest hold of the policy has passed.
    /// A hold never becomes shorter, so an earlier time changes nothing.
    Hold {
        /// Until when.
        until: Timestamp,
    },
    /// Start nothing more, and return the leases that were not started.
    Drain,
    /// The shell died and was started again with this state.
    Restarted,
}

/// The result of a fetch of robots.txt (RFC 9309 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RulesAnswer {
    /// The rules are known, or there are none (4xx); they apply until they expire.
    Known {
        /// `Crawl-delay`, if any: a minimum of the spacing. Custom, not part of RFC 9309.
        crawl_delay: Option<Duration>,
        /// How long the rules apply.
        expires_in: Duration,
    },
    /// robots.txt redirects within this host, so one more start of the same kind is due.
    Again,
    /// robots.txt redirects to another host. The next hop passes that host's gate and spends its budget. Its
    /// result is the next `RulesAnswer`; without one in time, the rules are unavailable.
    Elsewhere {
        /// How long to wait for the result.
        within: Duration,
    },
    /// The fetch failed in a way that concerns the host (429, 5xx, unreachable): it is closed for now.
    Unavailable {
        /// The outcome of the fetch.
        outcome: Outcome,
        /// The fetcher's proposal.
        proposal: Proposal,
    },
}

/// An output of a host.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Room for this many more leases. At most one such request is outstanding.
    Credit(u32),
    /// A start is possible now: ask the pool for a slot. At most one request is outstanding.
    AskSlot,
    /// The host does not need the slot after all.
    ReturnSlot,
    /// Start this attempt now in the granted slot.
    Fetch(Start),
    /// Start a fetch of this origin's robots.txt now, in the granted slot and from this budget.
    FetchRules {
        /// One of the host's two origins.
        scheme: Scheme,
        /// By then the attempt is over in any case.
        deadline: Timestamp,
    },
    /// The last report of this lease is final: hand page, redirect or failure on to the spider.
    /// From here until [`Input::Settled`] the lease counts as *parsed*.
    Deliver {
        /// The lease with its record.
        lease: Lease,
        /// How the lease is handed on.
        delivery: Delivery,
        /// Requests that the server may have seen, including this one.
        attempts: u16,
    },
    /// The spider gets nothing: tell the store how this lease ends (a later retry, a return).
    Settle {
        /// The lease.
        lease: Lease,
        /// The lease's ending.
        ending: Ending,
    },
    /// An event for logs and people.
    Event(HostEvent),
    /// Nothing is due: keep the memo and stop the actor.
    Passivate,
}

/// One attempt that may start now.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// What to fetch.
    pub lease: Lease,
    /// 1-based try of this URL; attempts that failed by the host's fault do not count.
    pub attempt: u16,
    /// Without a report by then, the lease returns to the host.
    pub deadline: Timestamp,
    /// This is the one start after a hold.
    pub probe: bool,
    /// An earlier start of this lease was never reported, so the server may have carried it out. A request
    /// that is not repeatable must be given up instead of sent.
    pub resent: bool,
    /// It failed before, or a dead connection was replaced for it.
    pub failed_before: bool,
}

/// The form in which a finished lease is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A page to parse.
    Page,
    /// A redirect to follow.
    Redirect,
    /// A failure for `Spider::failed`.
    Failure(Reason),
}

/// An event of a host, for logs and people.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum HostEvent {
    /// The host is closed until a time.
    Held {
        /// Nothing starts before.
        until: Timestamp,
        /// Why.
        reason: HoldReason,
        /// The server stated more than the longest hold, or nonsense.
        clamped: bool,
    },
    /// A probe was answered, so the host is open again.
    Opened,
    /// The host is parked for the rest of the run.
    Parked {
        /// Why.
        reason: ParkReason,
    },
    /// The learnt rate changed: starts per second.
    Paced {
        /// The new ceiling, in starts per second.
        per_second: f64,
    },
    /// A limiter explains the refusals so far, so none of them counts against its URL.
    RefusalsExcused,
    /// A number of 401 or 403 answers in a row.
    Forbidden {
        /// How many.
        in_a_row: u32,
    },
    /// The rules of an origin could not be fetched, so it counts as closed (RFC 9309 §2.3.1.4).
    RulesUnavailable {
        /// One of the host's two origins.
        scheme: Scheme,
        /// The outcome of the fetch.
        outcome: Outcome,
    },
    /// robots.txt asked for a `Crawl-delay` beyond the longest that the policy obeys.
    CrawlDelayClamped {
        /// The delay in robots.txt.
        asked: Duration,
        /// The delay that is obeyed.
        kept: Duration,
    },
}

/// Why a host is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// `Retry-After` on a 429 or 503.
    RetryAfter,
    /// An announced quota is spent.
    QuotaSpent,
    /// A 429 or 503 without a stated wait.
    Refusal,
    /// One page states a wait: it is refused although others are answered, or it redirects. No probe is
    /// needed afterwards.
    Page,
    /// 401 or 403 for one URL after another that the host had welcomed before.
    Forbidden,
    /// The host could not be reached, or several URLs failed in a row.
    Unreachable,
    /// The hold was ordered. No probe is needed afterwards.
    Ordered,
}

impl HoldReason {
    /// Whether starts continue after the hold without a probe.
    #[must_use]
    pub fn needs_no_probe(self) -> bool {
        matches!(self, Self::QuotaSpent | Self::Page | Self::Ordered)
    }
}

/// Why a host was parked for the rest of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkReason {
    /// It stated a wait beyond the longest hold.
    WaitTooLong,
    /// Too many strikes in a row.
    Strikes,
}

/// Why a host wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// The next start is affordable.
    Budget,
    /// A hold ends.
    HoldEnds,
    /// A waiting retry is due.
    RetryDue,
    /// A lease's deadline passes.
    LeaseExpiry,
    /// Time to ask for a slot again.
    SlotRetry,
    /// The host has been idle for long enough to be passivated.
    Linger,
}
