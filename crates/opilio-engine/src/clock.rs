//! The only clock of the engine: monotonic, from the crawl's epoch on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opilio_core::Timestamp;
use tokio::time::Instant;

/// When a crawl began, and how far an earlier run had come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Era {
    /// The crawl's epoch on the wall, in microseconds since 1970.
    pub(crate) epoch_unix_micros: u64,
    /// The last instant that an earlier run noted; none in a new crawl.
    pub(crate) resumed: Option<Timestamp>,
}

impl Era {
    /// A crawl begins now.
    pub(crate) fn begin() -> Self {
        Self { epoch_unix_micros: unix_micros(), resumed: None }
    }

    /// The crawl's time when a wall clock shows this: never before what an earlier run noted, so that
    /// a clock that was set back makes nothing due twice and no wait longer than it was.
    fn at(self, wall_unix_micros: u64) -> Timestamp {
        self.resumed.map_or(Timestamp::EPOCH, |noted| {
            Timestamp::from_micros(wall_unix_micros.saturating_sub(self.epoch_unix_micros)).max(noted)
        })
    }
}

/// Tells the crawl's time. Follows the runtime's clock, so that a paused one is virtual time.
///
/// Anchored to the wall when a run opens, and monotonic from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
    opened: Timestamp,
    opened_unix_micros: u64,
}

impl Clock {
    /// A run of a crawl begins now.
    pub(crate) fn start(era: Era) -> Self {
        let wall = unix_micros();
        Self { base: Instant::now(), opened: era.at(wall), opened_unix_micros: wall }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.opened + self.base.elapsed()
    }

    /// When this run began.
    pub(crate) fn opened(&self) -> Timestamp {
        self.opened
    }

    /// How long this run has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.base.elapsed()
    }

    /// When the runtime's timer should fire for an instant of the crawl.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        // A wait of thirty years stands for never: timers cannot reach further.
        self.base + at.since(self.opened).min(Duration::from_secs(1_000_000_000))
    }

    /// Wall time in milliseconds since 1970: for reading dates in headers, for nothing else.
    pub(crate) fn unix_millis(&self) -> i64 {
        let micros = u128::from(self.opened_unix_micros) + self.base.elapsed().as_micros();
        i64::try_from(micros / 1_000).unwrap_or(i64::MAX)
    }
}

fn unix_micros() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_crawl_goes_on_by_the_wall_and_never_back() {
        let noted = Timestamp::from_secs(100);
        let era = Era { epoch_unix_micros: 1_000_000_000, resumed: Some(noted) };
        let at = |secs: u64| era.at(1_000_000_000 + secs * 1_000_000);
        assert_eq!(at(3_600), Timestamp::from_secs(3_600), "an hour after its epoch");
        assert_eq!(at(99), noted, "the clock was set back");
        assert_eq!(era.at(0), noted, "before the epoch itself");
        assert_eq!(Era { resumed: None, ..era }.at(u64::MAX), Timestamp::EPOCH, "a new crawl");
    }
}
