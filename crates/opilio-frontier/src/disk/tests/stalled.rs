//! Tests with a database that has no threads: commits fail, and the store keeps the state that it had before.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use opilio_core::{Attempts, Reason, Timestamp};

use super::{batch, drain, open, record, small, whose};
use crate::disk::{DiskFrontier, DiskOptions};
use crate::{Admission, Filtered, Frontier, FrontierError, FrontierStats, Settlement, Want};

#[test]
fn threads_that_do_nothing_are_an_error_and_no_hang() {
    let dir = tempfile::tempdir().unwrap();
    let stall_max = Duration::from_millis(50);
    let options = DiskOptions { workers: 0, stall_max, ..small() };
    let mut store = DiskFrontier::create(dir.path(), options, whose()).unwrap();
    for n in 0..3 {
        store.admit(batch(n * 10..n * 10 + 10)).unwrap();
        store.disk.stored.queue.rotate_memtable().unwrap();
    }
    let stalled = store.admit(batch(30..40));
    assert!(matches!(stalled, Err(FrontierError::Stalled { .. })), "{stalled:?}");
    assert!(matches!(store.admit(batch(30..40)), Err(FrontierError::Stopped { .. })));
    drop(store);
    let mut store = open(dir.path()).unwrap();
    assert_eq!(store.stats().left, 30);
    assert_eq!(drain(&mut store).len(), 30);
}

/// Checks, for both kinds of leases and for every ending, that a lease is still unsettled after the commit failed
/// that would have settled it.
#[test]
fn leases_are_out_after_all_when_their_commit_fails() {
    let dir = tempfile::tempdir().unwrap();
    let stall_max = Duration::from_millis(1);
    let options = DiskOptions { workers: 0, stall_max, ..small() };
    let mut store = DiskFrontier::create(dir.path(), options, whose()).unwrap();
    store.admit((0..8).map(|path| Admission::Queue(record(0, path))).collect()).unwrap();
    let mut leases = Vec::new();
    let want = Want { host: record(0, 0).host, n: 8 };
    store.lease(&[want], Timestamp::EPOCH, &mut leases).unwrap();
    let id = |n: usize| leases[n].id;
    let ended = vec![Settlement::page(id(0)), Settlement::redirected(id(1), record(0, 0))];
    store.settle(ended, &[], Timestamp::EPOCH).unwrap();
    let mut decided = Vec::new();
    store.decided(9, &mut decided).unwrap();
    assert_eq!(decided.len(), 1);
    let before = store.stats();
    assert_eq!((before.out, before.left), (7, 7));

    for _ in 0..3 {
        store.keep_hosts(vec![(record(0, 0).host, b"memo"[..].into())]).unwrap();
        store.disk.stored.misc.rotate_memtable().unwrap();
    }
    let ends = vec![
        Settlement::alias(decided[0].lease.id),
        Settlement::page(id(2)),
        Settlement::failed(id(3), Reason::Timeout, 1, None),
        Settlement::redirected(id(4), record(1, 1)),
        Settlement::retry(id(5), Timestamp::from_secs(9), Attempts::of(1)),
        Settlement::give_back(id(6)),
        Settlement::filtered(id(7), Filtered::ScopeHost),
    ];
    let failed = store.settle(ends, &[], Timestamp::EPOCH);
    assert!(matches!(failed, Err(FrontierError::Stalled { .. })), "{failed:?}");
    assert!(store.is_out(decided[0].lease.id), "what waited is out to end again");
    assert!(
        (2..8).all(|n| store.is_out(id(n))),
        "{:?}",
        (2..8).map(|n| store.is_out(id(n))).collect::<Vec<_>>()
    );
    let after = store.stats();
    assert_eq!(FrontierStats { hosts: before.hosts, ..after }, before);
    drop(store);
    let mut store = open(dir.path()).unwrap();
    assert_eq!(store.stats().left, 7);
    assert_eq!(drain(&mut store).len(), 6);
}
