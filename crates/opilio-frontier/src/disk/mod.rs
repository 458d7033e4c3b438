//! The store of a crawl with a state directory: its contents survive the process.
//!
//! Each call that changes the store is one commit of an embedded database ([fjall], a log-structured tree). When the
//! call returns, the operating system has the data of the commit, so that a kill of the process loses nothing.
//! [`Durability`] says what a power cut can lose. Leases are never written: on disk, a record is either settled or
//! due. So a kill makes the leased records due again and changes nothing else.
//!
//! | module | holds |
//! | --- | --- |
//! | `files` | the directory: how it is created, locked, opened and checked |
//! | `keys` | the layout of the keyspaces (the tables of the database) |
//! | `pack` | how records are encoded |
//! | `store` | the implementation of the trait `Frontier` |
//! | `commit` | how each call makes one commit, or returns an error |
//! | `admit` | how discovered URLs are admitted |
//! | `seen` | which fingerprints (hashes of URLs) are known or filtered |
//! | `hosts`, `numbers` | the hosts of this run and the order in which they are returned; the numbers that stand for hosts in keys |
//! | `queue`, `ahead` | the due records: written in chunks, read before they are leased, settled one by one |
//! | `lease` | which hosts have due records, and the leases of one host |
//! | `waiting` | the records that are due later |
//! | `settle` | how leases end: one commit for a whole batch |
//! | `chains` | where redirects led, and which redirected URLs wait for a known URL |
//! | `again` | the ended URLs that can become due again |
//! | `level` | which hosts wait until records of a greater depth may be leased, where depths are exact |
//! | `room` | how many more leases the caps allow a host, and how its records end when the caps are reached |
//! | `books` | the counters |
//! | `sync` | how commits are made safe against power cuts |
//!
//! # Guarantees, and the tests that show them
//!
//! | event | what the store has afterwards | shown by |
//! | --- | --- | --- |
//! | the process is killed | all acknowledged changes; leased records are due again | `kills_take_nothing_that_was_acknowledged`, the conformance suite's `crash` |
//! | a power cut, [`Durability::EveryCommit`] | all acknowledged changes | `a_power_cut_leaves_a_prefix_that_holds_what_was_synced` |
//! | a power cut, [`Durability::Interval`] | all commits up to a certain one, at least up to the last sync: a power cut loses at most the commits of the interval and of the time that a sync takes | the same, and `a_thread_syncs_without_being_asked` |
//! | a power cut, [`Durability::Process`] | all commits up to a certain one, at least up to the last [`checkpoint`](crate::Frontier::checkpoint) | the same |
//! | a power cut after fingerprints became a sorted file | no URL is known without being queued | `no_sorted_file_knows_what_a_power_cut_took_from_the_queue` |
//! | the journal ends within a commit | all changes except those of this commit, and the length of what was dropped ([`DiskFrontier::torn_bytes`]) | `a_commit_that_was_cut_off_is_dropped_as_a_whole_and_said` |
//! | a file is cut, changed or missing | an error that names the store, at each opening or reading; or all acknowledged changes, if none of them depended on the damaged bytes | `whatever_is_damaged_is_an_error_or_does_no_harm`, `a_part_that_is_missing_is_an_error_and_nothing_is_begun_anew` |
//! | the disk is full | the call fails with an error of the kind `StorageFull`; all acknowledged changes, once there is space | `a_full_disk_is_said_and_the_crawl_goes_on_later` |
//! | the threads of the database end or stall | [`FrontierError::Stalled`] after [`DiskOptions::stall_max`] | `threads_that_do_nothing_are_an_error_and_no_hang` |
//! | a second process opens the directory | [`FrontierError::InUse`] | `a_directory_belongs_to_one_crawl_and_one_process` |
//!
//! When the last commits are lost, work is repeated, but no URL is lost: links are admitted before their page is
//! settled, so another fetch of the page finds them again. Seeds are on no page, so a caller that acknowledges seeds
//! calls `checkpoint` first. The tests simulate power cuts by cutting the end of the journal or filling it with
//! zeros. They assume that the disk keeps the data that it reports as synced.
//!
//! [fjall]: https://docs.rs/fjall

mod admit;
mod again;
mod ahead;
mod books;
mod chains;
mod commit;
mod files;
mod hosts;
mod keys;
mod lease;
mod level;
mod numbers;
mod options;
mod pack;
mod queue;
mod quiet;
mod room;
mod seen;
mod settle;
mod store;
mod sync;
mod waiting;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use opilio_core::Order;

use crate::error::FrontierError;
use crate::levels::Levels;
use books::StoredBooks;
use chains::Chains;
use commit::{PendingWrites, WriteTimes};
use files::{Lock, Opened, StorePlace, Stored};
use hosts::Hosts;
use keys::{HostId, PageKey, WaitKey};
pub use options::{DiskOptions, Durability, StoreOwner};
use queue::Queue;
use quiet::quietly;
use room::CapsState;
use seen::Seen;
use sync::{Synced, Syncer};

/// A [`Frontier`](crate::Frontier) in a directory.
///
/// ```
/// use opilio_frontier::{DiskFrontier, DiskOptions, Frontier, StoreOwner};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let whose = || StoreOwner { spider: "shop".to_owned(), version: 1 };
/// let store = DiskFrontier::create(dir.path(), DiskOptions::default(), whose())?;
/// assert!(DiskFrontier::open(dir.path(), DiskOptions::default(), whose()).is_err(), "in use");
/// drop(store);
/// let store = DiskFrontier::open(dir.path(), DiskOptions::default(), whose())?;
/// assert_eq!(store.stats().left, 0);
/// # Ok(())
/// # }
/// ```
pub struct DiskFrontier {
    options: DiskOptions,
    books: StoredBooks,
    seen: Seen,
    hosts: Hosts,
    queue: Queue,
    chains: Chains,
    /// The position up to which each sink had written, by the name of the sink.
    positions: BTreeMap<Arc<str>, u64>,
    /// The key of the record that is due first, among the records that are due later.
    next_due: Option<WaitKey>,
    /// A key that is not greater than the key of any page of the history.
    first_page: PageKey,
    /// The hosts whose next record has to wait for records of smaller depths. `None` where depths are not exact.
    levels: Option<Levels<HostId>>,
    caps: CapsState,
    pending: PendingWrites,
    written: WriteTimes,
    /// Whether a call failed. Then the data in memory may differ from the disk, and the store refuses further calls.
    broken: bool,
    /// The opened directory. This is the last field, so that all fields above are dropped before the lock is
    /// released.
    disk: Disk,
}

/// The opened directory. Rust drops the fields in their order: the thread first, because it uses the database, and
/// the lock last.
struct Disk {
    _syncer: Option<Syncer>,
    synced: Arc<Synced>,
    stored: Stored,
    /// The number of bytes of an unfinished commit at the end of the journal, which was dropped at opening.
    torn_bytes: u64,
    place: StorePlace,
    _lock: Lock,
}

impl std::fmt::Debug for DiskFrontier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskFrontier").field("store", &self.disk.place.0).field("books", &self.books).finish()
    }
}

impl DiskFrontier {
    /// Starts a crawl in a directory. Creates the directory if it does not exist.
    ///
    /// # Errors
    /// When a crawl was started there before, when another process uses the directory, or when the disk fails.
    pub fn create(dir: &Path, options: DiskOptions, owner: StoreOwner) -> Result<Self, FrontierError> {
        let place = StorePlace(dir.display().to_string());
        fs::create_dir_all(dir).map_err(|error| place.io("create", error))?;
        let lock = files::lock(dir, &place)?;
        if files::database(dir).exists() {
            return Err(FrontierError::Exists { store: place.0 });
        }
        quietly(|| files::create(dir, &options, &owner, &place))?;
        Self::open_locked(dir, options, Some(&owner), place, lock)
    }

    /// Returns whether a crawl was started in a directory.
    #[must_use]
    pub fn is_there(dir: &Path) -> bool {
        files::database(dir).exists()
    }

    /// Opens the crawl of an earlier run. Reads the journal of that run, but not the queue and not the known
    /// fingerprints, so opening takes no longer when there are many of them.
    ///
    /// # Errors
    /// When there is no crawl, when another process uses it, when it belongs to another spider or version, or when it
    /// is damaged. This function never starts a crawl anew.
    pub fn open(dir: &Path, options: DiskOptions, owner: StoreOwner) -> Result<Self, FrontierError> {
        Self::open_for(dir, options, Some(&owner))
    }

    /// Opens the crawl of any spider, for tools that do not read the `extra` of its records.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_any(dir: &Path, options: DiskOptions) -> Result<Self, FrontierError> {
        Self::open_for(dir, options, None)
    }

    /// Returns the number of bytes of an unfinished commit that was found at the end of the journal at opening, and
    /// dropped. If only the process was killed, that commit was not acknowledged; after a power cut it may have been.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.disk.torn_bytes
    }

    /// Returns the bytes that the store uses on disk, journals included.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn disk_bytes(&self) -> Result<u64, FrontierError> {
        self.disk.stored.db.disk_space().map_err(|error| self.disk.place.failed("measure", error))
    }

    fn open_for(dir: &Path, options: DiskOptions, owner: Option<&StoreOwner>) -> Result<Self, FrontierError> {
        let place = StorePlace(dir.display().to_string());
        if !files::database(dir).exists() {
            return Err(FrontierError::Missing { store: place.0 });
        }
        let lock = files::lock(dir, &place)?;
        Self::open_locked(dir, options, owner, place, lock)
    }

    fn open_locked(
        dir: &Path,
        options: DiskOptions,
        owner: Option<&StoreOwner>,
        place: StorePlace,
        lock: Lock,
    ) -> Result<Self, FrontierError> {
        let Opened { stored, mut books, order, synced, torn_bytes } =
            quietly(|| files::open(dir, &options, owner, &place))?;
        let synced = Arc::new(synced);
        synced.committed(books.commits);
        let syncer = match options.durability {
            Durability::Interval(every) => {
                let syncer = Syncer::start(every, synced.clone(), stored.db.clone());
                Some(syncer.map_err(|error| place.io("open", error))?)
            }
            Durability::Process | Durability::EveryCommit => None,
        };
        let positions = read_positions(&stored, &place)?;
        read_failure_counts(&stored, &mut books, &place)?;
        let seen =
            Seen::open(stored.seen.clone(), stored.misc.clone(), options.recent_bytes, options.gather_bytes);
        let seen = seen.map_err(|error| error.at(&place))?;
        let numbered = u32::try_from(books.stats.hosts);
        let numbered = numbered.map_err(|_| place.damaged("the number of hosts is too large"))?;
        let levels = (options.levels && order == Order::BreadthFirst).then(Levels::default);
        let mut store = Self {
            seen,
            hosts: Hosts::new(numbered),
            chains: Chains::new(Self::read_waiting(&stored, &place)?, options.recent_bytes),
            queue: Queue::new(stored.queue.clone(), order, options.ahead_bytes_max),
            caps: CapsState::of(&options.caps),
            options,
            books,
            positions,
            next_due: None,
            first_page: PageKey::FIRST,
            levels,
            pending: PendingWrites::default(),
            written: WriteTimes::now(),
            broken: false,
            disk: Disk { _syncer: syncer, synced, stored, torn_bytes, place, _lock: lock },
        };
        store.next_due = store.first_waiting(WaitKey::FIRST)?;
        Ok(store)
    }
}

fn read_positions(stored: &Stored, place: &StorePlace) -> Result<BTreeMap<Arc<str>, u64>, FrontierError> {
    let counts = read_counts(stored, keys::POSITIONS, place)?;
    Ok(counts.into_iter().map(|(sink, position)| (sink.into(), position)).collect())
}

fn read_failure_counts(
    stored: &Stored,
    books: &mut StoredBooks,
    place: &StorePlace,
) -> Result<(), FrontierError> {
    for (word, count) in read_counts(stored, keys::FAILURES, place)? {
        let reason = settle::reason(&word)
            .ok_or_else(|| place.damaged("the reason of a failure counter is unknown"))?;
        if count > 0 {
            books.stats.failures.insert(reason, count);
        }
    }
    Ok(())
}

/// Reads the counters that have keys of their own, such as the failures of each reason. There are only few of these
/// counters.
fn read_counts(stored: &Stored, what: u8, place: &StorePlace) -> Result<Vec<(String, u64)>, FrontierError> {
    let mut counts = Vec::new();
    for entry in stored.misc.prefix([what]) {
        let (key, value) = entry.into_inner().map_err(|error| place.failed("read", error))?;
        let name = key.get(1..).and_then(|name| str::from_utf8(name).ok());
        let count = value.as_ref().try_into().ok().map(u64::from_be_bytes);
        let (Some(name), Some(count)) = (name, count) else {
            return Err(place.damaged("a counter cannot be read"));
        };
        counts.push((name.to_owned(), count));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests;
