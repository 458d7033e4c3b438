//! Tests of opening a directory: when it succeeds, when it fails, and what is left of a cut or changed journal.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use super::{batch, create, drain, filled_bytes, journal, open, small, whose, with_journal};
use crate::disk::{DiskFrontier, StoreOwner, keys};
use crate::{Frontier, FrontierError};

#[test]
fn a_directory_belongs_to_one_crawl_and_one_process() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("deep/state");
    assert!(matches!(open(&dir), Err(FrontierError::Missing { .. })));
    let store = create(&dir);
    assert!(matches!(open(&dir), Err(FrontierError::InUse { .. })));
    drop(store);
    let again = DiskFrontier::create(&dir, small(), whose());
    assert!(matches!(again, Err(FrontierError::Exists { .. })));

    let other = |spider: &str, version| StoreOwner { spider: spider.to_owned(), version };
    let found = DiskFrontier::open(&dir, small(), other("news", 3)).unwrap_err();
    assert!(
        matches!(&found, FrontierError::OtherSpider { found, wanted, .. } if found == "shop" && wanted == "news")
    );
    let found = DiskFrontier::open(&dir, small(), other("shop", 4)).unwrap_err();
    assert!(matches!(found, FrontierError::OtherVersion { found: 3, wanted: 4, .. }));
    open(&dir).unwrap();
}

#[test]
fn a_directory_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let mut identity = store.disk.stored.misc.get(keys::CRAWL).unwrap().unwrap().to_vec();
    let here = u64::from(identity[0]);
    identity[0] -= 1;
    store.disk.stored.misc.insert(keys::CRAWL, identity).unwrap();
    drop(store);
    for _ in 0..2 {
        let found = open(dir.path()).unwrap_err();
        assert!(
            matches!(found, FrontierError::OtherFormat { found, wanted, .. } if found == here - 1 && wanted == here)
        );
    }
}

#[test]
fn a_directory_is_given_back_though_a_copy_of_its_lock_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    // The copy stands for that of a child process: a child that another thread is starting has a copy of the open
    // file.
    let copy = store.disk._lock.0.try_clone().unwrap();
    drop(store);
    open(dir.path()).unwrap();
    drop(copy);
}

#[test]
fn a_creation_that_was_killed_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    drop(create(&whole));
    let killed = dir.path().join("killed");
    fs::create_dir(&killed).unwrap();
    fs::rename(whole.join("frontier"), killed.join("frontier.new")).unwrap();
    fs::remove_file(killed.join("frontier.new/version")).unwrap();
    assert!(matches!(open(&killed), Err(FrontierError::Missing { .. })));
    assert_eq!(create(&killed).stats().left, 0);
}

#[test]
fn a_commit_that_was_cut_off_is_dropped_as_a_whole_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    store.admit(batch(0..10)).unwrap();
    store.checkpoint().unwrap();
    let filled = || filled_bytes(&journal(dir.path())).unwrap() as usize;
    let before = filled();
    store.admit(batch(10..20)).unwrap();
    let filled = filled();
    for cut in [before + 1, before + 20, (before + filled) / 2, filled - 1] {
        let copied = with_journal(dir.path(), |bytes| bytes.truncate(cut));
        let mut store = open(copied.path()).unwrap();
        assert!(store.torn_bytes() > 0, "{cut}");
        let stats = store.stats();
        assert!(stats.balances() && stats.left == 10, "{stats:?}");
        assert_eq!(store.admit(batch(0..20)).unwrap().new, 10);
        assert_eq!(drain(&mut store).len(), 20);
    }
    let whole = with_journal(dir.path(), |_| ());
    let store = open(whole.path()).unwrap();
    assert_eq!((store.torn_bytes(), store.stats().left), (0, 20));
}

#[test]
fn flipped_bits_in_what_was_synced_are_an_error_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    for n in 0..10 {
        store.admit(batch(n * 10..n * 10 + 10)).unwrap();
    }
    store.checkpoint().unwrap();
    drop(store);
    let filled = filled_bytes(&journal(dir.path())).unwrap() as usize;
    let mut damaged = 0;
    for at in (0..filled).step_by(filled / 40) {
        let copied = with_journal(dir.path(), |bytes| bytes[at] ^= 0x10);
        for _ in 0..2 {
            match open(copied.path()) {
                Err(FrontierError::Damaged { .. }) => damaged += 1,
                // The changed bit is in a part of the file that nothing reads.
                Ok(mut store) => {
                    assert_eq!(store.stats().left, 100, "byte {at}");
                    assert_eq!(store.admit(batch(0..100)).unwrap().new, 0, "byte {at}");
                }
                Err(other) => panic!("byte {at}: {other:?}"),
            }
        }
    }
    assert!(damaged > 70, "{damaged} of 80");
}

#[test]
fn a_part_that_is_missing_is_an_error_and_nothing_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    store.admit(batch(0..100)).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    let remove: [fn(&Path); 4] = [
        |dir| fs::remove_file(dir.join("frontier/version")).unwrap(),
        |dir| fs::remove_file(journal(dir)).unwrap(),
        |dir| fs::remove_dir_all(dir.join("frontier/keyspaces/0")).unwrap(),
        |dir| fs::remove_dir_all(dir.join("frontier/keyspaces/1")).unwrap(),
    ];
    for (n, remove) in remove.into_iter().enumerate() {
        let copied = with_journal(dir.path(), |_| ());
        remove(copied.path());
        for _ in 0..2 {
            let found = open(copied.path()).map(|store| store.stats());
            assert!(matches!(found, Err(FrontierError::Damaged { .. })), "part {n}: {found:?}");
        }
    }
}
