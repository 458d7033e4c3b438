//! The memory of the process, and how a crawl with a limit deals it out beforehand.

use opilio_core::intake::Intake;
use opilio_fetch::BodyBudget;
#[cfg(feature = "disk")]
use opilio_frontier::DiskOptions;

/// Tells how much memory the process has, in bytes; nothing where the system does not say.
///
/// Called several times a second by the supervisor, which waits for nobody: it must not block.
pub(crate) type Gauge = Box<dyn Fn() -> Option<u64> + Send>;

/// The limit that holds, and what tells how near it is.
pub(crate) struct MemoryLimit {
    pub(crate) bytes: u64,
    pub(crate) gauge: Gauge,
}

/// What the process has in memory: of Linux the resident set, which is one read of some microseconds.
pub(crate) fn resident_bytes() -> Option<u64> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem as u64)
}

/// What counts as a limit.
pub(crate) fn limit_bytes(bytes: u64) -> u64 {
    bytes.max(Intake::LIMIT_BYTES_MIN)
}

/// Memory for bodies: what it is without a limit, and a quarter of one at the most.
pub(crate) fn bodies(limit: Option<u64>) -> BodyBudget {
    match limit {
        Some(bytes) if bytes / 4 < BODIES => {
            BodyBudget::new(usize::try_from(bytes / 4).unwrap_or(usize::MAX))
        }
        _ => BodyBudget::new(BODIES as usize),
    }
}

/// Caps what a store on disk keeps in memory at half the limit: of the limit a sixteenth for what each of the
/// three keyspaces with a memtable writes later, an eighth for the records that it reads ahead, and a
/// sixteenth for each of the blocks that it caches, the fingerprints that it gathers and those that it met
/// lately.
#[cfg(feature = "disk")]
pub(crate) fn within(limit: u64, mut options: DiskOptions) -> DiskOptions {
    let part = |of: u64| usize::try_from(limit / of).unwrap_or(usize::MAX);
    options.memtable_bytes = options.memtable_bytes.min(limit / 16);
    options.cache_bytes = options.cache_bytes.min(limit / 16);
    options.ahead_bytes_max = options.ahead_bytes_max.min(part(8));
    options.gather_bytes = options.gather_bytes.min(part(16));
    options.recent_bytes = options.recent_bytes.min(part(16));
    options
}

/// Memory for bodies without a limit.
const BODIES: u64 = 128 << 20;
