//! Decides how long the host is closed, and when it is parked.

use std::time::Duration;

use super::super::hold::{ClosingKind, Door, jittered};
use super::super::message::{HoldReason, HostEvent, ParkReason};
#[cfg(feature = "sabotage")]
use super::super::sabotage::Bug;
use super::super::state::HostState;
use super::Landing;
use crate::time::Timestamp;
use crate::verdict::Hints;

impl HostState {
    pub(super) fn close(
        &mut self,
        now: Timestamp,
        landing: Landing,
        reason: HoldReason,
        of_pace: bool,
    ) -> ClosingKind {
        if self.parked.is_some() {
            if landing.probe {
                self.hold.unprobe();
            }
            return ClosingKind::Same;
        }
        let closing = self.hold.close(now, landing.started, landing.probe, reason);
        if self.hold.door != Door::Open {
            self.pacing.learnt.refused(landing.started, landing.seq, of_pace);
        }
        closing
    }

    pub(super) fn hold_as_stated(&mut self, now: Timestamp, wait: Duration, reason: HoldReason) {
        if self.parked.is_some() {
            return;
        }
        let max = self.terms.policy.hold_max();
        let clamped = wait > max;
        self.hold_until(now + wait.min(max), reason, clamped);
        if clamped {
            self.park(now + wait, ParkReason::WaitTooLong);
        }
    }

    pub(super) fn hold_by_strikes(&mut self, now: Timestamp, closing: ClosingKind, reason: HoldReason) {
        if closing == ClosingKind::Same {
            return;
        }
        let mut most = self.hold.unstated_wait_max(now, self.terms.policy.backoff_bounds());
        if self.evidence.case.is_some_and(|case| case.flaky && !case.confirmed) {
            // Some of the host's pages fail anyway, and this failure may be due to such a page, so the wait
            // is shorter.
            most /= 3;
        }
        let chance = self.random.f64();
        let wait =
            self.pacing.learnt.wait_for_window(now, most, chance).unwrap_or_else(|| jittered(most, chance));
        self.hold_until(now + wait.min(self.terms.policy.hold_max()), reason, false);
        self.park_by_strikes(now, closing);
    }

    pub(super) fn park_by_strikes(&mut self, now: Timestamp, closing: ClosingKind) {
        let strikes = u32::from(self.hold.strikes);
        let mut most = self.terms.policy.strikes_max(self.contact.answered);
        if self.hold.reason == HoldReason::Forbidden {
            // The waits for a firewall grow more slowly, so more closings are allowed before the park.
            most = most.saturating_mul(2);
        }
        if closing == ClosingKind::New && strikes >= most {
            self.park(now + self.terms.policy.hold_max(), ParkReason::Strikes);
        }
    }

    pub(in crate::host) fn hold_as_ordered(&mut self, now: Timestamp, until: Timestamp) {
        let last = now + self.terms.policy.hold_max();
        self.hold_until(until.min(last), HoldReason::Ordered, until > last);
    }

    pub(super) fn hold_until(&mut self, until: Timestamp, reason: HoldReason, clamped: bool) {
        #[cfg(feature = "sabotage")]
        if self.bug == Some(Bug::ShorterHold) {
            self.hold.shorten(until);
            return;
        }
        if let (Some(case), false) = (&mut self.evidence.case, reason.needs_no_probe()) {
            case.quiet = false;
        }
        let worth_telling = self.terms.policy.backoff_bounds().min;
        let tell = self.hold.extend(until, reason, worth_telling);
        if tell || clamped {
            self.say(HostEvent::Held { until, reason, clamped });
        }
    }

    /// Records the quota that an answer announces, if it announces one.
    pub(super) fn hear_quota(&mut self, now: Timestamp, landing: Landing, hints: Hints) {
        if let Some(quota) = hints.quota {
            let unseen = self.starts_unseen(landing);
            self.pacing.quota.hear(now, landing.seq, &quota, unseen);
        }
    }

    /// Holds the host until the reset of a quota that an answer declares spent. No probe is needed, since
    /// nothing was refused.
    pub(super) fn keep_to_quota(&mut self, now: Timestamp, hints: Hints) {
        let Some(stated) = hints.quota.filter(|quota| quota.remaining == 0) else { return };
        let max = self.terms.policy.hold_max();
        if stated.reset > max && self.parked.is_some() {
            // The host may have been parked because of this very answer, so the quota in the answer counts
            // although the host is parked.
            self.hold_until(now + max, HoldReason::QuotaSpent, false);
        } else if stated.reset > max {
            self.hold_as_stated(now, stated.reset, HoldReason::QuotaSpent);
        } else if let Some(until) = self.pacing.quota.spent_until() {
            self.hold_until(until, HoldReason::QuotaSpent, false);
        }
    }

    /// Returns the number of starts that the server had not counted when it answered this start: later
    /// starts, and starts shortly before this one that may have arrived later.
    pub(super) fn starts_unseen(&self, landing: Landing) -> u32 {
        let after = self.pacing.next_seq.wrapping_sub(landing.seq).saturating_sub(1);
        let overtaken =
            self.leases.in_flight().iter().filter(|flying| {
                flying.seq < landing.seq && landing.started.since(flying.started) < OVERTAKING
            });
        after.saturating_add(u32::try_from(overtaken.count()).unwrap_or(u32::MAX))
    }
}

/// Requests that are started within this time of each other may arrive at the server in another order.
const OVERTAKING: Duration = Duration::from_millis(50);
