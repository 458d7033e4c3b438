//! Keeps account of a quota that the server announced: how many starts are left, and until when. A quota
//! allows a number of starts in each window of time; at the end of the window (the reset) it is full again.
//!
//! Answers may come out of order, and resets are stated in whole seconds, rounded in any way. So each answer
//! is assigned to the start to which it belongs, and the reset is kept as an interval.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::Spacing;
use crate::time::Timestamp;
use crate::verdict;

/// A quota that the server announced: the starts that are left, and the time of the reset.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct QuotaAccount {
    /// The number of the latest start whose answer stated the quota.
    seq: u32,
    /// The number of starts left in the present window: the number that the server stated last, less the
    /// starts since then.
    left: u32,
    /// The number of starts that a window allows; 0 if unknown.
    limit: u32,
    /// The length of a window; zero if unknown.
    window: Duration,
    /// The earliest possible time of the reset; `Timestamp::EPOCH` if no quota is announced.
    reset_from: Timestamp,
    /// The latest possible time of the reset.
    reset_to: Timestamp,
}

impl QuotaAccount {
    /// Restores the quota from the saved state of a host (`HostMemo`).
    pub(super) fn restored(left: u32, limit: u32, window: Duration, reset: Timestamp) -> Self {
        Self { seq: 0, left, limit, window, reset_from: reset, reset_to: reset }
    }

    pub(super) fn is_known(&self) -> bool {
        self.reset_to > Timestamp::EPOCH
    }

    pub(super) fn left(&self) -> u32 {
        self.left
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn window(&self) -> Duration {
        self.window
    }

    /// Returns the latest possible time of the reset, when the quota is full again.
    pub(super) fn reset(&self) -> Timestamp {
        self.reset_to
    }

    /// Records the quota that the answer to start `seq` states.
    ///
    /// `unseen` is the number of starts that the server had not counted yet when it answered: the starts
    /// after `seq`, and earlier starts that may have arrived later.
    pub(super) fn hear(&mut self, now: Timestamp, seq: u32, stated: &verdict::Quota, unseen: u32) {
        if self.is_known() && seq < self.seq {
            return;
        }
        let at = now + stated.reset;
        let from = Timestamp::from_micros(at.as_micros().saturating_sub(ROUNDING_MICROS)).max(now);
        let to = at + ROUNDING;
        let same_window = self.is_known() && from <= self.reset_to && to >= self.reset_from;
        if same_window {
            self.reset_from = self.reset_from.max(from);
            self.reset_to = self.reset_to.min(to);
        } else {
            if self.window.is_zero() && self.is_known() && at > self.reset_to {
                self.window = at.since(self.reset_to);
            }
            (self.reset_from, self.reset_to) = (from, to);
        }
        self.seq = seq;
        self.left = stated.remaining.saturating_sub(unseen);
        self.limit = stated.limit.unwrap_or(self.limit);
        self.window = stated.window.unwrap_or(self.window);
    }

    /// Subtracts one from the number of starts that are left.
    pub(super) fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Begins a new window if the time of the reset has passed: the quota counts as full until the server
    /// says otherwise.
    pub(super) fn roll(&mut self, now: Timestamp) {
        if !self.is_known() || now < self.reset_to {
            return;
        }
        if self.limit == 0 || self.window.is_zero() || now >= self.reset_to + self.window {
            // Nothing is known about the new window until the server answers in it.
            let (seq, limit, window) = (self.seq, self.limit, self.window);
            *self = Self { seq, limit, window, ..Self::default() };
            return;
        }
        self.left = self.limit;
        self.reset_from += self.window;
        self.reset_to += self.window;
    }

    /// Returns the spacing that spreads the remaining starts evenly until the reset.
    ///
    /// The time is divided by one more than the number of remaining starts, so that the last start is one
    /// spacing before the reset, too.
    pub(super) fn spacing(&self, anchor: Timestamp) -> Spacing {
        if !self.is_known() || self.left == 0 || self.reset_from <= anchor {
            return Spacing::NONE;
        }
        let micros = self.reset_from.since(anchor).as_micros() / (u128::from(self.left) + 1);
        let nanos = u64::try_from(micros).unwrap_or(u64::MAX).saturating_mul(1_000);
        Spacing { nanos, slack_nanos: nanos / SLACK_PART }
    }

    /// Returns the time before which nothing may start, if the quota is spent.
    pub(super) fn spent_until(&self) -> Option<Timestamp> {
        (self.is_known() && self.left == 0).then_some(self.reset_to)
    }
}

/// The most by which a stated reset may differ from the real reset: most servers state whole seconds, rounded
/// up, down or to the nearest second.
const ROUNDING: Duration = Duration::from_secs(1);
const ROUNDING_MICROS: u64 = 1_000_000;
const SLACK_PART: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(remaining: u32, reset: u64) -> verdict::Quota {
        verdict::Quota { limit: Some(40), remaining, reset: Duration::from_secs(reset), window: None }
    }

    #[test]
    fn answers_out_of_order_do_not_refill_it() {
        let mut quota = QuotaAccount::default();
        quota.hear(Timestamp::from_secs(10), 5, &said(3, 20), 2);
        assert_eq!(quota.left(), 1);
        quota.hear(Timestamp::from_secs(11), 2, &said(30, 19), 5);
        assert_eq!(quota.left(), 1, "an older start's answer says nothing new");
        quota.spend();
        assert_eq!(quota.spent_until(), Some(Timestamp::from_secs(31)));
    }

    #[test]
    fn is_presumed_full_after_the_reset() {
        let mut quota = QuotaAccount::default();
        let stated = verdict::Quota { window: Some(Duration::from_secs(60)), ..said(0, 20) };
        quota.hear(Timestamp::from_secs(10), 5, &stated, 0);
        quota.roll(Timestamp::from_secs(30));
        assert_eq!(quota.left(), 0);
        quota.roll(Timestamp::from_secs(31));
        assert_eq!(quota.left(), 40);
        assert_eq!(quota.reset(), Timestamp::from_secs(91));
    }
}
