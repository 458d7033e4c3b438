//! Tests with cut and changed files: the store either has everything that was acknowledged, or returns an error.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use opilio_core::{Attempts, Reason, SinkPosition, Timestamp};

use super::{batch, copy, create, drain, filled_bytes, journal, open, record, small, whose};
use crate::disk::{DiskFrontier, DiskOptions};
use crate::{Frontier, FrontierError, FrontierStats, Settlement, Want};

/// The state of a store that its calls have acknowledged.
struct Said {
    stats: FrontierStats,
    left: BTreeSet<String>,
}

/// Fills a store until its sorted files, the lists of these files and the journals all contain data, and then syncs
/// the store.
fn filled(dir: &Path) -> Said {
    let mut store = create(dir);
    for round in 0..3 {
        store.admit(batch(round * 400..(round + 1) * 400)).unwrap();
        let mut leases = Vec::new();
        let want = |host| Want { host: record(host, 0).host, n: 60 };
        store.lease(&[want(0), want(1), want(2)], Timestamp::EPOCH, &mut leases).unwrap();
        let ends = leases.iter().enumerate().map(|(n, lease)| match n % 9 {
            0 => Settlement::failed(lease.id, Reason::Timeout, 4, None),
            1 => Settlement::retry(lease.id, Timestamp::EPOCH, Attempts::of(1)),
            _ => Settlement::page(lease.id),
        });
        let position = SinkPosition { sink: "out.jsonl".into(), position: round as u64 + 1 };
        store.settle(ends.collect(), &[position], Timestamp::EPOCH).unwrap();
        if round < 2 {
            for keyspace in [
                &store.disk.stored.seen,
                &store.disk.stored.queue,
                &store.disk.stored.ends,
                &store.disk.stored.misc,
            ] {
                keyspace.rotate_memtable_and_wait().unwrap();
            }
        }
    }
    store.checkpoint().unwrap();
    let stats = at_rest(&store);
    drop(store);
    // Reads a copy of the store, because reading the remaining URLs settles them.
    let copied = tempfile::tempdir().unwrap();
    let whole = copied.path().join("whole");
    copy(dir, &whole);
    let mut store = open(&whole).unwrap();
    Said { stats, left: drain(&mut store).into_iter().collect() }
}

/// Checks that the store has everything that was acknowledged. Returns the store's error if a call fails.
fn audit(dir: &Path, said: &Said) -> Result<(), FrontierError> {
    let mut store = open(dir)?;
    let failures = store.failures(0, usize::MAX)?;
    assert_eq!(store.stats().failures_total(), said.stats.failures_total());
    assert_eq!(failures.len() as u64, said.stats.failures_total(), "a failure was lost");
    assert_eq!(store.positions()?[0].position, 3, "a position was lost");
    let stats = FrontierStats { waiting: said.stats.waiting, ..store.stats() };
    assert_eq!(stats, said.stats);
    let known = store.admit(batch(0..1200))?;
    assert_eq!(known.new, 0, "a known URL was forgotten");
    let mut left = BTreeSet::new();
    loop {
        let hosts = store.hosts_ready(Timestamp::EPOCH, 9)?;
        if hosts.is_empty() {
            break;
        }
        let wants: Vec<_> = hosts.into_iter().map(|host| Want { host, n: 10_000 }).collect();
        let mut leases = Vec::new();
        store.lease(&wants, Timestamp::EPOCH, &mut leases)?;
        left.extend(leases.iter().map(|lease| lease.record.url.to_string()));
    }
    assert_eq!(left, said.left, "what is left is not what was left");
    Ok(())
}

fn all_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

/// Returns how often each file is damaged in each way. An environment variable can raise the number.
fn tries() -> usize {
    std::env::var("OPILIO_DAMAGE_TRIES").map_or(3, |tries| tries.parse().unwrap())
}

#[test]
fn whatever_is_damaged_is_an_error_or_does_no_harm() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    let said = filled(&whole);
    assert!(said.left.len() > 100 && said.stats.failures_total() > 10);
    let mut files = Vec::new();
    all_files(&whole, &mut files);
    let mut random = fastrand::Rng::with_seed(108);
    let (mut errors, mut harmless) = (0, 0);
    for file in files {
        let name = file.strip_prefix(&whole).unwrap();
        let len = if name.extension().is_some_and(|e| e == "jnl") {
            filled_bytes(&file).unwrap() as usize
        } else {
            fs::metadata(&file).unwrap().len() as usize
        };
        for n in 0..tries() * 3 {
            if len == 0 {
                continue;
            }
            let at = random.usize(..len);
            let damaged = parent.path().join("damaged");
            let _ = fs::remove_dir_all(&damaged);
            copy(&whole, &damaged);
            let path = damaged.join(name);
            let mut bytes = fs::read(&path).unwrap();
            let how = match n % 3 {
                0 => {
                    bytes[at] ^= 1 << random.u32(..8);
                    "a bit flipped"
                }
                1 => {
                    bytes.truncate(at);
                    "cut off"
                }
                _ => {
                    let end = (at + 64).min(len);
                    bytes[at..end].fill(0);
                    "zeroed"
                }
            };
            fs::write(&path, bytes).unwrap();
            let what = format!("{}: {how} at {at} of {len}", name.display());
            let found = catch_unwind(AssertUnwindSafe(|| audit(&damaged, &said)));
            match found.unwrap_or_else(|_| panic!("{what}: lost in silence, or a panic")) {
                Ok(()) => harmless += 1,
                Err(
                    FrontierError::Damaged { .. } | FrontierError::Io { .. } | FrontierError::Stopped { .. },
                ) => {
                    errors += 1;
                }
                Err(other) => panic!("{what}: {other:?}"),
            }
        }
    }
    assert!(errors > harmless, "{errors} errors, {harmless} without harm");
}

/// Returns the counters, but with 0 leases, because after a kill no record is leased.
fn at_rest(store: &DiskFrontier) -> FrontierStats {
    FrontierStats { out: 0, ..store.stats() }
}

/// Checks the state after a power cut, which is simulated: the end of the journal is cut off, or filled with zeros.
#[test]
fn a_power_cut_leaves_a_prefix_that_holds_what_was_synced() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    // With this size, no sorted file of fingerprints is written in between, so that each call makes exactly one
    // commit.
    let options = DiskOptions { gather_bytes: 1 << 20, ..small() };
    let mut store = DiskFrontier::create(&whole, options, whose()).unwrap();
    let at_journal = || filled_bytes(&journal(&whole)).unwrap() as usize;
    // For each commit, the length of the journal and the counters after it.
    let mut commits = vec![(at_journal(), at_rest(&store))];
    let mut synced = 0;
    for n in 0..16_usize {
        store.admit(batch(n * 5..n * 5 + 5)).unwrap();
        commits.push((at_journal(), at_rest(&store)));
        let mut leases = Vec::new();
        store.lease(&[Want { host: record(n % 3, 0).host, n: 2 }], Timestamp::EPOCH, &mut leases).unwrap();
        let position = SinkPosition { sink: "out".into(), position: n as u64 };
        let ends = leases.iter().map(|lease| Settlement::page(lease.id)).collect();
        store.settle(ends, &[position], Timestamp::EPOCH).unwrap();
        commits.push((at_journal(), at_rest(&store)));
        if n == 7 {
            store.checkpoint().unwrap();
            synced = at_journal();
        }
    }
    let end = at_journal();
    let boundaries = commits.iter().map(|(at, _)| *at);
    let mut random = fastrand::Rng::with_seed(108);
    let first = commits[0].0;
    let cuts: BTreeSet<usize> =
        boundaries.chain((0..tries() * 20).map(|_| random.usize(first..end))).collect();
    for cut in cuts {
        for zeroed in [false, true] {
            let damaged = parent.path().join("damaged");
            let _ = fs::remove_dir_all(&damaged);
            copy(&whole, &damaged);
            let path = journal(&damaged);
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(cut);
            bytes.resize(if zeroed { end } else { cut }, 0);
            fs::write(&path, bytes).unwrap();
            let found = open(&damaged);
            if cut < synced {
                assert!(matches!(found, Err(FrontierError::Damaged { .. })), "{cut} of {synced}: {found:?}");
                continue;
            }
            let store = found.unwrap();
            let (_, last) = commits.iter().rfind(|(at, _)| *at <= cut).unwrap();
            assert_eq!(store.stats(), *last, "cut at {cut}");
        }
    }
}

/// Checks that a sorted file of fingerprints never knows more URLs than the queue in the journal: a URL that is known
/// but not queued would never be fetched. The sorted file is not part of the journal, so a power cut may keep the
/// file and cut the journal.
#[test]
fn no_sorted_file_knows_what_a_power_cut_took_from_the_queue() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    let mut store = create(&whole);
    let all = 0..200_usize;
    for n in all.clone().step_by(5) {
        store.admit(batch(n..n + 5)).unwrap();
    }
    let end = filled_bytes(&journal(&whole)).unwrap() as usize;
    let mut random = fastrand::Rng::with_seed(109);
    let (mut opened, mut refused) = (0, 0);
    for cut in (0..40 + tries()).map(|n| if n < 20 { end - 1 - 7 * n } else { random.usize(..end) }) {
        let damaged = parent.path().join("damaged");
        let _ = fs::remove_dir_all(&damaged);
        copy(&whole, &damaged);
        let path = journal(&damaged);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(cut);
        fs::write(&path, bytes).unwrap();
        match open(&damaged) {
            Ok(mut store) => {
                opened += 1;
                store.admit(batch(all.clone())).unwrap();
                assert_eq!(drain(&mut store).len(), all.len(), "cut at {cut} of {end}");
            }
            // The journal was cut before the commits that were synced with the last sorted file. No power cut does
            // this, so the store is damaged.
            Err(FrontierError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("cut at {cut} of {end}: {other:?}"),
        }
    }
    assert!(opened > 3 && refused > 10, "{opened} opened, {refused} refused");
}
