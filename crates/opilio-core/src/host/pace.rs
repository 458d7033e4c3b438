//! What refusals teach: the pace that a server bears, where nobody told it.
//!
//! An *epoch* reaches from the first start after an opening to the next closing. The server
//! accepted the starts of the epoch and then wanted silence until it opened again: accepted ÷
//! (opening − epoch's start) is its rate. For a sliding window, or a fixed one that begins with the
//! epoch, that is exact after one closing; a token bucket's first epoch also has its burst in it,
//! the later ones do not, so that the estimate converges. Afterwards the pace creeps up, since
//! nobody says when a limit is lifted.

use std::time::Duration;

use super::budget::Spacing;
use crate::time::Timestamp;

/// What was learnt of a host's pace.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Pace {
    /// Starts per second, if there is a ceiling.
    learnt: Option<f64>,
    /// The pace at which it was last refused.
    fell: f64,
    /// The last time that the ceiling crept up.
    grown_at: Timestamp,
    /// First start of the epoch, and its number.
    epoch: Option<(Timestamp, u32)>,
    /// The closing that goes on.
    closing: Option<Closing>,
    /// One bit for each of the last 20 outcomes: 1 is a failure.
    recent: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Closing {
    /// The lowest number of a refused start: those before it were accepted.
    refused_seq: u32,
    /// When the last refused start was.
    knock: Timestamp,
    /// Whether the pace is to blame.
    of_pace: bool,
}

impl Pace {
    /// What a memo kept.
    pub(super) fn restored(learnt: Option<f64>, fell: f64) -> Self {
        Self { learnt, fell, ..Self::default() }
    }

    /// Starts per second, if a ceiling was learnt.
    pub(super) fn learnt(&self) -> Option<f64> {
        self.learnt
    }

    /// The pace at which it was last refused.
    pub(super) fn fell(&self) -> f64 {
        self.fell
    }

    pub(super) fn spacing(&self) -> Spacing {
        self.learnt.map_or(Spacing::NONE, |per_second| {
            Spacing::of_interval(Duration::from_secs_f64(1.0 / per_second.max(PACE_MIN)))
        })
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

    /// Remembers whether an outcome was a failure.
    pub(super) fn remember(&mut self, failed: bool) {
        self.recent = ((self.recent << 1) | u32::from(failed)) & RECENT_MASK;
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
                closing.knock = closing.knock.max(started);
                closing.of_pace |= of_pace;
            }
            None => self.closing = Some(Closing { refused_seq: seq, knock: started, of_pace }),
        }
    }

    /// The probe of start `seq` was answered: learns from the closing. Returns a new ceiling.
    ///
    /// `stated` is the end of a hold that the server itself asked for, `asked` the pace so far.
    pub(super) fn opened(
        &mut self,
        now: Timestamp,
        probe: (Timestamp, u32),
        stated: Option<Timestamp>,
        asked: Option<f64>,
    ) -> Option<f64> {
        let closing = self.closing.take();
        let epoch = self.epoch.replace(probe);
        self.grown_at = now;
        let (closing, (epoch_at, epoch_seq)) = (closing?, epoch?);
        let accepted = closing.refused_seq.saturating_sub(epoch_seq);
        if !closing.of_pace || accepted == 0 {
            return None;
        }
        let asked = self.learnt.or(asked);
        let span = Span::new(epoch_at, closing.knock, probe.0, stated);
        let estimate = f64::from(accepted) / span.seconds();
        let pace = match asked {
            // Few starts say little: a second's rounding weighs as much as they do.
            Some(asked) if accepted < FEW => estimate.clamp(asked * FALL_FEW, asked * FALL_LEAST),
            Some(asked) => estimate.clamp(asked * FALL_MOST, asked * FALL_LEAST),
            None => estimate,
        };
        self.fell = asked.unwrap_or(estimate);
        self.learnt = Some(pace.max(PACE_MIN));
        self.learnt
    }

    /// An answer that was no refusal: the ceiling creeps up, until it is the user's own rate again.
    pub(super) fn well(&mut self, now: Timestamp, asked: Option<f64>) {
        let Some(learnt) = self.learnt else { return };
        if self.closing.is_some() {
            return;
        }
        let seconds = now.since(self.grown_at).as_secs_f64().min(GROWTH_STEP_SECONDS);
        self.grown_at = now;
        let growth = if learnt < self.fell * FALL_LEAST { GROWTH_BELOW } else { GROWTH_BEYOND };
        let pace = learnt * (1.0 + growth * seconds);
        self.learnt = Some(pace).filter(|pace| asked.is_none_or(|asked| *pace < asked));
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

    /// The server's window, if one that people choose lies in the interval, else a guess within.
    fn seconds(&self) -> f64 {
        let natural = WINDOWS_SECONDS.into_iter().rev().find(|window| {
            self.from - WINDOW_TOLERANCE * window <= *window && *window <= self.to * (1.0 + WINDOW_TOLERANCE)
        });
        match natural {
            Some(window) => window,
            None if self.stated => self.to,
            None => (self.from + self.to) / 2.0,
        }
    }
}

/// No ceiling is lower than this: a start in ten minutes.
const PACE_MIN: f64 = 1.0 / 600.0;
const RECENT_MASK: u32 = (1 << 20) - 1;
/// 30 % of the last 20 outcomes.
const FAILURES_MIN: u32 = 6;
const FEW: u32 = 8;
const FALL_FEW: f64 = 0.8;
const FALL_MOST: f64 = 0.02;
const FALL_LEAST: f64 = 0.985;
const GROWTH_BELOW: f64 = 0.000_2;
const GROWTH_BEYOND: f64 = 0.000_1;
const GROWTH_STEP_SECONDS: f64 = 30.0;
const STATED_ROUNDING_SECONDS: f64 = 2.0;
const WINDOWS_SECONDS: [f64; 6] = [1.0, 10.0, 60.0, 600.0, 900.0, 3_600.0];
const WINDOW_TOLERANCE: f64 = 0.002;
