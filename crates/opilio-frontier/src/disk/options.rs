//! The options of a store on disk.

use std::time::Duration;

use crate::caps::Caps;
use opilio_core::Order;

/// The data that a power cut can lose. A kill of the process loses nothing in any of these modes.
///
/// Every commit reaches the operating system before its call returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// A power cut loses the data that the operating system has not written to disk yet. On Linux, that is the data
    /// of the last 30 seconds at most.
    Process,
    /// A power cut loses at most the commits of this interval and of the time that one sync takes: a thread syncs at
    /// this interval when there are new commits.
    Interval(Duration),
    /// A power cut loses nothing. Each commit waits for the disk, which takes some milliseconds.
    EveryCommit,
}

impl Default for Durability {
    fn default() -> Self {
        Self::Interval(Duration::from_secs(1))
    }
}

/// The limits of a store on disk, and how soon its data is safe on the disk.
///
/// Memory does not grow with the number of URLs, only with the number of hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskOptions {
    /// How much data a power cut can lose.
    pub durability: Durability,
    /// The bytes of memory for cached blocks of the files.
    pub cache_bytes: u64,
    /// The bytes of memory for the new data of one keyspace (table) before it is written as a sorted file. A full
    /// journal (64 MiB) also makes the data of all keyspaces be written. This option has an effect only when the
    /// store is created.
    pub memtable_bytes: u64,
    /// The longest time until new data is written as sorted files, so that the memory of a slow crawl does not grow
    /// for hours. Fingerprints are written after this time only if they take at least a sixteenth of `gather_bytes`.
    pub write_within: Duration,
    /// The most bytes of journals on disk, at least 64 MiB. Opening after a kill has to read all of them.
    pub journal_bytes_max: u64,
    /// The bytes of memory for the fingerprints of recently seen links. They avoid most look-ups on disk. A
    /// fingerprint takes 8 bytes, and the size is rounded down to a power of two.
    pub recent_bytes: usize,
    /// The bytes of memory for new fingerprints before they are written as a sorted file. A fingerprint takes 18
    /// bytes, and the size is rounded down to a power of two.
    pub gather_bytes: usize,
    /// The most bytes of memory for records that were read from disk and not leased yet, over all hosts.
    pub ahead_bytes_max: usize,
    /// The number of threads that write and merge sorted files. With two or more threads, one of them only writes.
    /// The database makes that thread poll, so it uses a whole core while another thread merges.
    pub workers: usize,
    /// The longest time that a commit waits for these threads. Then it fails with
    /// [`Stalled`](crate::FrontierError::Stalled).
    pub stall_max: Duration,
    /// The order in which the records of a host are leased. `None` keeps the order of an existing crawl, and
    /// starts a new crawl breadth-first. An order that differs from that of the crawl is an error.
    pub order: Option<Order>,
    /// The caps of each host. The store keeps the numbers of pages and bytes taken, but not the caps, so each run can
    /// have other caps.
    pub caps: Caps,
    /// Whether the store keeps pages with their validators, so that they can become due again. A page takes
    /// some 60 bytes on disk.
    pub history: bool,
    /// Whether depths are exact ([`levels`](crate::levels)) in a breadth-first crawl. Each run can set this anew.
    pub levels: bool,
}

impl DiskOptions {
    /// Limits the memory of the store to half of a crawl's memory limit. A sixteenth of the crawl's limit goes to the
    /// memtable (the unwritten data in memory) of each of three keyspaces; an eighth to the records that are read
    /// before they are leased; and a sixteenth each to cached blocks, to new fingerprints, and to the fingerprints of
    /// recently seen links.
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

/// The spider that a store belongs to. Only this spider can read the data that it stored in the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreOwner {
    /// The spider's name.
    pub spider: String,
    /// The version of the encodings in which the spider stores its data.
    pub version: u32,
}
