//! What a report means: for the host (hold, strikes, pace) and for its URL (again, or how it ends).
//!
//! Two questions are answered one after the other. Who pays? The fact alone says it, but for a
//! failure of the URL's own: the second one in a row, of another URL, is the host's. And then: what
//! becomes of the lease? The fetcher proposed it; the host makes a `GiveUp` a `Retry` where it pays
//! itself and the request may be repeated.

mod rules;

use std::time::Duration;

use super::hold::{Closing, Door, jittered};
use super::message::{Delivery, HoldReason, HostEvent, ParkReason};
use super::room::{Flight, Ticket};
#[cfg(feature = "sabotage")]
use super::sabotage::Bug;
use super::state::HostState;
use crate::outcome::{Blame, Fault, Outcome, Reason};
use crate::record::{Ending, LeaseId};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal, Verdict};

/// The start that an outcome answers.
#[derive(Clone, Copy)]
struct Landing {
    seq: u32,
    started: Timestamp,
    probe: bool,
}

/// A URL that failed, so that the next one to fail makes it the host's failure.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct Suspect {
    url: u64,
    /// The number of its start.
    seq: u32,
    /// The next start when it failed: those before it were under way with it.
    next: u32,
}

/// Who pays for an outcome, after the host has had its say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Payer {
    Url,
    Host,
    Nobody,
}

impl HostState {
    /// So many 401 or 403 in a row are worth an event.
    pub const FORBIDDEN_IN_A_ROW: u8 = 10;

    pub(super) fn report(&mut self, now: Timestamp, lease: LeaseId, outcome: Outcome, proposal: Proposal) {
        // Reports of leases that expired meanwhile are too late to mean anything.
        let Some(flight) = self.room.land(lease) else { return };
        let Flight { mut ticket, seq, started, probe, settled, .. } = flight;
        let landing = Landing { seq, started, probe };
        let payer = self.learn(now, landing, Some(&ticket), outcome, proposal);
        if settled {
            return;
        }
        let stale = outcome == Outcome::Failed(Fault::StaleConnection) && proposal.repeatable;
        if stale && !std::mem::replace(&mut ticket.stale, true) && payer == Payer::Nobody {
            // Replaced at once, through the gate; if it happens again it can wait.
            self.again(now, ticket, Duration::ZERO);
            return;
        }
        self.dispose(now, ticket, outcome, proposal, payer);
    }

    /// The lease's deadline has passed: whoever fetched it is gone.
    pub(super) fn lost(&mut self, now: Timestamp, flight: Flight) {
        if flight.probe {
            self.hold.unprobe();
        }
        if flight.settled {
            return;
        }
        #[cfg(feature = "sabotage")]
        if self.bug == Some(Bug::ForgetLostLease) {
            return;
        }
        let mut ticket = flight.ticket;
        ticket.resent = true;
        let min = self.policy.backoff_bounds().min;
        self.free_retry(now, ticket, min);
    }

    /// Nothing was sent: the lease is as ready as before, only the start is spent.
    pub(super) fn undelivered(&mut self, now: Timestamp, lease: LeaseId) {
        let Some(flight) = self.room.land(lease) else { return };
        if flight.probe {
            self.hold.unprobe();
        }
        self.pause_slots(now);
        if !flight.settled {
            self.again(now, flight.ticket, Duration::ZERO);
        }
    }

    // The host's side.

    /// Takes in what an outcome says about the host, and says who pays for it.
    fn learn(
        &mut self,
        now: Timestamp,
        landing: Landing,
        ticket: Option<&Ticket>,
        outcome: Outcome,
        proposal: Proposal,
    ) -> Payer {
        self.answered |= !matches!(outcome, Outcome::Failed(_));
        self.count_forbidden(outcome);
        self.hear_quota(now, landing, proposal.hints);
        let wanted = matches!(proposal.verdict, Verdict::Done | Verdict::Redirect);
        let url = ticket.map(|ticket| fold(ticket.lease.record.fingerprint.0));
        let payer = match outcome.blame() {
            Blame::Success | Blame::Neutral => self.well(now, landing),
            // A policy that takes a 500 for a page has no quarrel with it.
            Blame::Url if wanted => self.well(now, landing),
            Blame::Refusal => self.refuse(now, landing, proposal.hints),
            Blame::Host => self.unreachable(now, landing),
            Blame::Url => self.failed(now, landing, url),
            Blame::Ours if self.may_be_meant(now, landing, outcome) => self.failed(now, landing, url),
            Blame::Ours => {
                if landing.probe {
                    self.hold.unprobe();
                } else if outcome == Outcome::Failed(Fault::StaleConnection) {
                    // Another URL goes first: should its new connection be broken too, it was no age.
                    self.suspect = self.suspect.or(self.suspect_of(landing, url));
                }
                Payer::Nobody
            }
        };
        if outcome.blame() != Blame::Refusal {
            self.keep_to_quota(now, proposal.hints);
        }
        payer
    }

    /// The host is well, whatever it thinks of that URL.
    fn well(&mut self, now: Timestamp, landing: Landing) -> Payer {
        self.pace.remember(false);
        if landing.probe {
            self.open(now, landing);
        }
        // What was under way before a closing proves nothing about the time since.
        if self.hold.door == Door::Open {
            self.suspect = None;
            self.blamed = false;
            self.hold.forgive();
            self.ramp =
                if self.ramp > 0 && self.ramp < self.policy.in_flight_max() { self.ramp + 1 } else { 0 };
            let rate = self.policy.rate_max().map(crate::rate::Rate::per_second);
            self.pace.well(now, self.patience(), rate);
            self.refresh_spacing();
        }
        Payer::Nobody
    }

    /// A probe was answered. The next start comes one spacing later, and at full speed one by one.
    fn open(&mut self, now: Timestamp, probe: Landing) {
        let stated = (self.hold.reason == HoldReason::RetryAfter).then(|| self.hold.until());
        self.hold.open();
        self.say(HostEvent::Opened);
        let asked = self.asked();
        let learnt = self.pace.opened(now, (probe.started, probe.seq), stated, asked);
        if let (Some(per_second), true) = (learnt, self.policy.adapts()) {
            self.say(HostEvent::Paced { per_second });
        }
        self.refresh_spacing();
        self.budget.resume_after(now);
        if self.pacing().duration() < self.policy.backoff_bounds().min / HERD_PART {
            self.ramp = 1;
        }
    }

    /// 429 or 503: the host said "wait".
    fn refuse(&mut self, now: Timestamp, landing: Landing, hints: Hints) -> Payer {
        self.pace.remember(false);
        let spent = hints.quota.filter(|quota| quota.remaining == 0).map(|quota| quota.reset);
        let stated = hints.retry_after.max(spent);
        let reason = if stated.is_some() { HoldReason::RetryAfter } else { HoldReason::Refusal };
        let closing = self.close(now, landing, reason, true);
        let Some(wait) = stated else {
            self.hold_by_strikes(now, closing, reason);
            return Payer::Host;
        };
        self.hold_as_stated(now, wait, reason);
        if self.parked.is_none() {
            self.hold.distrust();
            self.park_by_strikes(now, closing);
        }
        Payer::Host
    }

    /// It could not be reached, or is blamed for what its URLs suffer.
    fn unreachable(&mut self, now: Timestamp, landing: Landing) -> Payer {
        if self.is_old_news(landing) {
            return Payer::Host;
        }
        self.blamed = true;
        let of_pace = self.pace.fails_often();
        let closing = self.close(now, landing, HoldReason::Unreachable, of_pace);
        self.hold_by_strikes(now, closing, HoldReason::Unreachable);
        Payer::Host
    }

    /// Whether a kept-alive connection was more likely broken to refuse the request than for its age,
    /// as by a host that has lately refused others so: it is a failure then, though not the URL's. A
    /// probe comes late enough for any connection to have aged, and those that are closed together, as
    /// when a server starts anew, are one event.
    fn may_be_meant(&self, now: Timestamp, landing: Landing, outcome: Outcome) -> bool {
        outcome == Outcome::Failed(Fault::StaleConnection)
            && !landing.probe
            && self.hold.broke_lately(now)
            && self.suspect.is_none_or(|suspect| suspect.next <= landing.seq)
    }

    fn suspect_of(&self, landing: Landing, url: Option<u64>) -> Option<Suspect> {
        Some(Suspect { url: url?, seq: landing.seq, next: self.next_seq })
    }

    /// A failure of the URL's own, unless another one failed just before.
    fn failed(&mut self, now: Timestamp, landing: Landing, url: Option<u64>) -> Payer {
        self.pace.remember(true);
        if self.is_old_news(landing) {
            return if self.hold.reason == HoldReason::Unreachable { Payer::Host } else { Payer::Url };
        }
        let another = self.suspect.filter(|suspect| Some(suspect.url) != url);
        if self.blamed || another.is_some() {
            let payer = self.unreachable(now, landing);
            if let Some(Suspect { seq, .. }) = another {
                // What the host refuses, it refused the first of them already.
                self.pace.refused_from(seq);
            }
            return payer;
        }
        self.suspect = self.suspect_of(landing, url);
        if landing.probe {
            self.open(now, landing);
        }
        Payer::Url
    }

    /// Whether a failure tells of a closing that is over: it started before it, and the host has been
    /// well since.
    fn is_old_news(&self, landing: Landing) -> bool {
        self.hold.door == Door::Open && self.hold.preceded(landing.started)
    }

    fn close(&mut self, now: Timestamp, landing: Landing, reason: HoldReason, of_pace: bool) -> Closing {
        if self.parked.is_some() {
            if landing.probe {
                self.hold.unprobe();
            }
            return Closing::Same;
        }
        let closing = self.hold.close(now, landing.started, landing.probe, reason);
        if self.hold.door != Door::Open {
            self.pace.refused(landing.started, landing.seq, of_pace);
        }
        closing
    }

    fn hold_as_stated(&mut self, now: Timestamp, wait: Duration, reason: HoldReason) {
        if self.parked.is_some() {
            return;
        }
        let max = self.policy.hold_max();
        let clamped = wait > max;
        self.hold_until(now + wait.min(max), reason, clamped);
        if clamped {
            self.park(now + wait, ParkReason::WaitTooLong);
        }
    }

    fn hold_by_strikes(&mut self, now: Timestamp, closing: Closing, reason: HoldReason) {
        if closing == Closing::Same {
            return;
        }
        let most = self.hold.unstated_wait_max(now, self.policy.backoff_bounds());
        let chance = self.random.f64();
        let wait = self.pace.wait_for_window(now, most, chance).unwrap_or_else(|| jittered(most, chance));
        self.hold_until(now + wait.min(self.policy.hold_max()), reason, false);
        self.park_by_strikes(now, closing);
    }

    fn park_by_strikes(&mut self, now: Timestamp, closing: Closing) {
        let strikes = u32::from(self.hold.strikes);
        if closing == Closing::New && strikes >= self.policy.strikes_max(self.answered) {
            self.park(now + self.policy.hold_max(), ParkReason::Strikes);
        }
    }

    fn hold_until(&mut self, until: Timestamp, reason: HoldReason, clamped: bool) {
        #[cfg(feature = "sabotage")]
        if self.bug == Some(Bug::ShorterHold) {
            self.hold.shorten(until);
            return;
        }
        let worth_telling = self.policy.backoff_bounds().min;
        let tell = self.hold.extend(until, worth_telling);
        if tell || clamped {
            self.say(HostEvent::Held { until, reason, clamped });
        }
    }

    /// Takes note of a quota that an answer announces.
    fn hear_quota(&mut self, now: Timestamp, landing: Landing, hints: Hints) {
        if let Some(quota) = hints.quota {
            let unseen = self.starts_unseen(landing);
            self.quota.hear(now, landing.seq, &quota, unseen);
        }
    }

    /// A quota that an answer declares spent: closed until its reset, which needs no probe, since
    /// nothing was refused.
    fn keep_to_quota(&mut self, now: Timestamp, hints: Hints) {
        let Some(stated) = hints.quota.filter(|quota| quota.remaining == 0) else { return };
        let max = self.policy.hold_max();
        if stated.reset > max && self.parked.is_some() {
            // This very answer may have put it aside: what it says counts all the same.
            self.hold_until(now + max, HoldReason::QuotaSpent, false);
        } else if stated.reset > max {
            self.hold_as_stated(now, stated.reset, HoldReason::QuotaSpent);
        } else if let Some(until) = self.quota.spent_until() {
            self.hold_until(until, HoldReason::QuotaSpent, false);
        }
    }

    /// Starts that the server had not counted yet when it answered this one: those after it, and
    /// those just before it, which may have been overtaken on the way.
    fn starts_unseen(&self, landing: Landing) -> u32 {
        let after = self.next_seq.wrapping_sub(landing.seq).saturating_sub(1);
        let overtaken =
            self.room.flights().iter().filter(|flight| {
                flight.seq < landing.seq && landing.started.since(flight.started) < OVERTAKING
            });
        after.saturating_add(u32::try_from(overtaken.count()).unwrap_or(u32::MAX))
    }

    fn count_forbidden(&mut self, outcome: Outcome) {
        let said = self.forbidden >= Self::FORBIDDEN_IN_A_ROW;
        if said {
            return;
        }
        self.forbidden = if matches!(outcome, Outcome::Answered(401 | 403)) { self.forbidden + 1 } else { 0 };
        if self.forbidden == Self::FORBIDDEN_IN_A_ROW {
            self.say(HostEvent::Forbidden { in_a_row: u32::from(Self::FORBIDDEN_IN_A_ROW) });
        }
    }

    // The URL's side.

    fn dispose(
        &mut self,
        now: Timestamp,
        mut ticket: Ticket,
        outcome: Outcome,
        proposal: Proposal,
        payer: Payer,
    ) {
        let payer = self.sabotaged_payer(payer);
        if payer == Payer::Host && !matches!(proposal.verdict, Verdict::Done | Verdict::Redirect) {
            self.dispose_of_innocent(now, ticket, outcome, proposal);
            return;
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
        ticket.attempts = ticket.attempts.saturating_add(1);
        match proposal.verdict {
            Verdict::Done => self.deliver(ticket, Delivery::Page),
            Verdict::Redirect => self.deliver(ticket, Delivery::Redirect),
            Verdict::GiveUp(reason) => self.fail(ticket, reason),
            Verdict::Retry { after } => {
                ticket.fault = Some(reason_of(outcome));
                self.again(now, ticket, after);
            }
        }
    }

    /// The host pays: the URL uses up no attempt, and is not given up while it may be repeated.
    fn dispose_of_innocent(
        &mut self,
        now: Timestamp,
        mut ticket: Ticket,
        outcome: Outcome,
        proposal: Proposal,
    ) {
        let permanent = matches!(outcome, Outcome::Failed(Fault::NoSuchName | Fault::Certificate));
        if outcome.blame() != Blame::Refusal {
            ticket.fault = Some(reason_of(outcome));
        }
        match proposal.verdict {
            Verdict::GiveUp(reason) if permanent || !proposal.repeatable => {
                ticket.attempts = ticket.attempts.saturating_add(1);
                self.fail(ticket, reason);
            }
            Verdict::Retry { after } => self.again(now, ticket, after),
            Verdict::GiveUp(_) | Verdict::Done | Verdict::Redirect => self.again(now, ticket, Duration::ZERO),
        }
    }

    /// Something of ours failed, which is free but not for ever.
    fn free_retry(&mut self, now: Timestamp, mut ticket: Ticket, after: Duration) {
        ticket.ours = ticket.ours.saturating_add(1);
        if ticket.ours >= OURS_MAX {
            let reason = match ticket.fault {
                _ if ticket.stale => Reason::Reset,
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
    fn again(&mut self, now: Timestamp, ticket: Ticket, after: Duration) {
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
    fn sabotaged_payer(&self, payer: Payer) -> Payer {
        payer
    }

    #[cfg(feature = "sabotage")]
    fn sabotaged_payer(&self, payer: Payer) -> Payer {
        match (self.bug, payer) {
            (Some(Bug::OutageUsesAttempts), Payer::Host) => Payer::Url,
            _ => payer,
        }
    }
}

/// The word for what a URL suffered.
fn reason_of(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::Answered(status) | Outcome::Redirected(status) => Reason::of_status(status),
        Outcome::Failed(fault) => fault.reason(),
    }
}

/// 64 of the fingerprint's bits are enough to tell two neighbours apart.
fn fold(fingerprint: u128) -> u64 {
    (fingerprint >> 64) as u64 ^ fingerprint as u64
}

/// Starts that are closer than this can overtake each other on the way.
const OVERTAKING: Duration = Duration::from_millis(50);
/// A spacing below 1/20 of the backoff's minimum (50 ms by default) needs a ramp after a hold.
const HERD_PART: u32 = 20;
/// Our own failures of one URL in a row before it ends: with growing waits, some ten minutes.
pub(super) const OURS_MAX: u8 = 16;
