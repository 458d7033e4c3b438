//! Computes the distance between a host's starts from the user's rate, crawl delays, the learnt pace and an
//! announced quota.

use std::time::Duration;

use super::budget::{Budget, Spacing};
use super::pace::LearntPace;
use super::quota::QuotaAccount;
use crate::policy::HostPolicy;
use crate::rate::Rate;
use crate::time::Timestamp;

/// The starts that a host has made, and how soon it may start again.
#[derive(Clone, Debug)]
pub(super) struct Pacing {
    pub(super) budget: Budget,
    /// The strictest spacing of the user's rate, crawl delays and the learnt pace. A quota is not included.
    lasting: Spacing,
    /// The pace learnt from refusals.
    pub(super) learnt: LearntPace,
    pub(super) quota: QuotaAccount,
    /// The number of the next start.
    pub(super) next_seq: u32,
    /// The limit of requests in flight while the host returns to full speed after a hold; 0 if it does not
    /// apply.
    ramp: u32,
}

impl Pacing {
    /// Restores the pacing from the saved state of a host. [`Pacing::refresh`] has to follow.
    pub(super) fn restored(budget: Budget, learnt: LearntPace, quota: QuotaAccount) -> Self {
        Self { budget, lasting: Spacing::NONE, learnt, quota, next_seq: 0, ramp: 0 }
    }

    /// Returns the spacing in force, including that of an announced quota.
    pub(super) fn spacing(&self) -> Spacing {
        if self.quota.is_known() {
            self.lasting.and(self.quota.spacing(self.budget.anchor()))
        } else {
            self.lasting
        }
    }

    /// Returns when the next start is affordable.
    pub(super) fn due(&self, crawl_delay: Duration) -> Timestamp {
        self.budget.due(self.spacing(), crawl_delay)
    }

    /// Returns the rate limit learnt from refusals, in starts per second.
    pub(super) fn ceiling(&self, policy: &HostPolicy) -> Option<f64> {
        self.learnt.ceiling(patience(policy))
    }

    /// Returns the lower of the user's rate and the learnt rate, in starts per second; `None` if there is
    /// neither.
    pub(super) fn asked(&self, policy: &HostPolicy) -> Option<f64> {
        let rate = policy.rate_max().map(Rate::per_second);
        rate.into_iter().chain(self.ceiling(policy)).min_by(f64::total_cmp)
    }

    /// Recomputes the lasting part of the spacing after one of its sources changed.
    pub(super) fn refresh(&mut self, policy: &HostPolicy, crawl_delay: Duration) {
        let rate = policy.rate_max().map_or(Spacing::NONE, Spacing::of_rate);
        let delay = if crawl_delay.is_zero() { Spacing::NONE } else { Spacing::of_interval(crawl_delay) };
        let learnt = if policy.adapts() { self.learnt.spacing(patience(policy)) } else { Spacing::NONE };
        self.lasting = rate.and(delay).and(learnt);
    }

    /// Returns the number of a start that is made now, and counts on.
    pub(super) fn take_seq(&mut self) -> u32 {
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1);
        seq
    }

    /// Returns how many requests may be in flight, at most `max`.
    pub(super) fn in_flight_cap(&self, max: u32) -> u32 {
        if self.ramp > 0 { self.ramp.min(max) } else { max }
    }

    /// Limits the requests in flight to one, since the host has just opened and has no long spacing.
    pub(super) fn begin_ramp(&mut self) {
        self.ramp = 1;
    }

    /// Records an answer: one more request may be in flight, until the limit is `max` again.
    pub(super) fn climb_ramp(&mut self, max: u32) {
        self.ramp = if self.ramp > 0 && self.ramp < max { self.ramp + 1 } else { 0 };
    }

    /// Records that the host answered: the learnt pace may grow.
    pub(super) fn well(&mut self, now: Timestamp, policy: &HostPolicy) {
        self.learnt.well(now, patience(policy), policy.rate_max().map(Rate::per_second));
    }
}

/// Returns for how long a learnt pace stays about the same.
fn patience(policy: &HostPolicy) -> Duration {
    policy.backoff_bounds().min.saturating_mul(PATIENCE_FACTOR)
}

/// A learnt pace stays about the same for this many times the backoff's minimum: ten minutes by default.
const PATIENCE_FACTOR: u32 = 600;
