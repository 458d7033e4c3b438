//! The only clock of the engine: monotonic, from the crawl's epoch on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opilio_core::Timestamp;
use opilio_spider::run_history::ClockReading;
use tokio::time::Instant;

/// The year of a wall time. Good enough to tell a calendar's far future: leap days are averaged.
pub(crate) fn year_of(wall: SystemTime) -> u16 {
    const YEAR_MICROS: u64 = 31_556_952_000_000;
    u16::try_from(1970 + unix_micros(wall) / YEAR_MICROS).unwrap_or(u16::MAX)
}

/// Tells the crawl's time. Follows the runtime's clock, so that a paused one is virtual time.
///
/// Anchored to the wall when a run opens, and monotonic from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
    opened: Timestamp,
    opened_unix_micros: u64,
    /// Which actor is to panic, and how long after the run began.
    #[cfg(test)]
    fault: Option<(&'static str, Duration)>,
}

impl Clock {
    /// A run begins now, at this wall time: the first one of its crawl, whose epoch this is, or one after another
    /// that noted a time.
    pub(crate) fn begin(noted: Option<ClockReading>, wall: SystemTime) -> Self {
        let wall = unix_micros(wall);
        let opened = noted.map_or(Timestamp::EPOCH, |noted| reopened(noted, wall));
        Self::opening(opened, wall)
    }

    fn opening(opened: Timestamp, opened_unix_micros: u64) -> Self {
        Self {
            base: Instant::now(),
            opened,
            opened_unix_micros,
            #[cfg(test)]
            fault: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn with_fault(self, name: &'static str, after: Duration) -> Self {
        Self { fault: Some((name, after)), ..self }
    }

    /// Where an actor may be made to panic by a test.
    #[cfg(test)]
    #[allow(clippy::panic, reason = "that is what it is for")]
    pub(crate) fn fault(&self, name: &str) {
        if self.fault.is_some_and(|(which, after)| which == name && self.elapsed() >= after) {
            panic!("{name} was told to panic");
        }
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "it does something in tests")]
    pub(crate) fn fault(&self, _: &str) {}

    /// The time at which this run began; its epoch is right for a crawl that began with this run.
    pub(crate) fn begins(&self) -> ClockReading {
        let epoch_unix_micros = self.opened_unix_micros.saturating_sub(self.opened.as_micros());
        ClockReading { epoch_unix_micros, now: self.opened }
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

/// The crawl's time when a wall clock shows this: never before what an earlier run noted, so that a
/// clock that was set back makes nothing due twice and no wait longer than it was.
fn reopened(noted: ClockReading, wall_unix_micros: u64) -> Timestamp {
    Timestamp::from_micros(wall_unix_micros.saturating_sub(noted.epoch_unix_micros)).max(noted.now)
}

fn unix_micros(wall: SystemTime) -> u64 {
    let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_crawl_goes_on_by_the_wall_and_never_back() {
        let (noted, epoch) = (Timestamp::from_secs(100), 1_000_000_000);
        let reading = ClockReading { epoch_unix_micros: epoch, now: noted };
        let at = |secs: u64| reopened(reading, epoch + secs * 1_000_000);
        assert_eq!(at(3_600), Timestamp::from_secs(3_600), "an hour after its epoch");
        assert_eq!(at(99), noted, "the clock was set back");
        assert_eq!(reopened(reading, 0), noted, "before the epoch itself");
    }
}
