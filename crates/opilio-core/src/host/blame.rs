//! Decides whether a failure was the fault of the host or of one page, or happened by chance.
//!
//! Only the answers to other URLs can show that. The open question is called a *case*. A case is opened by a
//! refusal, by a connection that cannot be made, by several failures in a row of different URLs, or by a run
//! of 401 and 403. While a case is open, the host starts one request at a time, for a URL that has not failed
//! in this case:
//!
//! - If the request is answered, the case is over, and the failures count against the URLs that failed.
//! - If the request is refused, or no connection can be made, the case is *confirmed*: the host was at fault,
//!   and no failure counts against a URL.
//! - If the request fails otherwise, its page may be broken as well. The next start is then a *witness*: the
//!   host repeats a request that was answered before, for robots.txt or a page.
//!
//! Until the case is over, each failure counts against its URL provisionally. A URL without attempts left
//! waits for the end of the case.

use serde::{Deserialize, Serialize};

use super::asleep::record_form;
use super::gate::NextStart;
use super::hold::{Door, Hold};
use super::leases::Pending;
use super::message::HoldReason;
use super::report::Suspect;
use super::rules::SCHEMES;
#[cfg(feature = "sabotage")]
use super::sabotage::Bug;
use super::state::HostState;
use crate::outcome::Reason;
use crate::record::{Attempts, Lease, LeaseId, Record};
use crate::time::Timestamp;

/// The kind of failure that a case is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::host) enum Charge {
    /// The answer was 429, 503, or another status that the policy counts as a refusal.
    Refused,
    /// The connection could not be made.
    Unreached,
    /// The request failed after the connection was made: 500, a reset, a timeout.
    Failed,
    /// One URL after another was answered 401 or 403.
    Forbidden,
}

/// An open case (the question whose fault the last failures were), and the facts that are known about the
/// case so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::host) struct Case {
    pub(in crate::host) charge: Charge,
    /// The number of the start that opened the case, and that start's URL (`fold` of its fingerprint). Both
    /// are `None` after passivation, since the host's saved state (`HostMemo`) does not include them.
    pub(in crate::host) seq: Option<u32>,
    pub(in crate::host) url: Option<u32>,
    /// How many requests of the URL that opened the case had already been excused (they did not count against
    /// the URL).
    pub(in crate::host) excused: u16,
    /// Whether another start has shown that the host is at fault.
    pub(in crate::host) confirmed: bool,
    /// Whether a probe failed in a way in which a broken page may fail, too, so that a witness has to decide
    /// the case.
    pub(in crate::host) doubtful: bool,
    /// Whether the refusal that opened the case is about the pace: the answer was a 429, or stated a wait.
    pub(in crate::host) of_pace: bool,
    /// Whether a probe has failed in this case.
    pub(in crate::host) probed: bool,
    /// Whether pages of this host failed or were refused now and then before the case was opened.
    pub(in crate::host) flaky: bool,
    /// Whether the host is not held for this case: the next request starts at once, to learn whether the host
    /// is at fault.
    pub(in crate::host) quiet: bool,
    /// Whether the case was quiet at first, and the host was held only after the probe failed, too.
    pub(in crate::host) was_quiet: bool,
    /// Whether one failure of the probe has already been taken as possible chance. A second failure is not.
    pub(in crate::host) doubled: bool,
    /// Whether the case was opened by a URL that had failed before.
    pub(in crate::host) again: bool,
    /// The host's strikes (closings in a row) before the case. They are restored if the host was not at
    /// fault.
    pub(in crate::host) strikes_before: u16,
}

impl Case {
    pub(in crate::host) const NEW: Self = Self {
        charge: Charge::Refused,
        seq: None,
        url: None,
        excused: 0,
        confirmed: false,
        doubtful: false,
        of_pace: false,
        probed: false,
        flaky: false,
        quiet: false,
        was_quiet: false,
        doubled: false,
        again: false,
        strikes_before: 0,
    };
}

/// The facts that the answers to a host's URLs have shown so far, and the open case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::host) struct Evidence {
    /// The number of the open case. If no case is open: the number that the next case will get.
    pub(in crate::host) number: u32,
    pub(in crate::host) case: Option<Case>,
    /// Whether the case that ended last was confirmed, so that the host was at fault.
    pub(in crate::host) last_confirmed: bool,
    /// The number of the latest start that was answered at all, and the number of the latest start that was
    /// answered with neither 401 nor 403.
    pub(in crate::host) well: Option<u32>,
    pub(in crate::host) welcome: Option<u32>,
    /// The three latest refused URLs that had not failed before, each with the number of its start, latest
    /// first.
    pub(in crate::host) refused: [Option<(u32, u32)>; 3],
    /// Ten bits: for each of the ten latest new URLs, whether its first request was refused (1) or not (0).
    /// The lowest bit is the latest.
    pub(in crate::host) first_asks: u16,
    /// The number of cases that ended with an answered probe before the host was held: single refusals that
    /// were not the host's fault. Set to 0 when the host is held after such a quick probe failed, too.
    pub(in crate::host) singles: u8,
    /// The number of 401 and 403 answers in a row since the last welcome answer, and the number in a row that
    /// calls for a witness (see the function `forbidden_max`).
    pub(in crate::host) forbidden: u8,
    pub(in crate::host) forbidden_max: u8,
    /// The URL that failed last; `None` if a later request was answered.
    pub(in crate::host) suspect: Option<Suspect>,
    /// A request that was answered well before. The host repeats this request as a witness if robots.txt
    /// cannot serve as one.
    #[serde(with = "record_form")]
    pub(in crate::host) good: Option<Box<Record>>,
}

impl Evidence {
    /// Restores the open case of a passivated host from its saved state (`HostMemo`).
    pub(in crate::host) fn restored(door: Door, reason: HoldReason, strikes: u16, confirmed: bool) -> Self {
        let charge = match reason {
            HoldReason::RetryAfter
            | HoldReason::QuotaSpent
            | HoldReason::Refusal
            | HoldReason::Page
            | HoldReason::Ordered => Charge::Refused,
            HoldReason::Forbidden => Charge::Forbidden,
            HoldReason::Unreachable => Charge::Unreached,
        };
        let case = Case { charge, confirmed, strikes_before: strikes, ..Case::NEW };
        Self { case: (door != Door::Open).then_some(case), last_confirmed: confirmed, ..Self::default() }
    }

    /// Opens a confirmed case after a park, if no case is open. All that is known after a park is that the
    /// host was at fault.
    pub(in crate::host) fn reopen(&mut self, hold: &Hold) {
        if self.case.is_none() {
            self.case = Self::restored(hold.door, hold.reason, hold.strikes, true).case;
        }
    }

    /// Whether the open case is confirmed as the host's fault.
    pub(in crate::host) fn is_confirmed(&self) -> bool {
        self.case.is_some_and(|case| case.confirmed)
    }

    /// Whether the host answered a start that is later than the start with the number `seq`.
    pub(in crate::host) fn well_after(&self, seq: u32) -> bool {
        self.well.is_some_and(|well| is_later(well, seq))
    }

    /// Whether the host answered a start that is later than the start with the number `seq`, with neither 401
    /// nor 403.
    pub(in crate::host) fn welcome_after(&self, seq: u32) -> bool {
        self.welcome.is_some_and(|welcome| is_later(welcome, seq))
    }

    /// Records whether the first request of a URL was refused.
    pub(in crate::host) fn note_first_ask(&mut self, refused: bool) {
        self.first_asks = (self.first_asks << 1 | u16::from(refused)) & FIRST_ASKS;
    }

    /// Whether at least 4 of the 10 latest new URLs were refused at their first request, so that the URLs are
    /// hardly at fault.
    pub(in crate::host) fn refuses_many(&self) -> bool {
        self.first_asks.count_ones() >= REFUSES_MANY
    }

    /// Whether at least 6 of the 10 latest new URLs were refused at their first request, which is hardly
    /// chance.
    pub(in crate::host) fn refuses_most(&self) -> bool {
        self.first_asks.count_ones() >= REFUSES_MOST
    }

    /// Whether this host refuses now and then without a reason, so that two refusals in a row may be chance.
    pub(in crate::host) fn refuses_by_chance(&self) -> bool {
        self.singles >= SINGLES && !self.refuses_most()
    }

    /// Records the refusal of a URL that had not failed before.
    pub(in crate::host) fn note_refused(&mut self, url: u32, seq: u32) {
        self.refused = [Some((url, seq)), self.refused[0], self.refused[1]];
    }

    /// Returns how many other URLs that had not failed before were refused after start `seq`, or at most
    /// `CROWD_STARTS` starts before it.
    pub(in crate::host) fn crowd(&self, url: u32, seq: u32) -> usize {
        let near = |other: u32| is_later(other, seq) || seq.wrapping_sub(other) <= CROWD_STARTS;
        self.refused
            .into_iter()
            .flatten()
            .filter(|(other, other_seq)| *other != url && near(*other_seq))
            .count()
    }

    pub(in crate::host) fn note_well(&mut self, seq: u32) {
        if !self.well_after(seq) {
            self.well = Some(seq);
        }
    }

    pub(in crate::host) fn note_welcome(&mut self, seq: u32) {
        if !self.welcome_after(seq) {
            self.welcome = Some(seq);
        }
        self.forbidden_max = 0;
    }

    /// Returns how many 401 or 403 answers in a row call for a witness. The number doubles each time a
    /// witness shows that such answers were meant for the URLs, and came from no firewall. It is at most a
    /// quarter of the `credit` leases that a host may hold.
    pub(in crate::host) fn forbidden_max(&self, credit: u32) -> u8 {
        self.forbidden_max.clamp(FORBIDDEN_FEW, FORBIDDEN_MANY).min((credit / 4).clamp(2, 255) as u8)
    }
}

/// Whether the start number `one` is later than `other`. Start numbers may wrap around.
pub(in crate::host) fn is_later(one: u32, other: u32) -> bool {
    one != other && one.wrapping_sub(other) < 1 << 31
}

impl HostState {
    /// Whether the next start has to be a witness (the repetition of a request that was answered before), and
    /// a request that can serve as a witness is known.
    pub(in crate::host) fn wants_witness(&self) -> bool {
        self.witness_record().is_some()
            && match (self.hold.door, self.evidence.case) {
                (Door::Probing, _) | (Door::Closed, None) => false,
                (Door::Closed, Some(case)) => self.case_wants_witness(case),
                (Door::Open, _) => self.is_at_tail(),
            }
    }

    fn case_wants_witness(&self, case: Case) -> bool {
        let startable = |pending: &Pending| pending.undecided.is_none();
        if case.charge == Charge::Forbidden {
            return true;
        }
        // A lease cannot start now if its origin's rules are being fetched from another host.
        let at_hand = |pending: &Pending| pending.is_clean() && self.lease_due(&pending.lease).is_some();
        if self.leases.ready().iter().any(at_hand) {
            // If many pages are broken, the failure of one more URL proves little; the failure of robots.txt
            // proves more.
            let robots = case.doubtful && !self.rules.is_off();
            let often = case.charge == Charge::Failed && self.pacing.learnt.is_flaky();
            return case.flaky && case.probed || !case.confirmed && (robots || often);
        }
        if case.doubtful {
            return true;
        }
        // If only one URL is left, the URL itself is tried again. If several URLs were refused in the same
        // way, a witness is needed.
        let alone = self.leases.idle().count() == 1;
        (case.confirmed || !alone || self.leases.has_undecided())
            && self.leases.idle().any(|pending| !pending.is_clean() || !startable(pending))
    }

    /// Whether all leases that are left wait for the end of a case.
    fn is_at_tail(&self) -> bool {
        self.leases.only_undecided()
    }

    /// Returns the request to repeat as a witness: the request for robots.txt, or the request for a page that
    /// was answered well.
    ///
    /// robots.txt is not used to detect a firewall: a firewall may always allow or always block robots.txt.
    fn witness_record(&self) -> Option<WitnessRecord<'_>> {
        let good = self.evidence.good.as_deref().map(WitnessRecord::Good);
        let charge = self.evidence.case.map(|case| case.charge);
        if charge == Some(Charge::Forbidden) || charge.is_none() && self.evidence.forbidden > 0 {
            return good;
        }
        let fetched = |pending: &&Pending| self.rules.were_fetched(pending.lease.record.scheme);
        let any_fetched = SCHEMES.into_iter().any(|scheme| self.rules.were_fetched(scheme));
        let suspect = if any_fetched { self.leases.idle().find(fetched) } else { None };
        let robots = suspect.map(|pending| &pending.lease.record);
        robots.map(WitnessRecord::RobotsOf).or(good)
    }

    /// Returns a new lease for a witness; `None` if no request can serve as a witness.
    pub(in crate::host) fn witness_lease(&self) -> Option<Lease> {
        let id = LeaseId::witness(self.pacing.next_seq);
        let record = match self.witness_record()? {
            WitnessRecord::Good(record) => record.clone(),
            WitnessRecord::RobotsOf(record) => Record {
                url: robots_url(&record.url).into(),
                attempts: Attempts::NONE,
                validators: None,
                extra: Default::default(),
                ..record.clone()
            },
        };
        Some(Lease { id, record })
    }

    /// Chooses the next start: the witness if one is needed, else the best lease that `may_start` allows.
    pub(in crate::host) fn choose(&self, may_start: impl Fn(&Lease) -> bool) -> Option<NextStart> {
        if self.wants_witness() {
            return Some(NextStart::Witness);
        }
        let may_start = |pending: &Pending| may_start(&pending.lease);
        // While it is undecided whose fault the failures are, a URL that has not failed starts first, since
        // its answer shows most.
        let careful =
            (self.hold.door == Door::Closed || self.evidence.suspect.is_some()) && !self.sabotaged_probe();
        let place = if careful { self.leases.safest(may_start)? } else { self.leases.best(may_start)? };
        Some(NextStart::Lease(place))
    }

    #[cfg(not(feature = "sabotage"))]
    fn sabotaged_probe(&self) -> bool {
        false
    }

    #[cfg(feature = "sabotage")]
    fn sabotaged_probe(&self) -> bool {
        self.bug == Some(Bug::ProbeByRank)
    }

    /// Counts the failures against the remaining URLs once the time of `tail_due` has come: only a witness
    /// could decide the case, and no request can serve as a witness.
    pub(in crate::host) fn settle_tail(&mut self, now: Timestamp) {
        if self.tail_due().is_some_and(|due| due <= now) {
            self.end_tail();
        }
    }

    /// Returns the time from which on the failures count against the remaining URLs; `None` if something else
    /// can still decide whose fault they were. For a closed host, this is the end of the hold.
    pub(in crate::host) fn tail_due(&self) -> Option<Timestamp> {
        let stuck = self.hold.door != Door::Probing && self.is_at_tail();
        let due = if self.hold.door == Door::Open { Timestamp::EPOCH } else { self.hold.until() };
        (stuck && self.rules.in_flight() == 0 && self.witness_record().is_none()).then_some(due)
    }

    /// Ends the wait of the remaining URLs: their failures count against them, and they fail.
    pub(in crate::host) fn end_tail(&mut self) {
        self.evidence.suspect = None;
        self.let_pay(|_| true);
        self.evidence.forbidden = 0;
        self.evidence.number = self.evidence.number.wrapping_add(1);
    }

    /// Fails each waiting lease that `which` selects, because the host was not at fault.
    fn let_pay(&mut self, which: impl Fn(&Pending) -> bool) {
        for mut pending in self.leases.take_undecided(which) {
            let reason = pending.undecided.take().unwrap_or(Reason::Internal);
            self.fail(pending, reason);
        }
    }

    /// Counts earlier 401 and 403 answers against their URLs, because a welcome answer to start `welcome`
    /// shows that no firewall blocks the crawler.
    pub(in crate::host) fn let_forbidden_pay(&mut self, welcome: u32) {
        if !self.leases.has_undecided() {
            return;
        }
        let before =
            |pending: &Pending| pending.walled && pending.failed_seq.is_none_or(|seq| is_later(welcome, seq));
        for mut pending in self.leases.take_undecided(before) {
            self.evidence.forbidden = self.evidence.forbidden.saturating_sub(1);
            let reason = pending.undecided.take().unwrap_or(Reason::Http4xx);
            self.fail(pending, reason);
        }
    }

    /// Confirms the open case: the host was at fault, so all failures of this case are excused.
    pub(in crate::host) fn convict(&mut self) {
        let Some(case) = &mut self.evidence.case else { return };
        if !std::mem::replace(&mut case.confirmed, true) {
            if case.charge == Charge::Forbidden {
                self.leases.summon_walled(self.evidence.number);
            }
            self.leases.excuse(self.evidence.number, self.terms.limits.order);
            self.evidence.forbidden = 0;
        }
        self.evidence.suspect = None;
    }

    /// Ends and returns the open case. Without an open case, ends the suspicion that might have become a
    /// case.
    pub(in crate::host) fn end_case(&mut self) -> Option<Case> {
        let case = self.evidence.case.take();
        self.evidence.suspect = None;
        match case {
            Some(Case { confirmed: true, .. }) => {}
            Some(Case { charge: Charge::Forbidden, .. }) => {
                self.evidence.forbidden_max = self.evidence.forbidden_max(u32::MAX).saturating_mul(2);
                self.evidence.forbidden = 0;
                self.let_pay(|_| true);
            }
            Some(_) | None => self.let_pay(|pending| !pending.walled),
        }
        if let Some(case) = case {
            self.evidence.last_confirmed = case.confirmed;
        }
        self.evidence.number = self.evidence.number.wrapping_add(1);
        case
    }
}

/// The request that a witness repeats.
enum WitnessRecord<'a> {
    /// The robots.txt of this record's origin.
    RobotsOf(&'a Record),
    Good(&'a Record),
}

fn robots_url(url: &str) -> String {
    let origin_end = url.find("://").map_or(0, |at| at + 3);
    let path = url[origin_end..].find(['/', '?']).map_or(url.len(), |at| origin_end + at);
    format!("{}/robots.txt", &url[..path])
}

/// After this many single refusals that were not the host's fault, a host is taken to refuse by chance.
const SINGLES: u8 = 3;
const FIRST_ASKS: u16 = (1 << 10) - 1;
/// If at least `REFUSES_MANY` of the ten latest new URLs are refused at their first request, the URLs are
/// hardly at fault. If at least `REFUSES_MOST` are, the refusals are hardly chance.
const REFUSES_MANY: u32 = 4;
const REFUSES_MOST: u32 = 6;
/// If different URLs are refused within this many starts, no single URL is at fault.
pub(super) const CROWD_STARTS: u32 = 6;
/// A first witness is sent after `FORBIDDEN_FEW` answers 401 or 403 in a row. The number grows later, to
/// `FORBIDDEN_MANY` at most.
const FORBIDDEN_FEW: u8 = 5;
const FORBIDDEN_MANY: u8 = 16;
