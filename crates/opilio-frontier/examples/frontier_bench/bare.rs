//! The bare loop: the shortest code that handles the same batches with the database of the disk store. It stores one
//! key for each fingerprint, and chunks of URLs. It does not order hosts, retry, count, or take leases back.
//!
//! Its batches are those of the store, with as many URLs for each host and commit. Therefore the loop also has to
//! write which URLs of a chunk are settled while other URLs of the chunk are not: after a kill, the settled URLs
//! would otherwise be due again. In memory it keeps the position in the URLs of each host, but no chunks, because the
//! chunks of 100,000 hosts, with the blocks around them, would take a gigabyte. It leases whole URLs, composed as in
//! the store, because a lease contains its URL.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use opilio_core::Record;

use crate::measure::{Meter, status};
use crate::web::Web;
use crate::{HOSTS_A_COMMIT, LEASED, Result, say};

/// The options of the database. The cache is as large as that of the store; the other options are chosen so that
/// reading the journal again takes about as long as the benchmark's goal allows.
const CACHE_BYTES: u64 = 128 << 20;
const MEMTABLE_BYTES: u64 = 32 << 20;
const JOURNAL_BYTES_MAX: u64 = 256 << 20;

struct Bare {
    db: Database,
    seen: Keyspace,
    queue: Keyspace,
}

/// Measures the bare loop with the batches of the synthetic web, and prints the figures.
pub(crate) fn run(web: &Web, batches: usize, dir: &Path) -> Result<()> {
    let db = Database::builder(dir)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .worker_threads(1)
        .open()?;
    let keyspace = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    let seen =
        db.keyspace("seen", || keyspace().data_block_compression_policy(CompressionPolicy::disabled()))?;
    let queue = db.keyspace("queue", || {
        keyspace()
            .filter_policy(FilterPolicy::disabled())
            .data_block_size_policy(BlockSizePolicy::all(16 << 10))
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
    })?;
    let bare = Bare { db, seen, queue };
    let (mut age, mut synced) = (0, Instant::now());
    let mut admit = |batch: Vec<(u32, Record)>| -> Result<()> {
        bare.admit(batch, &mut age)?;
        if synced.elapsed() > Duration::from_secs(1) {
            bare.db.persist(PersistMode::SyncData)?;
            synced = Instant::now();
        }
        Ok(())
    };
    let mut new = Meter::start();
    for batch in 0..batches {
        admit(new.aside(|| web.numbered(batch).collect()))?;
    }
    say("new", new.stop());
    say("peak", status("VmHWM:") as f64);
    let mut known = Meter::start();
    for batch in 0..batches {
        admit(known.aside(|| web.known(batch, batches).collect()))?;
    }
    say("known", known.stop());
    let leased = Meter::start();
    let urls = bare.drain(web)?;
    say("lease", leased.stop());
    say("leased", urls as f64);
    Ok(())
}

/// The URLs of one host that the bare loop has not leased yet.
struct Left {
    host: u32,
    /// The age of the first chunk that still has URLs to lease. The age is the number of the chunk's first admission.
    age: u64,
    /// The number of URLs of that chunk that were leased already.
    leased: u8,
    /// Whether all URLs of the host were leased.
    is_through: bool,
}

impl Bare {
    /// Admits a batch: writes `host · fingerprint` to one keyspace, and chunks of the URLs of each host to another
    /// keyspace.
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
            commit.insert(&self.queue, chunk_at(group[0].0, *age), value);
            *age += group.len() as u64;
        }
        Ok(commit.commit()?)
    }

    /// Leases some URLs of each of 16 hosts and settles them in one commit, again and again until no URL is left.
    fn drain(&self, web: &Web) -> Result<usize> {
        let hosts = 0..web.hosts.len() as u32;
        let mut left: Vec<_> =
            hosts.map(|host| Left { host, age: 0, leased: 0, is_through: false }).collect();
        let mut urls = 0;
        while !left.is_empty() {
            for some in left.chunks_mut(HOSTS_A_COMMIT) {
                let mut commit = self.db.batch();
                let mut leases = Vec::new();
                for left in some {
                    let name = web.hosts[left.host as usize].as_str();
                    self.lease_and_settle(left, name, &mut leases, &mut commit)?;
                }
                urls += leases.len();
                commit.commit()?;
            }
            left.retain(|left| !left.is_through);
        }
        Ok(urls)
    }

    fn lease_and_settle(
        &self,
        left: &mut Left,
        name: &str,
        leases: &mut Vec<Arc<str>>,
        commit: &mut OwnedWriteBatch,
    ) -> Result<()> {
        let until = leases.len() + LEASED;
        let (from, to) = (chunk_at(left.host, left.age), chunk_at(left.host, u64::MAX));
        for entry in self.queue.range(from..=to) {
            let (key, value) = entry.into_inner()?;
            let key: [u8; 14] = key.as_ref().try_into()?;
            if key[13] == MARK {
                continue;
            }
            let age = u64::from_be_bytes([&[0, 0], &key[7..13]].concat().as_slice().try_into()?);
            let before = if age == left.age { left.leased } else { 0 };
            let (all, leased) = unpack(name, &value, before, until, leases)?;
            let mut mark = key;
            mark[13] = MARK;
            if leased < all {
                commit.insert(&self.queue, mark, (u64::MAX >> (64 - leased)).to_be_bytes());
                (left.age, left.leased) = (age, leased);
                return Ok(());
            }
            if before > 0 {
                commit.remove(&self.queue, mark);
            }
            commit.remove_weak(&self.queue, key);
            (left.age, left.leased) = (age + 1, 0);
            if leases.len() == until {
                return Ok(());
            }
        }
        left.is_through = true;
        Ok(())
    }
}

/// The last byte of the keys at which the settled URLs of a chunk are stored.
const MARK: u8 = 1;

/// Appends URLs of a chunk that are not leased yet, until `out` has a given number of URLs. Returns how many URLs the
/// chunk has and how many of them are leased now.
fn unpack(
    host: &str,
    mut chunk: &[u8],
    before: u8,
    until: usize,
    out: &mut Vec<Arc<str>>,
) -> Result<(u8, u8)> {
    let all = *chunk.split_off_first().ok_or("an empty chunk")?;
    let mut leased = 0;
    while leased < all && (leased < before || out.len() < until) {
        let [_, len] = *chunk.split_off(..2).and_then(|head| head.as_array()).ok_or("a cut chunk")?;
        let path = chunk.split_off(..usize::from(len)).ok_or("a cut chunk")?;
        if leased >= before {
            out.push(format!("http://{host}{}", str::from_utf8(path)?).into());
        }
        leased += 1;
    }
    Ok((all, leased))
}

fn chunk_at(host: u32, age: u64) -> [u8; 14] {
    let mut key = [0; 14];
    key[..4].copy_from_slice(&host.to_be_bytes());
    key[7..13].copy_from_slice(&age.to_be_bytes()[2..]);
    key
}
