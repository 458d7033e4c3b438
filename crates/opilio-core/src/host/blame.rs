//! Decides whose fault a failure was: the host's, one page's, or chance.
//!
//! Only other URLs can tell. A *case* is the open question. It is opened by a refusal, by a connection that
//! cannot be made, by several failures in a row of different URLs, or by a run of 401 and 403. While a case
//! is open, one start at a time goes out, and it is a URL that has not failed in this case:
//!
//! - If it is answered, the case is over, and the failures count against the URLs that failed.
//! - If it is refused or finds no connection, the case is *confirmed*: the host was at fault, and nothing
//!   counts against a URL.
//! - If it fails otherwise, as broken pages do, it may be broken, too. The next start is a *witness*: a
//!   request that was answered before, for robots.txt or a page.
//!
//! Until the case is over, each failure counts against its URL provisionally, and a URL without attempts left
//! waits.

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::host) enum Charge {
    /// 429, 503, or a status that the policy counts as a refusal.
    Refused,
    /// No connection.
    Unreached,
    /// A failure after the connection stood: 500, a reset, a timeout.
    Failed,
    /// 401 or 403 for one URL after another.
    Forbidden,
}

/// The open question whose fault the last failures were.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct Case {
    pub(in crate::host) charge: Charge,
    /// The number of the start that opened the case, and its URL; a memo does not keep them.
    pub(in crate::host) seq: Option<u32>,
    pub(in crate::host) url: Option<u32>,
    /// How often that URL's requests had been excused.
    pub(in crate::host) excused: u16,
    /// Another start showed that the host is at fault.
    pub(in crate::host) confirmed: bool,
    /// A probe failed as broken pages do, so a witness has to decide.
    pub(in crate::host) doubtful: bool,
    /// The refusal that opened it is about the pace: it was a 429, or stated a wait.
    pub(in crate::host) of_pace: bool,
    /// A probe failed.
    pub(in crate::host) probed: bool,
    /// Before, pages of this host failed or were refused now and then.
    pub(in crate::host) flaky: bool,
    /// The host was not held for this case: the next request goes out at once, to learn whether the host is at
    /// fault.
    pub(in crate::host) quiet: bool,
    /// The case began quiet.
    pub(in crate::host) was_quiet: bool,
    /// Its probe was refused, too, which may be chance at a host that refuses by chance.
    pub(in crate::host) doubled: bool,
    /// A URL that had failed before opened the case.
    pub(in crate::host) again: bool,
    /// The host's strikes before the case; restored if the host was not at fault.
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

/// What the answers to a host's URLs have shown, and the open case.
#[derive(Clone, Debug, Default)]
pub(in crate::host) struct Evidence {
    /// The number of the open case, or of the next one.
    pub(in crate::host) number: u32,
    pub(in crate::host) case: Option<Case>,
    /// The last closed case was confirmed: the host was at fault.
    pub(in crate::host) last_confirmed: bool,
    /// The latest start with any answer, and the latest with a welcome answer.
    pub(in crate::host) well: Option<u32>,
    pub(in crate::host) welcome: Option<u32>,
    /// The last refused URLs that had not failed before, and the numbers of their starts.
    pub(in crate::host) refused: [Option<(u32, u32)>; 3],
    /// One bit for each of the last ten first requests of a URL: 1 means refused.
    pub(in crate::host) first_asks: u16,
    /// Single refusals since the host was last closed for one that other URLs showed not to be the host's
    /// fault.
    pub(in crate::host) singles: u8,
    /// 401 and 403 answers in a row since the last welcome answer, and how many of them call for a witness.
    pub(in crate::host) forbidden: u8,
    pub(in crate::host) forbidden_max: u8,
    /// The last URL that failed, if no success came since.
    pub(in crate::host) suspect: Option<Suspect>,
    /// A request that was answered well: the witness where robots.txt cannot serve as one.
    pub(in crate::host) good: Option<Box<Record>>,
}

impl Evidence {
    /// Restores the open case from the memo of a passivated host.
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

    /// Reopens after a park: all that is known is that the host was at fault.
    pub(in crate::host) fn reopen(&mut self, hold: &Hold) {
        if self.case.is_none() {
            self.case = Self::restored(hold.door, hold.reason, hold.strikes, true).case;
        }
    }

    /// Whether the open case is confirmed as the host's fault.
    pub(in crate::host) fn is_confirmed(&self) -> bool {
        self.case.is_some_and(|case| case.confirmed)
    }

    /// Whether the host answered a start that is later than this one.
    pub(in crate::host) fn well_after(&self, seq: u32) -> bool {
        self.well.is_some_and(|well| is_later(well, seq))
    }

    /// Whether the host welcomed a start that is later than this one.
    pub(in crate::host) fn welcome_after(&self, seq: u32) -> bool {
        self.welcome.is_some_and(|welcome| is_later(welcome, seq))
    }

    /// Records whether the first request of a URL was refused.
    pub(in crate::host) fn note_first_ask(&mut self, refused: bool) {
        self.first_asks = (self.first_asks << 1 | u16::from(refused)) & FIRST_ASKS;
    }

    /// Whether so many first requests are refused that the URLs are hardly at fault.
    pub(in crate::host) fn refuses_many(&self) -> bool {
        self.first_asks.count_ones() >= REFUSES_MANY
    }

    /// Whether so many first requests are refused that chance hardly explains it.
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

    /// How many other URLs that had not failed before were refused shortly before this start, or since.
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

    /// The number of 401 or 403 in a row that calls for a witness. It doubles each time the witness shows
    /// that the answers were right. Never more than a quarter of the `credit` leases that a host may hold.
    pub(in crate::host) fn forbidden_max(&self, credit: u32) -> u8 {
        self.forbidden_max.clamp(FORBIDDEN_FEW, FORBIDDEN_MANY).min((credit / 4).clamp(2, 255) as u8)
    }
}

/// Whether one start is later than another. Numbers may wrap around.
pub(in crate::host) fn is_later(one: u32, other: u32) -> bool {
    one != other && one.wrapping_sub(other) < 1 << 31
}

impl HostState {
    /// Whether only a witness can decide what comes next, and one is available.
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
        // A lease whose origin's rules are being fetched from another host cannot start now.
        let at_hand = |pending: &Pending| pending.is_clean() && self.lease_due(&pending.lease).is_some();
        if self.leases.ready().iter().any(at_hand) {
            // Among many broken pages a clean URL proves little; robots.txt proves more.
            let robots = case.doubtful && !self.rules.is_off();
            let often = case.charge == Charge::Failed && self.pacing.learnt.is_flaky();
            return case.flaky && case.probed || !case.confirmed && (robots || often);
        }
        if case.doubtful {
            return true;
        }
        // A single suspect may clear itself. Several that the host refused alike cannot.
        let alone = self.leases.idle().count() == 1;
        (case.confirmed || !alone || self.leases.has_undecided())
            && self.leases.idle().any(|pending| !pending.is_clean() || !startable(pending))
    }

    /// Whether only URLs are left whose end depends on whose fault it was.
    fn is_at_tail(&self) -> bool {
        self.leases.only_undecided()
    }

    /// The request to use as witness: robots.txt, or a page that was answered well.
    ///
    /// robots.txt proves little about a firewall, which may exempt or block it at all times.
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

    /// The witness's lease.
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

    /// The best lease that `may_start` allows, or the witness.
    pub(in crate::host) fn choose(&self, may_start: impl Fn(&Lease) -> bool) -> Option<NextStart> {
        if self.wants_witness() {
            return Some(NextStart::Witness);
        }
        let may_start = |pending: &Pending| may_start(&pending.lease);
        // While the fault is undecided, a URL that has not failed goes first, to find out.
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

    /// Ends the open question against the URLs, if only a witness could decide and there is none.
    pub(in crate::host) fn settle_tail(&mut self, now: Timestamp) {
        if self.tail_due().is_some_and(|due| due <= now) {
            self.end_tail();
        }
    }

    /// When the failures count against the remaining URLs, if nothing else happens. A closed host keeps its
    /// hold until then, and another URL may come meanwhile and decide.
    pub(in crate::host) fn tail_due(&self) -> Option<Timestamp> {
        let stuck = self.hold.door != Door::Probing && self.is_at_tail();
        let due = if self.hold.door == Door::Open { Timestamp::EPOCH } else { self.hold.until() };
        (stuck && self.rules.in_flight() == 0 && self.witness_record().is_none()).then_some(due)
    }

    /// Counts the failures against the remaining URLs.
    pub(in crate::host) fn end_tail(&mut self) {
        self.evidence.suspect = None;
        self.let_pay(|_| true);
        self.evidence.forbidden = 0;
        self.evidence.number = self.evidence.number.wrapping_add(1);
    }

    /// The host was not at fault: each URL that waited for the decision ends.
    fn let_pay(&mut self, which: impl Fn(&Pending) -> bool) {
        for mut pending in self.leases.take_undecided(which) {
            let reason = pending.undecided.take().unwrap_or(Reason::Internal);
            self.fail(pending, reason);
        }
    }

    /// A welcome answer shows that there is no firewall: the earlier 401 and 403 count against their URLs.
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

    /// The host was at fault: excuses all failures of this case.
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

    /// Ends and returns the open case, or ends the suspicion that might have become one.
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

/// After this many single refusals a host is taken to refuse by chance.
const SINGLES: u8 = 3;
const FIRST_ASKS: u16 = (1 << 10) - 1;
/// Refusals among the last ten first requests.
const REFUSES_MANY: u32 = 4;
const REFUSES_MOST: u32 = 6;
/// Different URLs that are refused within this many starts are not at fault.
pub(super) const CROWD_STARTS: u32 = 6;
/// The number of 401 or 403 in a row that calls for the first witness, and the highest such number.
const FORBIDDEN_FEW: u8 = 5;
const FORBIDDEN_MANY: u8 = 16;
