//! Timestamps of the crawl's clock. Nothing in this crate reads a clock; the caller passes the time as an argument.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in microseconds since the crawl's epoch, by a monotonic clock.
///
/// Arithmetic saturates: a time beyond the range becomes [`Timestamp::NEVER`], and does not wrap around into
/// the past.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The crawl's epoch: the moment 0, from which all timestamps count.
    pub const EPOCH: Self = Self(0);
    /// The greatest timestamp: later than every moment that a crawl can reach.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the moment this many microseconds after the crawl's epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the moment this many milliseconds after the crawl's epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Returns the moment this many seconds after the crawl's epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Returns the microseconds since the crawl's epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time since `earlier`; zero if `earlier` is later than `self`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(micros))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{:?}", Duration::from_micros(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_beyond_the_end_of_time_does_not_wrap() {
        assert_eq!(Timestamp::from_secs(1) + Duration::MAX, Timestamp::NEVER);
        assert_eq!(Timestamp::from_secs(1) - Duration::MAX, Timestamp::EPOCH);
    }

    #[test]
    fn time_since_a_later_instant_is_zero() {
        let (a, b) = (Timestamp::from_secs(1), Timestamp::from_secs(3));
        assert_eq!(b.since(a), Duration::from_secs(2));
        assert_eq!(a.since(b), Duration::ZERO);
    }
}
