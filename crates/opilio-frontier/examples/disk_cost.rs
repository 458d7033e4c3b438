//! What the disk store costs beside a bare loop over the database below it, on the same batches.
//!
//! `cargo run --release -p opilio-frontier --features disk --example disk_cost -- [URLS] [HOSTS]`
//!
//! Pages of 50 links with paths of 48 bytes, four in five to the page's own host, 20 pages a batch. Times are
//! CPU of all threads, flushes and merges included; making the batches is not timed. The bare loop
//! writes the same keys and the same bytes and keeps nothing in memory: no order among hosts, no
//! retries, no books, no leases that come back.

#![allow(clippy::print_stdout, reason = "an example's output")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use opilio_core::{Fingerprint, Host, Priority, Record, RecordKind, Scheme, Score, Timestamp};
use opilio_frontier::{
    Admission, DiskFrontier, DiskOptions, Frontier, Identity, MemoryFrontier, Settlement, Want,
};
use url::Url;

const LINKS_PER_PAGE: usize = 50;
const PAGES_PER_BATCH: usize = 20;
const LEASED: usize = 16;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let urls: usize = args.next().map_or(Ok(1_000_000), |arg| arg.parse())?;
    let hosts: usize = args.next().map_or(Ok(10_000), |arg| arg.parse())?;
    let web = Web { hosts: (0..hosts).map(host).collect::<Result<_>>()? };
    let batches = urls / (LINKS_PER_PAGE * PAGES_PER_BATCH);
    println!("{} URLs on {hosts} hosts, batches of {}", batches * 1000, LINKS_PER_PAGE * PAGES_PER_BATCH);
    let dir = tempfile::tempdir()?;
    let bare = bare(&web, batches, &dir.path().join("bare"))?;
    let disk = disk(&web, batches, &dir.path().join("disk"))?;
    let memory = memory(&web, batches)?;
    println!("{:<15}{:>9}{:>9}{:>9}{:>7}", "µs of CPU a URL", "bare", "disk", "memory", "ratio");
    let rows = ["admit, new", "admit, known", "lease + settle"];
    for (i, what) in rows.into_iter().enumerate() {
        let of = |costs: &Costs| costs[i].as_secs_f64() * 1e6 / (batches * 1000) as f64;
        let (bare, disk, memory) = (of(&bare), of(&disk), of(&memory));
        println!("{what:<15}{bare:>9.2}{disk:>9.2}{memory:>9.2}{:>7.2}", disk / bare);
    }
    Ok(())
}

/// New, known, leased and settled.
type Costs = [Duration; 3];

/// Adds what a call costs, not what its batch costs to make.
fn timed<T>(spent: &mut Duration, call: impl FnOnce() -> T) -> T {
    let start = cpu();
    let result = call();
    *spent += cpu().saturating_sub(start);
    result
}

fn disk(web: &Web, batches: usize, dir: &Path) -> Result<Costs> {
    let whose = || Identity { spider: "cost".to_owned(), version: 1 };
    let mut store = DiskFrontier::create(dir, DiskOptions::default(), whose())?;
    let mut costs = Costs::default();
    admit(&mut store, web, batches, &mut costs[0])?;
    println!("disk: {:.1} bytes a URL with journals", per(store.disk_bytes()?, &store));
    println!("disk: {} MiB resident (peak {} MiB)", status("VmRSS:") >> 10, status("VmHWM:") >> 10);
    admit(&mut store, web, batches, &mut costs[1])?;
    store.checkpoint()?;

    drop(store);
    let (start, wall) = (cpu(), Instant::now());
    let mut store = DiskFrontier::open(dir, DiskOptions::default(), whose())?;
    let opened = wall.elapsed();
    let hosts = store.hosts_ready(Timestamp::EPOCH, 100)?;
    let mut leases = Vec::new();
    let wants: Vec<_> = hosts.into_iter().map(|host| Want { host, n: LEASED }).collect();
    store.lease(&wants[..1], Timestamp::EPOCH, &mut leases)?;
    let first = wall.elapsed() - opened;
    println!(
        "disk: opened in {opened:.0?} ({:.0?} of CPU), first lease {first:.1?} later",
        cpu().saturating_sub(start)
    );
    drop(store);
    println!("disk: {:.1} bytes a URL in files", files(dir)? as f64 / (batches * 1000) as f64);

    let mut store = DiskFrontier::open(dir, DiskOptions::default(), whose())?;
    drain(&mut store, &mut costs[2])?;
    println!("disk: {} MiB resident (peak {} MiB)", status("VmRSS:") >> 10, status("VmHWM:") >> 10);
    let stats = store.stats();
    println!("disk: {} pages, {} left, balances: {}", stats.pages, stats.left, stats.balances());
    Ok(costs)
}

fn memory(web: &Web, batches: usize) -> Result<Costs> {
    let mut store = MemoryFrontier::new();
    let mut costs = Costs::default();
    admit(&mut store, web, batches, &mut costs[0])?;
    admit(&mut store, web, batches, &mut costs[1])?;
    drain(&mut store, &mut costs[2])?;
    Ok(costs)
}

fn admit(store: &mut dyn Frontier, web: &Web, batches: usize, spent: &mut Duration) -> Result<()> {
    for batch in 0..batches {
        let records = web.batch(batch).map(Admission::Queue).collect();
        timed(spent, || store.admit(records))?;
    }
    settle_down(spent);
    Ok(())
}

/// Leases some URLs a host in turn and settles them as pages, 16 hosts a call.
fn drain(store: &mut dyn Frontier, spent: &mut Duration) -> Result<()> {
    let start = cpu();
    let mut hosts = store.hosts_ready(Timestamp::EPOCH, usize::MAX)?;
    while !hosts.is_empty() {
        let mut busy = Vec::new();
        for some in hosts.chunks(16) {
            let wants: Vec<_> = some.iter().map(|host| Want { host: host.clone(), n: LEASED }).collect();
            let mut leases = Vec::new();
            store.lease(&wants, Timestamp::EPOCH, &mut leases)?;
            let mut left = leases.iter().peekable();
            for Want { host, n } in wants {
                let got = std::iter::from_fn(|| left.next_if(|lease| lease.record.host == host)).count();
                if got == n {
                    busy.push(host);
                }
            }
            store.settle(
                leases.iter().map(|lease| Settlement::page(lease.id)).collect(),
                &[],
                Timestamp::EPOCH,
            )?;
        }
        hosts = busy;
    }
    *spent += cpu().saturating_sub(start);
    settle_down(spent);
    Ok(())
}

/// Merging goes on for a while after the last call: it belongs to what caused it.
fn settle_down(spent: &mut Duration) {
    let start = cpu();
    loop {
        let before = cpu();
        std::thread::sleep(Duration::from_millis(300));
        if cpu().saturating_sub(before) < Duration::from_millis(10) {
            break;
        }
    }
    *spent += cpu().saturating_sub(start);
}

struct Bare {
    db: Database,
    seen: Keyspace,
    queue: Keyspace,
}

fn bare(web: &Web, batches: usize, dir: &Path) -> Result<Costs> {
    let options = DiskOptions::default();
    let db = Database::builder(dir)
        .cache_size(options.cache_bytes)
        .max_journaling_size(options.journal_bytes_max)
        .worker_threads(options.workers)
        .open()?;
    let keyspace = || KeyspaceCreateOptions::default().max_memtable_size(options.memtable_bytes);
    let seen =
        db.keyspace("seen", || keyspace().data_block_compression_policy(CompressionPolicy::disabled()))?;
    let queue = db.keyspace("queue", || {
        keyspace()
            .filter_policy(FilterPolicy::disabled())
            .data_block_size_policy(BlockSizePolicy::all(16 << 10))
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
    })?;
    let bare = Bare { db, seen, queue };
    let (mut costs, mut age) = (Costs::default(), 0);
    for spent in &mut costs[..2] {
        let mut synced = Instant::now();
        for batch in 0..batches {
            let batch: Vec<_> = web.numbered(batch).collect();
            timed(spent, || bare.admit(batch, &mut age))?;
            if synced.elapsed() > Duration::from_secs(1) {
                timed(spent, || bare.db.persist(PersistMode::SyncData))?;
                synced = Instant::now();
            }
        }
        settle_down(spent);
    }
    println!("bare: {:.1} bytes a URL with journals", bare.db.disk_space()? as f64 / (batches * 1000) as f64);
    println!("bare: {} MiB resident (peak {} MiB)", status("VmRSS:") >> 10, status("VmHWM:") >> 10);
    let start = cpu();
    bare.drain(web.hosts.len() as u32)?;
    costs[2] += cpu().saturating_sub(start);
    settle_down(&mut costs[2]);
    Ok(costs)
}

impl Bare {
    /// The layout of the memo: `host · fingerprint` in one keyspace, chunks of a host's URLs in another.
    fn admit(&self, batch: Vec<(u32, Record)>, age: &mut u64) -> Result<()> {
        let mut commit = self.db.batch();
        let mut new = Vec::with_capacity(batch.len());
        let mut keys: Vec<_> = batch
            .into_iter()
            .map(|(host, record)| {
                let mut key = [0; 16];
                key[..4].copy_from_slice(&host.to_be_bytes());
                key[4..].copy_from_slice(&record.fingerprint.0.to_be_bytes()[..12]);
                (key, host, record)
            })
            .collect();
        keys.sort_by_key(|(key, ..)| *key);
        keys.dedup_by_key(|(key, ..)| *key);
        for (key, host, record) in keys {
            if !self.seen.contains_key(key)? {
                commit.insert(&self.seen, key, []);
                new.push((host, record));
            }
        }
        for group in new.chunk_by(|a, b| a.0 == b.0).flat_map(|group| group.chunks(64)) {
            let mut value = vec![group.len() as u8];
            for (_, record) in group {
                let path = &record.url[7 + record.host.as_str().len()..];
                value.extend_from_slice(&[0, path.len() as u8]);
                value.extend_from_slice(path.as_bytes());
            }
            commit.insert(&self.queue, chunk(group[0].0, *age), value);
            *age += group.len() as u64;
        }
        Ok(commit.commit()?)
    }

    /// Reads 16 hosts' next chunks and deletes them in one commit, until nothing is left.
    fn drain(&self, hosts: u32) -> Result<()> {
        let mut left: Vec<(u32, u64)> = (0..hosts).map(|host| (host, 0)).collect();
        while !left.is_empty() {
            for some in left.chunks_mut(16) {
                let mut commit = self.db.batch();
                for (host, head) in some {
                    let (mut n, end) = (0, chunk(*host, u64::MAX));
                    for entry in self.queue.range(chunk(*host, *head)..=end) {
                        let (key, value) = entry.into_inner()?;
                        *head =
                            u64::from_be_bytes([&[0, 0], &key[7..13]].concat().as_slice().try_into()?) + 1;
                        n += usize::from(value[0]);
                        commit.remove_weak(&self.queue, key);
                        if n >= LEASED {
                            break;
                        }
                    }
                    if n < LEASED {
                        *head = u64::MAX;
                    }
                }
                commit.commit()?;
            }
            left.retain(|(_, head)| *head != u64::MAX);
        }
        Ok(())
    }
}

fn chunk(host: u32, age: u64) -> [u8; 14] {
    let mut key = [0; 14];
    key[..4].copy_from_slice(&host.to_be_bytes());
    key[7..13].copy_from_slice(&age.to_be_bytes()[2..]);
    key
}

struct Web {
    hosts: Vec<Host>,
}

impl Web {
    fn batch(&self, batch: usize) -> impl Iterator<Item = Record> {
        self.numbered(batch).map(|(_, record)| record)
    }

    fn numbered(&self, batch: usize) -> impl Iterator<Item = (u32, Record)> {
        let pages = batch * PAGES_PER_BATCH..(batch + 1) * PAGES_PER_BATCH;
        pages.flat_map(move |page| (0..LINKS_PER_PAGE).map(move |link| self.record(page, link)))
    }

    /// Four links of five stay on the page's host, the others are spread over all.
    fn record(&self, page: usize, link: usize) -> (u32, Record) {
        let n = page * LINKS_PER_PAGE + link;
        let scattered = n.wrapping_mul(2_654_435_761) % self.hosts.len();
        let number = if link.is_multiple_of(5) { scattered } else { page % self.hosts.len() };
        let host = &self.hosts[number];
        let url = format!("http://{host}/products/category-{:04}/item-{n:010}/overview", page % 10_000);
        let record = Record {
            fingerprint: Fingerprint(xxhash_rust::xxh3::xxh3_128(url.as_bytes())),
            url: url.into(),
            host: host.clone(),
            scheme: Scheme::Http,
            depth: 1,
            priority: Priority::default(),
            score: Score::default(),
            attempts: 0,
            kind: RecordKind::Discovered,
            validators: None,
            extra: Bytes::new(),
        };
        (number as u32, record)
    }
}

fn host(n: usize) -> Result<Host> {
    Ok(Host::of(&Url::parse(&format!("http://www.shop-{n:06}.example/"))?)?)
}

/// CPU time of all threads, to the nanosecond where the scheduler says so.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.map(nanos).sum())
}

/// A line of this process's status, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn per(bytes: u64, store: &DiskFrontier) -> f64 {
    bytes as f64 / store.stats().left as f64
}

/// What the files of a directory take, by what the system gave them.
fn files(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes +=
            if entry.file_type()?.is_dir() { files(&entry.path())? } else { allocated(&entry.metadata()?) };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn allocated(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file) * 512
}

#[cfg(not(unix))]
fn allocated(file: &std::fs::Metadata) -> u64 {
    file.len()
}
