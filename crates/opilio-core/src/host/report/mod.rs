//! What a report means: for the host (hold, strikes, pace) and for its URL (again, or how it ends).
//!
//! Two questions are answered one after the other. Who pays? Only other URLs can tell: see `blame.rs`.
//! And then: what becomes of the lease? The fetcher proposed it; the host makes a `GiveUp` a `Retry`
//! where it pays itself and the request may be repeated.

mod rules;

use std::time::Duration;

use super::blame::{Case, Charge, is_later};
use super::hold::{Closing, Door, jittered};
use super::message::{Delivery, HoldReason, HostEvent, ParkReason};
use super::pace::Pace;
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
    who: Who,
    /// It states a wait.
    stated: bool,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// A URL, the start of it that failed last, and whether nothing was known against it.
    Url { url: u32, failed_seq: Option<u32>, clean: bool, excused: u16 },
    /// robots.txt, for its rules.
    Rules,
    /// What was answered before, to learn whose fault failures were.
    Witness,
}

/// A URL that failed, so that the next one to fail makes it the host's failure.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct Suspect {
    url: u32,
    /// The number of its start.
    pub(in crate::host) seq: u32,
    /// The next start when it failed: those before it were under way with it.
    next: u32,
    /// Different URLs that have failed in a row, as far as that can be told from the last one.
    in_a_row: u8,
}

/// Who pays for an outcome, after the host has had its say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Payer {
    Url,
    Host,
    /// The URL, unless the open case is found to be the host's.
    Open,
    /// It was forbidden, and perhaps not for its own sake.
    Walled,
    Nobody,
}

impl HostState {
    /// So many 401 or 403 in a row are worth an event.
    pub const FORBIDDEN_IN_A_ROW: u8 = 10;

    pub(super) fn report(&mut self, now: Timestamp, lease: LeaseId, outcome: Outcome, proposal: Proposal) {
        // Reports of leases that expired meanwhile are too late to mean anything.
        let Some(flight) = self.room.land(lease) else { return };
        let outcome = Self::not_of_age(&flight.ticket, outcome, proposal);
        let Flight { mut ticket, seq, started, probe, settled, .. } = flight;
        let who = if lease.is_witness() {
            Who::Witness
        } else {
            let url = fold(ticket.lease.record.fingerprint.0);
            Who::Url {
                url,
                failed_seq: ticket.failed_seq,
                clean: ticket.is_clean(),
                excused: ticket.attempts.excused,
            }
        };
        let spent = proposal.hints.quota.is_some_and(|quota| quota.remaining == 0);
        let stated = proposal.hints.retry_after.is_some() || spent;
        let landing = Landing { seq, started, probe, who, stated };
        if matches!(who, Who::Url { clean: true, .. }) && outcome.blame() != Blame::Ours {
            self.evidence.note_first_ask(outcome.blame() == Blame::Refusal);
        }
        let payer = self.learn(now, landing, Some(&ticket), outcome, proposal);
        if who == Who::Witness {
            // It is nobody's page.
            self.settle(ticket, Ending::Return);
            return;
        }
        if settled {
            return;
        }
        if outcome == Outcome::Failed(Fault::StaleConnection) && proposal.repeatable {
            ticket.note_stale();
            if payer == Payer::Nobody {
                // Replaced at once, through the gate.
                self.again(now, ticket, Duration::ZERO);
                return;
            }
        }
        self.dispose(now, ticket, seq, outcome, proposal, payer);
    }

    /// One connection may die of its age. Under a URL that failed before it was broken.
    fn not_of_age(ticket: &Ticket, outcome: Outcome, proposal: Proposal) -> Outcome {
        let stale = outcome == Outcome::Failed(Fault::StaleConnection) && proposal.repeatable;
        if stale && ticket.has_failed() {
            return Outcome::Failed(Fault::Reset);
        }
        outcome
    }

    /// The lease's deadline has passed: whoever fetched it is gone.
    pub(super) fn lost(&mut self, now: Timestamp, flight: Flight) {
        if flight.probe {
            self.hold.unprobe();
        }
        if flight.ticket.id().is_witness() {
            self.settle(flight.ticket, Ending::Return);
            return;
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
        if lease.is_witness() {
            self.settle(flight.ticket, Ending::Return);
        } else if !flight.settled {
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
        let payer = match outcome.blame() {
            Blame::Neutral if matches!(outcome, Outcome::Answered(401 | 403)) && !wanted => {
                self.forbid(now, landing, proposal)
            }
            Blame::Success | Blame::Neutral => self.welcome(now, landing, ticket, outcome, proposal),
            // A policy that takes a 500 for a page has no quarrel with it.
            Blame::Url if wanted => self.welcome(now, landing, ticket, outcome, proposal),
            Blame::Refusal => self.refuse(now, landing, outcome, proposal.hints),
            Blame::Host => self.unreachable(now, landing),
            Blame::Url => self.failed(now, landing),
            Blame::Ours if self.may_be_meant(now, landing, outcome) => self.failed(now, landing),
            Blame::Ours => {
                if landing.probe {
                    self.hold.unprobe();
                } else if outcome == Outcome::Failed(Fault::StaleConnection) {
                    // Another URL goes first: should its new connection be broken too, it was no age.
                    self.suspect = self.suspect.or(self.suspect_of(landing));
                }
                Payer::Nobody
            }
        };
        if outcome.blame() != Blame::Refusal {
            self.keep_to_quota(now, proposal.hints);
        }
        payer
    }

    /// The host answered, and did not turn the request away.
    fn welcome(
        &mut self,
        now: Timestamp,
        landing: Landing,
        ticket: Option<&Ticket>,
        outcome: Outcome,
        proposal: Proposal,
    ) -> Payer {
        self.evidence.note_welcome(landing.seq);
        let good = ticket.filter(|ticket| {
            self.evidence.good.is_none()
                && outcome.blame() == Blame::Success
                && proposal.repeatable
                && !ticket.id().is_errand()
        });
        if let Some(ticket) = good {
            self.evidence.good = Some(Box::new(ticket.lease.record.clone()));
        }
        let payer = self.well(now, landing);
        if self.hold.door == Door::Open {
            self.let_forbidden_pay(landing.seq);
        }
        if let (Verdict::Redirect, Some(wait)) = (proposal.verdict, proposal.hints.retry_after) {
            // RFC 9110 §10.2.3: the host asks for a wait before the target is asked for.
            self.hold_as_stated(now, wait, HoldReason::Page);
        }
        payer
    }

    /// The host is well, whatever it thinks of that URL.
    fn well(&mut self, now: Timestamp, landing: Landing) -> Payer {
        self.pace.remember(false);
        self.evidence.note_well(landing.seq);
        let after = |case: Case| case.seq.is_some_and(|seq| is_later(landing.seq, seq));
        let answers = |case: Case| case.quiet && !case.confirmed && after(case);
        let early = self.hold.door == Door::Closed && self.evidence.case.is_some_and(answers);
        if landing.probe || early {
            self.open(now, landing);
        }
        // What was under way before a closing proves nothing about the time since.
        if self.hold.door == Door::Open {
            if landing.who == Who::Witness {
                self.end_tail();
            } else if self.suspect.is_some_and(|suspect| is_later(landing.seq, suspect.seq)) {
                self.end_case();
            }
            self.hold.forgive();
            self.ramp =
                if self.ramp > 0 && self.ramp < self.policy.in_flight_max() { self.ramp + 1 } else { 0 };
            let rate = self.policy.rate_max().map(crate::rate::Rate::per_second);
            self.pace.accepted(landing.started, landing.seq);
            self.pace.well(now, self.patience(), rate);
            self.refresh_spacing();
        }
        Payer::Nobody
    }

    /// A probe was answered. The next start comes one spacing later, and at full speed one by one.
    fn open(&mut self, now: Timestamp, probe: Landing) {
        if self.hold.door == Door::Open {
            return;
        }
        let stated = (self.hold.reason == HoldReason::RetryAfter).then(|| self.hold.until());
        self.hold.open();
        let crowd = |case: &Case| {
            let start = case.url.zip(case.seq).filter(|_| case.charge == Charge::Refused);
            start.is_some_and(|(url, seq)| self.is_crowd(url, seq, !case.again, case.excused))
        };
        if self.evidence.case.as_ref().is_some_and(crowd) {
            // So many different URLs were refused that none of them is to blame.
            self.room.excuse(self.evidence.number, self.limits.order);
        }
        let case = self.evidence.case;
        let quiet = case.is_some_and(|case| case.quiet);
        let learnt = self.learn_pace(now, probe, stated, case);
        self.take_pace(learnt);
        self.end_case();
        if quiet {
            self.evidence.singles = self.evidence.singles.saturating_add(1);
            return;
        }
        self.say(HostEvent::Opened);
        self.budget.resume_after(now);
        if self.pacing().duration() < self.policy.backoff_bounds().min / HERD_PART {
            self.ramp = 1;
        }
    }

    /// Takes over what was learnt of the pace. A limiter explains the refusals, then: nobody pays for them.
    fn take_pace(&mut self, learnt: Option<f64>) {
        if let Some(per_second) = learnt {
            self.room.forgive_refusals(self.limits.order);
            self.say(HostEvent::RefusalsExcused);
            if self.policy.adapts() {
                self.say(HostEvent::Paced { per_second });
            }
        }
        self.refresh_spacing();
    }

    /// What the closing that is over says about the pace: a new ceiling, if any.
    fn learn_pace(
        &mut self,
        now: Timestamp,
        probe: Landing,
        stated: Option<Timestamp>,
        case: Option<Case>,
    ) -> Option<f64> {
        let asked = self.asked();
        let start = (probe.started, probe.seq);
        match case {
            #[cfg(feature = "sabotage")]
            Some(Case { charge: Charge::Refused, .. }) if self.bug == Some(Bug::PaceByChance) => {
                self.pace.opened(now, start, stated, asked, 0)
            }
            Some(Case {
                confirmed: false, charge: Charge::Refused, again: false, strikes_before, ..
            }) if self.pace.fits_window(stated, probe.started) => {
                // The server itself said so.
                self.hold.strikes = strikes_before;
                self.pace.opened(now, start, stated, asked, 1)
            }
            Some(Case { confirmed, strikes_before, charge, again, was_quiet, quiet, .. })
                if !confirmed || quiet || was_quiet && self.pace.refused_by_pace() <= REFUSED_MIN =>
            {
                if !confirmed {
                    self.hold.strikes = strikes_before;
                }
                // A page that is refused again and again says nothing about the pace.
                let of_limiter = charge == Charge::Refused && !again;
                let young = self.policy.backoff_bounds().min;
                self.pace.pardoned(now, start, of_limiter, !quiet, asked, young)
            }
            Some(_) | None => self.pace.opened(now, start, stated, asked, REFUSED_MIN),
        }
    }

    /// 429 or 503, or what the policy takes for one: the host said "wait".
    fn refuse(&mut self, now: Timestamp, landing: Landing, outcome: Outcome, hints: Hints) -> Payer {
        self.pace.remember(false);
        let spent = hints.quota.filter(|quota| quota.remaining == 0).map(|quota| quota.reset);
        let stated = hints.retry_after.max(spent);
        // A 503 says nothing about the pace, a 429 does.
        let of_pace = !matches!(outcome, Outcome::Answered(503));
        if let Who::Url { url, clean: true, .. } = landing.who {
            self.evidence.note_refused(url, landing.seq);
        }
        if self.is_own(landing) && self.parked.is_none() && !self.is_one_of_many(landing) {
            let (asked, hold) = (self.asked(), self.policy.backoff_bounds().min);
            let of_pace_alone = of_pace && stated.is_none();
            let learnt = self.pace.page_refused(landing.started, landing.seq, of_pace_alone, asked, hold);
            self.hold_for_page(now, stated, of_pace);
            self.take_pace(learnt);
            return Payer::Url;
        }
        let Some(wait) = stated else {
            if !of_pace && self.is_one_more_single(landing) {
                return Payer::Open;
            }
            return self.accuse(now, landing, Charge::Refused, |host, closing| {
                let lone =
                    host.evidence.case.is_some_and(|case| !case.confirmed && case.seq == Some(landing.seq));
                let alone = lone && host.evidence.well.is_some() && !host.evidence.refuses_most();
                if alone && !of_pace && !landing.probe {
                    host.doubt(now, closing);
                } else {
                    host.hold_by_strikes(now, closing, HoldReason::Refusal);
                }
            });
        };
        let payer = self.accuse(now, landing, Charge::Refused, |host, closing| {
            if closing == Closing::New {
                host.hold.reason = HoldReason::RetryAfter;
            }
            host.hold_as_stated(now, wait, HoldReason::RetryAfter);
            if host.parked.is_none() {
                host.park_by_strikes(now, closing);
            }
        });
        if self.parked.is_none() && self.hold.door == Door::Open {
            // It tells of a closing that is over, and states that it is not.
            self.hold.distrust();
            self.open_case(landing, Charge::Refused, self.hold.strikes);
            return Payer::Open;
        }
        payer
    }

    /// At a host that refuses by chance, a single refusal is treated as a failure: the next one in a row, of
    /// another URL, makes it the host's.
    fn is_one_more_single(&mut self, landing: Landing) -> bool {
        let Who::Url { url, .. } = landing.who else { return false };
        let in_a_row = self.suspect.is_some_and(|suspect| suspect.url != url);
        if !self.evidence.refuses_by_chance() || self.hold.door != Door::Open || in_a_row {
            return false;
        }
        self.suspect = self.suspect.or(self.suspect_of(landing));
        let asked = self.asked();
        let learnt = self.pace.page_refused(landing.started, landing.seq, true, asked, Duration::ZERO);
        self.take_pace(learnt);
        true
    }

    /// One page is refused, and others are not. What it states is kept to all the same.
    fn hold_for_page(&mut self, now: Timestamp, stated: Option<Duration>, of_pace: bool) {
        if let Some(wait) = stated {
            self.hold_as_stated(now, wait, HoldReason::Page);
        } else if of_pace {
            let wait = jittered(self.policy.backoff_bounds().min, self.random.f64());
            self.hold_until(now + wait.min(self.policy.hold_max()), HoldReason::Page, false);
        }
    }

    /// It could not be reached.
    fn unreachable(&mut self, now: Timestamp, landing: Landing) -> Payer {
        if self.is_old_news(landing) {
            return self.payer_of_old();
        }
        if self.is_own(landing) {
            return Payer::Url;
        }
        let of_pace = self.pace.fails_often();
        self.accuse_of(now, landing, Charge::Unreached, of_pace, |host, closing| {
            host.hold_by_strikes(now, closing, HoldReason::Unreachable);
        })
    }

    /// A failure of the URL's own, unless another one failed just before.
    fn failed(&mut self, now: Timestamp, landing: Landing) -> Payer {
        self.pace.remember(true);
        if self.is_old_news(landing) {
            return self.payer_of_old();
        }
        if self.hold.door == Door::Open {
            if self.is_own(landing) {
                return Payer::Url;
            }
            let Who::Url { url, .. } = landing.who else {
                return self.suspect_host(now, landing);
            };
            match &mut self.suspect {
                Some(suspect) if suspect.url != url => {
                    suspect.in_a_row = suspect.in_a_row.saturating_add(1);
                    suspect.url = url;
                    if u32::from(suspect.in_a_row) >= self.pace.failures_of_host(suspect.in_a_row) {
                        return self.suspect_host(now, landing);
                    }
                }
                Some(_) => {}
                None => self.suspect = self.suspect_of(landing),
            }
            return Payer::Open;
        }
        self.suspect_host(now, landing)
    }

    /// Failures of different URLs in a row.
    fn suspect_host(&mut self, now: Timestamp, landing: Landing) -> Payer {
        let of_pace = self.pace.fails_often();
        let first = self.suspect;
        let was_open = self.hold.door == Door::Open;
        let flaky = first.is_some_and(|first| self.pace.failures_of_host(first.in_a_row) > Pace::IN_A_ROW);
        let payer = self.accuse_of(now, landing, Charge::Failed, of_pace, |host, closing| {
            if was_open && flaky {
                // Many of its pages fail: that one more does is no reason to wait long.
                host.be_quiet();
                host.hold.wait(now + host.policy.backoff_bounds().min / YOUNG_PART);
            } else {
                host.hold_by_strikes(now, closing, HoldReason::Unreachable);
            }
        });
        if let Some(Suspect { seq, .. }) = first {
            // What the host refuses, it refused the first of them already.
            self.pace.refused_from(seq);
        }
        payer
    }

    /// 401 or 403: an answer, unless it is one of a run that came over a host that was welcoming.
    fn forbid(&mut self, now: Timestamp, landing: Landing, proposal: Proposal) -> Payer {
        let walled = self.evidence.case.is_some_and(|case| case.charge == Charge::Forbidden);
        let tail = landing.who == Who::Witness && self.evidence.case.is_none();
        if walled && self.hold.door != Door::Open || tail {
            let payer = self.accuse_of(now, landing, Charge::Forbidden, false, |host, closing| {
                host.hold_by_strikes(now, closing, HoldReason::Forbidden);
            });
            return if payer == Payer::Open { Payer::Walled } else { payer };
        }
        self.well(now, landing);
        let Who::Url { failed_seq, .. } = landing.who else { return Payer::Nobody };
        let welcome_since = |seq| self.evidence.welcome_after(seq);
        let rightly = self.evidence.welcome.is_none()
            || self.evidence.good.is_none()
            || welcome_since(landing.seq)
            || failed_seq.is_some_and(welcome_since);
        if rightly || !matches!(proposal.verdict, Verdict::GiveUp(_)) || self.hold.door != Door::Open {
            return Payer::Nobody;
        }
        self.evidence.forbidden = self.evidence.forbidden.saturating_add(1);
        if self.evidence.forbidden >= self.evidence.forbidden_max(self.limits.credit) {
            self.accuse_of(now, landing, Charge::Forbidden, false, |host, _| host.be_quiet());
        }
        Payer::Walled
    }

    /// Whether the URL pays for this itself: the host answered a later start, or others since the URL
    /// failed the last time.
    fn is_own(&self, landing: Landing) -> bool {
        if self.hold.door != Door::Open {
            return false;
        }
        let Who::Url { failed_seq, .. } = landing.who else { return false };
        self.evidence.well_after(landing.seq)
            || failed_seq.is_some_and(|failed| self.evidence.well_after(failed))
    }

    /// Whether so many different URLs were refused together that none of them is to blame: two others, or
    /// one where a limiter explains it.
    fn is_crowd(&self, url: u32, seq: u32, clean: bool, excused: u16) -> bool {
        if excused >= EXCUSED_MAX {
            return false;
        }
        let others = self.evidence.crowd(url, seq);
        self.evidence.refuses_most() || clean && others > 1 || self.pace.may_be_limited() && others > 0
    }

    /// Whether different URLs were refused together with this one.
    fn is_one_of_many(&self, landing: Landing) -> bool {
        let Who::Url { url, clean, excused, .. } = landing.who else { return false };
        self.is_crowd(url, landing.seq, clean, excused)
    }

    fn payer_of_old(&self) -> Payer {
        if self.evidence.last_confirmed { Payer::Host } else { Payer::Url }
    }

    fn accuse(
        &mut self,
        now: Timestamp,
        landing: Landing,
        charge: Charge,
        hold: impl FnOnce(&mut Self, Closing),
    ) -> Payer {
        self.accuse_of(now, landing, charge, true, hold)
    }

    /// Opens a case, or adds to the one that is open; `hold` says for how long the host is closed.
    fn accuse_of(
        &mut self,
        now: Timestamp,
        landing: Landing,
        charge: Charge,
        of_pace: bool,
        hold: impl FnOnce(&mut Self, Closing),
    ) -> Payer {
        let was_open = self.hold.door == Door::Open;
        let strikes = self.hold.strikes;
        let closing = self.close(now, landing, reason_of_charge(charge), of_pace);
        if self.hold.door == Door::Open || self.parked.is_some() {
            // Old news, or nothing to find out any more.
            hold(self, closing);
            return if self.parked.is_some() { Payer::Host } else { self.payer_of_old() };
        }
        if was_open || self.evidence.case.is_none() {
            self.open_case(landing, charge, strikes);
        }
        self.testify(landing, charge);
        let mut closing = closing;
        if closing == Closing::New && self.may_be_chance(landing, charge) {
            self.hold.wait(now + self.policy.backoff_bounds().min / YOUNG_PART);
            return if self.evidence.is_confirmed() { Payer::Host } else { Payer::Open };
        }
        if let Some(case) = self.evidence.case.as_mut().filter(|case| case.quiet) {
            if landing.probe || !matches!(landing.who, Who::Url { .. }) {
                // Now it is closed in earnest.
                self.evidence.singles = 0;
                (case.quiet, case.was_quiet) = (false, true);
                self.hold.strikes = case.strikes_before + 1;
                closing = Closing::New;
            } else if case.confirmed {
                // Several were refused together: the next one waits a little.
                self.hold.wait(now + self.policy.backoff_bounds().min / YOUNG_PART);
            }
        }
        hold(self, closing);
        if self.evidence.is_confirmed() { Payer::Host } else { Payer::Open }
    }

    /// Whether a probe that was sent at once may have met one more refusal of a host that refuses by chance,
    /// or a page that is broken in its own way.
    fn may_be_chance(&mut self, landing: Landing, charge: Charge) -> bool {
        let flaky = self.evidence.refuses_by_chance() && !landing.stated;
        let Some(case) = &mut self.evidence.case else { return false };
        let by_chance = match charge {
            Charge::Refused => flaky,
            Charge::Failed => case.charge == Charge::Refused,
            Charge::Unreached | Charge::Forbidden => false,
        };
        if !landing.probe || !case.quiet || !by_chance || std::mem::replace(&mut case.doubled, true) {
            return false;
        }
        self.hold.strikes = case.strikes_before;
        true
    }

    fn open_case(&mut self, landing: Landing, charge: Charge, strikes_before: u16) {
        let (url, failed_before, excused) = match landing.who {
            Who::Url { url, failed_seq, excused, .. } => (Some(url), failed_seq.is_some(), excused),
            Who::Rules | Who::Witness => (None, false, 0),
        };
        let again = failed_before && !(charge == Charge::Refused && self.is_one_of_many(landing));
        let seq = Some(landing.seq);
        self.evidence.case = Some(Case { charge, seq, url, excused, again, strikes_before, ..Case::NEW });
    }

    /// What this failure says in the open case.
    fn testify(&mut self, landing: Landing, charge: Charge) {
        let has_witness = self.evidence.good.is_some() || !self.rules.is_off();
        let Some(case) = &mut self.evidence.case else { return };
        let first = case.seq == Some(landing.seq);
        let confirms = match landing.who {
            Who::Witness | Who::Rules => true,
            Who::Url { clean, .. } if first || !clean => false,
            // Those that were refused together confirm each other; what fails otherwise may be broken, too.
            Who::Url { .. } => match charge {
                Charge::Refused | Charge::Unreached => true,
                Charge::Failed => landing.probe && (!has_witness || self.rules.is_off() && case.doubtful),
                Charge::Forbidden => false,
            },
        };
        if confirms {
            self.convict();
        } else if !first && landing.probe {
            case.doubtful = true;
        }
    }

    /// A single refusal among successes may be chance: another URL is asked at once, or very soon where
    /// this pace is new to the host.
    fn doubt(&mut self, now: Timestamp, closing: Closing) {
        if closing == Closing::Same {
            return;
        }
        self.be_quiet();
        let min = self.policy.backoff_bounds().min;
        if self.pace.is_young(now, min) {
            self.hold.wait(now + min / YOUNG_PART);
        }
    }

    /// Nothing is held for the case that was just opened, and nobody needs to be told.
    fn be_quiet(&mut self) {
        if let Some(case) = &mut self.evidence.case {
            case.quiet = true;
        }
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

    fn suspect_of(&self, landing: Landing) -> Option<Suspect> {
        let Who::Url { url, .. } = landing.who else { return None };
        Some(Suspect { url, seq: landing.seq, next: self.next_seq, in_a_row: 1 })
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
        let mut most = self.policy.strikes_max(self.answered);
        if self.hold.reason == HoldReason::Forbidden {
            // Its waits grow more slowly.
            most = most.saturating_mul(2);
        }
        if closing == Closing::New && strikes >= most {
            self.park(now + self.policy.hold_max(), ParkReason::Strikes);
        }
    }

    fn hold_until(&mut self, until: Timestamp, reason: HoldReason, clamped: bool) {
        #[cfg(feature = "sabotage")]
        if self.bug == Some(Bug::ShorterHold) {
            self.hold.shorten(until);
            return;
        }
        if let (Some(case), false) = (&mut self.evidence.case, reason.needs_no_probe()) {
            case.quiet = false;
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
                ticket.charge(self.evidence.number, seq);
                ticket.refusals += u16::from(outcome.blame() == Blame::Refusal);
                // It has paid: no case gives that back.
                ticket.case = None;
                if outcome.blame() != Blame::Refusal {
                    ticket.fault = Some(reason_of(outcome));
                }
                self.again(now, ticket, after);
            }
        }
    }

    /// The host pays: the URL uses up no attempt, and is not given up while it may be repeated.
    fn dispose_of_innocent(
        &mut self,
        now: Timestamp,
        mut ticket: Ticket,
        seq: u32,
        outcome: Outcome,
        proposal: Proposal,
    ) {
        let permanent = matches!(outcome, Outcome::Failed(Fault::NoSuchName | Fault::Certificate));
        if outcome.blame() != Blame::Refusal {
            ticket.fault = Some(reason_of(outcome));
        }
        let case = self.evidence.number;
        if outcome.blame() != Blame::Ours {
            ticket.charge(case, seq);
        }
        match proposal.verdict {
            Verdict::GiveUp(reason) if permanent || !proposal.repeatable => self.fail(ticket, reason),
            Verdict::Retry { .. } | Verdict::GiveUp(_) | Verdict::Done | Verdict::Redirect => {
                ticket.excuse(case);
                // The host's hold is the wait.
                self.again(now, ticket, Duration::ZERO);
            }
        }
    }

    /// It is open who pays: the URL is charged for the time being, and waits for its end if this is one.
    fn dispose_of_suspect(
        &mut self,
        now: Timestamp,
        mut ticket: Ticket,
        seq: u32,
        outcome: Outcome,
        proposal: Proposal,
        walled: bool,
    ) {
        let permanent = matches!(outcome, Outcome::Failed(Fault::NoSuchName | Fault::Certificate));
        if outcome.blame() != Blame::Refusal {
            ticket.fault = Some(reason_of(outcome));
        }
        ticket.walled = walled;
        if outcome.blame() != Blame::Ours {
            ticket.charge(self.evidence.number, seq);
            ticket.refusals += u16::from(outcome.blame() == Blame::Refusal);
        }
        match proposal.verdict {
            Verdict::GiveUp(reason) if permanent || !proposal.repeatable => self.fail(ticket, reason),
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
    fn free_retry(&mut self, now: Timestamp, mut ticket: Ticket, after: Duration) {
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
            (Some(Bug::AttemptsForFree), Payer::Url | Payer::Open) => Payer::Host,
            _ => payer,
        }
    }
}

fn reason_of_charge(charge: Charge) -> HoldReason {
    match charge {
        Charge::Refused => HoldReason::Refusal,
        Charge::Unreached | Charge::Failed => HoldReason::Unreachable,
        Charge::Forbidden => HoldReason::Forbidden,
    }
}

/// The word for what a URL suffered.
fn reason_of(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::Answered(status) | Outcome::Redirected(status) => Reason::of_status(status),
        Outcome::Refused(_) | Outcome::Failed(_) => outcome.reason(),
    }
}

/// 32 of the fingerprint's bits are enough to tell a few neighbours apart. Its upper ones are those of the
/// host.
fn fold(fingerprint: u128) -> u32 {
    fingerprint as u32
}

/// Starts that are closer than this can overtake each other on the way.
const OVERTAKING: Duration = Duration::from_millis(50);
/// A spacing below 1/20 of the backoff's minimum (50 ms by default) needs a ramp after a hold.
const HERD_PART: u32 = 20;
/// A URL that was excused so often is not excused any more for what other URLs meet.
const EXCUSED_MAX: u16 = 8;
/// Fewer refusals of one closing may be chance.
const REFUSED_MIN: u16 = 2;
/// A pace that is new to the host is doubted for a quarter of the backoff's minimum (250 ms by default).
const YOUNG_PART: u32 = 4;
/// Our own failures of one URL in a row before it ends: with growing waits, some ten minutes.
pub(super) const OURS_MAX: u8 = 16;
