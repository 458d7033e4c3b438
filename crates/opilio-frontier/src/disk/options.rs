//! Options of a durable store.

use std::time::Duration;

use crate::caps::Caps;
use opilio_core::Order;

/// What a power cut may take; a kill of the process takes nothing in any of them.
///
/// Every commit reaches the operating system before its call returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Whatever the system had not written by itself, up to its own limits (some 30 s on Linux).
    Process,
    /// At most the last so-and-so long: a thread syncs that often while there is something new.
    Interval(Duration),
    /// Nothing: each commit waits for the disk, some milliseconds.
    EveryCommit,
}

impl Default for Durability {
    fn default() -> Self {
        Self::Interval(Duration::from_secs(1))
    }
}

/// How much a store may use, and when it is safe.
///
/// Memory does not grow with the number of URLs, only with that of the hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskOptions {
    /// How much a power cut may lose.
    pub durability: Durability,
    /// Blocks of the files that are kept in memory.
    pub cache_bytes: u64,
    /// What is gathered in memory of a keyspace before it is written as a sorted file; a full journal
    /// (64 MiB) has all of them written, too. Fixed when the store is made.
    pub memtable_bytes: u64,
    /// What is in memory is written as sorted files after so long at the latest (of fingerprints, if they
    /// are a sixteenth of `gather_bytes`), so that a slow crawl does not fill memory up for hours.
    pub write_within: Duration,
    /// Journals on disk, should they pile up; at least 64 MiB. Opening after a kill has to read them.
    pub journal_bytes_max: u64,
    /// Fingerprints of links met lately, which spare most look-ups: 8 bytes each, rounded down to a
    /// power of two.
    pub recent_bytes: usize,
    /// Fingerprints that are gathered before they are written as a sorted file: 18 bytes each, rounded
    /// down to a power of two.
    pub gather_bytes: usize,
    /// Records read ahead of their lease, over all hosts.
    pub ahead_bytes_max: usize,
    /// Threads that write and merge sorted files. Of two and more one only writes, and takes a whole
    /// core while another one merges: the layer below has it ask again and again.
    pub workers: usize,
    /// How long a commit may wait for those threads before the store says that it has stalled.
    pub stall_max: Duration,
    /// In which order the records of a host go out. None is the order that the crawl was started
    /// with, breadth-first if it is started now; any other than that one is an error.
    pub order: Option<Order>,
    /// How much is taken of one host. What was taken is stored, the caps are not: each run may have
    /// others.
    pub caps: Caps,
    /// Whether pages are kept with their validators, so that they can become due again: some 60
    /// bytes each on disk.
    pub history: bool,
    /// Whether depths are exact ([`levels`](crate::levels)), in a crawl that goes breadth-first. Each run
    /// may have it otherwise.
    pub levels: bool,
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
pub struct Identity {
    /// The spider's name.
    pub spider: String,
    /// The version of its encodings.
    pub version: u32,
}
