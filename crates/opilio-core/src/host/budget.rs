//! Computes when the host's budget affords the next start: GCRA (generic cell rate algorithm) with a burst of
//! one.
//!
//! Times are counted in nanoseconds: at 100 000 starts a second, a start is due every 10 µs. Rounded up to
//! whole microseconds, a spacing could cost a tenth of the rate; rounded down, it could use up the safety
//! margin (see `with_margin`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rate::Rate;
use crate::time::Timestamp;

/// The time that must lie between two starts, and how late a start may be without delaying the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Spacing {
    pub(super) nanos: u64,
    pub(super) slack_nanos: u64,
}

impl Spacing {
    /// No spacing: starts may follow each other at once.
    pub(super) const NONE: Self = Self { nanos: 0, slack_nanos: u64::MAX };

    /// Returns the spacing of the user's rate: the interval with its margin, and the slack τ computed from
    /// the rate's period.
    ///
    /// τ is half of the time that the margin adds to a period. If a start is late by up to τ, the next start
    /// may follow sooner by the same time, and still no window of the server's contains more starts than the
    /// rate allows. τ stays below the spacing; otherwise a rate of `1000/h` would forgive nine seconds of
    /// lateness, and then three requests would start at once.
    pub(crate) fn of_rate(rate: Rate) -> Self {
        let period = nanos(rate.period());
        let nanos = with_margin(period).div_ceil(u64::from(rate.count()));
        Self { nanos, slack_nanos: (period / HALF_MARGIN).min(nanos / 4 * 3) }
    }

    /// Returns the spacing of a fixed interval (`Crawl-delay`, a learnt pace), with its margin.
    pub(super) fn of_interval(interval: Duration) -> Self {
        let nanos = with_margin(nanos(interval));
        Self { nanos, slack_nanos: nanos / HALF_MARGIN }
    }

    /// Returns the stricter of two spacings: the longer distance and the smaller slack.
    pub(super) fn and(self, other: Self) -> Self {
        Self { nanos: self.nanos.max(other.nanos), slack_nanos: self.slack_nanos.min(other.slack_nanos) }
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }
}

/// A host's budget of starts. Two times are enough to tell when the next start is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Budget {
    /// The time from which the next spacing counts, in nanoseconds: the last start, or the time when that
    /// start was due. `None` before the first start.
    anchor_nanos: Option<u64>,
    /// The time of the last start; a `Crawl-delay` counts from this time.
    last: Timestamp,
}

impl Budget {
    /// Restores the budget from the saved state of a host (`HostMemo`).
    pub(super) fn restored(anchor_nanos: Option<u64>) -> Self {
        let last = Timestamp::from_micros(anchor_nanos.unwrap_or(0) / 1_000);
        Self { anchor_nanos, last }
    }

    pub(super) fn anchor_nanos(self) -> Option<u64> {
        self.anchor_nanos
    }

    /// Returns the time from which the next spacing counts; `Timestamp::EPOCH` before the first start.
    pub(super) fn anchor(self) -> Timestamp {
        Timestamp::from_micros(self.anchor_nanos.unwrap_or(0) / 1_000)
    }

    /// Returns the time from which on the budget affords the next start, at least `gap` after the last start.
    pub(crate) fn due(self, spacing: Spacing, gap: Duration) -> Timestamp {
        match self.anchor_nanos {
            None => Timestamp::EPOCH,
            Some(anchor) => {
                let due = anchor.saturating_add(spacing.nanos).div_ceil(1_000);
                Timestamp::from_micros(due).max(self.last + gap)
            }
        }
    }

    /// Records a start at `now`. If the start is late by at most the slack, the next spacing counts from the
    /// time when the start was due.
    pub(crate) fn spend(&mut self, now: Timestamp, spacing: Spacing) {
        let now_nanos = now.as_micros().saturating_mul(1_000);
        let anchor = match self.anchor_nanos {
            None => now_nanos,
            Some(anchor) => {
                let due = anchor.saturating_add(spacing.nanos);
                let late = now_nanos.saturating_sub(due);
                if spacing.nanos > 0 && late <= spacing.slack_nanos { due } else { now_nanos }
            }
        };
        self.anchor_nanos = Some(anchor);
        self.last = now;
    }

    /// Delays the next start to at least one spacing after `now`.
    pub(super) fn resume_after(&mut self, now: Timestamp) {
        let now_nanos = now.as_micros().saturating_mul(1_000);
        self.anchor_nanos = Some(self.anchor_nanos.unwrap_or(0).max(now_nanos));
    }

    /// Counts a start at `now`, although it is unknown whether there was one.
    pub(super) fn assume_start(&mut self, now: Timestamp) {
        self.resume_after(now);
        self.last = self.last.max(now);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Adds 0.5 %, so that changing network delays cannot bring more requests into a window of the server than
/// the rate allows.
fn with_margin(nanos: u64) -> u64 {
    nanos.saturating_add(nanos / MARGIN)
}

const MARGIN: u64 = 200;
const HALF_MARGIN: u64 = 2 * MARGIN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::{per_hour, per_minute, per_second};

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn spaces_starts_evenly_with_a_margin() {
        let spacing = Spacing::of_rate(per_minute(60));
        assert_eq!(spacing.duration(), Duration::from_millis(1_005));
        assert_eq!(spacing.slack_nanos, 150_000_000);
        assert_eq!(Spacing::of_rate(per_second(5)).slack_nanos, 2_500_000);
        assert_eq!(Spacing::of_rate(per_minute(300)).slack_nanos, 150_000_000);
        let slow = Spacing::of_rate(per_hour(1000));
        assert!(slow.slack_nanos < slow.nanos, "a late start must not let the next one follow at once");
    }

    #[test]
    fn forgives_the_lateness_of_timers_and_no_more() {
        let spacing = Spacing::of_rate(per_second(5));
        let mut budget = Budget::default();
        budget.spend(at(0), spacing);
        assert_eq!(budget.due(spacing, Duration::ZERO), at(201_000));
        budget.spend(at(203_500), spacing);
        assert_eq!(budget.due(spacing, Duration::ZERO), at(402_000), "2.5 ms late costs nothing");
        budget.spend(at(404_501), spacing);
        assert_eq!(budget.due(spacing, Duration::ZERO), at(605_501), "more moves the next start");
        budget.spend(at(9_000_000), spacing);
        assert_eq!(budget.due(spacing, Duration::ZERO), at(9_201_000), "idleness is not caught up");
    }

    #[test]
    fn keeps_a_crawl_delay_exactly_also_after_a_late_start() {
        let spacing = Spacing::of_rate(per_minute(300)).and(Spacing::of_interval(Duration::from_millis(190)));
        let mut budget = Budget::default();
        budget.spend(at(0), spacing);
        budget.spend(at(201_400), spacing);
        assert!(budget.due(spacing, Duration::from_millis(190)) >= at(391_400));
    }
}
