//! The memory of the process, and the memory limit of a crawl.

use opilio_core::intake::Intake;

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
