//! The state directory of a crawl: creates, locks and opens it, and checks its files for damage.
//!
//! ```text
//! DIR/lock       locked while a process uses the crawl
//! DIR/frontier/  the database; it gets this name when it is complete, so it is whole or missing
//! DIR/synced     how many commits are known to be on disk
//! DIR/damaged    the damage that was found; the store is not opened any more
//! ```

use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
    PartitioningPolicy,
};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use xxhash_rust::xxh3::xxh3_128;

use super::books::StoredBooks;
use super::keys;
use super::options::{DiskOptions, StoreOwner};
use super::sync::Synced;
use crate::encode::{Reader, put_slice, put_varint};
use crate::error::FrontierError;
use opilio_core::Order;

/// The format number of a store. It must be raised when the meaning of stored data changes.
const FORMAT: u64 = 3;

/// The size, in bytes, of a journal of the database. The database begins another journal only when the current
/// journal has this size.
const JOURNAL_BYTES: u64 = 64 << 20;

/// The database and its keyspaces (its separate tables of keys and values).
pub(super) struct Stored {
    pub(super) db: Database,
    pub(super) seen: Keyspace,
    pub(super) queue: Keyspace,
    pub(super) ends: Keyspace,
    pub(super) misc: Keyspace,
}

impl Stored {
    /// If the journal is full, starts to write its contents to sorted files, so that the database deletes the
    /// journal. Therefore opening never has to read more than one full journal. Returns whether writing was started.
    ///
    /// Without this function, the database would begin another journal when the next memtable is full, and would keep
    /// the old journal as long as any keyspace has unwritten data in it. In a keyspace with little data, that could
    /// be for ever.
    pub(super) fn turn_journal(&self) -> Result<bool, fjall::Error> {
        let is_full = self.db.journal_disk_space()? > JOURNAL_BYTES;
        let before = self.db.journal_count();
        if !is_full || !self.write_memtables()? {
            return Ok(false);
        }
        // Waits until a thread of the database has begun another journal. A commit made before that would go to the
        // old journal, but would not be in the files that are written now.
        for _ in 0..20 {
            if self.db.journal_count() > before {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(true)
    }

    /// Starts to write the memtables (the unwritten data of the database in memory) to sorted files. Returns false
    /// when they are being written already.
    pub(super) fn write_memtables(&self) -> Result<bool, fjall::Error> {
        let written = [&self.misc, &self.ends, &self.queue];
        if written.iter().any(|keyspace| keyspace.sealed_memtable_count() > 0) {
            return Ok(false);
        }
        for keyspace in written {
            keyspace.rotate_memtable()?;
        }
        Ok(true)
    }

    /// Returns whether the next commit may have to wait for the threads that write and merge sorted files. The limits
    /// here are a little below the limits of the database (4 and 30): a commit that the database delays returns only
    /// when its threads have caught up.
    pub(super) fn is_held_up(&self) -> bool {
        [&self.seen, &self.queue, &self.ends, &self.misc]
            .into_iter()
            .any(|keyspace| keyspace.sealed_memtable_count() >= 3 || keyspace.l0_table_count() >= 29)
    }
}

/// Writes a small file and removes it, to find out whether files can be written in the directory.
pub(super) fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join("probe");
    let written = fs::write(&path, [1; 1 << 16]).and_then(|()| File::open(&path)?.sync_all());
    let _ = fs::remove_file(path);
    written
}

/// The path of the store, for error messages.
#[derive(Clone, Debug)]
pub(super) struct StorePlace(pub(super) String);

impl StorePlace {
    pub(super) fn io(&self, doing: &'static str, source: io::Error) -> FrontierError {
        FrontierError::Io { doing, store: self.0.clone(), source }
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> FrontierError {
        FrontierError::Damaged { store: self.0.clone(), what: what.into(), source: None }
    }

    /// Returns the error for a panic inside the database.
    pub(super) fn panicked(&self, panic: &(dyn Any + Send)) -> FrontierError {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        self.damaged(format!("the database stopped reading: {text}"))
    }

    /// Converts an error of the database: to `Io` when the disk failed, and to `Damaged` when the stored data is
    /// wrong.
    pub(super) fn failed(&self, doing: &'static str, error: fjall::Error) -> FrontierError {
        match error {
            fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => {
                match source.kind() {
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::NotFound => {
                        FrontierError::Damaged {
                            store: self.0.clone(),
                            what: "a file is missing or cut off".to_owned(),
                            source: Some(source.into()),
                        }
                    }
                    _ => self.io(doing, source),
                }
            }
            fjall::Error::Poisoned => FrontierError::Stopped { store: self.0.clone() },
            fjall::Error::Locked => FrontierError::InUse { store: self.0.clone() },
            other => FrontierError::Damaged {
                store: self.0.clone(),
                what: "a checksum or a format is wrong".to_owned(),
                source: Some(other.into()),
            },
        }
    }
}

/// The lock of the state directory. Dropping this value releases the lock.
pub(super) struct Lock(pub(super) File);

impl Drop for Lock {
    /// Releases the lock. Closing the file would not be enough: a child process that is just being started has a copy
    /// of the open file until it runs its own program.
    fn drop(&mut self) {
        // If releasing fails here, the lock ends together with the process.
        let _ = self.0.unlock();
    }
}

/// Locks the directory for this process.
pub(super) fn lock(dir: &Path, place: &StorePlace) -> Result<Lock, FrontierError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock"));
    let file = file.map_err(|error| place.io("lock", error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(FrontierError::InUse { store: place.0.clone() }),
        Err(TryLockError::Error(error)) => Err(place.io("lock", error)),
    }
}

/// Creates an empty store. The store is complete on disk when this function returns.
pub(super) fn create(
    dir: &Path,
    options: &DiskOptions,
    owner: &StoreOwner,
    place: &StorePlace,
) -> Result<(), FrontierError> {
    let (new, done) = (dir.join("frontier.new"), database(dir));
    let io = |error| place.io("create", error);
    if new.exists() {
        // An earlier process was killed before its store was complete, so that store holds nothing and is removed.
        fs::remove_dir_all(&new).map_err(io)?;
    }
    write_first(&new, options, owner).map_err(|error| place.failed("create", error))?;
    fs::rename(&new, &done).map_err(io)?;
    #[cfg(unix)]
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
    Ok(())
}

fn write_first(path: &Path, options: &DiskOptions, owner: &StoreOwner) -> Result<(), fjall::Error> {
    let db = builder(path, options).open()?;
    let mut misc = None;
    for (name, make) in KEYSPACES {
        let keyspace = db.keyspace(name, || make(options))?;
        if name == "misc" {
            misc = Some(keyspace);
        }
    }
    if let Some(misc) = misc {
        let mut first = db.batch();
        let order = options.order.unwrap_or_default();
        first.insert(&misc, keys::CRAWL, encode_owner(owner, order));
        first.insert(&misc, keys::BOOKS, StoredBooks::default().encode());
        first.commit()?;
    }
    db.persist(PersistMode::SyncAll)
}

/// Returns the path of the database. The path exists if and only if a crawl was started in the directory.
pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join("frontier")
}

/// A store that was opened and checked for damage.
pub(super) struct Opened {
    pub(super) stored: Stored,
    pub(super) books: StoredBooks,
    pub(super) order: Order,
    pub(super) synced: Synced,
    /// The number of bytes of an unfinished commit at the end of the journal, which was dropped at opening.
    pub(super) torn_bytes: u64,
}

/// Opens and checks the store of an earlier run.
pub(super) fn open(
    dir: &Path,
    options: &DiskOptions,
    owner: Option<&StoreOwner>,
    place: &StorePlace,
) -> Result<Opened, FrontierError> {
    let note = dir.join("damaged");
    if let Ok(what) = fs::read_to_string(&note) {
        return Err(place.damaged(what));
    }
    let opened = try_open(dir, options, place)?;
    if let Err(what) = opened.whole() {
        // Opening cuts off the part of a journal that cannot be read. This file keeps the report of the damage,
        // because the next opening would not find any damage.
        fs::write(&note, &what).map_err(|error| place.io("mark", error))?;
        return Err(place.damaged(what));
    }
    let order = check_owner(&opened.stored.misc, owner, options.order, place)?;
    let Unchecked { stored, books, synced, journals, .. } = opened;
    let torn_bytes = journals.last().map_or(0, Journal::lost_bytes);
    Ok(Opened { stored, books, order, synced, torn_bytes })
}

/// A store that was opened, but not yet checked for damage.
struct Unchecked {
    stored: Stored,
    books: StoredBooks,
    synced: Synced,
    synced_commits: Option<u64>,
    /// The journals, the oldest first. New commits were written to the last journal.
    journals: Vec<Journal>,
}

impl Unchecked {
    /// Checks that no more data is missing than the end of the journal, which a crash may lose. Otherwise returns a
    /// description of the damage.
    fn whole(&self) -> Result<(), String> {
        let synced = self.synced_commits.unwrap_or(0);
        if self.books.commits < synced {
            let missing = synced - self.books.commits;
            return Err(format!("{missing} of {synced} synced commits are missing"));
        }
        let sealed = self.journals.split_last().map_or(&[][..], |(_, sealed)| sealed);
        match sealed.iter().find(|journal| journal.lost_bytes() > 0) {
            Some(Journal { path, .. }) => Err(format!("only a part of {} can be read", path.display())),
            None => Ok(()),
        }
    }
}

fn try_open(dir: &Path, options: &DiskOptions, place: &StorePlace) -> Result<Unchecked, FrontierError> {
    let path = database(dir);
    // The database would take a directory without this file for a new one, and overwrite the stored data.
    if !path.join("version").exists() {
        return Err(place.damaged("the version file of the database is missing"));
    }
    let io = |error| place.io("open", error);
    check_manifests(&path.join("keyspaces"), place)?;
    let journals = journals(&path).map_err(io)?;
    let (synced, synced_commits) = Synced::open(&dir.join("synced")).map_err(io)?;
    // The database trusts some of the data that it reads, and panics if a file is damaged there.
    let db = catch_unwind(AssertUnwindSafe(|| open_database(&path, options)));
    let db = db.map_err(|panic| place.panicked(&*panic))?;
    let db = db.map_err(|error| place.failed("open", error))?;
    let keyspace = |name: &str| {
        if !db.keyspace_exists(name) {
            return Err(place.damaged(format!("the keyspace `{name}` is missing")));
        }
        let unused = KeyspaceCreateOptions::default;
        db.keyspace(name, unused).map_err(|error| place.failed("open", error))
    };
    let stored = Stored {
        seen: keyspace("seen")?,
        queue: keyspace("queue")?,
        ends: keyspace("ends")?,
        misc: keyspace("misc")?,
        db: db.clone(),
    };
    let books = stored.misc.get(keys::BOOKS).map_err(|error| place.failed("read", error))?;
    let books = books
        .and_then(|bytes| StoredBooks::decode(&bytes))
        .ok_or_else(|| place.damaged("the books are missing or cannot be read"))?;
    Ok(Unchecked { stored, books, synced, synced_commits, journals })
}

/// Opens the database. If the database is locked, tries again for at most `stall_max`: this process holds the lock of
/// the directory, so the lock of the database can only belong to an earlier attempt of this process, whose threads
/// are about to end.
fn open_database(path: &Path, options: &DiskOptions) -> Result<Database, fjall::Error> {
    let since = Instant::now();
    loop {
        match builder(path, options).open() {
            Err(fjall::Error::Locked) if since.elapsed() < options.stall_max => {}
            opened => return opened,
        }
    }
}

/// Checks each keyspace's list of tables against its checksum. The database writes a checksum of each list but never
/// checks it, and it deletes the tables that are not in the list.
fn check_manifests(keyspaces: &Path, place: &StorePlace) -> Result<(), FrontierError> {
    for keyspace in fs::read_dir(keyspaces).map_err(|error| place.io("open", error))? {
        let keyspace = keyspace.map_err(|error| place.io("open", error))?.path();
        if !has_whole_manifest(&keyspace).unwrap_or(false) {
            return Err(place.damaged(format!("the list of tables in {} is damaged", keyspace.display())));
        }
    }
    Ok(())
}

/// Returns whether the list of tables that the file `current` names is undamaged. The content of `current` is
/// `number:u64 · checksum:u128 · 0`, little-endian; the list is in the file `vNUMBER`.
fn has_whole_manifest(keyspace: &Path) -> io::Result<bool> {
    let current = fs::read(keyspace.join("current"))?;
    let Some((number, rest)) = current.split_first_chunk::<8>() else { return Ok(false) };
    let Some((checksum, [0])) = rest.split_first_chunk::<16>() else { return Ok(false) };
    let list = fs::read(keyspace.join(format!("v{}", u64::from_le_bytes(*number))))?;
    Ok(xxh3_128(&list) == u128::from_le_bytes(*checksum))
}

fn builder(path: &Path, options: &DiskOptions) -> fjall::DatabaseBuilder<Database> {
    let builder = Database::builder(path)
        .cache_size(options.cache_bytes)
        .max_journaling_size(options.journal_bytes_max.max(64 << 20));
    // Only one test uses a database without threads; every other store needs threads to work.
    #[cfg(test)]
    if options.workers == 0 {
        return builder.worker_threads_unchecked(0);
    }
    builder.worker_threads(options.workers.max(1))
}

type MakeOptions = fn(&DiskOptions) -> KeyspaceCreateOptions;

/// The keyspaces and their options. The keyspace with the most writes comes last: when the database reads a journal
/// again, it looks up the keyspace of each entry by name, and finds the last keyspace fastest.
const KEYSPACES: [(&str, MakeOptions); 4] =
    [("seen", seen), ("ends", packed), ("misc", misc), ("queue", queue)];

fn seen(_: &DiskOptions) -> KeyspaceCreateOptions {
    // With this many bits, about one in two thousand look-ups of an unknown key reads a block of a file without
    // finding the key.
    let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(16.0));
    keyspace()
        .filter_policy(FilterPolicy::all(bloom))
        .data_block_compression_policy(CompressionPolicy::disabled())
}

fn queue(options: &DiskOptions) -> KeyspaceCreateOptions {
    packed(options).max_memtable_size(options.memtable_bytes)
}

/// Returns the options of a keyspace that is only read in ranges of keys, and so needs no filter for single keys.
fn packed(options: &DiskOptions) -> KeyspaceCreateOptions {
    keyspace()
        .max_memtable_size(options.memtable_bytes.min(8 << 20))
        .filter_policy(FilterPolicy::disabled())
        .data_block_size_policy(BlockSizePolicy::all(4 << 10))
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
}

fn misc(options: &DiskOptions) -> KeyspaceCreateOptions {
    // Every commit rewrites the counters, and sheets (entries with the fingerprints of one commit) are removed again.
    // So most entries of this keyspace are outdated before its memtable is written.
    keyspace().max_memtable_size(options.memtable_bytes)
}

/// Returns the options that all keyspaces have in common. In merged files, the filter and the index are split into
/// parts of some kilobytes, because a whole filter or index can take megabytes. The cache of the database is divided
/// into at least four segments for each core, and a filter larger than a segment would not stay in the cache: each
/// look-up would read it again.
fn keyspace() -> KeyspaceCreateOptions {
    let in_parts = || PartitioningPolicy::new([false, true]);
    KeyspaceCreateOptions::default()
        .filter_block_partitioning_policy(in_parts())
        .index_block_partitioning_policy(in_parts())
}

fn encode_owner(owner: &StoreOwner, order: Order) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(FORMAT, &mut out);
    put_varint(u64::from(owner.version), &mut out);
    put_slice(owner.spider.as_bytes(), &mut out);
    out.push(Order::ALL.iter().position(|other| *other == order).unwrap_or_default() as u8);
    out
}

/// Checks that the store belongs to the wanted spider, and returns the order of the crawl.
fn check_owner(
    misc: &Keyspace,
    wanted: Option<&StoreOwner>,
    wanted_order: Option<Order>,
    place: &StorePlace,
) -> Result<Order, FrontierError> {
    let stored = misc.get(keys::CRAWL).map_err(|error| place.failed("read", error))?;
    let stored = stored.ok_or_else(|| place.damaged("the name of the spider is missing"))?;
    let mut from = Reader(&stored);
    let store = place.0.clone();
    match from.varint() {
        Some(FORMAT) => {}
        Some(found) => return Err(FrontierError::OtherFormat { store, found, wanted: FORMAT }),
        None => return Err(place.damaged("the format number cannot be read")),
    }
    let version = from.varint().and_then(|version| u32::try_from(version).ok());
    let (Some(version), Some(spider)) = (version, from.text()) else {
        return Err(place.damaged("the name and version of the spider cannot be read"));
    };
    if let Some(wanted) = wanted.filter(|wanted| wanted.spider != spider) {
        let (found, wanted) = (spider.to_owned(), wanted.spider.clone());
        return Err(FrontierError::OtherSpider { store, found, wanted });
    }
    if let Some(wanted) = wanted.filter(|wanted| wanted.version != version) {
        return Err(FrontierError::OtherVersion { store, found: version, wanted: wanted.version });
    }
    let order = from.byte().and_then(|order| Order::ALL.get(usize::from(order)).copied());
    let order = order.ok_or_else(|| place.damaged("the order of the crawl cannot be read"))?;
    match wanted_order {
        Some(wanted) if wanted != order => Err(FrontierError::OtherOrder { store, found: order, wanted }),
        _ => Ok(order),
    }
}

/// A journal file as it was before opening. Opening cuts off the part of the file that cannot be read.
struct Journal {
    number: u64,
    path: PathBuf,
    /// The length up to the last byte that is not zero. The file itself is longer, because space is reserved for it.
    filled_bytes: u64,
}

impl Journal {
    /// Returns how many bytes opening cut off. A journal that opening removed was read completely, so nothing of it
    /// is lost.
    fn lost_bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |now| self.filled_bytes.saturating_sub(now.len()))
    }
}

fn journals(path: &Path) -> io::Result<Vec<Journal>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse().ok());
        if let Some(number) = number {
            let filled_bytes = filled_bytes(&path)?;
            found.push(Journal { number, path, filled_bytes });
        }
    }
    found.sort_by_key(|journal| journal.number);
    Ok(found)
}

/// Returns the length of a file without the zero bytes at its end.
pub(super) fn filled_bytes(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    let zeros = vec![0; 1 << 20];
    let mut block = zeros.clone();
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let block = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(block)?;
        // Nearly all blocks contain only zeros, and comparing a block with zeros is much faster than searching it.
        if *block != zeros[..block.len()]
            && let Some(last) = block.iter().rposition(|byte| *byte != 0)
        {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
