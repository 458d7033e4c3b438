//! Computes how much time must lie between two starts of requests to a host, from the user's rate, crawl
//! delays, the learnt pace and an announced quota.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::{Budget, Spacing};
use super::pace::LearntPace;
use super::quota::QuotaAccount;
use crate::policy::HostPolicy;
use crate::rate::Rate;
use crate::time::Timestamp;

/// The starts of a host so far, and all that limits how soon the next request may start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pacing {
    pub(super) budget: Budget,
    /// The strictest of the spacings that follow from the user's rate, the crawl delays and the learnt pace.
    /// A quota is not included.
    lasting: Spacing,
    /// The pace (starts per second) that was learnt from refusals.
    pub(super) learnt: LearntPace,
    pub(super) quota: QuotaAccount,
    /// The number of the next start; starts are numbered from 0 in their order.
    pub(super) next_seq: u32,
    /// The limit of requests in flight while the host returns to full speed after a hold; it grows by one
    /// with each answer. 0 if the host is at full speed.
    ramp: u32,
}

impl Pacing {
    /// Restores the pacing from the saved state of a host. The caller must call [`Pacing::refresh`]
    /// afterwards.
    pub(super) fn restored(budget: Budget, learnt: LearntPace, quota: QuotaAccount) -> Self {
        Self { budget, lasting: Spacing::NONE, learnt, quota, next_seq: 0, ramp: 0 }
    }

    /// Returns the least time between two starts that applies now, with an announced quota taken into
    /// account.
    pub(super) fn spacing(&self) -> Spacing {
        if self.quota.is_known() {
            self.lasting.and(self.quota.spacing(self.budget.anchor()))
        } else {
            self.lasting
        }
    }

    /// Returns the earliest time at which the budget affords the next start.
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

    /// Recomputes the field `lasting` (the strictest spacing, without quota) from the policy, the crawl delay
    /// and the learnt pace. Must be called whenever one of these has changed.
    pub(super) fn refresh(&mut self, policy: &HostPolicy, crawl_delay: Duration) {
        let rate = policy.rate_max().map_or(Spacing::NONE, Spacing::of_rate);
        let delay = if crawl_delay.is_zero() { Spacing::NONE } else { Spacing::of_interval(crawl_delay) };
        let learnt = if policy.adapts() { self.learnt.spacing(patience(policy)) } else { Spacing::NONE };
        self.lasting = rate.and(delay).and(learnt);
    }

    /// Returns the number for a start that is made now, and increases the counter.
    pub(super) fn take_seq(&mut self) -> u32 {
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1);
        seq
    }

    /// Returns how many requests may be in flight now: `max`, or fewer while the host returns to full speed.
    pub(super) fn in_flight_cap(&self, max: u32) -> u32 {
        if self.ramp > 0 { self.ramp.min(max) } else { max }
    }

    /// Limits the requests in flight to one, since the host has just been opened after a hold, and its
    /// spacing is too short to slow the requests down.
    pub(super) fn begin_ramp(&mut self) {
        self.ramp = 1;
    }

    /// Records an answer, which raises the limit of requests in flight by one, until the limit is `max`
    /// again.
    pub(super) fn climb_ramp(&mut self, max: u32) {
        self.ramp = if self.ramp > 0 && self.ramp < max { self.ramp + 1 } else { 0 };
    }

    /// Records that the host answered, so that the learnt pace may grow with time.
    pub(super) fn well(&mut self, now: Timestamp, policy: &HostPolicy) {
        self.learnt.well(now, patience(policy), policy.rate_max().map(Rate::per_second));
    }
}

/// Returns the time for which a learnt pace stays about the same before it grows.
fn patience(policy: &HostPolicy) -> Duration {
    policy.backoff_bounds().min.saturating_mul(PATIENCE_FACTOR)
}

/// A learnt pace stays about the same for this many times the backoff's minimum: ten minutes by default.
const PATIENCE_FACTOR: u32 = 600;
