//! What refusals teach: the pace that a server bears, where nobody told it.
//!
//! An *epoch* reaches from the first start after an opening to the next closing. The server
//! accepted the starts of the epoch and then wanted silence until it opened again: accepted ÷
//! (opening − epoch's start) is its rate. For a sliding window, or a fixed one that begins with the
//! epoch, that is exact after one closing; a token bucket's first epoch also has its burst in it,
//! the later ones do not, so that the estimate converges.
//!
//! Afterwards the pace is a cubic of the time since, as in CUBIC (RFC 9438 §4.2): flat around what
//! was learnt, then ever faster, since nobody says when a limit is lifted, or that there was none
//! and the closing an outage. Each time that the same pace is refused again doubles the patience.

use std::time::Duration;

use super::budget::Spacing;
use super::limiter::{FLAKY_DOUBT, Finding, Limiter, Moment, Refusals};
use crate::time::Timestamp;

/// What was learnt of a host's pace.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Pace {
    /// Starts per second that the server bore, if it refused more.
    learnt: Option<f64>,
    /// Seconds of crawling since that was learnt.
    grown: f32,
    /// How often about the same was learnt again: each time doubles the patience.
    confirmed: u8,
    /// The last answer that `grown` counts.
    grown_at: Timestamp,
    /// First start of the epoch, and its number.
    epoch: Option<(Timestamp, u32)>,
    /// Starts of this epoch were refused already.
    epoch_met: bool,
    /// The closing that goes on.
    closing: Option<Closing>,
    /// One bit for each of the last 20 outcomes: 1 is a failure.
    recent: u32,
    /// What was learnt comes from single refusals, and not from a closing of several.
    of_singles: bool,
    /// It is not exact: it is tried soon whether more is borne.
    tentative: bool,
    /// What single refusals say, once there was one.
    limiter: Option<Box<Limiter>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Closing {
    /// The lowest number of a refused start: those before it were accepted.
    refused_seq: u32,
    /// The highest, and when the first refused start was.
    last_seq: u32,
    began: Timestamp,
    /// When the last refused start was.
    knock: Timestamp,
    /// Whether the pace is to blame.
    of_pace: bool,
    /// Starts that were refused by what may be the pace.
    refused: u16,
}

/// What was refused while others were answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pardon {
    /// A limiter may have refused it.
    pub(super) of_limiter: bool,
    /// The host was closed for it.
    pub(super) held: bool,
    /// So many more refusals it takes to believe in a limiter.
    pub(super) doubt: u8,
    /// A pace that has been asked for less long is new to the host.
    pub(super) young: Duration,
}

impl Pace {
    /// Two different URLs that fail in a row are enough where no other does.
    pub(super) const IN_A_ROW: u32 = 2;

    /// What a memo kept.
    pub(super) fn restored(learnt: Option<f64>, confirmed: u8) -> Self {
        Self { learnt, confirmed, ..Self::default() }
    }

    /// Starts per second, if there is a ceiling: what was learnt, and what it has grown by since.
    pub(super) fn ceiling(&self, patience: Duration) -> Option<f64> {
        let patience = match self.learnt {
            Some(learnt) if self.tentative => TENTATIVE_STARTS / learnt,
            _ => patience.as_secs_f64() * f64::from(1 << self.confirmed.min(CONFIRMED_MAX)),
        };
        let grown = f64::from(self.grown) / patience.max(0.001);
        self.learnt.map(|learnt| (learnt * (1.0 + grown.powi(3))).max(PACE_MIN))
    }

    /// How often about the same was learnt.
    pub(super) fn confirmed(&self) -> u8 {
        self.confirmed
    }

    pub(super) fn spacing(&self, patience: Duration) -> Spacing {
        self.ceiling(patience).map_or(Spacing::NONE, |per_second| {
            Spacing::of_interval(Duration::from_secs_f64(1.0 / per_second))
        })
    }

    /// The wait until just after a window ends that may have begun with the epoch, if one does within
    /// reach of a wait of `most` that nobody stated.
    ///
    /// Limits are counted in windows that people choose. A knock just before such a window ends is
    /// wasted, and one long after it wastes the host's time.
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

    /// A start; the first one after an opening begins an epoch.
    pub(super) fn started(&mut self, now: Timestamp, seq: u32) {
        if self.epoch.is_none() {
            self.epoch = Some((now, seq));
        }
    }

    /// There was nothing to do for a while, which says nothing about the server.
    pub(super) fn idled(&mut self) {
        if self.closing.is_none() {
            self.epoch = None;
        }
    }

    /// Starts that the closing that goes on has refused.
    pub(super) fn refused_by_pace(&self) -> u16 {
        self.closing.map_or(0, |closing| closing.refused)
    }

    /// Remembers whether an outcome was a failure.
    pub(super) fn remember(&mut self, failed: bool) {
        self.recent = ((self.recent << 1) | u32::from(failed)) & RECENT_MASK;
    }

    /// How many different URLs must fail in a row to make it the host's failure, when so many have: the
    /// more of its pages fail anyway, the more.
    pub(super) fn failures_of_host(&self, in_a_row: u8) -> u32 {
        let before = (self.recent >> in_a_row.min(20)).count_ones();
        (Self::IN_A_ROW + before.saturating_sub(1) / 2).min(IN_A_ROW_MAX)
    }

    /// Whether so many of the last outcomes failed that one more page that fails proves little.
    pub(super) fn is_flaky(&self) -> bool {
        self.recent.count_ones() >= FLAKY_MIN
    }

    /// Whether so many of the last outcomes failed that it is no coincidence.
    pub(super) fn fails_often(&self) -> bool {
        self.recent.count_ones() >= FAILURES_MIN
    }

    /// An unwelcome outcome of start `seq`: the first of a closing, one of its burst, or a probe's.
    pub(super) fn refused(&mut self, started: Timestamp, seq: u32, of_pace: bool) {
        match &mut self.closing {
            Some(closing) => {
                closing.refused_seq = closing.refused_seq.min(seq);
                closing.last_seq = closing.last_seq.max(seq);
                closing.began = closing.began.min(started);
                closing.knock = closing.knock.max(started);
                closing.of_pace |= of_pace;
                closing.refused = closing.refused.saturating_add(of_pace.into());
            }
            None => {
                self.closing = Some(Closing {
                    refused_seq: seq,
                    last_seq: seq,
                    began: started,
                    knock: started,
                    of_pace,
                    refused: of_pace.into(),
                });
            }
        }
    }

    /// The closing that goes on began with start `seq` already.
    pub(super) fn refused_from(&mut self, seq: u32) {
        if let Some(closing) = &mut self.closing {
            closing.refused_seq = closing.refused_seq.min(seq);
        }
    }

    /// Whether this pace is new to the host: it has been asked so for less than `since`.
    pub(super) fn is_young(&self, now: Timestamp, since: Duration) -> bool {
        self.epoch.is_none_or(|(began, _)| now.since(began) < since)
    }

    /// Whether the stated end of the closing that goes on is that of a window that people choose, and that
    /// began with the epoch.
    pub(super) fn fits_window(&self, stated: Option<Timestamp>, probe: Timestamp) -> bool {
        let (Some(closing), Some((epoch, first)), Some(stated)) = (self.closing, self.epoch, stated) else {
            return false;
        };
        if closing.refused_seq.saturating_sub(first) < FEW {
            return false;
        }
        let wait = stated.since(closing.knock).as_secs_f64();
        let window = Span::new(epoch, closing.knock, probe, Some(stated)).window();
        window.is_some_and(|window| window >= WINDOW_AWAITED_SECONDS && wait > window * WINDOW_WAIT)
    }

    /// Another URL was answered: what was refused may have been chance, or one page. Returns a new ceiling.
    ///
    /// `probe` is the start that was answered, and `asked` the pace so far.
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
        let refusals = Refusals {
            first: Moment { at: closing.began, seq: closing.refused_seq },
            last: Moment { at: closing.knock, seq: closing.last_seq },
            count: closing.refused.into(),
            young: closing.knock.since(epoch_at) < young,
            doubt,
            hold: if held { hold } else { 0.0 },
        };
        let finding = limiter.refused(&refusals, asked, is_learnt);
        if finding == Finding::Unclear && self.learnt.is_some() && !self.of_singles {
            // It has grown to what was refused before.
            self.grown = 0.0;
            self.confirmed = self.confirmed.saturating_add(1).min(CONFIRMED_MAX);
        }
        self.take_in(finding)
    }

    /// A page was refused that others say is refused for its own sake. If it was about the pace, the page is
    /// as good a sign of it as any. Returns a new ceiling.
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
        let refusals = Refusals { first: moment, last: moment, count: 1, young: false, doubt, hold };
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

    /// Whether single refusals so far can be those of a limiter.
    pub(super) fn may_be_limited(&self) -> bool {
        self.limiter.as_ref().is_some_and(|limiter| limiter.is_possible())
    }

    /// No limiter explains the refusals: the pace returns to what was asked.
    fn forget_limit(&mut self) {
        self.learnt = None;
        self.tentative = false;
    }

    /// A start was accepted, which may refute the limiter that the pace was lowered for.
    pub(super) fn accepted(&mut self, started: Timestamp, seq: u32) {
        let finding = self.limiter.as_mut().map(|limiter| limiter.accepted(Moment { at: started, seq }));
        if finding == Some(Finding::Chance) {
            self.forget_limit();
        }
    }

    /// The probe was answered: learns from the closing. Returns a new ceiling.
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
        // A host that was found to refuse by chance does so in a row now and then.
        let chances = self.limiter.as_ref().map_or(0, |limiter| limiter.chances().min(2));
        let refused_min = if refused_min > 1 { refused_min + 2 * u16::from(chances) } else { refused_min };
        if !closing.of_pace || accepted == 0 || closing.refused < refused_min {
            return None;
        }
        let span = Span::new(epoch_at, closing.knock, probe.0, stated);
        let estimate = f64::from(accepted) / span.seconds();
        let fall_most = if accepted < FEW {
            // Few starts say little: a second's rounding weighs as much as they do.
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
        // Two may be chance, if no window of a usual length explains them.
        let few = closing.refused <= 2 && span.window().is_none();
        (self.of_singles, self.tentative) = (false, few);
        self.learnt = Some(pace.max(PACE_MIN));
        self.learnt
    }

    /// An answer that was no refusal: time counts, until the ceiling is above what the user set.
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

/// When the server opened again, seen from the epoch's start: an interval, in seconds.
struct Span {
    from: f64,
    to: f64,
    stated: bool,
}

impl Span {
    fn new(epoch: Timestamp, knock: Timestamp, probe: Timestamp, stated: Option<Timestamp>) -> Self {
        let to = stated.map_or(probe, |stated| stated.min(probe)).since(epoch).as_secs_f64();
        let knock = knock.since(epoch).as_secs_f64();
        let from = if stated.is_some() { (to - STATED_ROUNDING_SECONDS).max(knock) } else { knock };
        Self { from, to: to.max(0.001), stated: stated.is_some() }
    }

    /// The server's window, if one that people choose lies in the interval.
    fn window(&self) -> Option<f64> {
        WINDOWS_SECONDS.into_iter().rev().find(|window| {
            self.from - WINDOW_TOLERANCE * window <= *window && *window <= self.to * (1.0 + WINDOW_TOLERANCE)
        })
    }

    /// The server's window, or a guess within the interval.
    fn seconds(&self) -> f64 {
        match self.window() {
            Some(window) => window,
            None if self.stated => self.to,
            None => (self.from + self.to) / 2.0,
        }
    }
}

/// What is not known exactly doubles within so many starts.
const TENTATIVE_STARTS: f64 = 60.0;
/// No ceiling is lower than this: a start in ten minutes.
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
/// Without a stated wait a closing may have been an outage, which says nothing about the pace.
const FALL_UNSTATED: f64 = 0.25;
const FALL_LEAST: f64 = 0.985;
/// A new estimate from this share of the old one on confirms it.
const SAME_FROM: f64 = 0.8;
const CONFIRMED_MAX: u8 = 4;
const GROWTH_STEP_SECONDS: f32 = 30.0;
const STATED_ROUNDING_SECONDS: f64 = 2.0;
const WINDOWS_SECONDS: [f64; 6] = [1.0, 10.0, 60.0, 600.0, 900.0, 3_600.0];
/// Shorter windows end anyway before a second knock.
const WINDOW_AWAITED_SECONDS: f64 = 10.0;
const WINDOW_REACH: f64 = 1.2;
/// A wait that is a smaller part of a window may fit it by chance.
const WINDOW_WAIT: f64 = 0.15;
/// Jitter on the way, and a little more.
const WINDOW_LATE_SECONDS: f64 = 0.1;
const WINDOW_TOLERANCE: f64 = 0.002;
