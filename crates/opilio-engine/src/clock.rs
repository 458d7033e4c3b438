//! The only clock of the engine: monotonic, from the crawl's epoch on.

use std::time::{SystemTime, UNIX_EPOCH};

use opilio_core::Timestamp;
use tokio::time::Instant;

/// Tells the crawl's time. Follows the runtime's clock, so that a paused one is virtual time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
    epoch_unix_millis: i64,
}

impl Clock {
    /// A crawl begins now.
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch: Instant::now(), epoch_unix_millis: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::EPOCH + self.epoch.elapsed()
    }

    /// When the runtime's timer should fire for an instant of the crawl.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        // A wait of thirty years stands for never: timers cannot reach further.
        let span = at.since(Timestamp::EPOCH).min(std::time::Duration::from_secs(1_000_000_000));
        self.epoch + span
    }

    /// Wall time in milliseconds since 1970: for reading dates in headers, for nothing else.
    pub(crate) fn unix_millis(&self) -> i64 {
        self.epoch_unix_millis
            .saturating_add(i64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}
