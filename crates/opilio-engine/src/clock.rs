//! The clock that the whole engine uses. Its time is monotonic and counts from the start of the crawl's first
//! run (the epoch).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opilio_core::Timestamp;
use opilio_spider::run_history::ClockReading;
use tokio::time::Instant;

/// Returns the year of a wall time. Computes with years of average length, which is exact enough to recognise
/// calendar pages of the far future.
pub(crate) fn year_of(wall: SystemTime) -> u16 {
    const YEAR_MICROS: u64 = 31_556_952_000_000;
    u16::try_from(1970 + unix_micros(wall) / YEAR_MICROS).unwrap_or(u16::MAX)
}

/// Tells the time of the crawl. Uses the clock of the tokio runtime, so that tests with a paused runtime have virtual
/// time.
///
/// The time is taken from the wall clock when a run starts, and is monotonic from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
    opened: Timestamp,
    opened_unix_micros: u64,
    /// The actor that a test wants to panic (its name), and how long after the start of the run the panic is
    /// due.
    #[cfg(test)]
    fault: Option<(&'static str, Duration)>,
}

impl Clock {
    /// Starts the clock of a run that begins now, at this wall time. `noted` is the time that an earlier run
    /// of the same crawl recorded. Without `noted` this is the first run of the crawl, and the epoch is now.
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

    /// Panics if a test asked for a panic of this actor and the time for it has come.
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

    /// Returns the time at which this run began, together with the wall time of the epoch. That wall time is
    /// correct only in the first run of a crawl.
    pub(crate) fn begins(&self) -> ClockReading {
        let epoch_unix_micros = self.opened_unix_micros.saturating_sub(self.opened.as_micros());
        ClockReading { epoch_unix_micros, now: self.opened }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.opened + self.base.elapsed()
    }

    /// Returns the time of the crawl at which this run began.
    pub(crate) fn opened(&self) -> Timestamp {
        self.opened
    }

    /// Returns how long this run has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.base.elapsed()
    }

    /// Converts a time of the crawl to an instant of the tokio runtime, for a timer.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        // Timers have a limit, so every wait is cut to about thirty years. A longer wait is in effect a wait
        // for ever.
        self.base + at.since(self.opened).min(Duration::from_secs(1_000_000_000))
    }

    /// Returns the wall time in milliseconds since 1970. It is used for dates in headers, the expiry of cookies, and
    /// the fetch times of pages, but never to decide when a request may start.
    pub(crate) fn unix_millis(&self) -> i64 {
        let micros = u128::from(self.opened_unix_micros) + self.base.elapsed().as_micros();
        i64::try_from(micros / 1_000).unwrap_or(i64::MAX)
    }
}

/// Returns the time of the crawl at this wall time. The result is never earlier than the time that an earlier
/// run recorded. So if the wall clock was set back, nothing is due a second time and no wait becomes longer.
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
