//! The memory of the process, and how a crawl with a memory limit divides it.

use opilio_core::intake::Intake;
use opilio_fetch::BodyBudget;
#[cfg(feature = "disk")]
use opilio_frontier::DiskOptions;

/// Returns how much memory the process has, in bytes; `None` if the system does not say.
///
/// The supervisor calls it several times a second, so it must not block.
pub(crate) type Gauge = Box<dyn Fn() -> Option<u64> + Send>;

/// The memory limit of a crawl, and the gauge that shows how near it is.
pub(crate) struct MemoryLimit {
    pub(crate) bytes: u64,
    pub(crate) gauge: Gauge,
}

/// The memory that the process has now. On Linux this is the resident set, which takes some microseconds to read.
pub(crate) fn resident_bytes() -> Option<u64> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem as u64)
}

/// The limit that applies where a user asks for this one: lower limits than the least possible one are raised.
pub(crate) fn limit_bytes(bytes: u64) -> u64 {
    bytes.max(Intake::LIMIT_BYTES_MIN)
}

/// The memory for bodies: 128 MiB, or a quarter of the limit if that is less.
pub(crate) fn bodies(limit: Option<u64>) -> BodyBudget {
    match limit {
        Some(bytes) if bytes / 4 < BODIES => {
            BodyBudget::new(usize::try_from(bytes / 4).unwrap_or(usize::MAX))
        }
        _ => BodyBudget::new(BODIES as usize),
    }
}

/// Limits the memory of a store on disk to half the crawl's limit: a sixteenth of the limit for the memtable of each of
/// three keyspaces, an eighth for the records that it reads ahead, and a sixteenth each for cached blocks, for the
/// fingerprints that it gathers, and for the fingerprints that it met lately.
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
