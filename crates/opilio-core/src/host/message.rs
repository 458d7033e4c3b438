//! The inputs and outputs of a host's state machine.
//!
//! | input | from | bounded by |
//! | --- | --- | --- |
//! | [`Input::Assign`] | scheduler | the credit that was asked for |
//! | [`Input::Granted`], [`Input::Refused`], [`Input::SlotDenied`] | fetcher pool | one open request for a slot |
//! | [`Input::Report`], [`Input::Rules`], [`Input::Undelivered`] | fetcher | the in-flight limit |
//! | [`Input::Disallowed`] | robots rules | ready leases |
//! | [`Input::Settled`] | store | the leases that the host has |
//! | [`Input::Tick`], [`Input::Drain`], [`Input::Restarted`] | the host's actor | – |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::Scheme;
use crate::outcome::{Outcome, Reason};
use crate::record::{Ending, Lease, LeaseId};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal};

/// An input of a host.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Leases for this host. They are the answer to [`Output::Credit`]; there may be fewer than asked for, or
    /// none.
    Assign(Vec<Lease>),
    /// A slot: the right to start one fetch now. It may be granted without a request, if a restart forgot the
    /// request.
    Granted {
        /// True if slots are short: other hosts wait, and each free slot is needed for one of them.
        is_short: bool,
    },
    /// The slot is refused, since the mailbox of the fetcher pool was full. The host asks again a little
    /// later.
    Refused,
    /// An attempt to fetch the URL of a lease has ended.
    Report {
        /// The attempt's lease.
        lease: LeaseId,
        /// The attempt's outcome.
        outcome: Outcome,
        /// The fetcher's proposal: a verdict, and the waits and quotas that the answer stated for the host.
        proposal: Proposal,
    },
    /// The requested slot is not granted: the common budget of the host's group affords no start before
    /// `until`. The host's own budget is not spent.
    SlotDenied {
        /// The time from which on the host may ask for a slot again.
        until: Timestamp,
    },
    /// The request of this lease could not be given to the fetcher, so nothing was sent. The start stays
    /// counted in the host's budget.
    Undelivered(LeaseId),
    /// The fetch of an origin's robots.txt has ended.
    Rules {
        /// One of the host's two origins.
        scheme: Scheme,
        /// The result of the fetch.
        answer: RulesAnswer,
        /// Waits and quotas that this host stated in its answer. Hints from another host must not be given
        /// here.
        hints: Hints,
    },
    /// robots.txt forbids the URL of this lease, which was not started yet.
    Disallowed(LeaseId),
    /// The store has settled these leases. The host forgets them.
    Settled(Vec<LeaseId>),
    /// The time of the host's timer, which `HostState::wake_at` returned, has come.
    Tick,
    /// Holds the host by order: nothing starts before `until`, or before the longest hold of the policy has
    /// passed, whichever is earlier. A hold never becomes shorter, so an earlier time than the present end
    /// changes nothing.
    Hold {
        /// The end of the hold.
        until: Timestamp,
    },
    /// From now on the host starts nothing more, and gives the leases that were not started back to the
    /// store.
    Drain,
    /// The actor that owns this state has been restarted. Its last start may not have been recorded.
    Restarted,
}

/// The result of a fetch of robots.txt (RFC 9309 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RulesAnswer {
    /// The rules are known, or there are none (4xx); they apply until they expire.
    Known {
        /// The `Crawl-delay` of the file, if it has one: a minimum of the time between two starts. It is
        /// custom, not part of RFC 9309.
        crawl_delay: Option<Duration>,
        /// The time from now on for which the rules apply.
        expires_in: Duration,
    },
    /// robots.txt redirects within this host, so one more fetch from this host is needed.
    Again,
    /// robots.txt redirects to another host. The target is fetched within the limits of that other host. The
    /// result of that fetch comes as the next `RulesAnswer`; if no result comes in time, the rules count as
    /// unavailable.
    Elsewhere {
        /// The longest time to wait for the result from the host that robots.txt redirects to.
        within: Duration,
    },
    /// The fetch failed in a way that may concern the whole host (429, 5xx, unreachable), so the host is
    /// closed for now.
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
    /// Asks for this many more leases. At most one such request is outstanding.
    Credit(u32),
    /// Asks the fetcher pool for a slot, since a start is possible now. At most one such request is
    /// outstanding.
    AskSlot,
    /// Returns a granted slot that the host does not need.
    ReturnSlot,
    /// Starts this attempt now, in the granted slot.
    Fetch(Start),
    /// Starts a fetch of this origin's robots.txt now, in the granted slot. It counts in this host's budget.
    FetchRules {
        /// One of the host's two origins.
        scheme: Scheme,
        /// The time at which the fetch counts as lost if its result has not come.
        deadline: Timestamp,
    },
    /// Hands a finished lease on to the spider, as a page, a redirect or a failure. From here until
    /// [`Input::Settled`] the lease counts as *parsed*.
    Deliver {
        /// The lease with its record.
        lease: Lease,
        /// How the lease is handed on.
        delivery: Delivery,
        /// How many requests for this lease the server may have seen, including the last request.
        attempts: u16,
    },
    /// Gives this lease back to the store, either for a later retry or unchanged. The spider gets nothing.
    Settle {
        /// The lease.
        lease: Lease,
        /// The ending that the store has to record for the lease.
        ending: Ending,
    },
    /// An event for logs and people.
    Event(HostEvent),
    /// Nothing is left to do: the caller saves the host's state (its memo) in the store, and stops the host's
    /// actor.
    Passivate,
}

/// An attempt at a lease that starts now.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The lease with the request.
    pub lease: Lease,
    /// The number of the attempt, from 1 on; attempts that failed by the host's fault do not count.
    pub attempt: u16,
    /// The time at which the attempt counts as lost if its report has not come. The lease becomes ready again
    /// then.
    pub deadline: Timestamp,
    /// Whether this is the single start after a hold that shows whether the host answers again.
    pub probe: bool,
    /// Whether an earlier start of this lease was never reported, so that the server may have carried out the
    /// request. A request that is not repeatable must be given up then, and not sent.
    pub resent: bool,
    /// Whether an earlier request for this lease has failed, or its kept-alive connection broke.
    pub failed_before: bool,
}

/// The form in which a finished lease is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A page to parse.
    Page,
    /// A redirect to follow.
    Redirect,
    /// A failure, which is passed to `Spider::failed`.
    Failure(Reason),
}

/// An event of a host, for logs and people.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum HostEvent {
    /// The host has been closed until a certain time.
    Held {
        /// The time before which nothing starts.
        until: Timestamp,
        /// The reason for the hold.
        reason: HoldReason,
        /// Whether the hold was shortened to the longest hold that the policy allows, since a longer wait was
        /// stated or ordered.
        clamped: bool,
    },
    /// A probe was answered, so the host is open again.
    Opened,
    /// The host is parked: no request is started for a long time, and leases that were not started end as
    /// failures.
    Parked {
        /// The reason for the park.
        reason: ParkReason,
    },
    /// The host has learnt a new rate limit from refusals.
    Paced {
        /// The new limit, in starts per second.
        per_second: f64,
    },
    /// All refusals so far came from a rate limiter of the server, so no refusal counts against its URL.
    RefusalsExcused,
    /// The host answered several requests in a row with 401 or 403.
    Forbidden {
        /// The number of these answers in a row.
        in_a_row: u32,
    },
    /// The robots.txt of an origin could not be fetched, so the origin counts as closed (RFC 9309 §2.3.1.4).
    RulesUnavailable {
        /// One of the host's two origins.
        scheme: Scheme,
        /// The outcome of the fetch.
        outcome: Outcome,
    },
    /// robots.txt asked for a longer `Crawl-delay` than the longest that the policy obeys.
    CrawlDelayClamped {
        /// The delay in robots.txt.
        asked: Duration,
        /// The delay that is obeyed.
        kept: Duration,
    },
}

/// The reason why a host is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldReason {
    /// The host stated a wait: it answered 429 or 503 with `Retry-After`.
    RetryAfter,
    /// A quota that the server announced is spent.
    QuotaSpent,
    /// A 429 or 503 without a stated wait.
    Refusal,
    /// The answer for one page stated a wait: the page was refused although other pages are answered, or the
    /// page redirects. No probe is needed after the hold.
    Page,
    /// One URL after another was answered 401 or 403, though the host had answered well before.
    Forbidden,
    /// The host could not be reached, or several URLs failed in a row.
    Unreachable,
    /// The hold was ordered by `Input::Hold`. No probe is needed after the hold.
    Ordered,
}

impl HoldReason {
    /// Whether starts continue after a hold of this reason without a probe.
    #[must_use]
    pub fn needs_no_probe(self) -> bool {
        matches!(self, Self::QuotaSpent | Self::Page | Self::Ordered)
    }
}

/// The reason why a host was parked, so that no request to the host is started for a long time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParkReason {
    /// The host stated a wait that is longer than the longest hold of the policy.
    WaitTooLong,
    /// The host has too many strikes: it was closed too many times in a row.
    Strikes,
}

/// The event for which a host's timer is set: the host has to be polled when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// The budget affords the next start.
    Budget,
    /// A hold ends.
    HoldEnds,
    /// A waiting retry is due.
    RetryDue,
    /// A lease's deadline passes.
    LeaseExpiry,
    /// The wait after a refused slot is over.
    SlotRetry,
    /// The host has been idle for so long that it can be passivated (its state is saved, and its actor
    /// stops).
    Linger,
}
