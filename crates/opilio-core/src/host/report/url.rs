//! What becomes of the URL: it is handed on, tried again, or waits to be told whose fault it was.

use std::time::Duration;

use super::super::message::Delivery;
use super::super::room::Ticket;
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
        mut ticket: Ticket,
        seq: u32,
        outcome: Outcome,
        proposal: Proposal,
        payer: Payer,
    ) {
        let payer = self.sabotaged_payer(payer);
        let wanted = matches!(proposal.verdict, Verdict::Done | Verdict::Redirect);
        match payer {
            Payer::Host if !wanted => return self.dispose_of_innocent(now, ticket, seq, outcome, proposal),
            Payer::Open | Payer::Walled if !wanted => {
                return self.dispose_of_suspect(now, ticket, seq, outcome, proposal, payer == Payer::Walled);
            }
            Payer::Host | Payer::Open | Payer::Walled | Payer::Url | Payer::Nobody => {}
        }
        if outcome.blame() == Blame::Ours {
            if outcome == Outcome::Failed(Fault::Proxy) {
                ticket.fault = Some(Reason::Proxy);
            }
            match proposal.verdict {
                Verdict::Retry { after } => self.free_retry(now, ticket, after),
                Verdict::GiveUp(reason) => self.fail(ticket, reason),
                Verdict::Done | Verdict::Redirect => self.fail(ticket, Reason::Internal),
            }
            return;
        }
        match proposal.verdict {
            Verdict::Done | Verdict::Redirect => {
                ticket.attempts.requests = ticket.attempts.requests.saturating_add(1);
                let redirects = proposal.verdict == Verdict::Redirect;
                self.deliver(ticket, if redirects { Delivery::Redirect } else { Delivery::Page });
            }
            Verdict::GiveUp(reason) => {
                ticket.attempts.requests = ticket.attempts.requests.saturating_add(1);
                self.fail(ticket, reason);
            }
            Verdict::Retry { after } => {
                self.charge(&mut ticket, seq, outcome);
                ticket.refusals += u16::from(outcome.blame() == Blame::Refusal);
                // It has paid: no case gives that back.
                ticket.case = None;
                self.again(now, ticket, after);
            }
        }
    }

    /// Charges a failure to the open case, and to the URL unless it was ours.
    fn charge(&self, ticket: &mut Ticket, seq: u32, outcome: Outcome) {
        if outcome.blame() != Blame::Refusal {
            ticket.fault = Some(reason_of(outcome));
        }
        if outcome.blame() != Blame::Ours {
            ticket.charge(self.evidence.number, seq);
        }
    }

    /// The host pays: the URL uses up no attempt, and is not given up while it may be repeated.
    pub(super) fn dispose_of_innocent(
        &mut self,
        now: Timestamp,
        mut ticket: Ticket,
        seq: u32,
        outcome: Outcome,
        proposal: Proposal,
    ) {
        self.charge(&mut ticket, seq, outcome);
        match proposal.verdict {
            Verdict::GiveUp(reason) if is_final(outcome, proposal) => self.fail(ticket, reason),
            Verdict::Retry { .. } | Verdict::GiveUp(_) | Verdict::Done | Verdict::Redirect => {
                ticket.excuse(self.evidence.number);
                // The host's hold is the wait.
                self.again(now, ticket, Duration::ZERO);
            }
        }
    }

    /// It is open who pays: the URL is charged for the time being, and waits for its end if this is one.
    pub(super) fn dispose_of_suspect(
        &mut self,
        now: Timestamp,
        mut ticket: Ticket,
        seq: u32,
        outcome: Outcome,
        proposal: Proposal,
        walled: bool,
    ) {
        self.charge(&mut ticket, seq, outcome);
        ticket.walled = walled;
        ticket.refusals += u16::from(outcome.blame() == Blame::Refusal);
        match proposal.verdict {
            Verdict::GiveUp(reason) if is_final(outcome, proposal) => self.fail(ticket, reason),
            // It put its host aside, and ends for that.
            Verdict::GiveUp(_) if self.parked.is_some() => self.again(now, ticket, Duration::ZERO),
            Verdict::GiveUp(_) if self.draining => {
                // Nothing will tell in this run.
                ticket.excuse(self.evidence.number);
                self.give_back(ticket, Some(now));
            }
            Verdict::GiveUp(reason) => {
                ticket.pending = Some(reason);
                self.room.wait(Timestamp::NEVER, ticket);
            }
            Verdict::Retry { after } => self.again(now, ticket, after),
            Verdict::Done | Verdict::Redirect => self.again(now, ticket, Duration::ZERO),
        }
    }

    /// Something of ours failed, which is free but not for ever.
    pub(super) fn free_retry(&mut self, now: Timestamp, mut ticket: Ticket, after: Duration) {
        ticket.ours = ticket.ours.saturating_add(1);
        if ticket.ours >= OURS_MAX {
            let reason = match ticket.fault {
                _ if ticket.stale > 0 => Reason::Reset,
                Some(Reason::Proxy) => Reason::Proxy,
                Some(_) | None => Reason::Internal,
            };
            self.fail(ticket, reason);
            return;
        }
        let wait = self.policy.backoff_bounds().ceiling(u32::from(ticket.ours) - 1);
        self.again(now, ticket, after.max(wait));
    }

    /// One more attempt: here if it is due soon or the host is closed anyway, else by the store.
    pub(super) fn again(&mut self, now: Timestamp, ticket: Ticket, after: Duration) {
        let due = now + after;
        if self.parked.is_some() {
            let reason = ticket.fault.unwrap_or(Reason::HostClosed);
            self.fail(ticket, reason);
        } else if self.draining {
            self.give_back(ticket, Some(due));
        } else if after.is_zero() {
            self.room.admit(ticket, self.limits.order);
        } else if due <= self.hold.until().max(now + self.limits.retry_stays) {
            self.room.wait(due, ticket);
        } else {
            let attempts = ticket.attempts;
            self.settle(ticket, Ending::Retry { due, attempts });
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

/// Whether another request would change nothing, or may not be sent.
fn is_final(outcome: Outcome, proposal: Proposal) -> bool {
    let permanent = matches!(outcome, Outcome::Failed(Fault::NoSuchName | Fault::Certificate));
    permanent || !proposal.repeatable
}
