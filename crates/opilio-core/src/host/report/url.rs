//! Decides what happens to the URL after a report: the URL is handed on, is tried again, or waits until a
//! case is decided.

use std::time::Duration;

use super::super::leases::Pending;
use super::super::message::Delivery;
#[cfg(feature = "sabotage")]
use super::super::sabotage::Bug;
use super::super::state::HostState;
use super::{OURS_MAX, Payer, reason_of};
use crate::outcome::{Blame, Fault, Outcome, Reason};
use crate::record::Ending;
use crate::time::Timestamp;
use crate::verdict::{Proposal, Verdict};

impl HostState {
    pub(super) fn dispose(
        &mut self,
        now: Timestamp,
        mut pending: Pending,
        seq: u32,
        outcome: Outcome,
        proposal: Proposal,
        payer: Payer,
    ) {
        let payer = self.sabotaged_payer(payer);
        let wanted = matches!(proposal.verdict, Verdict::Done | Verdict::Redirect);
        match payer {
            Payer::Host if !wanted => return self.dispose_of_innocent(now, pending, seq, outcome, proposal),
            Payer::Open | Payer::Walled if !wanted => {
                return self.dispose_of_suspect(now, pending, seq, outcome, proposal, payer == Payer::Walled);
            }
            Payer::Host | Payer::Open | Payer::Walled | Payer::Url | Payer::Nobody => {}
        }
        if outcome.blame() == Blame::Ours {
            if outcome == Outcome::Failed(Fault::Proxy) {
                pending.fault = Some(Reason::Proxy);
            }
            match proposal.verdict {
                Verdict::Retry { after } => self.free_retry(now, pending, after),
                Verdict::GiveUp(reason) => self.fail(pending, reason),
                Verdict::Done | Verdict::Redirect => self.fail(pending, Reason::Internal),
            }
            return;
        }
        match proposal.verdict {
            Verdict::Done | Verdict::Redirect => {
                pending.attempts.requests = pending.attempts.requests.saturating_add(1);
                let redirects = proposal.verdict == Verdict::Redirect;
                self.deliver(pending, if redirects { Delivery::Redirect } else { Delivery::Page });
            }
            Verdict::GiveUp(reason) => {
                pending.attempts.requests = pending.attempts.requests.saturating_add(1);
                self.fail(pending, reason);
            }
            Verdict::Retry { after } => {
                self.charge(&mut pending, seq, outcome);
                pending.refusals += u16::from(outcome.blame() == Blame::Refusal);
                // The failure counts against the URL for good, whatever the open case shows later.
                pending.case = None;
                self.again(now, pending, after);
            }
        }
    }

    /// Counts a failed request against the URL, unless the crawler was at fault. The failure is excused later
    /// if the open case shows that the host was at fault.
    fn charge(&self, pending: &mut Pending, seq: u32, outcome: Outcome) {
        if outcome.blame() != Blame::Refusal {
            pending.fault = Some(reason_of(outcome));
        }
        if outcome.blame() != Blame::Ours {
            pending.charge(self.evidence.number, seq);
        }
    }

    /// Handles a failed lease if the host is at fault: the URL uses up no attempt, and a repeatable request
    /// is not given up.
    pub(super) fn dispose_of_innocent(
        &mut self,
        now: Timestamp,
        mut pending: Pending,
        seq: u32,
        outcome: Outcome,
        proposal: Proposal,
    ) {
        self.charge(&mut pending, seq, outcome);
        match proposal.verdict {
            Verdict::GiveUp(reason) if is_final(outcome, proposal) => self.fail(pending, reason),
            Verdict::Retry { .. } | Verdict::GiveUp(_) | Verdict::Done | Verdict::Redirect => {
                pending.excuse(self.evidence.number);
                // No further wait is needed, since the host is held.
                self.again(now, pending, Duration::ZERO);
            }
        }
    }

    /// Handles a failed lease if it is undecided whose fault the failure is: the failure counts
    /// provisionally, and a URL without attempts left waits until it is decided whose fault the failure is.
    pub(super) fn dispose_of_suspect(
        &mut self,
        now: Timestamp,
        mut pending: Pending,
        seq: u32,
        outcome: Outcome,
        proposal: Proposal,
        walled: bool,
    ) {
        self.charge(&mut pending, seq, outcome);
        pending.walled = walled;
        pending.refusals += u16::from(outcome.blame() == Blame::Refusal);
        match proposal.verdict {
            Verdict::GiveUp(reason) if is_final(outcome, proposal) => self.fail(pending, reason),
            // The answer parked the host, so the URL fails because of the park.
            Verdict::GiveUp(_) if self.parked.is_some() => self.again(now, pending, Duration::ZERO),
            Verdict::GiveUp(_) if self.draining => {
                // Nothing will decide in this run whose fault the failure is, so it is excused.
                pending.excuse(self.evidence.number);
                self.give_back(pending, Some(now));
            }
            Verdict::GiveUp(reason) => {
                pending.undecided = Some(reason);
                self.leases.wait(Timestamp::NEVER, pending);
            }
            Verdict::Retry { after } => self.again(now, pending, after),
            Verdict::Done | Verdict::Redirect => self.again(now, pending, Duration::ZERO),
        }
    }

    /// Plans a retry that uses up no attempt, after a failure on the crawler's side. After `OURS_MAX` such
    /// failures the lease fails.
    pub(super) fn free_retry(&mut self, now: Timestamp, mut pending: Pending, after: Duration) {
        pending.ours = pending.ours.saturating_add(1);
        if pending.ours >= OURS_MAX {
            let reason = match pending.fault {
                _ if pending.stale > 0 => Reason::Reset,
                Some(Reason::Proxy) => Reason::Proxy,
                Some(_) | None => Reason::Internal,
            };
            self.fail(pending, reason);
            return;
        }
        let wait = self.terms.policy.backoff_bounds().ceiling(u32::from(pending.ours) - 1);
        self.again(now, pending, after.max(wait));
    }

    /// Plans one more attempt after the wait `after`. The lease stays with the host if the attempt is due
    /// soon or the host is closed anyway; otherwise the lease goes back to the store.
    pub(super) fn again(&mut self, now: Timestamp, pending: Pending, after: Duration) {
        let due = now + after;
        if self.parked.is_some() {
            let reason = pending.fault.unwrap_or(Reason::HostClosed);
            self.fail(pending, reason);
        } else if self.draining {
            self.give_back(pending, Some(due));
        } else if after.is_zero() {
            self.leases.admit(pending, self.terms.limits.order);
        } else if due <= self.hold.until().max(now + self.terms.limits.retry_stays) {
            self.leases.wait(due, pending);
        } else {
            let attempts = pending.attempts;
            self.settle(pending, Ending::Retry { due, attempts });
        }
    }

    #[cfg(not(feature = "sabotage"))]
    pub(super) fn sabotaged_payer(&self, payer: Payer) -> Payer {
        payer
    }

    #[cfg(feature = "sabotage")]
    pub(super) fn sabotaged_payer(&self, payer: Payer) -> Payer {
        match (self.bug, payer) {
            (Some(Bug::OutageUsesAttempts), Payer::Host) => Payer::Url,
            (Some(Bug::AttemptsForFree), Payer::Url | Payer::Open) => Payer::Host,
            _ => payer,
        }
    }
}

/// Whether the URL must not be requested again: another request would change nothing, or the request is not
/// repeatable.
fn is_final(outcome: Outcome, proposal: Proposal) -> bool {
    let permanent = matches!(outcome, Outcome::Failed(Fault::NoSuchName | Fault::Certificate));
    permanent || !proposal.repeatable
}
