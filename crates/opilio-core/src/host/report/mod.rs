//! Evaluates a report: what it means for the host (its hold, its closings in a row, its pace), and for the URL
//! (another attempt, or its end).
//!
//! Two questions are answered in turn. First, whose fault was the outcome? Only the answers to other URLs can
//! show that, see `blame.rs`. Second, what happens to the lease? The fetcher proposes a verdict. The host
//! turns a `GiveUp` into a `Retry` if the host is at fault and the request is repeatable.
//!
//! `host.rs` evaluates an outcome for the host, `accuse.rs` decides when an outcome opens a case, `hold.rs`
//! decides how long the host is closed, `url.rs` decides what happens to the URL, and `rules.rs` evaluates
//! fetches of robots.txt.

mod accuse;
mod hold;
mod host;
mod rules;
mod url;

use std::num::NonZeroU8;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::leases::{InFlight, Pending};
#[cfg(feature = "sabotage")]
use super::sabotage::Bug;
use super::state::HostState;
use crate::outcome::{Blame, Fault, Outcome, Reason};
use crate::record::{Ending, LeaseId};
use crate::time::Timestamp;
use crate::verdict::{Proposal, Verdict};

/// The start of the request to which an outcome belongs.
#[derive(Clone, Copy)]
struct Landing {
    seq: u32,
    started: Timestamp,
    probe: bool,
    who: StartKind,
    /// Whether the answer states a wait, or a spent quota.
    stated: bool,
}

/// The kind of request that was started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StartKind {
    /// A request for a URL: `fold` of the URL's fingerprint, the number of its last failed start, whether no
    /// request for the URL has failed so far, and how many of its requests were excused.
    Url { url: u32, failed_seq: Option<u32>, clean: bool, excused: u16 },
    /// A fetch of robots.txt for its rules.
    Rules,
    /// A witness: a request that was answered before is repeated, to learn whose fault failures were.
    Witness,
}

/// The URL that failed last. If enough other URLs fail next, the host is suspected.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::host) struct Suspect {
    url: u32,
    /// The number of the failed start; if several URLs failed in a row, the number of the first failed start.
    pub(in crate::host) seq: u32,
    /// The number that the next start had at the time of the failure: a start with a lower number was made
    /// before the failure.
    next: u32,
    /// How many different URLs failed in a row, at least 1. The type has no zero so that `Option<Suspect>` is
    /// not larger than `Suspect`.
    in_a_row: NonZeroU8,
}

/// The side against which an outcome counts: the URL, the host or nobody, as far as that is decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Payer {
    Url,
    Host,
    /// The outcome counts against the URL, unless the open case shows that the host was at fault.
    Open,
    /// The side is undecided: the answer is a 401 or 403 that may come from a firewall.
    Walled,
    Nobody,
}

impl HostState {
    /// After this many 401 or 403 answers in a row, an event is reported.
    pub const FORBIDDEN_IN_A_ROW: u8 = 10;

    pub(super) fn report(&mut self, now: Timestamp, lease: LeaseId, outcome: Outcome, proposal: Proposal) {
        // A report after the lease's deadline is ignored.
        let Some(flying) = self.leases.land(lease) else { return };
        let outcome = Self::not_of_age(&flying.pending, outcome, proposal);
        let InFlight { mut pending, seq, started, probe, settled, .. } = flying;
        let who = if lease.is_witness() {
            StartKind::Witness
        } else {
            let url = fold(pending.lease.record.fingerprint.0);
            StartKind::Url {
                url,
                failed_seq: pending.failed_seq,
                clean: pending.is_clean(),
                excused: pending.attempts.excused,
            }
        };
        let spent = proposal.hints.quota.is_some_and(|quota| quota.remaining == 0);
        let stated = proposal.hints.retry_after.is_some() || spent;
        let landing = Landing { seq, started, probe, who, stated };
        if matches!(who, StartKind::Url { clean: true, .. }) && outcome.blame() != Blame::Ours {
            self.evidence.note_first_ask(outcome.blame() == Blame::Refusal);
        }
        let payer = self.learn(now, landing, Some(&pending), outcome, proposal);
        if who == StartKind::Witness {
            // The page of a witness is not given to the spider.
            self.settle(pending, Ending::Return);
            return;
        }
        if settled {
            return;
        }
        if outcome == Outcome::Failed(Fault::StaleConnection) && proposal.repeatable {
            pending.note_stale();
            if payer == Payer::Nobody {
                // The request is made again as soon as the gate allows.
                self.again(now, pending, Duration::ZERO);
                return;
            }
        }
        self.dispose(now, pending, seq, outcome, proposal, payer);
    }

    /// Returns the outcome, changed to a failure of the URL if a kept-alive connection broke and the URL has
    /// failed before. One connection may break because it was idle for too long, but hardly two.
    fn not_of_age(pending: &Pending, outcome: Outcome, proposal: Proposal) -> Outcome {
        let stale = outcome == Outcome::Failed(Fault::StaleConnection) && proposal.repeatable;
        if stale && pending.has_failed() {
            return Outcome::Failed(Fault::Reset);
        }
        outcome
    }

    /// Handles a lease whose deadline has passed without a report: its fetcher is gone.
    pub(super) fn lost(&mut self, now: Timestamp, flying: InFlight) {
        if flying.probe {
            self.hold.unprobe();
        }
        if flying.pending.id().is_witness() {
            self.settle(flying.pending, Ending::Return);
            return;
        }
        if flying.settled {
            return;
        }
        #[cfg(feature = "sabotage")]
        if self.bug == Some(Bug::ForgetLostLease) {
            return;
        }
        let mut pending = flying.pending;
        pending.resent = true;
        let min = self.terms.policy.backoff_bounds().min;
        self.free_retry(now, pending, min);
    }

    /// Makes a lease ready again, since its request was not sent. The start stays counted in the budget.
    pub(super) fn undelivered(&mut self, now: Timestamp, lease: LeaseId) {
        let Some(flying) = self.leases.land(lease) else { return };
        if flying.probe {
            self.hold.unprobe();
        }
        self.pause_slots(now);
        if lease.is_witness() {
            self.settle(flying.pending, Ending::Return);
        } else if !flying.settled {
            self.again(now, flying.pending, Duration::ZERO);
        }
    }

    /// Evaluates an outcome for the host. Returns whether the outcome counts against the URL or the host.
    fn learn(
        &mut self,
        now: Timestamp,
        landing: Landing,
        pending: Option<&Pending>,
        outcome: Outcome,
        proposal: Proposal,
    ) -> Payer {
        self.contact.note(outcome);
        if let Some(event) = self.contact.count_forbidden(outcome, Self::FORBIDDEN_IN_A_ROW) {
            self.say(event);
        }
        self.hear_quota(now, landing, proposal.hints);
        let wanted = matches!(proposal.verdict, Verdict::Done | Verdict::Redirect);
        let payer = match outcome.blame() {
            Blame::Neutral if matches!(outcome, Outcome::Answered(401 | 403)) && !wanted => {
                self.forbid(now, landing, proposal)
            }
            Blame::Success | Blame::Neutral => self.welcome(now, landing, pending, outcome, proposal),
            // The policy accepts this status as a page.
            Blame::Url if wanted => self.welcome(now, landing, pending, outcome, proposal),
            Blame::Refusal => self.refuse(now, landing, outcome, proposal.hints),
            Blame::Host => self.unreachable(now, landing),
            Blame::Url => self.failed(now, landing),
            Blame::Ours if self.may_be_meant(now, landing, outcome) => self.failed(now, landing),
            Blame::Ours => {
                if landing.probe {
                    self.hold.unprobe();
                } else if outcome == Outcome::Failed(Fault::StaleConnection) {
                    // The next start is for another URL. If that connection breaks, too, idle time is not the
                    // cause.
                    self.evidence.suspect = self.evidence.suspect.or(self.suspect_of(landing));
                }
                Payer::Nobody
            }
        };
        if outcome.blame() != Blame::Refusal {
            self.keep_to_quota(now, proposal.hints);
        }
        payer
    }
}

/// Returns the reason that is reported for a URL's failure with this outcome.
fn reason_of(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::Answered(status) | Outcome::Redirected(status) => Reason::of_status(status),
        Outcome::Refused(_) | Outcome::Failed(_) => outcome.reason(),
    }
}

/// Returns the 32 lowest bits of the fingerprint, enough to tell a few URLs apart. The upper bits are equal
/// within a host.
fn fold(fingerprint: u128) -> u32 {
    fingerprint as u32
}

/// A URL ends after this many failures on the crawler's side; with growing waits, these take some ten
/// minutes.
pub(super) const OURS_MAX: u8 = 16;
