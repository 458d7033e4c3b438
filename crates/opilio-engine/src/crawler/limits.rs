//! The limits of the whole crawl: requests in flight, live hosts, threads, pages, time, memory.

use std::time::Duration;

use opilio_core::Timestamp;
use opilio_core::intake::Intake;
use opilio_spider::{CrawlError, Progress, Spider};
use tokio::sync::watch;

use super::Crawler;
use crate::memory::{self, Gauge};
use crate::signals::Signals;
use crate::supervisor::{MemoryWatch, SupervisorPlan};

/// The limits of a crawl.
pub(super) struct CrawlLimits {
    pub(super) in_flight: u32,
    pub(super) hosts_max: u32,
    /// The number of shards (threads that fetch and parse); 0 means as many as there are cores.
    pub(super) shards: usize,
    pub(super) pages_max: Option<u64>,
    duration_max: Option<Duration>,
    pub(super) memory_bytes: Option<u64>,
    gauge: Gauge,
}

impl Default for CrawlLimits {
    fn default() -> Self {
        Self {
            in_flight: 64,
            hosts_max: 100_000,
            shards: 0,
            pages_max: None,
            duration_max: None,
            memory_bytes: None,
            gauge: Box::new(memory::resident_bytes),
        }
    }
}

impl CrawlLimits {
    /// Returns the same limits, for a crawl of another spider.
    pub(super) fn same(&self) -> Self {
        let Self { in_flight, hosts_max, shards, pages_max, duration_max, memory_bytes, .. } = *self;
        Self { in_flight, hosts_max, shards, pages_max, duration_max, memory_bytes, ..Self::default() }
    }

    /// Checks that a memory limit can be observed.
    ///
    /// # Errors
    /// When there is a memory limit, and the system does not say how much memory a process has.
    pub(super) fn check(&self) -> Result<(), CrawlError> {
        match self.memory_bytes.is_some() && (self.gauge)().is_none() {
            true => Err(CrawlError::MemoryUnknown),
            false => Ok(()),
        }
    }

    /// Returns how many live hosts may wait for their first turn for a slot: two for each slot, so that no slot waits
    /// for a host to come alive.
    pub(super) fn newcomers(&self) -> u32 {
        self.in_flight.saturating_mul(2).max(NEWCOMERS_MIN)
    }

    /// Returns the number of shards, which is never higher than the number of slots: a shard without its own
    /// slot could only borrow slots from other shards.
    pub(super) fn shards(&self) -> usize {
        let shards = match self.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        shards.min(SHARDS_MAX).min(self.in_flight as usize)
    }

    /// Makes the supervisor's part of the plan of a crawl.
    pub(super) fn supervisor(
        self,
        now: Timestamp,
        progress: watch::Sender<Progress>,
        signals: Option<Signals>,
    ) -> SupervisorPlan {
        let Self { pages_max, duration_max, memory_bytes, gauge, .. } = self;
        let memory = memory_bytes.map(|bytes| MemoryWatch::new(bytes, gauge, now));
        SupervisorPlan { progress, pages_max, duration_max, memory, signals }
    }
}

/// Settings of the limits of the whole crawl.
impl<S: Spider> Crawler<S> {
    /// Sets how many requests may be in flight in the whole crawl (64 by default); 0 counts as 1.
    #[must_use]
    pub fn total_in_flight(mut self, max: u32) -> Self {
        self.choices.limits.in_flight = max.max(1);
        self
    }

    /// Sets how many hosts are in memory at once (100,000 by default). The hosts beyond this number wait for
    /// their turn. 0 counts as 1.
    #[must_use]
    pub fn live_hosts(mut self, max: u32) -> Self {
        self.choices.limits.hosts_max = max.max(1);
        self
    }

    /// Sets the number of threads that fetch and parse; by default, and for 0, as many as there are cores.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.choices.limits.shards = shards;
        self
    }

    /// Ends the crawl after exactly this number of pages. The pages of earlier runs of a resumed crawl count, too.
    #[must_use]
    pub fn max_pages(mut self, pages: u64) -> Self {
        self.choices.limits.pages_max = Some(pages);
        self
    }

    /// Starts no more requests when the run has lasted for this time, and lets requests in flight end. Each run of a
    /// resumed crawl has the full time.
    #[must_use]
    pub fn max_duration(mut self, span: Duration) -> Self {
        self.choices.limits.duration_max = Some(span);
        self
    }

    /// Slows the crawl before its process uses more memory than this. A value below
    /// [`MEMORY_LIMIT_MIN`](crate::MEMORY_LIMIT_MIN) counts as that minimum.
    ///
    /// From 70 % of the limit on, fewer requests are in flight and fewer hosts are live. From 92 % on, nothing starts
    /// until the requests in flight have ended and their pages are settled. The memory may stay high even then, since
    /// the allocator keeps freed memory; in this case one URL at a time is fetched, up to the limit. The limit can
    /// only slow a crawl: it stays as polite as without a limit. If memory stays at the limit with nothing in flight,
    /// waiting cannot help. Then the crawl ends as if it were stopped, the report says
    /// [`Stopped::MemoryLimit`](crate::Stopped::MemoryLimit), and with a [`state`](Self::state) it can be resumed.
    ///
    /// Bodies and the caches of the state directory get less memory from the start: a quarter of the limit for
    /// bodies, half for the caches. A state directory that was created under a limit keeps to its smaller buffers in
    /// later runs.
    ///
    /// The operating system says how much memory the process uses (on Linux, its resident set). Memory for other work
    /// of the process counts, too. The crawl reads it ten times a second, and it may exceed the limit in between: set
    /// the limit lower than the memory that the system allows.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.choices.limits.memory_bytes = Some(bytes.max(Intake::LIMIT_BYTES_MIN));
        self
    }

    /// Sets the function that returns how many bytes of memory the process uses, for tests.
    #[cfg(test)]
    pub(crate) fn gauge(mut self, gauge: impl Fn() -> Option<u64> + Send + 'static) -> Self {
        self.choices.limits.gauge = Box::new(gauge);
        self
    }
}

/// The most shards of a crawl: we know of no crawl that gets faster with more than 64 threads.
const SHARDS_MAX: usize = 64;

/// How many hosts may always wait for their first turn for a slot. Messages between shard and scheduler take their time,
/// even where few slots are in use.
const NEWCOMERS_MIN: u32 = 32;
