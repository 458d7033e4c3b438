//! Tests with a full disk: the crawl stops with an error that names the full disk, and can go on when there is space
//! again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use fjall::PersistMode;
use opilio_core::Record;

use super::{drain, open, record, small, whose};
use crate::disk::DiskFrontier;
use crate::{Admission, Frontier, FrontierError};

const DIR: &str = "OPILIO_TEST_FULL_DIR";
const PER_BATCH: usize = 40;

/// Returns admissions of records whose data cannot be compressed.
fn large(paths: Range<usize>) -> Vec<Admission> {
    let mut random = fastrand::Rng::with_seed(paths.start as u64);
    let large = |path| {
        let extra = std::iter::repeat_with(|| random.u8(..)).take(8192).collect::<Vec<_>>().into();
        Admission::Queue(Record { extra, ..record(path % 3, path) })
    };
    paths.map(large).collect()
}

/// Fills the disk, and goes on when there is space again. The test
/// [`a_full_disk_is_said_and_the_crawl_goes_on_later`] runs this function in a process with a small file system.
#[test]
#[ignore = "runs on a file system of its own, by another test"]
fn victim() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (ballast, state) = (Path::new(&dir).join("ballast"), Path::new(&dir).join("state"));
    // The ballast is a file as large as the space that the store can use. When the ballast is removed, the store has
    // enough space to write its tables anew before it deletes the journals.
    fs::write(&ballast, vec![1; 24 << 20]).unwrap();
    let mut store = DiskFrontier::create(&state, small(), whose()).unwrap();
    let mut admitted = 0;
    let error = loop {
        match store.admit(large(admitted..admitted + PER_BATCH)) {
            Ok(_) => admitted += PER_BATCH,
            Err(error) => break error,
        }
        assert!(admitted < 10_000_000, "the disk is never full");
    };
    assert_says_that_the_disk_is_full(&error);
    assert!(matches!(store.admit(large(0..1)), Err(FrontierError::Stopped { .. })));
    drop(store);

    fs::remove_file(ballast).unwrap();
    let mut store = open(&state).unwrap();
    let stats = store.stats();
    assert!(stats.balances() && stats.left >= admitted as u64, "{stats:?} of {admitted}");
    for n in (0..admitted).step_by(PER_BATCH) {
        assert_eq!(store.admit(large(n..n + PER_BATCH)).unwrap().new, 0, "an admission was lost");
    }
    assert_eq!(drain(&mut store).len() as u64, stats.left);
}

/// Fills the disk so that a thread of the database fails first. The test
/// [`a_sync_says_that_the_disk_is_full_when_a_thread_met_that_first`] runs this function in a process with a small
/// file system.
#[test]
#[ignore = "runs on a file system of its own, by another test"]
fn victim_of_a_sync() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir);
    let mut store = DiskFrontier::create(&dir.join("state"), small(), whose()).unwrap();
    store.admit(large(0..PER_BATCH)).unwrap();
    let filled = fs::write(dir.join("ballast"), vec![1; 64 << 20]).unwrap_err();
    assert_eq!(filled.kind(), io::ErrorKind::StorageFull);
    // A thread of the database now writes a sorted file, fails because the disk is full, and ends.
    store.disk.stored.queue.rotate_memtable().unwrap();
    while store.disk.stored.db.persist(PersistMode::Buffer).is_ok() {
        std::thread::yield_now();
    }
    assert_says_that_the_disk_is_full(&store.write_sorted().unwrap_err());
    assert_says_that_the_disk_is_full(&store.checkpoint().unwrap_err());
    assert!(matches!(store.checkpoint(), Err(FrontierError::Stopped { .. })));
}

fn assert_says_that_the_disk_is_full(error: &FrontierError) {
    match error {
        FrontierError::Io { source, .. } => assert_eq!(source.kind(), io::ErrorKind::StorageFull),
        other => panic!("does not say that the disk is full: {other:?}"),
    }
}

#[test]
fn a_full_disk_is_said_and_the_crawl_goes_on_later() {
    run_on_a_small_disk("disk::tests::full::victim");
}

/// Checks that the error of a failed sync names the full disk. The database only reports that an earlier write
/// failed, and once the store returned that report without the reason.
#[test]
fn a_sync_says_that_the_disk_is_full_when_a_thread_met_that_first() {
    run_on_a_small_disk("disk::tests::full::victim_of_a_sync");
}

/// Runs one test of this program in a process that has a file system of 44 MiB for itself.
fn run_on_a_small_disk(test: &str) {
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=44m none \"$1\" || exit 77; \
                  exec \"$2\" --exact --ignored --nocapture \"$3\"";
    let ran = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(DIR, dir.path())
        .output();
    match ran {
        Ok(ran) if ran.status.success() => {
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(said.contains("1 passed"), "{said}");
        }
        Ok(ran) if ran.status.code() == Some(77) || ran.stderr.starts_with(b"unshare") => {
            eprintln!("skipped: no file system of our own can be made here");
        }
        Ok(ran) => panic!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)),
        Err(_) => eprintln!("skipped: there is no unshare here"),
    }
}
