//! Measures the memory of the process.

/// Returns how much memory the process uses, in bytes, or `None` if the system does not say.
///
/// The supervisor calls this function several times a second, so it must not block.
pub(crate) type Gauge = Box<dyn Fn() -> Option<u64> + Send>;

/// Returns the memory that the process uses now, in bytes. On Linux this is the resident set, which can be read in
/// some microseconds.
pub(crate) fn resident_bytes() -> Option<u64> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem as u64)
}
