//! Makes commits safe against power cuts: a thread syncs them to the disk at an interval, and a file holds the number
//! of synced commits.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::{Database, PersistMode};
use xxhash_rust::xxh3::xxh3_64;

/// The number of commits that are known to be on disk. It is held in memory and in a file.
///
/// Because of the file, opening notices when a journal has lost synced commits: if the store has fewer commits than
/// the file says, the store is damaged, and has not only lost an unfinished commit.
pub(super) struct Synced {
    file: Mutex<File>,
    commits: AtomicU64,
    failed: AtomicBool,
    /// The error of a failed sync in the background, until a call of the store returns it to the caller.
    failure: Mutex<Option<fjall::Error>>,
}

impl Synced {
    /// Opens or creates the file. Also returns the number in the file, if the file holds a valid number.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<u64>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(17).read_to_end(&mut bytes)?;
        let said = bytes.split_first_chunk::<8>().and_then(|(commits, sum)| {
            let holds = sum == xxh3_64(commits).to_be_bytes();
            holds.then(|| u64::from_be_bytes(*commits))
        });
        Ok((
            Self {
                file: Mutex::new(file),
                commits: AtomicU64::new(0),
                failed: AtomicBool::new(false),
                failure: Mutex::default(),
            },
            said,
        ))
    }

    /// Records how many commits were made, so that the next sync knows their number.
    pub(super) fn committed(&self, commits: u64) {
        self.commits.store(commits, Ordering::Release);
    }

    /// Returns whether a sync in the background failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Returns the error of a failed sync in the background. Only the first call returns it, and later calls return
    /// `None`.
    pub(super) fn take_failure(&self) -> Option<fjall::Error> {
        if !self.has_failed() {
            return None;
        }
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: fjall::Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.failed.store(true, Ordering::Release);
    }

    /// Syncs all commits made so far to the disk, and writes their number to the file. Returns the number.
    pub(super) fn sync(&self, db: &Database) -> Result<u64, fjall::Error> {
        let commits = self.commits.load(Ordering::Acquire);
        db.persist(PersistMode::SyncData)?;
        let number = commits.to_be_bytes();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(0))?;
        // This is one write within one sector of the disk, so after a kill the file holds either the old number or
        // the new number.
        file.write_all(&[number, xxh3_64(&number).to_be_bytes()].concat())?;
        Ok(commits)
    }
}

/// The thread that syncs at an interval. Dropping this value stops the thread.
pub(super) struct Syncer {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(every: Duration, synced: Arc<Synced>, db: Database) -> io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = stop.clone();
        // All commits that were found at opening are on disk, because opening the database synced them.
        let mut done = synced.commits.load(Ordering::Acquire);
        let run = move || {
            while !wait(&stopped, every) {
                if synced.commits.load(Ordering::Acquire) == done {
                    continue;
                }
                match synced.sync(&db) {
                    Ok(commits) => done = commits,
                    Err(error) => return synced.fail(error),
                }
            }
        };
        let thread = std::thread::Builder::new().name("opilio-sync".to_owned()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

/// Waits until the interval is over or the thread has to stop. Returns true when the thread has to stop.
fn wait(stop: &(Mutex<bool>, Condvar), every: Duration) -> bool {
    let (stop, bell) = stop;
    let guard = stop.lock().unwrap_or_else(PoisonError::into_inner);
    let (stop, _) =
        bell.wait_timeout_while(guard, every, |stop| !*stop).unwrap_or_else(PoisonError::into_inner);
    *stop
}

impl Drop for Syncer {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // An error means that the thread panicked. The panic was printed already, and the store is being dropped
            // anyway.
            let _ = thread.join();
        }
    }
}
