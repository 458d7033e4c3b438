//! Evaluates the outcome of a request for the host: the host answers well, refuses, cannot be reached, fails,
//! or forbids (401, 403).

use std::time::Duration;

use super::super::blame::{Case, Charge, is_later};
use super::super::hold::{ClosingKind, Door, jittered};
use super::super::leases::Pending;
use super::super::limiter::{FLAKY_DOUBT, SILENT_DOUBT};
use super::super::message::{HoldReason, HostEvent};
use super::super::pace::{LearntPace, Pardon};
#[cfg(feature = "sabotage")]
use super::super::sabotage::Bug;
use super::super::state::HostState;
use super::accuse::YOUNG_PART;
use super::{Landing, Payer, StartKind, Suspect};
use crate::outcome::{Blame, Fault, Outcome};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal, Verdict};

impl HostState {
    /// Records that the host answered, and neither refused nor forbade the request.
    pub(super) fn welcome(
        &mut self,
        now: Timestamp,
        landing: Landing,
        pending: Option<&Pending>,
        outcome: Outcome,
        proposal: Proposal,
    ) -> Payer {
        self.evidence.note_welcome(landing.seq);
        let good = pending.filter(|pending| {
            self.evidence.good.is_none()
                && outcome.blame() == Blame::Success
                && proposal.repeatable
                && !pending.id().is_errand()
        });
        if let Some(pending) = good {
            self.evidence.good = Some(Box::new(pending.lease.record.clone()));
        }
        let payer = self.well(now, landing);
        if self.hold.door == Door::Open {
            self.let_forbidden_pay(landing.seq);
        }
        if let (Verdict::Redirect, Some(wait)) = (proposal.verdict, proposal.hints.retry_after) {
            // `Retry-After` on a redirect is the wait before the redirect's target is requested (RFC 9110
            // §10.2.3).
            self.hold_as_stated(now, wait, HoldReason::Page);
        }
        payer
    }

    /// Records that the host answered, whatever the answer says about the URL.
    pub(super) fn well(&mut self, now: Timestamp, landing: Landing) -> Payer {
        self.pacing.learnt.remember(false);
        self.evidence.note_well(landing.seq);
        let after = |case: Case| case.seq.is_some_and(|seq| is_later(landing.seq, seq));
        let answers = |case: Case| case.quiet && !case.confirmed && after(case);
        let early = self.hold.door == Door::Closed && self.evidence.case.is_some_and(answers);
        if landing.probe || early {
            self.open(now, landing);
        }
        // While the door is closed, this is the answer to a request from before the closing, which proves
        // nothing about the host since then.
        if self.hold.door == Door::Open {
            if landing.who == StartKind::Witness {
                self.end_tail();
            } else if self.evidence.suspect.is_some_and(|suspect| is_later(landing.seq, suspect.seq)) {
                self.end_case();
            }
            self.hold.forgive();
            self.pacing.climb_ramp(self.terms.policy.in_flight_max());
            self.pacing.learnt.accepted(landing.started, landing.seq);
            self.pacing.well(now, &self.terms.policy);
            self.refresh_spacing();
        }
        Payer::Nobody
    }

    /// Opens the host after its probe was answered. The next start comes one spacing later. If the spacing is
    /// very short, only one request at a time is in flight at first.
    pub(super) fn open(&mut self, now: Timestamp, probe: Landing) {
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
            // So many different URLs were refused together that no single URL is at fault.
            self.leases.excuse(self.evidence.number, self.terms.limits.order);
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
        self.pacing.budget.resume_after(now);
        if self.pacing.spacing().duration() < self.terms.policy.backoff_bounds().min / HERD_PART {
            self.pacing.begin_ramp();
        }
    }

    /// Uses the learnt pace from now on. If `learnt` is a new pace (starts per second), the refusals came from a
    /// rate limiter of the server, so they count against no URL.
    pub(super) fn take_pace(&mut self, learnt: Option<f64>) {
        if let Some(per_second) = learnt {
            self.leases.forgive_refusals(self.terms.limits.order);
            self.say(HostEvent::RefusalsExcused);
            if self.terms.policy.adapts() {
                self.say(HostEvent::Paced { per_second });
            }
        }
        self.refresh_spacing();
    }

    /// Learns from the hold that has just ended how fast the host accepts requests. Returns the new limit in
    /// starts per second; `None` if no limit was learnt.
    pub(super) fn learn_pace(
        &mut self,
        now: Timestamp,
        probe: Landing,
        stated: Option<Timestamp>,
        case: Option<Case>,
    ) -> Option<f64> {
        let asked = self.pacing.asked(&self.terms.policy);
        let start = (probe.started, probe.seq);
        match case {
            #[cfg(feature = "sabotage")]
            Some(Case { charge: Charge::Refused, .. }) if self.bug == Some(Bug::PaceByChance) => {
                self.pacing.learnt.opened(now, start, stated, asked, 0)
            }
            Some(Case {
                confirmed: false, charge: Charge::Refused, again: false, strikes_before, ..
            }) if self.pacing.learnt.fits_window(stated, probe.started) => {
                // The server stated the wait, and the wait fits a limit that counts in windows, so one
                // refusal is enough.
                self.hold.strikes = strikes_before;
                self.pacing.learnt.opened(now, start, stated, asked, 1)
            }
            Some(Case {
                confirmed, strikes_before, charge, again, was_quiet, quiet, flaky, of_pace, ..
            }) if !confirmed || quiet || was_quiet && self.pacing.learnt.refused_by_pace() <= REFUSED_MIN => {
                if !confirmed {
                    self.hold.strikes = strikes_before;
                }
                // A page that is refused again and again says nothing about the pace.
                let of_limiter = charge == Charge::Refused && !again;
                let young = self.terms.policy.backoff_bounds().min;
                let silent = if of_pace { 0 } else { SILENT_DOUBT };
                let doubt = silent.max(if flaky { FLAKY_DOUBT } else { 0 });
                let pardon = Pardon { of_limiter, held: !quiet, doubt, young };
                self.pacing.learnt.pardoned(now, start, asked, &pardon)
            }
            Some(Case { flaky: true, .. }) => {
                self.pacing.learnt.opened(now, start, stated, asked, REFUSED_MIN_FLAKY)
            }
            Some(_) | None => self.pacing.learnt.opened(now, start, stated, asked, REFUSED_MIN),
        }
    }

    /// Records a refusal: a 429, a 503, or a status that the policy counts as a refusal. Returns whether the
    /// refusal counts against the URL or the host.
    pub(super) fn refuse(
        &mut self,
        now: Timestamp,
        landing: Landing,
        outcome: Outcome,
        hints: Hints,
    ) -> Payer {
        self.pacing.learnt.remember(false);
        let spent = hints.quota.filter(|quota| quota.remaining == 0).map(|quota| quota.reset);
        let stated = hints.retry_after.max(spent);
        // A 429 is about the pace, a 503 is not.
        let of_pace = !matches!(outcome, Outcome::Answered(503));
        if let StartKind::Url { url, clean: true, .. } = landing.who {
            self.evidence.note_refused(url, landing.seq);
        }
        if self.is_own(landing) && self.parked.is_none() && !self.is_one_of_many(landing) {
            let (asked, hold) =
                (self.pacing.asked(&self.terms.policy), self.terms.policy.backoff_bounds().min);
            let of_pace_alone = of_pace && stated.is_none();
            let learnt =
                self.pacing.learnt.page_refused(landing.started, landing.seq, of_pace_alone, asked, hold);
            self.hold_for_page(now, stated, of_pace);
            self.take_pace(learnt);
            return Payer::Url;
        }
        let Some(wait) = stated else {
            if !of_pace && self.is_one_more_single(landing) {
                return Payer::Open;
            }
            return self.accuse(now, landing, Charge::Refused, |host, closing| {
                host.note_of_pace(landing, of_pace);
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
            host.note_of_pace(landing, true);
            if closing == ClosingKind::New {
                host.hold.reason = HoldReason::RetryAfter;
            }
            host.hold_as_stated(now, wait, HoldReason::RetryAfter);
            if host.parked.is_none() {
                host.park_by_strikes(now, closing);
            }
        });
        if self.parked.is_none() && self.hold.door == Door::Open {
            // The refusal belongs to a closing that seemed to be over, and shows that the closing goes on.
            self.hold.distrust();
            self.open_case(landing, Charge::Refused, self.hold.strikes);
            return Payer::Open;
        }
        payer
    }

    /// Whether this is another single refusal at a host that refuses by chance. At such a host a refusal is
    /// treated as a failure: if the next request that fails is for another URL, the host is at fault.
    pub(super) fn is_one_more_single(&mut self, landing: Landing) -> bool {
        let StartKind::Url { url, .. } = landing.who else { return false };
        let in_a_row = self.evidence.suspect.is_some_and(|suspect| suspect.url != url);
        if !self.evidence.refuses_by_chance() || self.hold.door != Door::Open || in_a_row {
            return false;
        }
        self.evidence.suspect = self.evidence.suspect.or(self.suspect_of(landing));
        let asked = self.pacing.asked(&self.terms.policy);
        let learnt =
            self.pacing.learnt.page_refused(landing.started, landing.seq, true, asked, Duration::ZERO);
        self.take_pace(learnt);
        true
    }

    /// Holds the host although only one page is refused: a wait that the server states is always kept.
    pub(super) fn hold_for_page(&mut self, now: Timestamp, stated: Option<Duration>, of_pace: bool) {
        if let Some(wait) = stated {
            self.hold_as_stated(now, wait, HoldReason::Page);
        } else if of_pace {
            let wait = jittered(self.terms.policy.backoff_bounds().min, self.random.f64());
            self.hold_until(now + wait.min(self.terms.policy.hold_max()), HoldReason::Page, false);
        }
    }

    /// Records that the host could not be reached. Returns whether the failure counts against the URL or the
    /// host.
    pub(super) fn unreachable(&mut self, now: Timestamp, landing: Landing) -> Payer {
        if self.is_old_news(landing) {
            return self.payer_of_old();
        }
        if self.is_own(landing) {
            return Payer::Url;
        }
        let of_pace = self.pacing.learnt.fails_often();
        self.accuse_of(now, landing, Charge::Unreached, of_pace, |host, closing| {
            host.hold_by_strikes(now, closing, HoldReason::Unreachable);
        })
    }

    /// Records that a URL failed. The failure counts against the host if other URLs failed just before.
    pub(super) fn failed(&mut self, now: Timestamp, landing: Landing) -> Payer {
        self.pacing.learnt.remember(true);
        if self.is_old_news(landing) {
            return self.payer_of_old();
        }
        if self.hold.door == Door::Open {
            if self.is_own(landing) {
                return Payer::Url;
            }
            let StartKind::Url { url, .. } = landing.who else {
                return self.suspect_host(now, landing);
            };
            match &mut self.evidence.suspect {
                Some(suspect) if suspect.url != url => {
                    suspect.in_a_row = suspect.in_a_row.saturating_add(1);
                    suspect.url = url;
                    if u32::from(suspect.in_a_row.get())
                        >= self.pacing.learnt.failures_of_host(suspect.in_a_row.get())
                    {
                        return self.suspect_host(now, landing);
                    }
                }
                Some(_) => {}
                None => self.evidence.suspect = self.suspect_of(landing),
            }
            return Payer::Open;
        }
        self.suspect_host(now, landing)
    }

    /// Opens a case or adds the failure to the open case, since the host may be at fault: different URLs
    /// failed in a row.
    pub(super) fn suspect_host(&mut self, now: Timestamp, landing: Landing) -> Payer {
        let of_pace = self.pacing.learnt.fails_often();
        let first = self.evidence.suspect;
        let was_open = self.hold.door == Door::Open;
        let flaky = first.is_some_and(|first| {
            self.pacing.learnt.failures_of_host(first.in_a_row.get()) > LearntPace::IN_A_ROW
        });
        let payer = self.accuse_of(now, landing, Charge::Failed, of_pace, |host, closing| {
            if was_open && flaky {
                // Many of the host's pages fail, so one more failure is not a reason for a long wait.
                host.be_quiet();
                host.hold.wait(now + host.terms.policy.backoff_bounds().min / YOUNG_PART);
            } else {
                host.hold_by_strikes(now, closing, HoldReason::Unreachable);
            }
        });
        if let Some(Suspect { seq, .. }) = first {
            // If the host is at fault, it began to refuse requests with the first of these failures.
            self.pacing.learnt.refused_from(seq);
        }
        payer
    }

    /// Records a 401 or 403. Such an answer is an ordinary answer, unless it is one of several in a row at a
    /// host that answered well before.
    pub(super) fn forbid(&mut self, now: Timestamp, landing: Landing, proposal: Proposal) -> Payer {
        let walled = self.evidence.case.is_some_and(|case| case.charge == Charge::Forbidden);
        let tail = landing.who == StartKind::Witness && self.evidence.case.is_none();
        if walled && self.hold.door != Door::Open || tail {
            let payer = self.accuse_of(now, landing, Charge::Forbidden, false, |host, closing| {
                host.hold_by_strikes(now, closing, HoldReason::Forbidden);
            });
            return if payer == Payer::Open { Payer::Walled } else { payer };
        }
        self.well(now, landing);
        let StartKind::Url { failed_seq, .. } = landing.who else { return Payer::Nobody };
        let welcome_since = |seq| self.evidence.welcome_after(seq);
        let rightly = self.evidence.welcome.is_none()
            || self.evidence.good.is_none()
            || welcome_since(landing.seq)
            || failed_seq.is_some_and(welcome_since);
        if rightly || !matches!(proposal.verdict, Verdict::GiveUp(_)) || self.hold.door != Door::Open {
            return Payer::Nobody;
        }
        self.evidence.forbidden = self.evidence.forbidden.saturating_add(1);
        if self.evidence.forbidden >= self.evidence.forbidden_max(self.terms.limits.credit) {
            self.accuse_of(now, landing, Charge::Forbidden, false, |host, _| host.be_quiet());
        }
        Payer::Walled
    }

    /// Whether the host probably broke a kept-alive connection to refuse the request, and not because the
    /// connection was idle for too long: the host has broken connections lately. Such a break counts as a
    /// failure, but not of the URL. False for a probe, which is sent after a wait, so that any connection may
    /// be too old. Connections that are closed together, as when a server restarts, count as one break.
    pub(super) fn may_be_meant(&self, now: Timestamp, landing: Landing, outcome: Outcome) -> bool {
        outcome == Outcome::Failed(Fault::StaleConnection)
            && !landing.probe
            && self.hold.broke_lately(now)
            && self.evidence.suspect.is_none_or(|suspect| suspect.next <= landing.seq)
    }
}

/// After a hold, a host whose spacing is shorter than the backoff's minimum divided by this number (50 ms by
/// default) starts with one request in flight.
const HERD_PART: u32 = 20;
/// A closing with fewer refusals than this teaches no pace: so few may be chance.
const REFUSED_MIN: u16 = 2;
/// The least number of refusals from which a pace is learnt at a host whose pages fail or are refused now and
/// then.
const REFUSED_MIN_FLAKY: u16 = 5;
