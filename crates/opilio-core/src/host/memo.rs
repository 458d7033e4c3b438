//! The saved state of a host (its memo), which the store keeps while the host has no actor.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::hold::{Door, Hold};
use super::message::{HoldReason, ParkReason};
use super::pace::LearntPace;
use super::quota::QuotaAccount;
use super::rules::{HostRules, RulesState};
use super::settings::RulesMode;
use crate::name::{PerScheme, Scheme};
use crate::outcome::Reason;
use crate::time::Timestamp;

/// The saved state of a passivated host, which the store keeps while the host has no actor, in less than 120
/// bytes. It is also called the host's memo.
///
/// Times are in microseconds since the crawl's epoch, which is the same for all runs of a crawl.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct HostMemo {
    /// The time from which the next spacing counts, in nanoseconds; 0 before the first start.
    anchor_nanos: u64,
    hold_until: u64,
    series_since: u64,
    quota_reset: u64,
    park_until: u64,
    rules_until: PerScheme<u64>,
    crawl_delay_ms: PerScheme<u32>,
    quota_left: u32,
    quota_limit: u32,
    quota_window_ms: u32,
    /// The learnt rate in starts per second; 0 if no rate is learnt.
    learnt: f32,
    /// The number of strikes (closings in a row).
    strikes: u16,
    confirmed: u8,
    reason: u8,
    flags: u8,
}

const CLOSED: u8 = 1;
const ANSWERED: u8 = 2;
const PARKED_BY_STRIKES: u8 = 4;
const CONFIRMED: u8 = 8;
/// The upper four bits of the flags tell why the host could not be reached: 0 for no reason, else an index
/// into `UNMET` that counts from 1.
const UNMET_SHIFT: u32 = 4;

/// The contents of a memo, in the types that the host's state uses.
pub(super) struct Remembered {
    pub(super) budget: Budget,
    pub(super) hold: Hold,
    pub(super) pace: LearntPace,
    /// The learnt rate, with its growth since it was learnt, in starts per second.
    pub(super) learnt: Option<f64>,
    pub(super) quota: QuotaAccount,
    pub(super) rules: HostRules,
    pub(super) parked: Option<Park>,
    pub(super) answered: bool,
    pub(super) confirmed: bool,
    pub(super) unmet: Option<Reason>,
}

/// A park: the time until which no request to the host is started, and the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Park {
    pub(super) until: Timestamp,
    pub(super) reason: ParkReason,
}

impl HostMemo {
    /// Returns the end of the host's hold or park, if there is one. No lease of the host can start before
    /// that time.
    #[must_use]
    pub fn held_until(&self) -> Option<Timestamp> {
        let until = self.hold_until.max(self.park_until);
        (until > 0).then_some(Timestamp::from_micros(until))
    }

    /// Returns the end of the host's park, if it is parked.
    #[must_use]
    pub fn parked_until(&self) -> Option<Timestamp> {
        (self.park_until > 0).then_some(Timestamp::from_micros(self.park_until))
    }

    /// Returns the memo after the end of a park that was caused by strikes (closings in a row): the host is
    /// closed, and one probe may go out to learn whether the host answers again. `None` for a host that is
    /// not parked at `now`, or that is parked because it stated a long wait.
    #[must_use]
    pub fn unparked(mut self, now: Timestamp) -> Option<Self> {
        let by_strikes = self.flags & PARKED_BY_STRIKES != 0 && self.parked_until()? > now;
        // The park is set to end now, and is not erased, so that its end has the usual effects.
        self.park_until = now.as_micros().max(1);
        by_strikes.then_some(self)
    }

    /// Returns the memo as it is used after a run that was killed. The memo may be older than the host's last
    /// start, so the time `reopened`, when the crawl was opened again, counts as a start. For a host without
    /// a memo, call this on the default memo.
    #[must_use]
    pub fn after_kill(mut self, reopened: Timestamp) -> Self {
        let reopened_nanos = reopened.as_micros().saturating_mul(1_000);
        self.anchor_nanos = self.anchor_nanos.max(reopened_nanos).max(1);
        self
    }

    /// Returns the memo with a hold of at most `hold_max` from `now`, so that a wrong memo cannot close a
    /// host for ever. A park is not shortened.
    #[must_use]
    pub fn clamped(mut self, now: Timestamp, hold_max: Duration) -> Self {
        self.hold_until = self.hold_until.min((now + hold_max).as_micros());
        self
    }

    /// Returns the memo without an origin's robots.txt rules, for a store that keeps the memo but not the
    /// rules: the host fetches the rules again.
    #[must_use]
    pub fn forgetting_rules(mut self, scheme: Scheme) -> Self {
        self.rules_until[scheme] = 0;
        self.crawl_delay_ms[scheme] = 0;
        self
    }

    pub(super) fn write(host: &Remembered) -> Self {
        let rules_until = PerScheme::from_fn(|scheme| match host.rules.of(scheme).known {
            RulesState::Until(until) => until.as_micros(),
            RulesState::Unknown(_) | RulesState::Fetching(_) => 0,
        });
        let flags = [
            (host.hold.door != Door::Open, CLOSED),
            (host.answered, ANSWERED),
            (host.parked.is_some_and(|park| park.reason == ParkReason::Strikes), PARKED_BY_STRIKES),
            (host.confirmed, CONFIRMED),
        ];
        let unmet = UNMET.iter().position(|reason| host.unmet == Some(*reason)).map_or(0, |at| at + 1);
        let quota = host.quota;
        Self {
            anchor_nanos: host.budget.anchor_nanos().map_or(0, |nanos| nanos.max(1)),
            hold_until: host.hold.until().as_micros(),
            series_since: host.hold.since.as_micros(),
            quota_reset: if quota.is_known() { quota.reset().as_micros() } else { 0 },
            park_until: host.parked.map_or(0, |park| park.until.as_micros()),
            rules_until,
            crawl_delay_ms: PerScheme::from_fn(|scheme| millis(host.rules.of(scheme).crawl_delay)),
            quota_left: quota.left(),
            quota_limit: quota.limit(),
            quota_window_ms: millis(quota.window()),
            learnt: host.learnt.unwrap_or(0.0) as f32,
            confirmed: host.pace.confirmed(),
            strikes: host.hold.strikes,
            reason: REASONS.iter().position(|reason| *reason == host.hold.reason).unwrap_or(0) as u8,
            flags: flags.iter().map(|(set, flag)| if *set { *flag } else { 0 }).sum::<u8>()
                | (unmet as u8) << UNMET_SHIFT,
        }
    }

    pub(super) fn read(&self, mode: RulesMode) -> Remembered {
        let flag = |flag| self.flags & flag != 0;
        let mut rules = HostRules::new(mode);
        for scheme in Scheme::BOTH {
            let (until, delay) = (self.rules_until[scheme], self.crawl_delay_ms[scheme]);
            let origin = rules.of_mut(scheme);
            origin.crawl_delay = Duration::from_millis(delay.into());
            if until > 0 {
                origin.known = RulesState::Until(Timestamp::from_micros(until));
            }
        }
        let park_reason = if flag(PARKED_BY_STRIKES) { ParkReason::Strikes } else { ParkReason::WaitTooLong };
        let learnt = (self.learnt > 0.0).then_some(f64::from(self.learnt));
        Remembered {
            budget: Budget::restored((self.anchor_nanos > 0).then_some(self.anchor_nanos)),
            hold: Hold::restored(
                Timestamp::from_micros(self.hold_until),
                REASONS.get(usize::from(self.reason)).copied().unwrap_or(HoldReason::Refusal),
                if flag(CLOSED) { Door::Closed } else { Door::Open },
                Timestamp::from_micros(self.series_since),
                self.strikes,
            ),
            pace: LearntPace::restored(learnt, self.confirmed),
            learnt,
            quota: QuotaAccount::restored(
                self.quota_left,
                self.quota_limit,
                Duration::from_millis(self.quota_window_ms.into()),
                Timestamp::from_micros(self.quota_reset),
            ),
            rules,
            parked: self.parked_until().map(|until| Park { until, reason: park_reason }),
            answered: flag(ANSWERED),
            confirmed: flag(CONFIRMED),
            unmet: usize::from(self.flags >> UNMET_SHIFT)
                .checked_sub(1)
                .and_then(|at| UNMET.get(at))
                .copied(),
        }
    }
}

const REASONS: [HoldReason; 7] = [
    HoldReason::RetryAfter,
    HoldReason::QuotaSpent,
    HoldReason::Refusal,
    HoldReason::Unreachable,
    HoldReason::Forbidden,
    HoldReason::Page,
    HoldReason::Ordered,
];

/// The reasons why a host could not be reached. The four bits in the memo have no room for more.
const UNMET: [Reason; 15] = [
    Reason::Dns,
    Reason::Connect,
    Reason::Tls,
    Reason::Timeout,
    Reason::Reset,
    Reason::Protocol,
    Reason::BodyTooLarge,
    Reason::DecompressionBomb,
    Reason::Undecodable,
    Reason::TooManyHeaders,
    Reason::TooManyRedirects,
    Reason::RedirectLoop,
    Reason::BadRedirect,
    Reason::BlockedAddress,
    Reason::UnsupportedScheme,
];

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
