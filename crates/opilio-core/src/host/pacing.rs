//! The distance between a host's starts: the user's rate, crawl delays, the learnt pace and an announced quota
//! together.

use std::time::Duration;

use super::budget::{Budget, Spacing};
use super::pace::LearntPace;
use super::quota::QuotaAccount;
use crate::policy::HostPolicy;
use crate::rate::Rate;
use crate::time::Timestamp;

/// What a host has spent, and how soon it may spend more.
#[derive(Clone, Debug)]
pub(super) struct Pacing {
    pub(super) budget: Budget,
    /// The strictest of the user's rate, crawl delays and the learnt pace; a quota comes on top.
    lasting: Spacing,
    /// What refusals have taught.
    pub(super) learnt: LearntPace,
    pub(super) quota: QuotaAccount,
    /// The number of the next start.
    pub(super) next_seq: u32,
    /// The limit in flight after a reopening at full speed; 0 means no such limit.
    ramp: u32,
}

impl Pacing {
    /// The pacing that a memo kept. [`Pacing::refresh`] has to follow.
    pub(super) fn restored(budget: Budget, learnt: LearntPace, quota: QuotaAccount) -> Self {
        Self { budget, lasting: Spacing::NONE, learnt, quota, next_seq: 0, ramp: 0 }
    }

    /// The spacing in force, including an announced quota's.
    pub(super) fn spacing(&self) -> Spacing {
        if self.quota.is_known() {
            self.lasting.and(self.quota.spacing(self.budget.anchor()))
        } else {
            self.lasting
        }
    }

    /// The next affordable start.
    pub(super) fn due(&self, crawl_delay: Duration) -> Timestamp {
        self.budget.due(self.spacing(), crawl_delay)
    }

    /// The rate limit learnt from refusals, in starts per second.
    pub(super) fn ceiling(&self, policy: &HostPolicy) -> Option<f64> {
        self.learnt.ceiling(patience(policy))
    }

    /// The current starts per second, if known.
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

    /// Takes the number of a start.
    pub(super) fn take_seq(&mut self) -> u32 {
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1);
        seq
    }

    /// The highest number in flight, of at most `max`.
    pub(super) fn in_flight_cap(&self, max: u32) -> u32 {
        if self.ramp > 0 { self.ramp.min(max) } else { max }
    }

    /// Lets starts go out one at a time, since the host has just opened at full speed.
    pub(super) fn begin_ramp(&mut self) {
        self.ramp = 1;
    }

    /// An answer lets one more request be in flight, until the limit is `max` again.
    pub(super) fn climb_ramp(&mut self, max: u32) {
        self.ramp = if self.ramp > 0 && self.ramp < max { self.ramp + 1 } else { 0 };
    }

    /// Takes in that the host is well: the learnt pace may grow.
    pub(super) fn well(&mut self, now: Timestamp, policy: &HostPolicy) {
        self.learnt.well(now, patience(policy), policy.rate_max().map(Rate::per_second));
    }
}

/// For how long a learnt pace stays about the same.
fn patience(policy: &HostPolicy) -> Duration {
    policy.backoff_bounds().min.saturating_mul(PATIENCE_FACTOR)
}

/// Ten minutes by default.
const PATIENCE_FACTOR: u32 = 600;
