//! Options of a durable store.

use std::time::Duration;

use crate::caps::Caps;
use opilio_core::Order;

/// What a power cut can lose. A kill of the process loses nothing in any of these modes.
///
/// Every commit reaches the operating system before its call returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// The data that the operating system has not written yet: on Linux at most some 30 s.
    Process,
    /// At most the data of this interval and of one sync: a thread syncs at this interval when there are new
    /// commits.
    Interval(Duration),
    /// Nothing. Each commit waits for the disk, which takes some milliseconds.
    EveryCommit,
}

impl Default for Durability {
    fn default() -> Self {
        Self::Interval(Duration::from_secs(1))
    }
}

/// Limits of a store, and when its data is on disk.
///
/// Memory does not grow with the number of URLs, only with the number of hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskOptions {
    /// What a power cut can lose.
    pub durability: Durability,
    /// Memory for blocks of the files.
    pub cache_bytes: u64,
    /// Memory for new data of a keyspace before it is written as a sorted file. A full journal (64 MiB) also
    /// causes all of them to be written. Fixed when the store is made.
    pub memtable_bytes: u64,
    /// After this time at the latest, new data is written as sorted files, so that a slow crawl does not fill
    /// memory for hours. Fingerprints are written only if they take a sixteenth of `gather_bytes`.
    pub write_within: Duration,
    /// The most space for journals; at least 64 MiB. Opening after a kill has to read them.
    pub journal_bytes_max: u64,
    /// Memory for the fingerprints of links met lately, which spare most look-ups: 8 bytes each, rounded down
    /// to a power of two.
    pub recent_bytes: usize,
    /// Memory for new fingerprints before they are written as a sorted file: 18 bytes each, rounded down to a
    /// power of two.
    pub gather_bytes: usize,
    /// Memory for records that were read ahead of their lease, over all hosts.
    pub ahead_bytes_max: usize,
    /// The number of threads that write and merge sorted files. With two or more, one of them only writes. It
    /// uses a whole core while another thread merges, because the database makes it poll.
    pub workers: usize,
    /// How long a commit may wait for these threads before it fails with
    /// [`Stalled`](crate::FrontierError::Stalled).
    pub stall_max: Duration,
    /// The order in which the records of a host are leased. `None` keeps the order of the crawl, and starts a
    /// new crawl breadth-first. Another order than that of the crawl is an error.
    pub order: Option<Order>,
    /// The caps of each host. The store keeps the pages and bytes taken, but not the caps: each run can have
    /// its own.
    pub caps: Caps,
    /// Whether the store keeps pages with their validators, so that they can become due again: some 60 bytes
    /// each on disk.
    pub history: bool,
    /// Whether depths are exact ([`levels`](crate::levels)) in a breadth-first crawl. Each run can choose.
    pub levels: bool,
}

impl DiskOptions {
    /// Limits the memory of the store to half of a crawl's memory limit: a sixteenth of the limit for the memtable of each
    /// of three keyspaces, an eighth for the records that are read ahead, and a sixteenth each for cached blocks, for the
    /// fingerprints that are gathered, and for those that were met lately.
    #[must_use]
    pub fn within(mut self, limit_bytes: u64) -> Self {
        let part = |of: u64| usize::try_from(limit_bytes / of).unwrap_or(usize::MAX);
        self.memtable_bytes = self.memtable_bytes.min(limit_bytes / 16);
        self.cache_bytes = self.cache_bytes.min(limit_bytes / 16);
        self.ahead_bytes_max = self.ahead_bytes_max.min(part(8));
        self.gather_bytes = self.gather_bytes.min(part(16));
        self.recent_bytes = self.recent_bytes.min(part(16));
        self
    }
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            cache_bytes: 16 << 20,
            memtable_bytes: 32 << 20,
            write_within: Duration::from_secs(60),
            journal_bytes_max: 128 << 20,
            recent_bytes: 128 << 20,
            gather_bytes: 20 << 20,
            ahead_bytes_max: 160 << 20,
            workers: 1,
            stall_max: Duration::from_secs(60),
            order: None,
            caps: Caps::default(),
            history: false,
            levels: false,
        }
    }
}

/// The spider that a store belongs to: only this spider can read the stored data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreOwner {
    /// The spider's name.
    pub spider: String,
    /// The version of the spider's encodings.
    pub version: u32,
}
