//! Learns from refusals the pace that a server accepts without having stated it.
//!
//! An *epoch* reaches from the first start after an opening to the next closing. The server accepted the
//! starts of the epoch and then refused until it opened again, so its rate is accepted ÷ (opening − epoch's
//! start). For a sliding window, or a fixed one that begins with the epoch, that is exact after one closing.
//! A token bucket's first epoch includes its burst; later ones do not, so the estimate converges.
//!
//! Afterwards the pace is a cubic of the time since, as in CUBIC (RFC 9438 §4.2). It is flat around the
//! learnt rate, then grows ever faster, since no server says when it lifts a limit, or that the closing was
//! an outage. Each refusal of the same pace doubles the time before growth.

use std::time::Duration;

use super::budget::Spacing;
use super::limiter::{FLAKY_DOUBT, Finding, LimiterEstimate, Moment, RefusedStarts};
use crate::time::Timestamp;

/// What a host has learnt about its pace.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct LearntPace {
    /// Starts per second that the server accepted, if it refused more.
    learnt: Option<f64>,
    /// Seconds of crawling since then.
    grown: f32,
    /// How often about the same rate was learnt; each time doubles the patience.
    confirmed: u8,
    /// The last answer that `grown` includes.
    grown_at: Timestamp,
    /// First start of the epoch, and its number.
    epoch: Option<(Timestamp, u32)>,
    /// Starts of this epoch were refused already.
    epoch_met: bool,
    /// The closing in progress.
    closing: Option<ClosingInProgress>,
    /// One bit for each of the last 20 outcomes: 1 is a failure.
    recent: u32,
    /// The rate was learnt from single refusals, and not from a closing with several.
    of_singles: bool,
    /// The rate is not exact, so a higher one is tried soon.
    tentative: bool,
    /// The estimate from single refusals, once there was one.
    limiter: Option<Box<LimiterEstimate>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct ClosingInProgress {
    /// The lowest number of a refused start: earlier starts were accepted.
    refused_seq: u32,
    /// The highest number of a refused start.
    last_seq: u32,
    began: Timestamp,
    /// The time of the last refused start.
    refused_at: Timestamp,
    /// Whether the pace is the cause.
    of_pace: bool,
    /// Starts that were refused, perhaps because of the pace.
    refused: u16,
}

/// Refusals while other URLs were answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pardon {
    /// A limiter may have caused them.
    pub(super) of_limiter: bool,
    /// The host was closed because of them.
    pub(super) held: bool,
    /// Additional refusals needed to believe in a limiter.
    pub(super) doubt: u8,
    /// A pace that has been used for less time than this is new to the host.
    pub(super) young: Duration,
}

impl LearntPace {
    /// Failures of two different URLs in a row are enough if no other URL fails.
    pub(super) const IN_A_ROW: u32 = 2;

    /// The pace that a memo kept.
    pub(super) fn restored(learnt: Option<f64>, confirmed: u8) -> Self {
        Self { learnt, confirmed, ..Self::default() }
    }

    /// The ceiling in starts per second, if any: the learnt rate with its growth.
    pub(super) fn ceiling(&self, patience: Duration) -> Option<f64> {
        let patience = match self.learnt {
            Some(learnt) if self.tentative => TENTATIVE_STARTS / learnt,
            _ => patience.as_secs_f64() * f64::from(1 << self.confirmed.min(CONFIRMED_MAX)),
        };
        let grown = f64::from(self.grown) / patience.max(0.001);
        self.learnt.map(|learnt| (learnt * (1.0 + grown.powi(3))).max(PACE_MIN))
    }

    /// How often about the same rate was learnt.
    pub(super) fn confirmed(&self) -> u8 {
        self.confirmed
    }

    pub(super) fn spacing(&self, patience: Duration) -> Spacing {
        self.ceiling(patience).map_or(Spacing::NONE, |per_second| {
            Spacing::of_interval(Duration::from_secs_f64(1.0 / per_second))
        })
    }

    /// The wait until just after the end of a window that may have begun with the epoch, if a window ends
    /// within `most`.
    ///
    /// Servers count limits in windows of round lengths. A probe just before the end of a window is wasted,
    /// and one long after it wastes time.
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

    /// Counts a start; the first one after an opening begins an epoch.
    pub(super) fn started(&mut self, now: Timestamp, seq: u32) {
        if self.epoch.is_none() {
            self.epoch = Some((now, seq));
        }
    }

    /// Notes idle time, which says nothing about the server.
    pub(super) fn idled(&mut self) {
        if self.closing.is_none() {
            self.epoch = None;
        }
    }

    /// Starts refused by the closing in progress.
    pub(super) fn refused_by_pace(&self) -> u16 {
        self.closing.map_or(0, |closing| closing.refused)
    }

    /// Records whether an outcome was a failure.
    pub(super) fn remember(&mut self, failed: bool) {
        self.recent = ((self.recent << 1) | u32::from(failed)) & RECENT_MASK;
    }

    /// How many different URLs must fail in a row to make it the host's failure. The number grows with the
    /// share of its pages that fail anyway.
    pub(super) fn failures_of_host(&self, in_a_row: u8) -> u32 {
        let before = (self.recent >> in_a_row.min(20)).count_ones();
        (Self::IN_A_ROW + before.saturating_sub(1) / 2).min(IN_A_ROW_MAX)
    }

    /// Whether so many recent outcomes failed that one more failing page proves little.
    pub(super) fn is_flaky(&self) -> bool {
        self.recent.count_ones() >= FLAKY_MIN
    }

    /// Whether so many recent outcomes failed that chance hardly explains it.
    pub(super) fn fails_often(&self) -> bool {
        self.recent.count_ones() >= FAILURES_MIN
    }

    /// Takes in an unwelcome outcome of start `seq`: the first of a closing, one of its burst, or a probe's.
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

    /// Whether this pace is new to the host: in use for less than `since`.
    pub(super) fn is_young(&self, now: Timestamp, since: Duration) -> bool {
        self.epoch.is_none_or(|(began, _)| now.since(began) < since)
    }

    /// Whether the stated end of the closing in progress fits a usual window that began with the epoch.
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

    /// Takes in that another URL was answered, so the refusal may have been chance or due to one page.
    /// Returns a new ceiling.
    ///
    /// `probe` is the answered start, and `asked` the pace so far.
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
            // It has grown to the rate that was refused before.
            self.grown = 0.0;
            self.confirmed = self.confirmed.saturating_add(1).min(CONFIRMED_MAX);
        }
        self.take_in(finding)
    }

    /// Takes in the refusal of a page that other URLs show to be due to that page. A refusal about the pace
    /// still tells about the pace. Returns a new ceiling.
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

    /// Whether a limiter can explain the single refusals so far.
    pub(super) fn may_be_limited(&self) -> bool {
        self.limiter.as_ref().is_some_and(|limiter| limiter.is_possible())
    }

    /// Returns to the user's pace, since no limiter explains the refusals.
    fn forget_limit(&mut self) {
        self.learnt = None;
        self.tentative = false;
    }

    /// Takes in an accepted start, which may refute the limiter for which the pace was lowered.
    pub(super) fn accepted(&mut self, started: Timestamp, seq: u32) {
        let finding = self.limiter.as_mut().map(|limiter| limiter.accepted(Moment { at: started, seq }));
        if finding == Some(Finding::Chance) {
            self.forget_limit();
        }
    }

    /// Takes in the answer to the probe and learns from the closing. Returns a new ceiling.
    ///
    /// `stated` is the end of a hold that the server itself asked for, `asked` the pace so far. Fewer
    /// refusals than `refused_min` teach nothing.
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
        // A host known to refuse by chance sometimes does so several times in a row.
        let chances = self.limiter.as_ref().map_or(0, |limiter| limiter.chances().min(2));
        let refused_min = if refused_min > 1 { refused_min + 2 * u16::from(chances) } else { refused_min };
        if !closing.of_pace || accepted == 0 || closing.refused < refused_min {
            return None;
        }
        let span = Span::new(epoch_at, closing.refused_at, probe.0, stated);
        let estimate = f64::from(accepted) / span.seconds();
        let fall_most = if accepted < FEW {
            // Few starts prove little: they weigh no more than the rounding of seconds.
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
        // Two refusals may be chance, unless a window of a usual length explains them.
        let few = closing.refused <= 2 && span.window().is_none();
        (self.of_singles, self.tentative) = (false, few);
        self.learnt = Some(pace.max(PACE_MIN));
        self.learnt
    }

    /// Takes in an answer that was no refusal: the pace grows with time, until it exceeds the user's.
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

/// The time from the epoch's start to the server's opening, as an interval in seconds.
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

    /// The server's window, if a usual one lies in the interval.
    fn window(&self) -> Option<f64> {
        WINDOWS_SECONDS.into_iter().rev().find(|window| {
            self.from - WINDOW_TOLERANCE * window <= *window && *window <= self.to * (1.0 + WINDOW_TOLERANCE)
        })
    }

    /// The server's window, or an estimate within the interval.
    fn seconds(&self) -> f64 {
        match self.window() {
            Some(window) => window,
            None if self.stated => self.to,
            None => (self.from + self.to) / 2.0,
        }
    }
}

/// A rate that is not exact doubles within this many starts.
const TENTATIVE_STARTS: f64 = 60.0;
/// The lowest ceiling: one start in ten minutes.
const PACE_MIN: f64 = 1.0 / 600.0;
const RECENT_MASK: u32 = (1 << 20) - 1;
const IN_A_ROW_MAX: u32 = 5;
/// A quarter of the last 20 outcomes.
const FLAKY_MIN: u32 = 5;
/// 30 % of the last 20 outcomes.
const FAILURES_MIN: u32 = 6;
const FEW: u32 = 8;
const FALL_FEW: f64 = 0.8;
const FALL_MOST: f64 = 0.02;
/// Without a stated wait the closing may have been an outage, which says nothing about the pace.
const FALL_UNSTATED: f64 = 0.25;
const FALL_LEAST: f64 = 0.985;
/// A new estimate from this share of the old one on confirms it.
const SAME_FROM: f64 = 0.8;
const CONFIRMED_MAX: u8 = 4;
const GROWTH_STEP_SECONDS: f32 = 30.0;
const STATED_ROUNDING_SECONDS: f64 = 2.0;
const WINDOWS_SECONDS: [f64; 6] = [1.0, 10.0, 60.0, 600.0, 900.0, 3_600.0];
/// Shorter windows end before a second probe anyway.
const WINDOW_AWAITED_SECONDS: f64 = 10.0;
const WINDOW_REACH: f64 = 1.2;
/// A wait that is a smaller share of a window may fit it by chance.
const WINDOW_WAIT: f64 = 0.15;
/// Network jitter, and a little more.
const WINDOW_LATE_SECONDS: f64 = 0.1;
const WINDOW_TOLERANCE: f64 = 0.002;
