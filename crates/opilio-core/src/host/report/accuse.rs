//! Decides when a failure opens a case, what a failure shows in an open case, and when the URL itself is at
//! fault.

use std::num::NonZeroU8;

use super::super::blame::{Case, Charge};
use super::super::hold::{ClosingKind, Door};
use super::super::message::HoldReason;
use super::super::pace::LearntPace;
use super::super::state::HostState;
use super::{Landing, Payer, StartKind, Suspect};
use crate::time::Timestamp;

impl HostState {
    /// Whether this failure is the URL's own fault: the host answered a later start, or has answered a start
    /// since this URL failed before.
    pub(super) fn is_own(&self, landing: Landing) -> bool {
        if self.hold.door != Door::Open {
            return false;
        }
        let StartKind::Url { failed_seq, .. } = landing.who else { return false };
        self.evidence.well_after(landing.seq)
            || failed_seq.is_some_and(|failed| self.evidence.well_after(failed))
    }

    /// Whether so many different URLs were refused together that none of them is at fault: at least two URLs
    /// besides this URL; or, if the refusals may come from a rate limiter of the server, at least one URL besides
    /// this URL; or at least 4 of the 10 latest new URLs at their first request.
    pub(super) fn is_crowd(&self, url: u32, seq: u32, clean: bool, excused: u16) -> bool {
        if excused >= EXCUSED_MAX {
            return false;
        }
        let others = self.evidence.crowd(url, seq);
        self.evidence.refuses_many()
            || clean && others > 1
            || self.pacing.learnt.may_be_limited() && others > 0
    }

    /// Whether different URLs were refused together with the URL of this outcome, see `is_crowd`.
    pub(super) fn is_one_of_many(&self, landing: Landing) -> bool {
        let StartKind::Url { url, clean, excused, .. } = landing.who else { return false };
        self.is_crowd(url, landing.seq, clean, excused)
    }

    pub(super) fn payer_of_old(&self) -> Payer {
        if self.evidence.last_confirmed { Payer::Host } else { Payer::Url }
    }

    pub(super) fn accuse(
        &mut self,
        now: Timestamp,
        landing: Landing,
        charge: Charge,
        hold: impl FnOnce(&mut Self, ClosingKind),
    ) -> Payer {
        self.accuse_of(now, landing, charge, true, hold)
    }

    /// Opens a case, or adds the failure to the open case. Calls `hold` if the host has to be held. Returns
    /// whether the failure counts against the URL or the host, or whether this is open.
    pub(super) fn accuse_of(
        &mut self,
        now: Timestamp,
        landing: Landing,
        charge: Charge,
        of_pace: bool,
        hold: impl FnOnce(&mut Self, ClosingKind),
    ) -> Payer {
        let was_open = self.hold.door == Door::Open;
        let strikes = self.hold.strikes;
        let closing = self.close(now, landing, reason_of_charge(charge), of_pace);
        if self.hold.door == Door::Open || self.parked.is_some() {
            // The failure belongs to an earlier closing, or the host is parked, so no case is opened.
            hold(self, closing);
            return if self.parked.is_some() { Payer::Host } else { self.payer_of_old() };
        }
        if was_open || self.evidence.case.is_none() {
            self.open_case(landing, charge, strikes);
        }
        self.testify(landing, charge);
        let mut closing = closing;
        if closing == ClosingKind::New && self.may_be_chance(landing, charge) {
            self.hold.wait(now + self.terms.policy.backoff_bounds().min / YOUNG_PART);
            return if self.evidence.is_confirmed() { Payer::Host } else { Payer::Open };
        }
        if let Some(case) = self.evidence.case.as_mut().filter(|case| case.quiet) {
            if landing.probe || !matches!(landing.who, StartKind::Url { .. }) {
                // The probe that was sent at once failed, too, so now the host is held.
                self.evidence.singles = 0;
                (case.quiet, case.was_quiet) = (false, true);
                self.hold.strikes = case.strikes_before + 1;
                closing = ClosingKind::New;
            } else if case.confirmed {
                // Several URLs were refused together, so the next start waits a little.
                self.hold.wait(now + self.terms.policy.backoff_bounds().min / YOUNG_PART);
            }
        }
        hold(self, closing);
        if self.evidence.is_confirmed() { Payer::Host } else { Payer::Open }
    }

    /// Whether this failure of a probe may be a chance refusal or the failure of a broken page. True only if
    /// the host is not held for the open case, and at most once per case.
    pub(super) fn may_be_chance(&mut self, landing: Landing, charge: Charge) -> bool {
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

    pub(super) fn open_case(&mut self, landing: Landing, charge: Charge, strikes_before: u16) {
        let (url, failed_before, excused) = match landing.who {
            StartKind::Url { url, failed_seq, excused, .. } => (Some(url), failed_seq.is_some(), excused),
            StartKind::Rules | StartKind::Witness => (None, false, 0),
        };
        let again = failed_before && !(charge == Charge::Refused && self.is_one_of_many(landing));
        let seq = Some(landing.seq);
        let in_a_row = self.evidence.suspect.map_or(0, |suspect| suspect.in_a_row.get());
        let flaky = self.evidence.refuses_by_chance()
            || self.pacing.learnt.failures_of_host(in_a_row) > LearntPace::IN_A_ROW;
        self.evidence.case =
            Some(Case { charge, seq, url, excused, again, flaky, strikes_before, ..Case::NEW });
    }

    /// Records in the open case whether this failure confirms that the host is at fault.
    pub(super) fn testify(&mut self, landing: Landing, charge: Charge) {
        let has_witness = self.evidence.good.is_some() || !self.rules.is_off();
        let Some(case) = &mut self.evidence.case else { return };
        let first = case.seq == Some(landing.seq);
        case.probed |= landing.probe && !first;
        let confirms = match landing.who {
            StartKind::Witness | StartKind::Rules => true,
            StartKind::Url { clean, .. } if first || !clean => false,
            // If a second URL is refused or not reached, the host is at fault. If the second URL fails in
            // another way, its page may be broken, too.
            StartKind::Url { .. } => match charge {
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

    /// Records whether the refusal that opened the case is about the pace.
    pub(super) fn note_of_pace(&mut self, landing: Landing, of_pace: bool) {
        if let Some(case) = self.evidence.case.as_mut().filter(|case| case.seq == Some(landing.seq)) {
            case.of_pace = of_pace;
        }
    }

    /// Treats a single refusal among successes as possible chance: another URL is requested at once, or very
    /// soon if the pace is new to the host.
    pub(super) fn doubt(&mut self, now: Timestamp, closing: ClosingKind) {
        if closing == ClosingKind::Same {
            return;
        }
        self.be_quiet();
        let min = self.terms.policy.backoff_bounds().min;
        if self.pacing.learnt.is_young(now, min) {
            self.hold.wait(now + min / YOUNG_PART);
        }
    }

    /// Makes the open case quiet: the host is not held for this case, and no event is reported.
    pub(super) fn be_quiet(&mut self) {
        if let Some(case) = &mut self.evidence.case {
            case.quiet = true;
        }
    }

    pub(super) fn suspect_of(&self, landing: Landing) -> Option<Suspect> {
        let StartKind::Url { url, .. } = landing.who else { return None };
        Some(Suspect { url, seq: landing.seq, next: self.pacing.next_seq, in_a_row: NonZeroU8::MIN })
    }

    /// Whether a failure belongs to a closing that is over: the request was started before the closing began,
    /// and the host has been opened since.
    pub(super) fn is_old_news(&self, landing: Landing) -> bool {
        self.hold.door == Door::Open && self.hold.preceded(landing.started)
    }
}

fn reason_of_charge(charge: Charge) -> HoldReason {
    match charge {
        Charge::Refused => HoldReason::Refusal,
        Charge::Unreached | Charge::Failed => HoldReason::Unreachable,
        Charge::Forbidden => HoldReason::Forbidden,
    }
}

/// An excused request does not count against its URL, since the host was at fault. After this many of them, a
/// URL is no longer excused just because other URLs are refused, too, so that it cannot be requested for ever.
const EXCUSED_MAX: u16 = 8;
/// Where a very short wait before the next start is enough, it is the backoff's minimum divided by this
/// number (250 ms by default).
pub(super) const YOUNG_PART: u32 = 4;
