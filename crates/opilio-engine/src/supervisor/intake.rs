//! Watches the memory of a crawl that has a memory limit, and logs a warning when the memory comes near the limit.

use std::time::Duration;

use opilio_core::Timestamp;
use opilio_core::intake::{Advice, Intake, IntakeLevel, Usage};

use crate::memory::Gauge;

/// Measures the memory for the supervisor, and logs changes of the intake level (how much may be started).
pub(crate) struct MemoryWatch {
    intake: Intake,
    gauge: Gauge,
    /// The lowest intake level that was logged so far.
    told: IntakeLevel,
}

impl MemoryWatch {
    pub(crate) fn new(limit_bytes: u64, gauge: Gauge, now: Timestamp) -> Self {
        Self { intake: Intake::new(limit_bytes, now), gauge, told: IntakeLevel::Full }
    }

    /// Measures the memory once. Logs and returns what has to change, if anything. `under_way` is the number of
    /// requests in flight and of pages that are not settled. If the system does not say how much memory is used,
    /// nothing changes.
    pub(crate) fn look(&mut self, now: Timestamp, under_way: u32) -> Option<Advice> {
        let memory_bytes = (self.gauge)()?;
        let advice = self.intake.handle(now, Usage { memory_bytes, under_way })?;
        self.tell(advice, memory_bytes);
        Some(advice)
    }

    pub(crate) fn level(&self) -> IntakeLevel {
        self.intake.level()
    }

    pub(crate) fn slowed(&self) -> Duration {
        self.intake.slowed()
    }

    /// Logs a change. The first time that the crawl is slowed, and the first time that it is paused, this is a
    /// warning. Later changes are logged as information only, since a crawl may stay near its memory limit for
    /// days.
    fn tell(&mut self, advice: Advice, memory_bytes: u64) {
        let (memory_mib, limit_mib) = (memory_bytes >> 20, self.intake.limit_bytes() >> 20);
        let first = match self.told {
            IntakeLevel::Full => true,
            IntakeLevel::Paused => false,
            IntakeLevel::Half | IntakeLevel::Quarter | IntakeLevel::Eighth | IntakeLevel::One => {
                advice == Advice::Take(IntakeLevel::Paused)
            }
        };
        match advice {
            Advice::Take(IntakeLevel::Paused) if first => {
                tracing::warn!(
                    memory_mib,
                    limit_mib,
                    "memory is very close to its limit: no request is started until those in flight have ended"
                );
            }
            Advice::Take(level) if first && level > IntakeLevel::Full => {
                tracing::warn!(
                    memory_mib,
                    limit_mib,
                    "memory is near its limit: fewer requests are in flight at a time"
                );
            }
            Advice::Take(level) => tracing::info!(
                ?level,
                memory_mib,
                limit_mib,
                "the limit of requests in flight was changed to this level because of memory"
            ),
            Advice::End => {
                tracing::warn!(
                    memory_mib,
                    limit_mib,
                    "memory stays at its limit with no request in flight: the crawl ends"
                );
            }
        }
        self.told = self.told.max(self.level());
    }
}
