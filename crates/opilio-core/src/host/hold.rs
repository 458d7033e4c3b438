//! Keeps the hold of a host (the time until which nothing starts) and its door, which decides what may start
//! afterwards: anything, only a probe, or nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::HoldReason;
use crate::policy::Backoff;
use crate::time::Timestamp;

/// The state of a host's door: it decides which requests may start once the hold is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) enum Door {
    /// Open: all requests may start.
    #[default]
    Open,
    /// Closed: only a single request, the probe, may start.
    Closed,
    /// A probe is in flight: nothing may start until its report comes.
    Probing,
}

/// A host's hold.
///
/// Nothing starts before `until`, and `until` only ever moves later. Afterwards the door decides which starts
/// may pass. A *closing* begins with one refusal, or with one failure to reach the host. Failures of requests
/// that were started before a closing began belong to that closing. A *series* is a closing together with all
/// later closings that failed probes began, until the door opens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Hold {
    until: Timestamp,
    /// The reason why the hold lasts until `until`. It may differ from `reason`, since a quota or an order
    /// can move the end without a closing.
    pub(super) until_reason: HoldReason,
    /// The reason why the latest closing began.
    pub(super) reason: HoldReason,
    pub(super) door: Door,
    /// The time when the latest closing began. Failures of requests that were started up to this time belong
    /// to that closing.
    closed_at: Option<Timestamp>,
    /// The time when the present series of closings began.
    pub(super) since: Timestamp,
    /// The number of strikes: closings in a row, halved by each success.
    pub(super) strikes: u16,
    /// The end of the hold as last reported in an event.
    told: Timestamp,
}

/// Whether a refusal or failure begins a closing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClosingKind {
    /// The outcome begins a new closing, and adds a strike (strikes count closings in a row).
    New,
    /// The outcome belongs to the latest closing.
    Same,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            until: Timestamp::EPOCH,
            until_reason: HoldReason::Refusal,
            reason: HoldReason::Refusal,
            door: Door::Open,
            closed_at: None,
            since: Timestamp::EPOCH,
            strikes: 0,
            told: Timestamp::EPOCH,
        }
    }
}

impl Hold {
    /// Restores the hold from the saved state of a host (`HostMemo`). A door that was not open becomes
    /// closed.
    pub(super) fn restored(
        until: Timestamp,
        reason: HoldReason,
        door: Door,
        since: Timestamp,
        strikes: u16,
    ) -> Self {
        let door = if door == Door::Open { Door::Open } else { Door::Closed };
        Self { until, until_reason: reason, reason, door, closed_at: None, since, strikes, told: until }
    }

    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    pub(super) fn is_held(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Whether a request that was started at the time `started` was already in flight when the latest closing
    /// began.
    pub(super) fn preceded(&self, started: Timestamp) -> bool {
        self.closed_at.is_some_and(|closed_at| started <= closed_at)
    }

    /// Whether the latest closing began less than ten minutes ago, because the host could not be reached or
    /// broke connections.
    pub(super) fn broke_lately(&self, now: Timestamp) -> bool {
        let is_lately = |closed_at| now.since(closed_at) < LATELY;
        self.reason == HoldReason::Unreachable && self.closed_at.is_some_and(is_lately)
    }

    /// Records an unwelcome outcome of a request that started at `started`.
    ///
    /// A probe's outcome always begins a closing, even if the clock shows no time since the last closing.
    /// While a probe is in flight, no other outcome begins a closing; otherwise a second probe would start
    /// beside the first.
    pub(super) fn close(
        &mut self,
        now: Timestamp,
        started: Timestamp,
        probe: bool,
        reason: HoldReason,
    ) -> ClosingKind {
        if !probe && (self.preceded(started) || self.door == Door::Probing) {
            return ClosingKind::Same;
        }
        if self.door == Door::Open {
            self.since = now;
        }
        self.door = Door::Closed;
        self.closed_at = Some(now);
        self.reason = reason;
        self.strikes = self.strikes.saturating_add(1);
        ClosingKind::New
    }

    /// Moves the end of the hold to `until` without an event, unless the hold already lasts longer.
    pub(super) fn wait(&mut self, until: Timestamp) {
        if until > self.until {
            self.until = until;
            self.until_reason = self.reason;
        }
    }

    /// Moves the end of the hold to `until`, unless the hold already lasts longer. Returns true if the end
    /// has moved by more than `worth_telling` since the last event, so that a new event is due.
    pub(super) fn extend(&mut self, until: Timestamp, reason: HoldReason, worth_telling: Duration) -> bool {
        if until <= self.until {
            return false;
        }
        self.until = until;
        self.until_reason = reason;
        let tell = self.told == Timestamp::EPOCH || until > self.told + worth_telling;
        if tell {
            self.told = until;
        }
        tell
    }

    /// Closes the door, if it is open, without counting this as a closing. So the next start is a probe.
    pub(super) fn distrust(&mut self) {
        if self.door == Door::Open {
            self.door = Door::Closed;
        }
    }

    /// Opens the door, so that all requests may start again: the probe was answered.
    pub(super) fn open(&mut self) {
        self.door = Door::Open;
    }

    /// Ends a park: halves the strikes (closings in a row), and lets one probe start, which shows whether the host
    /// answers again.
    pub(super) fn reopen_for_probe(&mut self) {
        self.distrust();
        self.strikes /= 2;
    }

    /// Sets the end of the hold, even to an earlier time. Only the seeded bug `ShorterHold` does this.
    #[cfg(feature = "sabotage")]
    pub(super) fn shorten(&mut self, until: Timestamp) {
        self.until = until;
    }

    /// Closes the door again after a probe that showed nothing, so that another probe may start.
    pub(super) fn unprobe(&mut self) {
        if self.door == Door::Probing {
            self.door = Door::Closed;
        }
    }

    /// Halves the strikes (closings in a row) after a success. They are not set to 0, so a host that fails again and
    /// again keeps some.
    pub(super) fn forgive(&mut self) {
        self.strikes /= 2;
    }

    /// Returns the longest wait for the closing that just began (`strikes` counts it already), if the
    /// server stated no wait.
    ///
    /// The wait is the backoff's `min · 2^strikes` up to its `max`, but at most the share [`PATIENCE`] of the
    /// time that this series has lasted, and at least [`WAIT_LEAST`] times `min`. So the end of an outage of
    /// 20 s is noticed within 15 s, for any random numbers, while the number of probes grows only with the
    /// logarithm of the outage's length.
    pub(super) fn unstated_wait_max(&self, now: Timestamp, backoff: Backoff) -> Duration {
        let ceiling = backoff.ceiling(u32::from(self.strikes.saturating_sub(1)));
        if self.reason == HoldReason::Forbidden {
            return ceiling.min(self.wall_wait_max(now, backoff.min)).max(WAIT_MIN);
        }
        let closed = now.since(self.since).mul_f64(PATIENCE);
        ceiling.min(closed.max(backoff.min.saturating_mul(WAIT_LEAST))).max(WAIT_MIN)
    }
}

impl Hold {
    /// Returns the longest wait for a host whose firewall blocks the crawler. A firewall lifts its block
    /// after some time, however often the crawler probes. Waits of equal length notice that sooner than
    /// growing waits, and still take few requests.
    fn wall_wait_max(&self, now: Timestamp, min: Duration) -> Duration {
        let closed = now.since(self.since);
        let even = min.saturating_mul(WALL_WAIT);
        if closed <= even.saturating_mul(WALL_WAITS) { even } else { closed.mul_f64(WALL_PATIENCE).max(even) }
    }
}

/// Shortens a wait at random by up to a third, so that many hosts behind one failed server are not all asked
/// again at once. Full jitter (a random share of the whole wait) would send three times as many probes early
/// on. `random` is between 0 and 1.
pub(super) fn jittered(wait: Duration, random: f64) -> Duration {
    wait.mul_f64((2.0 + random) / 3.0).max(WAIT_MIN)
}

/// After a host could not be reached or broke connections, it is expected to break more connections for this
/// long.
const LATELY: Duration = Duration::from_secs(600);
/// A wait may be at most this share of the time since the series of closings began.
const PATIENCE: f64 = 0.7;
/// Whatever `PATIENCE` allows, a wait may be up to this many times the backoff's minimum.
const WAIT_LEAST: u32 = 3;
/// A wait for a firewall is at most `WALL_WAIT` times the backoff's minimum, until the host has been closed
/// for `WALL_WAITS` times as long. Then it is at most `WALL_PATIENCE` of the time since the series began.
const WALL_WAIT: u32 = 14;
const WALL_WAITS: u32 = 10;
const WALL_PATIENCE: f64 = 0.3;
/// The shortest wait. A wait of zero would cause a busy loop under a policy without backoff.
const WAIT_MIN: Duration = Duration::from_millis(1);
