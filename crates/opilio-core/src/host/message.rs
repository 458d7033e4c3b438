//! All that a host can hear and say.
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

/// What a host can hear.
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
        /// Which one.
        lease: LeaseId,
        /// What happened.
        outcome: Outcome,
        /// What the fetcher would do, and what the answer said about the host.
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
        /// Which of the host's two origins.
        scheme: Scheme,
        /// What it gave.
        answer: RulesAnswer,
        /// What this host said about itself with it. Nothing counts that another host said.
        hints: Hints,
    },
    /// robots.txt does not allow this ready lease.
    Disallowed(LeaseId),
    /// The store has settled these leases: they are nobody's any more.
    Settled(Vec<LeaseId>),
    /// The time named by `wake_at` has come.
    Tick,
    /// Start nothing more; give back what was not started.
    Drain,
    /// The shell died and was started again with this state.
    Restarted,
}

/// What a fetch of robots.txt gave (RFC 9309 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RulesAnswer {
    /// Rules are known now, or there are none (4xx); they hold until they expire.
    Known {
        /// `Crawl-delay`, if any: a floor under the spacing. Custom, not part of RFC 9309.
        crawl_delay: Option<Duration>,
        /// How long they hold.
        expires_in: Duration,
    },
    /// It redirects elsewhere on this very host: one more start of the same kind is due.
    Again,
    /// It redirects to another host, whose gate lets the next hop through and whose budget pays for it.
    /// What came of that is the next answer; when there is none in time, the rules are unavailable.
    Elsewhere {
        /// How long to wait for it.
        within: Duration,
    },
    /// A fact about the host came instead (429, 5xx, unreachable): closed for now.
    Unavailable {
        /// What happened.
        outcome: Outcome,
        /// What it said.
        proposal: Proposal,
    },
}

/// What a host says.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Room for so many more leases. At most one is outstanding.
    Credit(u32),
    /// A start is possible now: ask the pool for a slot. At most one is outstanding.
    AskSlot,
    /// The slot is not needed after all.
    ReturnSlot,
    /// Start this attempt now, in the granted slot.
    Fetch(Start),
    /// Start a fetch of this origin's robots.txt now, in the granted slot and out of this budget.
    FetchRules {
        /// Which of the host's two origins.
        scheme: Scheme,
        /// The attempt is over by then, one way or the other.
        deadline: Timestamp,
    },
    /// The last report of this lease is final: hand page, redirect or failure on to the spider.
    /// From here until [`Input::Settled`] the lease counts as *parsed*.
    Deliver {
        /// Which lease, with its record.
        lease: Lease,
        /// As what.
        delivery: Delivery,
        /// Requests that the server may have seen of it, this one included.
        attempts: u16,
    },
    /// Nothing for the spider: tell the store how this lease ends (a later retry, a return).
    Settle {
        /// Which lease.
        lease: Lease,
        /// How it ends.
        ending: Ending,
    },
    /// Something that people may want to know.
    Event(HostEvent),
    /// Nothing is due here: keep the memo and stop the actor.
    Passivate,
}

/// One attempt that may start now.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// What to fetch.
    pub lease: Lease,
    /// 1-based try of this URL on its own account: what was the host's fault does not count.
    pub attempt: u16,
    /// When nobody has reported by then, the lease returns to the host.
    pub deadline: Timestamp,
    /// The one start after a hold.
    pub probe: bool,
    /// An earlier start of this lease was never reported: the request may have been carried out, so
    /// that one which is not repeatable must be given up instead of sent.
    pub resent: bool,
    /// It failed before, or a dead connection was replaced for it.
    pub failed_before: bool,
}

/// What a finished lease is handed on as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A page to parse.
    Page,
    /// A redirect to follow.
    Redirect,
    /// A failure for `Spider::failed`.
    Failure(Reason),
}

/// Something that happened to a host, for logs and people.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum HostEvent {
    /// Closed until then.
    Held {
        /// Nothing starts before.
        until: Timestamp,
        /// Why.
        reason: HoldReason,
        /// The server asked for more than the longest hold, or for nonsense.
        clamped: bool,
    },
    /// A probe was answered: open again.
    Opened,
    /// Put aside for the rest of the run.
    Parked {
        /// Why.
        reason: ParkReason,
    },
    /// The learnt rate changed: starts per second.
    Paced {
        /// The new ceiling.
        per_second: f64,
    },
    /// A limiter explains the refusals so far: none of them counts against its URL.
    RefusalsExcused,
    /// So many 401 or 403 answers in a row.
    Forbidden {
        /// How many.
        in_a_row: u32,
    },
    /// The rules of an origin could not be had: it counts as closed (RFC 9309 §2.3.1.4).
    RulesUnavailable {
        /// Which of the host's two origins.
        scheme: Scheme,
        /// What came instead.
        outcome: Outcome,
    },
    /// robots.txt asked for a `Crawl-delay` beyond the longest that is kept.
    CrawlDelayClamped {
        /// What it asked for.
        asked: Duration,
        /// What is kept.
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
    /// One page asked for a wait: it is refused although others are answered, or it redirects. No probe is
    /// needed afterwards.
    Page,
    /// 401 or 403 for one URL after another that the host had welcomed before.
    Forbidden,
    /// It could not be reached, or several URLs failed in a row.
    Unreachable,
}

impl HoldReason {
    /// Whether starts go on after the hold as before it.
    #[must_use]
    pub fn needs_no_probe(self) -> bool {
        matches!(self, Self::QuotaSpent | Self::Page)
    }
}

/// Why a host was put aside for the rest of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkReason {
    /// It asked for a wait beyond the longest hold.
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
    /// Ask for a slot again.
    SlotRetry,
    /// Idle for long enough to be passivated.
    Linger,
}
