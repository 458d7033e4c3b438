//! The door of a host: open, closed until a time, or half open for one probe.

use std::time::Duration;

use super::message::HoldReason;
use crate::policy::Backoff;
use crate::time::Timestamp;

/// Whether starts may pass once the hold is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Door {
    /// All may.
    #[default]
    Open,
    /// One probe may.
    Closed,
    /// None may: the probe is out.
    Probing,
}

/// A host's hold.
///
/// `until` is the hold proper: nothing starts before it, and it only ever moves later. The door
/// says what happens afterwards. A *closing* is what one refusal (or unreachable outcome) began;
/// whatever started before it and fails too belongs to it. A *series* is a closing and those that
/// its probes renewed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hold {
    until: Timestamp,
    pub(super) reason: HoldReason,
    pub(super) door: Door,
    /// When the latest closing began; requests that started up to then belong to it.
    closed_at: Option<Timestamp>,
    /// When the series began.
    pub(super) since: Timestamp,
    pub(super) strikes: u16,
    /// The last end that people were told.
    told: Timestamp,
}

/// What an unwelcome outcome meant for the hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Closing {
    /// A new closing, and one more strike.
    New,
    /// It belongs to a closing that is known already.
    Same,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            until: Timestamp::EPOCH,
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
    /// What a memo kept: the door is closed while there were strikes.
    pub(super) fn restored(
        until: Timestamp,
        reason: HoldReason,
        door: Door,
        since: Timestamp,
        strikes: u16,
    ) -> Self {
        let door = if door == Door::Open { Door::Open } else { Door::Closed };
        Self { until, reason, door, closed_at: None, since, strikes, told: until }
    }

    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    pub(super) fn is_held(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Whether a request that started then was under way when the latest closing began.
    pub(super) fn preceded(&self, started: Timestamp) -> bool {
        self.closed_at.is_some_and(|closed_at| started <= closed_at)
    }

    /// Whether the latest closing was one of broken connections and is not long past.
    pub(super) fn broke_lately(&self, now: Timestamp) -> bool {
        let is_lately = |closed_at| now.since(closed_at) < LATELY;
        self.reason == HoldReason::Unreachable && self.closed_at.is_some_and(is_lately)
    }

    /// Takes in an unwelcome outcome of a request that started at `started`.
    ///
    /// A probe's outcome always begins a closing, whatever the clock's resolution makes of it. While a
    /// probe is out, no other outcome does: a second probe would start beside it.
    pub(super) fn close(
        &mut self,
        now: Timestamp,
        started: Timestamp,
        probe: bool,
        reason: HoldReason,
    ) -> Closing {
        if !probe && (self.preceded(started) || self.door == Door::Probing) {
            return Closing::Same;
        }
        if self.door == Door::Open {
            self.since = now;
        }
        self.door = Door::Closed;
        self.closed_at = Some(now);
        self.reason = reason;
        self.strikes = self.strikes.saturating_add(1);
        Closing::New
    }

    /// Moves the end of the hold by so little that nobody needs to be told.
    pub(super) fn wait(&mut self, until: Timestamp) {
        self.until = self.until.max(until);
    }

    /// Moves the end of the hold; true when people should be told.
    pub(super) fn extend(&mut self, until: Timestamp, worth_telling: Duration) -> bool {
        if until <= self.until {
            return false;
        }
        self.until = until;
        let tell = self.told == Timestamp::EPOCH || until > self.told + worth_telling;
        if tell {
            self.told = until;
        }
        tell
    }

    /// No strike, but a probe first: the server stated a wait after its door was thought open again.
    pub(super) fn distrust(&mut self) {
        if self.door == Door::Open {
            self.door = Door::Closed;
        }
    }

    /// The probe was answered.
    pub(super) fn open(&mut self) {
        self.door = Door::Open;
    }

    /// A park is over: one probe may find out how things are.
    pub(super) fn reopen_for_probe(&mut self) {
        self.distrust();
        self.strikes /= 2;
    }

    /// The latest wait counts, also when it is shorter: what must not be.
    #[cfg(feature = "sabotage")]
    pub(super) fn shorten(&mut self, until: Timestamp) {
        self.until = until;
    }

    /// The probe is back without having found anything out.
    pub(super) fn unprobe(&mut self) {
        if self.door == Door::Probing {
            self.door = Door::Closed;
        }
    }

    /// A success: strikes fall by half, so that a host that flaps is not taken for a well one.
    pub(super) fn forgive(&mut self) {
        self.strikes /= 2;
    }

    /// How long to wait at most where nobody said, for the closing just begun (its strike counted).
    ///
    /// `min · 2^strikes` up to `max`, but no longer than [`PATIENCE`] of the time that the host has
    /// been closed in this series, and at least [`WAIT_LEAST`] times `min`: of an outage of 20 s no
    /// more than 15 s are overslept, whatever the dice say, while the number of knocks still grows
    /// only with the logarithm of its length.
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
    /// A firewall lets go after a time of its own: some waits of equal length find out sooner than a few
    /// that grow, and are still few requests.
    fn wall_wait_max(&self, now: Timestamp, min: Duration) -> Duration {
        let closed = now.since(self.since);
        let even = min.saturating_mul(WALL_WAIT);
        if closed <= even.saturating_mul(WALL_WAITS) { even } else { closed.mul_f64(WALL_PATIENCE).max(even) }
    }
}

/// Jitter takes up to a third of a wait: enough for many hosts behind one failed part not to come
/// back at once. Full jitter would knock three times as often early on.
pub(super) fn jittered(wait: Duration, random: f64) -> Duration {
    wait.mul_f64((2.0 + random) / 3.0).max(WAIT_MIN)
}

/// A host that closed by breaking connections is taken to do so again for so long.
const LATELY: Duration = Duration::from_secs(600);
/// The share of a closure's own length that may be added to it by waiting.
const PATIENCE: f64 = 0.7;
/// The second and later waits are not bound to be shorter than so many times the minimum.
const WAIT_LEAST: u32 = 3;
/// A wall is asked again after at most so many times the minimum, until it has stood ten times as long.
const WALL_WAIT: u32 = 14;
const WALL_WAITS: u32 = 10;
const WALL_PATIENCE: f64 = 0.3;
/// A wait of zero would make a busy loop of a policy without backoff.
const WAIT_MIN: Duration = Duration::from_millis(1);
