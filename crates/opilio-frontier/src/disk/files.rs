//! A state directory: making it, locking it, opening it, and finding out what a crash did to it.
//!
//! ```text
//! DIR/lock       held while a process works on the crawl
//! DIR/frontier/  the database; it gets its name when it is complete, so it is whole or not there
//! DIR/synced     how many commits are known to be on disk
//! DIR/damaged    why the store must not be opened any more
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

use super::books::Books;
use super::keys;
use super::options::{DiskOptions, Identity};
use super::sync::Synced;
use crate::encode::{Reader, put_slice, put_varint};
use crate::error::FrontierError;
use opilio_core::Order;

/// What the first bytes of a crawl say: raise it when the meaning of what is stored changes.
const FORMAT: u64 = 3;

/// The layer below makes a journal so long at first, and begins another one no sooner.
const JOURNAL_BYTES: u64 = 64 << 20;

/// The database and its keyspaces.
pub(super) struct Stored {
    pub(super) db: Database,
    pub(super) seen: Keyspace,
    pub(super) queue: Keyspace,
    pub(super) ends: Keyspace,
    pub(super) misc: Keyspace,
}

impl Stored {
    /// Has all that is in a full journal written to sorted files, so that it goes away: opening never
    /// reads more than that one again.
    ///
    /// The layer below would begin another one when the next memtable is full, and keep the old one as
    /// long as any keyspace had something in it: for ever, if it is written a little of at a time.
    pub(super) fn turn_journal(&self) -> Result<bool, fjall::Error> {
        let is_full = self.db.journal_disk_space()? > JOURNAL_BYTES;
        let before = self.db.journal_count();
        if !is_full || !self.write_memtables()? {
            return Ok(false);
        }
        // What is committed before one of its threads has begun another journal would be in this one,
        // and not in the files that are written now.
        for _ in 0..20 {
            if self.db.journal_count() > before {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(true)
    }

    /// Has what is in memory written to sorted files; false when that is under way already.
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

    /// Whether the next commit may have to wait for the threads that write and merge sorted files.
    /// A little earlier than the layer below finds it so (at 4 and 30): a commit that it holds up
    /// does not come back before they are done.
    pub(super) fn is_held_up(&self) -> bool {
        [&self.seen, &self.queue, &self.ends, &self.misc]
            .into_iter()
            .any(|keyspace| keyspace.sealed_memtable_count() >= 3 || keyspace.l0_table_count() >= 29)
    }
}

/// Writes a little and takes it away again: whether the disk takes anything.
pub(super) fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join("probe");
    let written = fs::write(&path, [1; 1 << 16]).and_then(|()| File::open(&path)?.sync_all());
    let _ = fs::remove_file(path);
    written
}

/// Names the store in errors, and makes them.
#[derive(Clone, Debug)]
pub(super) struct Place(pub(super) String);

impl Place {
    pub(super) fn io(&self, doing: &'static str, source: io::Error) -> FrontierError {
        FrontierError::Io { doing, store: self.0.clone(), source }
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> FrontierError {
        FrontierError::Damaged { store: self.0.clone(), what: what.into(), source: None }
    }

    /// What is said of a panic in the layer below.
    pub(super) fn panicked(&self, panic: &(dyn Any + Send)) -> FrontierError {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        self.damaged(format!("its files contradict each other: {text}"))
    }

    /// Tells what the disk does not give from what it gives and is wrong.
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
                what: "a checksum or a format does not hold".to_owned(),
                source: Some(other.into()),
            },
        }
    }
}

/// The directory is this process's until this is dropped.
pub(super) struct Lock(pub(super) File);

impl Drop for Lock {
    /// Closing the file would not do: a process that is just being started has a copy of it, until it
    /// has become the other program.
    fn drop(&mut self) {
        // A lock that cannot be given back goes with the process.
        let _ = self.0.unlock();
    }
}

/// Locks the directory for this process.
pub(super) fn lock(dir: &Path, place: &Place) -> Result<Lock, FrontierError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock"));
    let file = file.map_err(|error| place.io("lock", error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(FrontierError::InUse { store: place.0.clone() }),
        Err(TryLockError::Error(error)) => Err(place.io("lock", error)),
    }
}

/// Makes an empty store; it is there as a whole when this returns.
pub(super) fn create(
    dir: &Path,
    options: &DiskOptions,
    identity: &Identity,
    place: &Place,
) -> Result<(), FrontierError> {
    let (new, done) = (dir.join("frontier.new"), database(dir));
    let io = |error| place.io("create", error);
    if new.exists() {
        // An earlier process was killed before it had made one: nothing was ever in it.
        fs::remove_dir_all(&new).map_err(io)?;
    }
    write_first(&new, options, identity).map_err(|error| place.failed("create", error))?;
    fs::rename(&new, &done).map_err(io)?;
    #[cfg(unix)]
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
    Ok(())
}

fn write_first(path: &Path, options: &DiskOptions, identity: &Identity) -> Result<(), fjall::Error> {
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
        first.insert(&misc, keys::CRAWL, encode_identity(identity, order));
        first.insert(&misc, keys::BOOKS, Books::default().encode());
        first.commit()?;
    }
    db.persist(PersistMode::SyncAll)
}

/// Whether a crawl was started here.
pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join("frontier")
}

/// What opening found.
pub(super) struct Opened {
    pub(super) stored: Stored,
    pub(super) books: Books,
    pub(super) order: Order,
    pub(super) synced: Synced,
    /// How many bytes of an unfinished commit were dropped.
    pub(super) torn_bytes: u64,
}

/// Opens the store of an earlier run, or says why not.
pub(super) fn open(
    dir: &Path,
    options: &DiskOptions,
    identity: Option<&Identity>,
    place: &Place,
) -> Result<Opened, FrontierError> {
    let note = dir.join("damaged");
    if let Ok(what) = fs::read_to_string(&note) {
        return Err(place.damaged(what));
    }
    let opened = try_open(dir, options, place)?;
    if let Err(what) = opened.whole() {
        // Opening cuts journals to what it could read. The second attempt would find nothing wrong.
        fs::write(&note, &what).map_err(|error| place.io("mark", error))?;
        return Err(place.damaged(what));
    }
    let order = check_identity(&opened.stored.misc, identity, options.order, place)?;
    let Found { stored, books, synced, journals, .. } = opened;
    let torn_bytes = journals.last().map_or(0, Journal::lost_bytes);
    Ok(Opened { stored, books, order, synced, torn_bytes })
}

struct Found {
    stored: Stored,
    books: Books,
    synced: Synced,
    synced_commits: Option<u64>,
    /// Old ones first; the last is the one that was written to.
    journals: Vec<Journal>,
}

impl Found {
    /// Whether nothing is missing but the tail that a crash may take.
    fn whole(&self) -> Result<(), String> {
        let synced = self.synced_commits.unwrap_or(0);
        if self.books.commits < synced {
            let missing = synced - self.books.commits;
            return Err(format!("{missing} of {synced} commits that were on disk are gone"));
        }
        let sealed = self.journals.split_last().map_or(&[][..], |(_, sealed)| sealed);
        match sealed.iter().find(|journal| journal.lost_bytes() > 0) {
            Some(Journal { path, .. }) => Err(format!("{} can be read in part only", path.display())),
            None => Ok(()),
        }
    }
}

fn try_open(dir: &Path, options: &DiskOptions, place: &Place) -> Result<Found, FrontierError> {
    let path = database(dir);
    // Without this file the layer below would begin anew, over what is there.
    if !path.join("version").exists() {
        return Err(place.damaged("the database has lost its version"));
    }
    let io = |error| place.io("open", error);
    check_manifests(&path.join("keyspaces"), place)?;
    let journals = journals(&path).map_err(io)?;
    let (synced, synced_commits) = Synced::open(&dir.join("synced")).map_err(io)?;
    // It takes some of what it reads for granted, and panics where a damaged file breaks that.
    let db = catch_unwind(AssertUnwindSafe(|| open_database(&path, options)));
    let db = db.map_err(|panic| place.panicked(&*panic))?;
    let db = db.map_err(|error| place.failed("open", error))?;
    let keyspace = |name: &str| {
        if !db.keyspace_exists(name) {
            return Err(place.damaged(format!("the keyspace `{name}` is gone")));
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
    let books = books.and_then(|bytes| Books::decode(&bytes)).ok_or_else(|| place.damaged("no books"))?;
    Ok(Found { stored, books, synced, synced_commits, journals })
}

/// The directory is ours: when the database below has an owner, it is what an attempt of this process
/// left, whose threads are about to end.
fn open_database(path: &Path, options: &DiskOptions) -> Result<Database, fjall::Error> {
    let since = Instant::now();
    loop {
        match builder(path, options).open() {
            Err(fjall::Error::Locked) if since.elapsed() < options.stall_max => {}
            opened => return opened,
        }
    }
}

/// Whether the lists of tables are what was written. The layer below writes a checksum of each and does
/// not look at it; it takes what it reads, and removes the tables that are not in it.
fn check_manifests(keyspaces: &Path, place: &Place) -> Result<(), FrontierError> {
    for keyspace in fs::read_dir(keyspaces).map_err(|error| place.io("open", error))? {
        let keyspace = keyspace.map_err(|error| place.io("open", error))?.path();
        if !has_whole_manifest(&keyspace).unwrap_or(false) {
            return Err(place.damaged(format!("the list of tables in {} does not hold", keyspace.display())));
        }
    }
    Ok(())
}

/// `current` says which list holds: `number:u64 · checksum:u128 · 0`, little-endian, and `vNUMBER` is it.
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
    // A test needs threads that do nothing; without any, no store works.
    #[cfg(test)]
    if options.workers == 0 {
        return builder.worker_threads_unchecked(0);
    }
    builder.worker_threads(options.workers.max(1))
}

type Make = fn(&DiskOptions) -> KeyspaceCreateOptions;

/// The one that most is written to comes last: reading a journal again, the layer below looks up the
/// name of the keyspace of each entry, and finds that of the last one first.
const KEYSPACES: [(&str, Make); 4] = [("seen", seen), ("ends", packed), ("misc", misc), ("queue", queue)];

fn seen(_: &DiskOptions) -> KeyspaceCreateOptions {
    // One look-up in some two thousand reads a block for nothing.
    let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(16.0));
    keyspace()
        .filter_policy(FilterPolicy::all(bloom))
        .data_block_compression_policy(CompressionPolicy::disabled())
}

fn queue(options: &DiskOptions) -> KeyspaceCreateOptions {
    packed(options).max_memtable_size(options.memtable_bytes)
}

/// Read in ranges only: no filter.
fn packed(options: &DiskOptions) -> KeyspaceCreateOptions {
    keyspace()
        .max_memtable_size(options.memtable_bytes.min(8 << 20))
        .filter_policy(FilterPolicy::disabled())
        .data_block_size_policy(BlockSizePolicy::all(4 << 10))
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
}

fn misc(options: &DiskOptions) -> KeyspaceCreateOptions {
    // The books are written again and again, and sheets come and go: most of a table of it is gone
    // when it is flushed.
    keyspace().max_memtable_size(options.memtable_bytes)
}

/// What is merged has its filter and its index in parts of some kilobytes. Whole ones are megabytes, and
/// the cache below deals its room out in shards, four and more a core: what is larger than a shard would be
/// read anew for each look-up.
fn keyspace() -> KeyspaceCreateOptions {
    let in_parts = || PartitioningPolicy::new([false, true]);
    KeyspaceCreateOptions::default()
        .filter_block_partitioning_policy(in_parts())
        .index_block_partitioning_policy(in_parts())
}

fn encode_identity(identity: &Identity, order: Order) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(FORMAT, &mut out);
    put_varint(u64::from(identity.version), &mut out);
    put_slice(identity.spider.as_bytes(), &mut out);
    out.push(Order::ALL.iter().position(|other| *other == order).unwrap_or_default() as u8);
    out
}

/// Whether the crawl is the one that is meant; its order.
fn check_identity(
    misc: &Keyspace,
    wanted: Option<&Identity>,
    wanted_order: Option<Order>,
    place: &Place,
) -> Result<Order, FrontierError> {
    let stored = misc.get(keys::CRAWL).map_err(|error| place.failed("read", error))?;
    let stored = stored.ok_or_else(|| place.damaged("nothing says whose crawl it is"))?;
    let mut from = Reader(&stored);
    let store = place.0.clone();
    match from.varint() {
        Some(FORMAT) => {}
        Some(found) => return Err(FrontierError::OtherFormat { store, found, wanted: FORMAT }),
        None => return Err(place.damaged("no format")),
    }
    let version = from.varint().and_then(|version| u32::try_from(version).ok());
    let (Some(version), Some(spider)) = (version, from.text()) else {
        return Err(place.damaged("no identity"));
    };
    if let Some(wanted) = wanted.filter(|wanted| wanted.spider != spider) {
        let (found, wanted) = (spider.to_owned(), wanted.spider.clone());
        return Err(FrontierError::OtherSpider { store, found, wanted });
    }
    if let Some(wanted) = wanted.filter(|wanted| wanted.version != version) {
        return Err(FrontierError::OtherVersion { store, found: version, wanted: wanted.version });
    }
    let order = from.byte().and_then(|order| Order::ALL.get(usize::from(order)).copied());
    let order = order.ok_or_else(|| place.damaged("no order"))?;
    match wanted_order {
        Some(wanted) if wanted != order => Err(FrontierError::OtherOrder { store, found: order, wanted }),
        _ => Ok(order),
    }
}

/// A journal file as it was before opening, which cuts off what it cannot read.
struct Journal {
    number: u64,
    path: PathBuf,
    /// Up to the last byte that is not zero: the file is made longer than it is filled.
    filled_bytes: u64,
}

impl Journal {
    /// What opening cut off. A journal that is gone was read to its end and is no longer needed.
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

/// How long a file is without the zeros at its end.
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
        // Nearly all blocks are nothing but zeros, and comparing is much quicker than searching.
        if *block != zeros[..block.len()]
            && let Some(last) = block.iter().rposition(|byte| *byte != 0)
        {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
