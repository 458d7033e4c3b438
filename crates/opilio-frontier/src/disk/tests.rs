//! Tests of the guarantees that only the store on disk gives: after a kill, after a power cut, with damaged files,
//! and with other spiders.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fjall::Keyspace;
use opilio_core::{Attempts, Fingerprint, Host, Record, Scheme, Timestamp};
use tempfile::TempDir;
use url::Url;

use super::commit::COMMITS_PER_LOOK;
use super::files::filled_bytes;
use super::{DiskFrontier, DiskOptions, Durability, StoreOwner};
use crate::conformance::Stores;
use crate::{Admission, Filtered, Frontier, FrontierError, MemoryOptions, Settlement, Want};

mod damage;
mod full;
mod kill;
mod opening;
mod stalled;

/// Creates stores on disk for the tests of the conformance suite. A kill is simulated by copying the files while the
/// store is open, so that the `drop` of the store has no effect on the copy.
struct OnDisk {
    dir: TempDir,
    n: usize,
    options: DiskOptions,
}

impl OnDisk {
    fn new(ahead_bytes_max: usize) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), n: 0, options: DiskOptions { ahead_bytes_max, ..small() } }
    }

    fn nth(&self, n: usize) -> PathBuf {
        self.dir.path().join(n.to_string())
    }
}

impl Stores for OnDisk {
    fn open_with(&mut self, rules: MemoryOptions) -> Box<dyn Frontier> {
        let MemoryOptions { order, caps, history, levels } = rules;
        self.options = DiskOptions { order: Some(order), caps, history, levels, ..self.options.clone() };
        self.n += 1;
        let _ = fs::remove_dir_all(self.nth(self.n - 1));
        Box::new(DiskFrontier::create(&self.nth(self.n), self.options.clone(), whose()).unwrap())
    }

    fn reopen(&mut self, killed: Box<dyn Frontier>) -> Option<Box<dyn Frontier>> {
        self.n += 1;
        copy(&self.nth(self.n - 1), &self.nth(self.n));
        drop(killed);
        fs::remove_dir_all(self.nth(self.n - 1)).unwrap();
        let store = DiskFrontier::open(&self.nth(self.n), self.options.clone(), whose()).unwrap();
        Some(Box::new(store))
    }

    fn histories(&self) -> u32 {
        // Fewer random histories than usual, because each one creates a store and opens it again a few times, with
        // syncs.
        std::env::var("PROPTEST_CASES").map_or(48, |cases| cases.parse().unwrap())
    }
}

mod conformance {
    use super::OnDisk;

    crate::conformance_tests!(OnDisk::new(1 << 20));

    /// Compares the store with the model when there is so little memory for records that are not leased yet that
    /// every record is dropped and read again.
    #[test]
    fn agrees_with_the_model_when_nothing_is_kept() {
        crate::conformance::model::agrees_with_the_model(&mut OnDisk::new(0));
    }
}

fn small() -> DiskOptions {
    DiskOptions {
        durability: Durability::Process,
        cache_bytes: 1 << 20,
        memtable_bytes: 1 << 20,
        recent_bytes: 64,
        gather_bytes: 1 << 10,
        write_within: Duration::from_secs(3_600),
        workers: 1,
        ..DiskOptions::default()
    }
}

fn whose() -> StoreOwner {
    StoreOwner { spider: "shop".to_owned(), version: 3 }
}

fn open(dir: &Path) -> Result<DiskFrontier, FrontierError> {
    DiskFrontier::open(dir, small(), whose())
}

fn create(dir: &Path) -> DiskFrontier {
    DiskFrontier::create(dir, small(), whose()).unwrap()
}

/// Copies a directory in the state that it has at one moment. Journals are copied without the zeros at their end.
fn copy(from: &Path, to: &Path) {
    // Repeats the copy if it failed, because threads of the open store may write and remove sorted files during the
    // copy.
    loop {
        let before = names(from).unwrap_or_default();
        match try_copy(from, to) {
            Ok(()) if names(from).is_ok_and(|after| after == before) => return,
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
            _ => fs::remove_dir_all(to).unwrap(),
        }
    }
}

fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy(&entry.path(), &to)?;
        } else {
            let is_journal = to.extension().is_some_and(|extension| extension == "jnl");
            let len = if is_journal { filled_bytes(&entry.path())? } else { u64::MAX };
            let mut bytes = Vec::new();
            File::open(entry.path())?.take(len).read_to_end(&mut bytes)?;
            fs::write(to, bytes)?;
        }
    }
    Ok(())
}

/// Returns the paths of all files and directories below a directory.
fn names(dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(names(&entry.path())?);
        }
        found.insert(entry.path());
    }
    Ok(found)
}

fn record(host: usize, path: usize) -> Record {
    let url = Url::parse(&format!("http://h{host}.test/{path}")).unwrap();
    Record::new(url.as_str(), Fingerprint::of(&url), Host::of(&url).unwrap(), Scheme::Http)
}

fn batch(paths: impl Iterator<Item = usize>) -> Vec<Admission> {
    paths.map(|path| Admission::Queue(record(path % 3, path))).collect()
}

/// Leases all records and settles them as pages.
fn drain(store: &mut DiskFrontier) -> Vec<String> {
    let mut urls = Vec::new();
    loop {
        let wants: Vec<_> = store.hosts_ready(Timestamp::EPOCH, 9).unwrap();
        if wants.is_empty() {
            return urls;
        }
        let wants: Vec<_> = wants.into_iter().map(|host| Want { host, n: usize::MAX >> 1 }).collect();
        let mut leases = Vec::new();
        store.lease(&wants, Timestamp::EPOCH, &mut leases).unwrap();
        urls.extend(leases.iter().map(|lease| lease.record.url.to_string()));
        store
            .settle(leases.iter().map(|lease| Settlement::page(lease.id)).collect(), &[], Timestamp::EPOCH)
            .unwrap();
    }
}

/// Returns the path of the current journal.
fn journal(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("frontier")).unwrap().map(|entry| entry.unwrap().path());
    let mut journals: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "jnl")).collect();
    journals.sort();
    journals.pop().unwrap()
}

/// Returns a copy of a directory in which the journal was changed by `change`.
fn with_journal(dir: &Path, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let copied = tempfile::tempdir().unwrap();
    fs::remove_dir(copied.path()).unwrap();
    copy(dir, copied.path());
    let journal = journal(copied.path());
    let mut bytes = fs::read(&journal).unwrap();
    change(&mut bytes);
    fs::write(journal, bytes).unwrap();
    copied
}

#[test]
fn what_a_slow_crawl_keeps_in_memory_is_written_in_time() {
    let tables_after = |write_within| {
        let dir = tempfile::tempdir().unwrap();
        let options = DiskOptions { write_within, gather_bytes: 1 << 14, ..small() };
        let mut store = DiskFrontier::create(dir.path(), options, whose()).unwrap();
        for n in 0..4 * COMMITS_PER_LOOK as usize {
            store.admit(batch(n..n + 1)).unwrap();
        }
        while store.disk.stored.queue.sealed_memtable_count() > 0 {
            std::thread::yield_now();
        }
        [&store.disk.stored.queue, &store.disk.stored.seen].map(Keyspace::table_count)
    };
    assert_eq!(tables_after(Duration::from_secs(3_600)), [0, 0]);
    let [queue, seen] = tables_after(Duration::ZERO);
    assert!(queue > 0 && seen > 0, "{queue}, {seen}");
}

/// Returns the number of bytes that this thread has read so far, from files or from the cache of the operating
/// system.
#[cfg(target_os = "linux")]
fn read_bytes() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().trim().parse().unwrap()
}

/// Checks that a look-up does not read a whole filter, because the filter of a large file has megabytes. The parts of
/// the cache were once too small for a whole filter: each look-up read the filter again, and a crawl of some millions
/// of URLs nearly stopped on a machine with many cores.
#[cfg(target_os = "linux")]
#[test]
fn a_look_up_reads_little_however_large_the_files_are() {
    let dir = tempfile::tempdir().unwrap();
    let options = DiskOptions { cache_bytes: 1 << 18, gather_bytes: 1 << 18, ..small() };
    let mut store = DiskFrontier::create(dir.path(), options, whose()).unwrap();
    const KNOWN: usize = 80_000;
    for first in (0..KNOWN).step_by(1_000) {
        store.admit(batch(first..first + 1_000)).unwrap();
    }
    // Waits until most files were merged into one file.
    while store.disk.stored.seen.l0_table_count() >= 4 {
        std::thread::yield_now();
    }
    let before = read_bytes();
    const ASKED: usize = 500;
    store.admit(batch(KNOWN..KNOWN + ASKED)).unwrap();
    let read = (read_bytes() - before) / ASKED as u64;
    assert!(read < 16 << 10, "{read} bytes a look-up");
}

/// Checks that links out of scope are not looked up on disk each time. Such links are often part of the navigation,
/// which every page of a site repeats.
#[cfg(target_os = "linux")]
#[test]
fn a_filtered_link_that_was_met_lately_is_not_looked_up_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = DiskOptions { recent_bytes: 1 << 20, gather_bytes: 1 << 10, cache_bytes: 0, ..small() };
    let mut store = DiskFrontier::create(dir.path(), options, whose()).unwrap();
    let filtered = || -> Vec<_> {
        let of = |path| Fingerprint::of(&Url::parse(&format!("http://out.test/{path}")).unwrap());
        (0..500).map(|path| Admission::Filtered { fingerprint: of(path), why: Filtered::ScopeHost }).collect()
    };
    assert_eq!(store.admit(filtered()).unwrap().filtered_new, 500);
    assert!(store.disk.stored.seen.table_count() > 0, "they are in a sorted file");
    let before = read_bytes();
    assert_eq!(store.admit(filtered()).unwrap().known, 500);
    // The limit is not 0, because reading the counter itself reads some bytes.
    assert!(read_bytes() - before < 1_000);
}

#[test]
fn a_lease_keeps_its_own_record_and_not_those_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    store.admit((0..64).map(|path| Admission::Queue(record(0, path))).collect()).unwrap();
    let mut leases = Vec::new();
    let wants = [Want { host: record(0, 0).host, n: 2 }];
    store.lease(&wants, Timestamp::EPOCH, &mut leases).unwrap();
    assert_eq!(leases.len(), 2);
    assert!(store.queue.out_bytes() < 40, "{}", store.queue.out_bytes());
    // One record returns to its old place, which is before the other records.
    store.settle(vec![Settlement::give_back(leases[0].id)], &[], Timestamp::EPOCH).unwrap();
    let again = drain(&mut store);
    assert_eq!((again.len(), again[0].as_str()), (63, "http://h0.test/0"));
}

#[test]
fn what_has_waited_long_is_moved_some_at_a_time() {
    const WAITING: usize = 6_000;
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    store.admit(batch(0..WAITING)).unwrap();
    let mut leases = Vec::new();
    let wants = [0, 1, 2].map(|host| Want { host: record(host, 0).host, n: WAITING });
    store.lease(&wants, Timestamp::EPOCH, &mut leases).unwrap();
    let (later, now) = (Timestamp::from_secs(60), Timestamp::from_secs(3_600));
    let ends = leases.iter().map(|lease| Settlement::retry(lease.id, later, Attempts::of(1))).collect();
    store.settle(ends, &[], Timestamp::EPOCH).unwrap();
    let told = store.hosts_ready(now, 1).unwrap();
    assert!(store.stats().waiting > 0 && store.next_due().unwrap() <= now);
    while store.next_due().is_some() {
        store.hosts_ready(now, 0).unwrap();
    }
    let mut of_first = Vec::new();
    let wants: Vec<_> = told.into_iter().map(|host| Want { host, n: WAITING }).collect();
    store.lease(&wants, now, &mut of_first).unwrap();
    assert_eq!((store.stats().waiting, of_first.len() + drain(&mut store).len()), (0, WAITING));
}

#[test]
fn a_run_that_asks_for_no_history_forgets_none() {
    let dir = tempfile::tempdir().unwrap();
    let with = |history| DiskOptions { history, ..small() };
    let open = |history| DiskFrontier::open(dir.path(), with(history), whose()).unwrap();
    let mut store = DiskFrontier::create(dir.path(), with(true), whose()).unwrap();
    store.admit(batch(0..10)).unwrap();
    drain(&mut store);
    let later = Timestamp::from_secs(9);
    assert_eq!(store.refresh(later, 99).unwrap(), 10);
    drop(store);
    assert_eq!(drain(&mut open(false)).len(), 10);
    assert_eq!(open(true).refresh(later, 99).unwrap(), 10);
}

#[test]
fn flipped_bits_in_a_table_are_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    store.admit(batch(0..3000)).unwrap();
    for keyspace in [&store.disk.stored.queue, &store.disk.stored.misc] {
        keyspace.rotate_memtable_and_wait().unwrap();
    }
    store.checkpoint().unwrap();
    drop(store);
    let mut damaged = 0;
    for keyspace in 1..=4 {
        let tables = dir.path().join(format!("frontier/keyspaces/{keyspace}/tables"));
        for table in fs::read_dir(tables).unwrap() {
            let table = table.unwrap().path();
            let whole = fs::read(&table).unwrap();
            for part in 0..7 {
                let mut bytes = whole.clone();
                bytes[whole.len() * part / 7] ^= 0x40;
                fs::write(&table, bytes).unwrap();
                match open(dir.path()).and_then(|mut store| {
                    store.admit(batch(0..3000))?;
                    store.hosts_ready(Timestamp::EPOCH, 9)?;
                    let want = |host| Want { host: record(host, 0).host, n: 3000 };
                    let mut leases = Vec::new();
                    store.lease(&[want(0), want(1), want(2)], Timestamp::EPOCH, &mut leases)?;
                    Ok(leases.len())
                }) {
                    // The changed bit is in a part of the file that nothing reads.
                    Ok(leases) => assert_eq!(leases, 3000),
                    Err(FrontierError::Damaged { .. }) => damaged += 1,
                    Err(other) => panic!("{other:?}"),
                }
                // Removes the report of the damage that this attempt found, so that the next attempt opens the store.
                let _ = fs::remove_file(dir.path().join("damaged"));
            }
            fs::write(&table, whole).unwrap();
        }
    }
    assert!(damaged > 10, "{damaged}");
}

#[test]
fn chunks_larger_than_one_batch_come_out_in_order_across_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    let mut records: Vec<_> = (0..500).map(|path| record(0, path)).collect();
    for record in records.iter_mut().step_by(50) {
        record.extra = vec![7; 40_000].into();
    }
    store.admit(records.iter().cloned().map(Admission::Queue).collect()).unwrap();
    let mut at = 0;
    while at < 500 {
        let mut leases = Vec::new();
        store.lease(&[Want { host: record(0, 0).host, n: 37 }], Timestamp::EPOCH, &mut leases).unwrap();
        for (lease, expected) in leases.iter().zip(&records[at..]) {
            assert_eq!(lease.record, *expected);
        }
        // Settles some of the leased records in another order. The remaining records are due again after the kill.
        leases.truncate(if at % 2 == 0 { 37 } else { 13 });
        leases.reverse();
        at += leases.len();
        store
            .settle(leases.iter().map(|lease| Settlement::page(lease.id)).collect(), &[], Timestamp::EPOCH)
            .unwrap();
        drop(store);
        store = open(dir.path()).unwrap();
        assert_eq!(store.stats().left as usize, 500 - at);
    }
    assert_eq!(store.disk.stored.queue.len().unwrap(), 0, "nothing is left behind");
}

#[test]
fn what_is_given_back_of_a_chunk_comes_before_what_was_not_leased() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    let records: Vec<_> = (0..64).map(|path| record(0, 1_000_000_000 + path)).collect();
    store.admit(records.iter().cloned().map(Admission::Queue).collect()).unwrap();
    let mut leases = Vec::new();
    let mut lease = |store: &mut DiskFrontier, n| {
        leases.clear();
        store.lease(&[Want { host: record(0, 0).host, n }], Timestamp::EPOCH, &mut leases).unwrap();
        leases.clone()
    };
    let first = lease(&mut store, 40);
    // With this lease, the queue frees the bytes of the records that were leased first.
    let second = lease(&mut store, 4);
    let back = [&first[3], &first[39], &second[1]].map(|lease| Settlement::give_back(lease.id)).to_vec();
    store.settle(back, &[], Timestamp::EPOCH).unwrap();
    let urls: Vec<_> = lease(&mut store, 64).iter().map(|lease| lease.record.url.clone()).collect();
    let expected = [3, 39, 41].into_iter().chain(44..64).map(|n: usize| records[n].url.clone());
    assert_eq!(urls, expected.collect::<Vec<_>>());
}

#[test]
fn all_hosts_are_told_in_portions_after_opening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    store.admit((0..1000).map(|host| Admission::Queue(record(host, 1))).collect()).unwrap();
    store.admit((0..100).map(|path| Admission::Queue(record(500, path))).collect()).unwrap();
    drop(store);
    let mut store = open(dir.path()).unwrap();
    let mut told = BTreeSet::new();
    for n in [1, 10, 100, 5000] {
        let hosts = store.hosts_ready(Timestamp::EPOCH, n).unwrap();
        assert_eq!(hosts.len(), n.min(1000 - told.len()));
        told.extend(hosts);
    }
    assert_eq!(told.len(), 1000);
}

#[test]
fn a_thread_syncs_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let every = std::time::Duration::from_millis(1);
    let options = DiskOptions { durability: Durability::Interval(every), ..small() };
    let mut store = DiskFrontier::create(dir.path(), options, whose()).unwrap();
    store.admit(batch(0..10)).unwrap();
    let synced = dir.path().join("synced");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while fs::metadata(&synced).unwrap().len() < 16 {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
}
