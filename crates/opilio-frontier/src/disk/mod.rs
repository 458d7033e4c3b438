//! The store of a crawl with a state directory: what it knows survives the process.
//!
//! Each mutating call is one commit of an embedded database ([fjall], a log-structured tree), which
//! has reached the operating system when the call returns: a kill takes nothing of it. What a power
//! cut can take is the [`Durability`]. Leases are never written. A lease is the absence of a settle,
//! so that a kill returns what was out, and nothing else.
//!
//! | module | holds |
//! | --- | --- |
//! | `files` | the directory: made, locked, opened, checked |
//! | `keys` | the layout of the keyspaces |
//! | `pack` | how records are written |
//! | `seen` | which fingerprints are known or filtered |
//! | `hosts` | the hosts of this run, whose turn it is, what is read ahead |
//! | `queue` | what is due: written in chunks, read ahead, leased, settled bit by bit |
//! | `waiting` | what is due later |
//! | `settle` | how leases end: one commit for all of a batch |
//! | `chains` | where redirects led, and what waits for a known URL |
//! | `again` | what has ended and becomes due again |
//! | `level` | whose next level has opened, where depths are exact |
//! | `room` | what the caps leave of a host, and what ends when they leave nothing |
//! | `store` | the trait's calls |
//! | `books` | the counters |
//! | `sync` | when commits are on disk |
//!
//! # What holds, and the test that shows it
//!
//! | whatever happens | what is there afterwards | shown by |
//! | --- | --- | --- |
//! | the process is killed | all that was acknowledged; what was out is due again | `kills_take_nothing_that_was_acknowledged`, the conformance suite's `crash` |
//! | the power is cut, [`Durability::EveryCommit`] | all that was acknowledged | `a_power_cut_leaves_a_prefix_that_holds_what_was_synced` |
//! | the power is cut, [`Durability::Interval`] | a whole prefix of the commits, at least up to the last sync: at most the interval and what a sync takes are lost | the same, and `a_thread_syncs_without_being_asked` |
//! | the power is cut, [`Durability::Process`] | a whole prefix, at least up to the last [`checkpoint`](crate::Frontier::checkpoint) | the same |
//! | the power is cut after fingerprints became a sorted file | no URL is known that is not queued | `no_sorted_file_knows_what_a_power_cut_took_from_the_queue` |
//! | the journal ends within a commit | that commit is dropped as a whole, and said ([`DiskFrontier::torn_bytes`]) | `a_commit_that_was_cut_off_is_dropped_as_a_whole_and_said` |
//! | a file is cut, changed or missing | an error that names the store, every time it is opened or read; or, where nothing acknowledged hung on the bytes, everything | `whatever_is_damaged_is_an_error_or_does_no_harm`, `a_part_that_is_missing_is_an_error_and_nothing_is_begun_anew` |
//! | the disk is full | the call fails with an error of the kind `StorageFull`; all that was acknowledged, once there is space | `a_full_disk_is_said_and_the_crawl_goes_on_later` |
//! | the threads of the layer below end or stall | [`FrontierError::Stalled`] after [`DiskOptions::stall_max`] | `threads_that_do_nothing_are_an_error_and_no_hang` |
//! | a second process comes | [`FrontierError::InUse`] | `a_directory_belongs_to_one_crawl_and_one_process` |
//!
//! Losing the end of the history loses work, never URLs: links are admitted before their page is
//! settled, so that what is lost is found again by fetching again. Seeds have no such page: whoever
//! acknowledges them to somebody calls `checkpoint` first. Power cuts are simulated, by cutting and
//! by zeroing the journal's end; that the disk keeps what it says it has synced is taken for granted.
//!
//! [fjall]: https://docs.rs/fjall

mod again;
mod books;
mod chains;
mod files;
mod hosts;
mod keys;
mod level;
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

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{OwnedWriteBatch, PersistMode};
use opilio_core::{Host, Lease, Order, Record, RecordKind, Timestamp};
use url::Url;

use crate::batch::{Admission, Admitted, Want};
use crate::caps::Room;
use crate::error::FrontierError;
use crate::levels::Levels;
use books::Books;
use chains::Chains;
use files::{Lock, Opened, Place, Stored};
use hosts::{Hosts, Slot, Work};
use keys::{HostId, PageKey, WaitKey};
pub use options::{DiskOptions, Durability, Identity};
use queue::Queue;
use quiet::quietly;
use seen::{Seen, SeenError, Sighting};
use sync::{Synced, Syncer};

/// A [`Frontier`](crate::Frontier) in a directory.
///
/// ```
/// use opilio_frontier::{DiskFrontier, DiskOptions, Frontier, Identity};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let whose = || Identity { spider: "shop".to_owned(), version: 1 };
/// let store = DiskFrontier::create(dir.path(), DiskOptions::default(), whose())?;
/// assert!(DiskFrontier::open(dir.path(), DiskOptions::default(), whose()).is_err(), "in use");
/// drop(store);
/// let store = DiskFrontier::open(dir.path(), DiskOptions::default(), whose())?;
/// assert_eq!(store.stats().left, 0);
/// # Ok(())
/// # }
/// ```
pub struct DiskFrontier {
    place: Place,
    options: DiskOptions,
    /// Whether any host has a cap.
    is_capped: bool,
    books: Books,
    seen: Seen,
    hosts: Hosts,
    queue: Queue,
    chains: Chains,
    positions: BTreeMap<Arc<str>, u64>,
    /// Notes that wait for the next commit.
    notes: BTreeMap<&'static str, Bytes>,
    /// Texts of lists that do.
    listed: BTreeSet<Vec<u8>>,
    /// When the first of those that wait is due.
    next_due: Option<WaitKey>,
    /// Nothing of the history stands before it.
    first_page: PageKey,
    /// Hosts whose caps are reached, and that may have something queued.
    closing: BTreeSet<HostId>,
    /// Who waits for a level, where depths are exact.
    levels: Option<Levels<HostId>>,
    /// Of those hosts the last call took something: it is to be written.
    spent: Vec<HostId>,
    torn_bytes: u64,
    /// When what is in memory was last written to sorted files, and when what is gathered was.
    written_at: Instant,
    sorted_at: Instant,
    /// A call failed: what is in memory may be ahead of the disk.
    broken: bool,
    // Dropped in this order: the thread has the database open, and the lock goes last.
    _syncer: Option<Syncer>,
    synced: Arc<Synced>,
    stored: Stored,
    _lock: Lock,
}

impl std::fmt::Debug for DiskFrontier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskFrontier").field("store", &self.place.0).field("books", &self.books).finish()
    }
}

/// How often it is looked whether the journal is full.
const COMMITS_PER_LOOK: u64 = 64;

impl DiskFrontier {
    /// Starts a crawl in a directory, which is made when it is not there.
    ///
    /// # Errors
    /// When a crawl was started there, another process is at it, or the disk fails.
    pub fn create(dir: &Path, options: DiskOptions, identity: Identity) -> Result<Self, FrontierError> {
        let place = Place(dir.display().to_string());
        fs::create_dir_all(dir).map_err(|error| place.io("create", error))?;
        let lock = files::lock(dir, &place)?;
        if files::database(dir).exists() {
            return Err(FrontierError::Exists { store: place.0 });
        }
        quietly(|| files::create(dir, &options, &identity, &place))?;
        Self::open_locked(dir, options, Some(&identity), place, lock)
    }

    /// Whether a crawl was started in a directory.
    #[must_use]
    pub fn is_there(dir: &Path) -> bool {
        files::database(dir).exists()
    }

    /// Goes on with a crawl. Reads the journal of the last run, but neither the queue nor what is
    /// known, however long they are.
    ///
    /// # Errors
    /// When there is none, another process is at it, it is another spider's or version's, or it is
    /// damaged. It is never begun anew.
    pub fn open(dir: &Path, options: DiskOptions, identity: Identity) -> Result<Self, FrontierError> {
        let place = Place(dir.display().to_string());
        if !files::database(dir).exists() {
            return Err(FrontierError::Missing { store: place.0 });
        }
        let lock = files::lock(dir, &place)?;
        Self::open_locked(dir, options, Some(&identity), place, lock)
    }

    /// Opens whosoever crawl it is, for tools that look at it and do not read its records' `extra`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_any(dir: &Path, options: DiskOptions) -> Result<Self, FrontierError> {
        let place = Place(dir.display().to_string());
        if !files::database(dir).exists() {
            return Err(FrontierError::Missing { store: place.0 });
        }
        let lock = files::lock(dir, &place)?;
        Self::open_locked(dir, options, None, place, lock)
    }

    /// How many bytes of an unfinished commit were found at the journal's end and dropped: that
    /// commit had not been acknowledged, unless the power was cut.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// What the store takes on disk, journals included.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn disk_bytes(&self) -> Result<u64, FrontierError> {
        self.stored.db.disk_space().map_err(|error| self.place.failed("measure", error))
    }

    fn open_locked(
        dir: &Path,
        options: DiskOptions,
        identity: Option<&Identity>,
        place: Place,
        lock: Lock,
    ) -> Result<Self, FrontierError> {
        let Opened { stored, mut books, order, synced, torn_bytes } =
            quietly(|| files::open(dir, &options, identity, &place))?;
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
        let numbered = u32::try_from(books.stats.hosts).map_err(|_| place.damaged("too many hosts"))?;
        let levels = (options.levels && order == Order::BreadthFirst).then(Levels::default);
        let mut store = Self {
            seen,
            hosts: Hosts::new(numbered),
            chains: Chains::new(Self::read_waiting(&stored, &place)?, options.recent_bytes),
            queue: Queue::new(stored.queue.clone(), order, options.ahead_bytes_max),
            place,
            is_capped: !options.caps.are_none(),
            options,
            books,
            positions,
            notes: BTreeMap::new(),
            listed: BTreeSet::new(),
            next_due: None,
            first_page: PageKey::FIRST,
            closing: BTreeSet::new(),
            levels,
            spent: Vec::new(),
            torn_bytes,
            written_at: Instant::now(),
            sorted_at: Instant::now(),
            broken: false,
            _syncer: syncer,
            synced,
            stored,
            _lock: lock,
        };
        store.next_due = store.first_waiting(WaitKey::FIRST)?;
        Ok(store)
    }

    /// The error of a store that must not be used.
    fn usable(&self) -> Result<(), FrontierError> {
        if self.broken || self.synced.has_failed() {
            return Err(FrontierError::Stopped { store: self.place.0.clone() });
        }
        Ok(())
    }

    /// The same before a call. A sync in the background that failed is told once, with its reason.
    fn ready(&mut self) -> Result<(), FrontierError> {
        if let Some(error) = self.synced.take_failure().filter(|_| !self.broken) {
            self.broken = true;
            return Err(self.failed_to_write(error));
        }
        self.usable()
    }

    /// Runs a call. The layer below takes some of what it reads for granted, and panics where a damaged
    /// file breaks that: an error for the caller, who could not do anything with a panic.
    fn guarded<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, FrontierError>,
    ) -> Result<T, FrontierError> {
        self.ready()?;
        catch_unwind(AssertUnwindSafe(|| call(self))).unwrap_or_else(|panic| {
            self.broken = true;
            Err(self.place.panicked(&*panic))
        })
    }

    /// Runs a call that writes. When it fails, the books are what they were, and the store stops:
    /// memory may be ahead of the disk.
    fn all_or_nothing<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, FrontierError>,
    ) -> Result<T, FrontierError> {
        self.ready()?;
        let (before, waiting) = (self.books.clone(), self.chains.waiting());
        let result = call(self);
        if result.is_err() {
            self.books = before;
            self.chains.take_back(waiting);
            self.broken = true;
        }
        result
    }

    /// Makes one commit of what was gathered and the books.
    fn commit(&mut self, mut commit: OwnedWriteBatch) -> Result<(), FrontierError> {
        self.await_room_to_write()?;
        self.write_spent(&mut commit)?;
        self.books.commits += 1;
        self.books.stats.hosts = u64::from(self.hosts.numbered());
        commit.insert(&self.stored.misc, keys::BOOKS, self.books.encode());
        for (name, note) in std::mem::take(&mut self.notes) {
            commit.insert(&self.stored.misc, keys::named(keys::NOTES, name), &note[..]);
        }
        for key in std::mem::take(&mut self.listed) {
            commit.insert(&self.stored.misc, key, []);
        }
        self.chains.write(&self.stored.misc, &mut commit);
        if self.options.durability == Durability::EveryCommit {
            commit = commit.durability(Some(PersistMode::SyncData));
        }
        commit.commit().map_err(|error| self.failed_to_write(error))?;
        self.synced.committed(self.books.commits);
        if self.books.commits.is_multiple_of(COMMITS_PER_LOOK) {
            self.write_from_memory().map_err(|error| self.failed_to_write(error))?;
        }
        Ok(())
    }

    /// Has written to sorted files what is in memory, when the journal is full or it has been there for
    /// long: a slow crawl does not fill memory up because nobody is in a hurry.
    fn write_from_memory(&mut self) -> Result<(), fjall::Error> {
        let is_old = self.written_at.elapsed() >= self.options.write_within;
        if self.stored.turn_journal()? || is_old && self.stored.write_memtables()? {
            self.written_at = Instant::now();
        }
        Ok(())
    }

    /// A commit is made: what it made known is stored. Once much is gathered, it becomes a sorted file.
    fn remember(&mut self) -> Result<(), FrontierError> {
        self.seen.committed();
        let is_old = || self.sorted_at.elapsed() >= self.options.write_within;
        if self.seen.is_full() || self.seen.is_worth_a_file() && is_old() {
            self.write_sorted()?;
            self.sorted_at = Instant::now();
        }
        Ok(())
    }

    fn write_sorted(&mut self) -> Result<(), FrontierError> {
        // A power cut may take the last commits. Had it their fingerprints and not their records, these
        // would never be queued again.
        self.sync()?;
        self.seen.write_sorted().map_err(|error| self.failed_to_write(error))?;
        let mut commit = self.stored.db.batch();
        self.seen.remove_sheets(&mut commit);
        self.commit(commit)
    }

    /// Returns when all commits so far are on disk.
    fn sync(&self) -> Result<(), FrontierError> {
        let synced = self.synced.sync(&self.stored.db);
        synced.map(drop).map_err(|error| self.write_failed_while("sync", error))
    }

    /// Waits until a commit would not be held up by the layer below, which never gives up waiting for
    /// its threads, not even when they have ended.
    fn await_room_to_write(&self) -> Result<(), FrontierError> {
        let since = Instant::now();
        while self.stored.is_held_up() {
            let waited = since.elapsed();
            if waited > self.options.stall_max {
                return Err(FrontierError::Stalled { store: self.place.0.clone(), waited });
            }
            // A thread that ended for an error says so here.
            self.stored.db.persist(PersistMode::Buffer).map_err(|error| self.failed_to_write(error))?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn failed_to_write(&self, error: fjall::Error) -> FrontierError {
        self.write_failed_while("write", error)
    }

    /// The reason of a failed write or sync. When a thread of the database met the error, the database
    /// reports only that there was one. The usual reason is a full disk, and another write shows it.
    fn write_failed_while(&self, doing: &'static str, error: fjall::Error) -> FrontierError {
        if matches!(error, fjall::Error::Poisoned)
            && let Err(error) = files::probe(Path::new(&self.place.0))
        {
            return self.place.io(doing, error);
        }
        self.place.failed(doing, error)
    }

    /// The number of a host that some run has met.
    fn find(&mut self, host: &Host) -> Result<Option<HostId>, FrontierError> {
        if let Some(id) = self.hosts.id_of(host) {
            return Ok(Some(id));
        }
        if self.hosts.all_here() {
            return Ok(None);
        }
        let stored = self.stored.misc.get(keys::number_of(host.as_str()));
        let Some(stored) = stored.map_err(|error| self.place.failed("read", error))? else { return Ok(None) };
        let id = stored.as_ref().try_into().map(|bytes| HostId(u32::from_be_bytes(bytes)));
        let id = id.map_err(|_| self.place.damaged("a host's number"))?;
        self.hosts.recall(id, host.clone());
        Ok(Some(id))
    }

    /// The number of a host; a new one gets one with this commit.
    fn number(&mut self, host: &Host, commit: &mut OwnedWriteBatch) -> Result<HostId, FrontierError> {
        if let Some(id) = self.find(host)? {
            return Ok(id);
        }
        let id = self.hosts.number(host).ok_or_else(|| self.place.damaged("more than 2³² hosts"))?;
        commit.insert(&self.stored.misc, keys::number_of(host.as_str()), id.0.to_be_bytes());
        commit.insert(&self.stored.misc, keys::name_of(id), host.as_str());
        Ok(id)
    }

    /// A host by its number, from memory or from disk.
    fn slot(&mut self, id: HostId) -> Result<&mut Slot, FrontierError> {
        if self.hosts.slot(id).is_none() {
            let stored = self.stored.misc.get(keys::name_of(id));
            let stored = stored.map_err(|error| self.place.failed("read", error))?;
            let host = stored.and_then(|name| host_of(str::from_utf8(&name).ok()?));
            let host = host.ok_or_else(|| self.place.damaged("a host's name"))?;
            self.hosts.recall(id, host);
        }
        self.hosts.slot(id).ok_or_else(|| self.place.damaged("a host"))
    }

    fn sighted<T>(&self, result: Result<T, SeenError>) -> Result<T, FrontierError> {
        result.map_err(|error| error.at(&self.place))
    }

    /// Takes on what was discovered, and gathers what of it is new.
    fn sight(
        &mut self,
        admission: Admission,
        fresh: &mut Vec<Record>,
        admitted: &mut Admitted,
    ) -> Result<(), FrontierError> {
        match self.judge(admission)? {
            Admission::Filtered { fingerprint, why } => {
                let met = self.seen.mark(fingerprint, why);
                if self.sighted(met)? {
                    admitted.known += 1;
                } else {
                    admitted.filtered_new += 1;
                    self.books.stats.discovered += 1;
                    *self.books.stats.filtered.entry(why).or_default() += 1;
                }
            }
            Admission::Queue(record) => {
                let before = self.seen.take_on(record.fingerprint);
                match self.sighted(before)? {
                    Sighting::Known => {
                        self.met_again(&record);
                        admitted.known += 1;
                        return Ok(());
                    }
                    Sighting::Filtered(why) => self.books.stats.unfilter(why),
                    Sighting::First => self.books.stats.discovered += 1,
                }
                admitted.new += 1;
                self.books.stats.admitted += 1;
                self.books.stats.left += 1;
                fresh.push(Record { kind: RecordKind::Discovered, ..record });
            }
        }
        Ok(())
    }

    /// Numbers and queues records, behind all others of their host, priority and depth.
    fn push(&mut self, fresh: Vec<Record>, commit: &mut OwnedWriteBatch) -> Result<(), FrontierError> {
        let mut placed = Vec::with_capacity(fresh.len());
        for record in fresh {
            placed.push(self.place(record, commit)?);
        }
        self.write_placed(placed, commit)
    }

    /// Counts a record as one that is due of its host.
    fn place(
        &mut self,
        record: Record,
        commit: &mut OwnedWriteBatch,
    ) -> Result<(HostId, Record), FrontierError> {
        let host = self.number(&record.host, commit)?;
        self.has_more(host, record.depth, record.priority)?;
        self.hosts.join_line(host);
        Ok((host, record))
    }

    /// Writes what was placed.
    fn write_placed(
        &mut self,
        placed: Vec<(HostId, Record)>,
        commit: &mut OwnedWriteBatch,
    ) -> Result<(), FrontierError> {
        let capped: BTreeSet<_> = placed.iter().filter(|_| self.is_capped).map(|(host, _)| *host).collect();
        self.queue.push(placed, &mut self.books.next_age, &mut self.hosts, commit);
        capped.into_iter().try_for_each(|host| self.look_at(host))
    }

    fn lease_of_host(
        &mut self,
        want: &Want,
        now: Timestamp,
        out: &mut Vec<Lease>,
    ) -> Result<(), FrontierError> {
        if want.n == 0 {
            return Ok(());
        }
        let Some(id) = self.find(&want.host)? else { return Ok(()) };
        let room = match self.room(id)? {
            Room::Open(room) => usize::try_from(room).unwrap_or(usize::MAX),
            Room::Closed(_) => 0,
        };
        if self.still_waits(id, now)? {
            self.hosts.release(id);
            return Ok(());
        }
        let before = out.len();
        let level = self.levels.as_ref().map(|levels| levels.limit(id, &self.books.depths));
        let waits_at = self.take(id, room.min(want.n), level, out)?;
        if let Some(levels) = &mut self.levels {
            for lease in out.iter().skip(before) {
                levels.leased(id, lease.record.depth);
            }
        }
        if let Some(depth) = waits_at {
            self.slot(id)?.waits_at = Some(depth);
            self.hosts.release(id);
            // What was leased just now may be what it waits for.
            self.look_at_level(id, now)?;
        } else if room < want.n {
            self.hosts.release(id);
            self.look_at(id)?;
        }
        Ok(())
    }

    /// Leases a host's next records, whatever its caps say; tells at which depth it waits for its level.
    fn take(
        &mut self,
        id: HostId,
        n: usize,
        mut level: Option<u16>,
        out: &mut Vec<Lease>,
    ) -> Result<Option<u16>, FrontierError> {
        let wanted = n + out.len();
        let mut waits_at = None;
        while out.len() < wanted && slot_has_work(self.hosts.slot(id)) {
            let slot = self.hosts.slot(id).ok_or_else(|| self.place.damaged("a host"))?;
            let leased = self.queue.lease(slot, wanted - out.len(), &mut level, out);
            waits_at = leased.map_err(|what| self.place.damaged(what))?;
            if waits_at.is_some() || out.len() == wanted || !self.fill(id, wanted - out.len())? {
                break;
            }
        }
        if out.len() < wanted && waits_at.is_none() {
            self.queue.release(self.hosts.slot(id));
        }
        self.queue.trim(&mut self.hosts, id);
        Ok(waits_at)
    }

    /// Reads ahead; false when the host has nothing more.
    fn fill(&mut self, id: HostId, n: usize) -> Result<bool, FrontierError> {
        self.queue.fill(&mut self.hosts, id, n).map_err(|error| match error {
            queue::ReadError::Store(error) => self.place.failed("read", error),
            queue::ReadError::Damaged(what) => self.place.damaged(what),
        })
    }

    /// Whether a host has a record that is due and not out.
    fn has_work(&mut self, id: HostId) -> Result<bool, FrontierError> {
        let slot = self.slot(id)?;
        if slot.ahead.as_ref().is_some_and(|ahead| !ahead.is_empty()) {
            return Ok(true);
        }
        match slot.work {
            Work::Exact(n) => Ok(n > 0),
            Work::Some => Ok(true),
            Work::Unknown => {
                let found = self.fill(id, 1)?;
                self.queue.trim(&mut self.hosts, id);
                Ok(found)
            }
        }
    }
}

fn slot_has_work(slot: Option<&mut Slot>) -> bool {
    slot.is_some_and(|slot| slot.work != Work::Exact(0))
}

/// The host of a name that was one's before.
fn host_of(name: &str) -> Option<Host> {
    Host::of(&Url::parse(&format!("http://{name}/")).ok()?).ok()
}

fn read_positions(stored: &Stored, place: &Place) -> Result<BTreeMap<Arc<str>, u64>, FrontierError> {
    let counts = read_counts(stored, keys::POSITIONS, place)?;
    Ok(counts.into_iter().map(|(sink, position)| (sink.into(), position)).collect())
}

fn read_failure_counts(stored: &Stored, books: &mut Books, place: &Place) -> Result<(), FrontierError> {
    for (word, count) in read_counts(stored, keys::FAILURES, place)? {
        let reason = settle::reason(&word).ok_or_else(|| place.damaged("a reason"))?;
        if count > 0 {
            books.stats.failures.insert(reason, count);
        }
    }
    Ok(())
}

/// Numbers that are kept by name; there are few.
fn read_counts(stored: &Stored, what: u8, place: &Place) -> Result<Vec<(String, u64)>, FrontierError> {
    let mut counts = Vec::new();
    for entry in stored.misc.prefix([what]) {
        let (key, value) = entry.into_inner().map_err(|error| place.failed("read", error))?;
        let name = key.get(1..).and_then(|name| str::from_utf8(name).ok());
        let count = value.as_ref().try_into().ok().map(u64::from_be_bytes);
        let (Some(name), Some(count)) = (name, count) else { return Err(place.damaged("a count")) };
        counts.push((name.to_owned(), count));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests;
