//! The bare loop: the same keys and the same bytes in the database that the store uses, and nothing
//! else: no order among hosts, no retries, no books, no leases that come back.
//!
//! What it leases are URLs, put together as the store does, since a lease without one is none.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use opilio_core::Record;
use opilio_frontier::DiskOptions;

use crate::measure::{cpu, settle_down, status, timed};
use crate::web::Web;
use crate::{LEASED, Result, say};

struct Bare {
    db: Database,
    seen: Keyspace,
    queue: Keyspace,
}

/// Runs the loop over the web's batches.
pub(crate) fn run(web: &Web, batches: usize, dir: &Path) -> Result<()> {
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
    let (mut age, mut synced) = (0, Instant::now());
    let mut admit = |batch: Vec<(u32, Record)>, spent: &mut Duration| -> Result<()> {
        timed(spent, || bare.admit(batch, &mut age))?;
        if synced.elapsed() > Duration::from_secs(1) {
            timed(spent, || bare.db.persist(PersistMode::SyncData))?;
            synced = Instant::now();
        }
        Ok(())
    };
    let (mut new, mut known) = (Duration::ZERO, Duration::ZERO);
    for batch in 0..batches {
        admit(web.numbered(batch).collect(), &mut new)?;
    }
    settle_down(&mut new);
    say("new", new.as_secs_f64());
    say("peak", status("VmHWM:") as f64);
    for batch in 0..batches {
        admit(web.known(batch, batches).collect(), &mut known)?;
    }
    say("known", known.as_secs_f64());
    let mut leased = Duration::ZERO;
    settle_down(&mut leased);
    leased = Duration::ZERO;
    let start = cpu();
    let urls = bare.drain(web)?;
    leased += cpu().saturating_sub(start);
    settle_down(&mut leased);
    say("lease", leased.as_secs_f64());
    say("leased", urls as f64);
    Ok(())
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

    /// Reads 16 hosts' next chunks, puts their URLs together, and deletes them in one commit, until
    /// nothing is left.
    fn drain(&self, web: &Web) -> Result<usize> {
        let mut left: Vec<(u32, u64)> = (0..web.hosts.len() as u32).map(|host| (host, 0)).collect();
        let mut urls = 0;
        while !left.is_empty() {
            for some in left.chunks_mut(16) {
                let mut commit = self.db.batch();
                let mut leases = Vec::new();
                for (host, head) in some {
                    let (before, end) = (leases.len(), chunk(*host, u64::MAX));
                    for entry in self.queue.range(chunk(*host, *head)..=end) {
                        let (key, value) = entry.into_inner()?;
                        *head =
                            u64::from_be_bytes([&[0, 0], &key[7..13]].concat().as_slice().try_into()?) + 1;
                        unpack(web.hosts[*host as usize].as_str(), &value, &mut leases)?;
                        commit.remove_weak(&self.queue, key);
                        if leases.len() - before >= LEASED {
                            break;
                        }
                    }
                    if leases.len() - before < LEASED {
                        *head = u64::MAX;
                    }
                }
                urls += leases.len();
                commit.commit()?;
            }
            left.retain(|(_, head)| *head != u64::MAX);
        }
        Ok(urls)
    }
}

/// The URLs of a chunk.
fn unpack(host: &str, mut chunk: &[u8], out: &mut Vec<Arc<str>>) -> Result<()> {
    let n = *chunk.split_off_first().ok_or("an empty chunk")?;
    for _ in 0..n {
        let [_, len] = *chunk.split_off(..2).and_then(|head| head.as_array()).ok_or("a cut chunk")?;
        let path = chunk.split_off(..usize::from(len)).ok_or("a cut chunk")?;
        out.push(format!("http://{host}{}", str::from_utf8(path)?).into());
    }
    Ok(())
}

fn chunk(host: u32, age: u64) -> [u8; 14] {
    let mut key = [0; 14];
    key[..4].copy_from_slice(&host.to_be_bytes());
    key[7..13].copy_from_slice(&age.to_be_bytes()[2..]);
    key
}
