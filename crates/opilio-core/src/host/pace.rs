//! Learns from refusals at which pace a server accepts requests, if the server does not state its limit.
//!
//! An *epoch* lasts from the first start after an opening of the host to the next closing. The server
//! accepted the starts of the epoch and then refused until the host opened again, so its rate is: accepted
//! starts ÷ (time of the opening − start of the epoch). If the server counts in a sliding window, or in a
//! fixed window that begins with the epoch, this rate is exact after one closing. A token bucket's first
//! epoch includes its burst; later epochs do not, so the estimate converges.
//!
//! Afterwards the pace is a cubic function of the time since then, as in CUBIC (RFC 9438 §4.2). It stays
//! about the learnt rate for a while, then grows ever faster, since a server does not say when it lifts a
//! limit, and the closing may have been only an outage. Each refusal of the same pace doubles the time before
//! the pace grows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::Spacing;
use super::limiter::{FLAKY_DOUBT, Finding, LimiterEstimate, Moment, RefusedStarts};
use crate::time::Timestamp;

/// The pace that was learnt from a host's refusals, and the observations from which it is learnt.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct LearntPace {
    /// The rate that the server accepted while it refused a higher rate, in starts per second; `None` if no
    /// pace is learnt.
    learnt: Option<f64>,
    /// The seconds of crawling since the pace was learnt, from which the growth of the pace is computed.
    grown: f32,
    /// How often about the same rate was learnt again; each time doubles the time until the pace grows.
    confirmed: u8,
    /// The time up to which the seconds in `grown` are counted.
    grown_at: Timestamp,
    /// The time and the number of the epoch's first start.
    epoch: Option<(Timestamp, u32)>,
    /// Whether starts of this epoch have been refused already.
    epoch_met: bool,
    /// The closing that has not ended yet.
    closing: Option<ClosingInProgress>,
    /// The last 20 outcomes, one bit each: 1 is a failure, the lowest bit is the latest.
    recent: u32,
    /// Whether the rate was learnt from single refusals, and not from a closing with several refusals.
    of_singles: bool,
    /// Whether the rate is not exact, so that a higher rate is tried soon.
    tentative: bool,
    /// The estimate of the server's limiter from single refusals; `None` before the first refusal.
    limiter: Option<Box<LimiterEstimate>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct ClosingInProgress {
    /// The lowest number of a refused start in this closing: all earlier starts were accepted.
    refused_seq: u32,
    /// The highest number of a refused start.
    last_seq: u32,
    began: Timestamp,
    /// The time of the last refused start.
    refused_at: Timestamp,
    /// Whether the refusals may be due to the pace.
    of_pace: bool,
    /// The number of starts that were refused, perhaps because of the pace.
    refused: u16,
}

/// The circumstances of refusals that came while other URLs were answered, so that the host may not be at
/// fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pardon {
    /// Whether a limiter may have caused the refusals.
    pub(super) of_limiter: bool,
    /// Whether the host was closed because of the refusals.
    pub(super) held: bool,
    /// How many more refusals than usual are needed until they count as those of a rate limiter of the server.
    pub(super) doubt: u8,
    /// The time for which a pace counts as new to the host.
    pub(super) young: Duration,
}

impl LearntPace {
    /// The number of different URLs that must fail in a row for the host to be at fault, at a host whose
    /// pages do not fail otherwise.
    pub(super) const IN_A_ROW: u32 = 2;

    /// Restores the pace from the saved state of a host (`HostMemo`).
    pub(super) fn restored(learnt: Option<f64>, confirmed: u8) -> Self {
        Self { learnt, confirmed, ..Self::default() }
    }

    /// Returns the learnt rate and its growth since, in starts per second; `None` if no rate is learnt. The
    /// longer `patience` is, the more slowly the rate grows.
    pub(super) fn ceiling(&self, patience: Duration) -> Option<f64> {
        let patience = match self.learnt {
            Some(learnt) if self.tentative => TENTATIVE_STARTS / learnt,
            _ => patience.as_secs_f64() * f64::from(1 << self.confirmed.min(CONFIRMED_MAX)),
        };
        let grown = f64::from(self.grown) / patience.max(0.001);
        self.learnt.map(|learnt| (learnt * (1.0 + grown.powi(3))).max(PACE_MIN))
    }

    /// Returns how often about the same rate was learnt again.
    pub(super) fn confirmed(&self) -> u8 {
        self.confirmed
    }

    pub(super) fn spacing(&self, patience: Duration) -> Spacing {
        self.ceiling(patience).map_or(Spacing::NONE, |per_second| {
            Spacing::of_interval(Duration::from_secs_f64(1.0 / per_second))
        })
    }

    /// Returns the wait until just after the end of a time window that the server may count in, and that
    /// began with the epoch; `None` if no usual window ends within `most` (or up to 20 % later).
    ///
    /// Servers count requests in windows of round lengths, such as a minute. A probe just before the end of a
    /// window is wasted, and a probe long after the end wastes time.
    pub(super) fn wait_for_window(&self, now: Timestamp, most: Duration, random: f64) -> Option<Duration> {
        let (epoch, _) = self.epoch?;
        let passed = now.since(epoch).as_secs_f64();
        let within = most.as_secs_f64() * WINDOW_REACH;
        let to_end = |window: f64| window + WINDOW_LATE_SECONDS * (1.0 + random) - passed;
        let waits =
            WINDOWS_SECONDS.into_iter().filter(|window| *window >= WINDOW_AWAITED_SECONDS).map(to_end);
        let wait = waits.into_iter().find(|wait| *wait > 0.0 && *wait <= within)?;
        Some(Duration::from_secs_f64(wait))
    }

    /// Records a start. The first start after an opening begins an epoch.
    pub(super) fn started(&mut self, now: Timestamp, seq: u32) {
        if self.epoch.is_none() {
            self.epoch = Some((now, seq));
        }
    }

    /// Ends the epoch because the host had nothing to fetch: an idle time does not show how fast the server
    /// accepts requests.
    pub(super) fn idled(&mut self) {
        if self.closing.is_none() {
            self.epoch = None;
        }
    }

    /// Returns how many starts were refused in the present closing, perhaps because of the pace.
    pub(super) fn refused_by_pace(&self) -> u16 {
        self.closing.map_or(0, |closing| closing.refused)
    }

    /// Records whether an outcome was a failure.
    pub(super) fn remember(&mut self, failed: bool) {
        self.recent = ((self.recent << 1) | u32::from(failed)) & RECENT_MASK;
    }

    /// Returns how many different URLs must fail in a row for the host to be at fault: 2 to 5. The number
    /// grows with the share of the host's pages that fail anyway.
    pub(super) fn failures_of_host(&self, in_a_row: u8) -> u32 {
        let before = (self.recent >> in_a_row.min(20)).count_ones();
        (Self::IN_A_ROW + before.saturating_sub(1) / 2).min(IN_A_ROW_MAX)
    }

    /// Whether at least 5 of the last 20 outcomes were failures, so that one more failing page proves little.
    pub(super) fn is_flaky(&self) -> bool {
        self.recent.count_ones() >= FLAKY_MIN
    }

    /// Whether at least 6 of the last 20 outcomes were failures, which is hardly chance.
    pub(super) fn fails_often(&self) -> bool {
        self.recent.count_ones() >= FAILURES_MIN
    }

    /// Records an unwelcome outcome of start `seq`. The outcome begins a closing, or belongs to the closing
    /// in progress.
    pub(super) fn refused(&mut self, started: Timestamp, seq: u32, of_pace: bool) {
        match &mut self.closing {
            Some(closing) => {
                closing.refused_seq = closing.refused_seq.min(seq);
                closing.last_seq = closing.last_seq.max(seq);
                closing.began = closing.began.min(started);
                closing.refused_at = closing.refused_at.max(started);
                closing.of_pace |= of_pace;
                closing.refused = closing.refused.saturating_add(of_pace.into());
            }
            None => {
                self.closing = Some(ClosingInProgress {
                    refused_seq: seq,
                    last_seq: seq,
                    began: started,
                    refused_at: started,
                    of_pace,
                    refused: of_pace.into(),
                });
            }
        }
    }

    /// Moves the beginning of the closing in progress back to start `seq`.
    pub(super) fn refused_from(&mut self, seq: u32) {
        if let Some(closing) = &mut self.closing {
            closing.refused_seq = closing.refused_seq.min(seq);
        }
    }

    /// Whether the pace is new to the host: the epoch has lasted for less than `since`.
    pub(super) fn is_young(&self, now: Timestamp, since: Duration) -> bool {
        self.epoch.is_none_or(|(began, _)| now.since(began) < since)
    }

    /// Whether the end of the closing in progress, as the server stated it, fits a usual window that began
    /// with the epoch.
    pub(super) fn fits_window(&self, stated: Option<Timestamp>, probe: Timestamp) -> bool {
        let (Some(closing), Some((epoch, first)), Some(stated)) = (self.closing, self.epoch, stated) else {
            return false;
        };
        if closing.refused_seq.saturating_sub(first) < FEW {
            return false;
        }
        let wait = stated.since(closing.refused_at).as_secs_f64();
        let window = Span::new(epoch, closing.refused_at, probe, Some(stated)).window();
        window.is_some_and(|window| window >= WINDOW_AWAITED_SECONDS && wait > window * WINDOW_WAIT)
    }

    /// Records that another URL was answered, so the refusal may have been chance or due to one page. Returns
    /// the new highest pace in starts per second, if a pace was learnt.
    ///
    /// `probe` is the time and number of the answered start, and `asked` is the pace so far in starts per
    /// second.
    pub(super) fn pardoned(
        &mut self,
        now: Timestamp,
        probe: (Timestamp, u32),
        asked: Option<f64>,
        pardon: &Pardon,
    ) -> Option<f64> {
        let Pardon { of_limiter, held, doubt, young } = *pardon;
        let closing = self.closing.take()?;
        self.grown_at = now;
        let (epoch_at, epoch_seq) = *self.epoch.get_or_insert(probe);
        if !of_limiter || closing.refused == 0 {
            return None;
        }
        let accepted = f64::from(closing.refused_seq.saturating_sub(epoch_seq));
        let seconds = closing.began.since(epoch_at).as_secs_f64();
        let hold = probe.0.since(closing.began).as_secs_f64().max(0.001);
        let is_learnt = self.learnt.is_some();
        let limiter = self.limiter.get_or_insert_default();
        if !std::mem::replace(&mut self.epoch_met, true) {
            limiter.let_pass(accepted, seconds);
        }
        let refusals = RefusedStarts {
            first: Moment { at: closing.began, seq: closing.refused_seq },
            last: Moment { at: closing.refused_at, seq: closing.last_seq },
            count: closing.refused.into(),
            young: closing.refused_at.since(epoch_at) < young,
            doubt,
            hold: if held { hold } else { 0.0 },
        };
        let finding = limiter.refused(&refusals, asked, is_learnt);
        if finding == Finding::Unclear && self.learnt.is_some() && !self.of_singles {
            // The pace has grown until it reached the rate that was refused before, so the learnt rate is
            // confirmed.
            self.grown = 0.0;
            self.confirmed = self.confirmed.saturating_add(1).min(CONFIRMED_MAX);
        }
        self.take_in(finding)
    }

    /// Records a refusal that concerns only one page, as answers to other URLs show. If the refusal is about
    /// the pace (`of_pace`), it still helps to estimate the limiter. Returns the new highest pace in starts
    /// per second, if a pace was learnt.
    pub(super) fn page_refused(
        &mut self,
        started: Timestamp,
        seq: u32,
        of_pace: bool,
        asked: Option<f64>,
        hold: Duration,
    ) -> Option<f64> {
        let is_learnt = self.learnt.is_some();
        let limiter = self.limiter.as_mut()?;
        if !of_pace {
            limiter.may_have_refused();
            return None;
        }
        let moment = Moment { at: started, seq };
        let hold = hold.as_secs_f64();
        let doubt = if self.is_flaky() { FLAKY_DOUBT } else { 0 };
        let limiter = self.limiter.as_mut()?;
        let refusals = RefusedStarts { first: moment, last: moment, count: 1, young: false, doubt, hold };
        let finding = limiter.refused(&refusals, asked, is_learnt);
        self.take_in(finding)
    }

    fn take_in(&mut self, finding: Finding) -> Option<f64> {
        match finding {
            Finding::Unclear => None,
            Finding::Chance => {
                self.forget_limit();
                None
            }
            Finding::Limit { pace, exact } => {
                self.grown = 0.0;
                self.confirmed = 0;
                (self.of_singles, self.tentative) = (true, !exact);
                self.learnt = Some(pace.max(PACE_MIN));
                self.learnt
            }
        }
    }

    /// Whether the single refusals so far can have come from a rate limiter of the server.
    pub(super) fn may_be_limited(&self) -> bool {
        self.limiter.as_ref().is_some_and(|limiter| limiter.is_possible())
    }

    /// Returns to the user's pace, since no rate limiter of the server can have caused the refusals.
    fn forget_limit(&mut self) {
        self.learnt = None;
        self.tentative = false;
    }

    /// Records an accepted start. If the start refutes the limiter for which the pace was lowered, the learnt
    /// pace is forgotten.
    pub(super) fn accepted(&mut self, started: Timestamp, seq: u32) {
        let finding = self.limiter.as_mut().map(|limiter| limiter.accepted(Moment { at: started, seq }));
        if finding == Some(Finding::Chance) {
            self.forget_limit();
        }
    }

    /// Records the answer to the probe, and learns the pace from the closing that this answer ends. Returns
    /// the new highest pace in starts per second, if a pace was learnt.
    ///
    /// `stated` is the end of the hold if the server stated the wait, and `asked` is the pace so far in
    /// starts per second. Nothing is learnt from a closing with fewer refusals than `refused_min`.
    pub(super) fn opened(
        &mut self,
        now: Timestamp,
        probe: (Timestamp, u32),
        stated: Option<Timestamp>,
        asked: Option<f64>,
        refused_min: u16,
    ) -> Option<f64> {
        let closing = self.closing.take();
        let epoch = self.epoch.replace(probe);
        if let Some(limiter) = &mut self.limiter {
            limiter.interrupt();
        }
        let met = std::mem::take(&mut self.epoch_met);
        self.grown_at = now;
        let (closing, (epoch_at, epoch_seq)) = (closing?, epoch?);
        let accepted = closing.refused_seq.saturating_sub(epoch_seq);
        if closing.of_pace && !met {
            let seconds = closing.began.since(epoch_at).as_secs_f64();
            self.limiter.get_or_insert_default().let_pass(accepted.into(), seconds);
        }
        // A host that is known to refuse by chance sometimes does so several times in a row.
        let chances = self.limiter.as_ref().map_or(0, |limiter| limiter.chances().min(2));
        let refused_min = if refused_min > 1 { refused_min + 2 * u16::from(chances) } else { refused_min };
        if !closing.of_pace || accepted == 0 || closing.refused < refused_min {
            return None;
        }
        let span = Span::new(epoch_at, closing.refused_at, probe.0, stated);
        let estimate = f64::from(accepted) / span.seconds();
        let fall_most = if accepted < FEW {
            // Few starts prove little, since the estimate then depends on how the server rounds times to
            // seconds.
            FALL_FEW
        } else if stated.is_none() {
            FALL_UNSTATED
        } else {
            FALL_MOST
        };
        let pace = asked.map_or(estimate, |asked| estimate.clamp(asked * fall_most, asked * FALL_LEAST));
        let again = self.learnt.is_some_and(|learnt| pace > learnt * SAME_FROM);
        self.confirmed = if again { self.confirmed.saturating_add(1).min(CONFIRMED_MAX) } else { 0 };
        self.grown = 0.0;
        // Two refusals may be chance, unless they fit a limit per window of a usual length.
        let few = closing.refused <= 2 && span.window().is_none();
        (self.of_singles, self.tentative) = (false, few);
        self.learnt = Some(pace.max(PACE_MIN));
        self.learnt
    }

    /// Records an answer that was not a refusal: the learnt pace grows with time, and is forgotten when it
    /// reaches the user's pace `asked`.
    pub(super) fn well(&mut self, now: Timestamp, patience: Duration, asked: Option<f64>) {
        if self.learnt.is_none() || self.closing.is_some() {
            return;
        }
        self.grown += now.since(self.grown_at).as_secs_f32().min(GROWTH_STEP_SECONDS);
        self.grown_at = now;
        let ceiling = self.ceiling(patience);
        if asked.is_some_and(|asked| ceiling.is_some_and(|ceiling| ceiling >= asked)) {
            self.learnt = None;
        }
    }
}

/// The time from the epoch's start until the server accepts requests again. It is not known exactly, so it is
/// an interval in seconds.
struct Span {
    from: f64,
    to: f64,
    stated: bool,
}

impl Span {
    fn new(epoch: Timestamp, refused_at: Timestamp, probe: Timestamp, stated: Option<Timestamp>) -> Self {
        let to = stated.map_or(probe, |stated| stated.min(probe)).since(epoch).as_secs_f64();
        let refused_at = refused_at.since(epoch).as_secs_f64();
        let from = if stated.is_some() { (to - STATED_ROUNDING_SECONDS).max(refused_at) } else { refused_at };
        Self { from, to: to.max(0.001), stated: stated.is_some() }
    }

    /// Returns the usual window length that lies in the interval, the longest if there are several, in
    /// seconds.
    fn window(&self) -> Option<f64> {
        WINDOWS_SECONDS.into_iter().rev().find(|window| {
            self.from - WINDOW_TOLERANCE * window <= *window && *window <= self.to * (1.0 + WINDOW_TOLERANCE)
        })
    }

    /// Returns the length of the server's window in seconds if it is a usual length, else an estimate within
    /// the interval.
    fn seconds(&self) -> f64 {
        match self.window() {
            Some(window) => window,
            None if self.stated => self.to,
            None => (self.from + self.to) / 2.0,
        }
    }
}

/// A learnt rate that is not exact doubles within this many starts, so that higher rates are tried soon.
const TENTATIVE_STARTS: f64 = 60.0;
/// The lowest pace that is ever learnt: one start in ten minutes.
const PACE_MIN: f64 = 1.0 / 600.0;
const RECENT_MASK: u32 = (1 << 20) - 1;
const IN_A_ROW_MAX: u32 = 5;
/// A host with at least this many failures among its last 20 outcomes (a quarter) counts as flaky: one more
/// failing page proves little.
const FLAKY_MIN: u32 = 5;
/// At least this many failures among the last 20 outcomes (30 %) are hardly chance.
const FAILURES_MIN: u32 = 6;
const FEW: u32 = 8;
const FALL_FEW: f64 = 0.8;
const FALL_MOST: f64 = 0.02;
/// The least share of the present pace to which the pace may fall if the server stated no wait: the closing
/// may then have been an outage, which says nothing about the pace.
const FALL_UNSTATED: f64 = 0.25;
const FALL_LEAST: f64 = 0.985;
/// A new estimate of at least this share of the learnt rate confirms the learnt rate.
const SAME_FROM: f64 = 0.8;
const CONFIRMED_MAX: u8 = 4;
const GROWTH_STEP_SECONDS: f32 = 30.0;
const STATED_ROUNDING_SECONDS: f64 = 2.0;
const WINDOWS_SECONDS: [f64; 6] = [1.0, 10.0, 60.0, 600.0, 900.0, 3_600.0];
/// The length in seconds of the shortest window whose end the host waits for: shorter windows end before a
/// second probe anyway.
const WINDOW_AWAITED_SECONDS: f64 = 10.0;
const WINDOW_REACH: f64 = 1.2;
/// A stated wait must be more than this share of the window: a shorter wait may fit the window by chance.
const WINDOW_WAIT: f64 = 0.15;
/// A probe is sent at least this many seconds after a window's end, to allow for changing network delays.
const WINDOW_LATE_SECONDS: f64 = 0.1;
const WINDOW_TOLERANCE: f64 = 0.002;
