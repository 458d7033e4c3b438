//! How a call changes the store: the call makes one commit, which also contains the counters. If the call fails, the
//! store refuses all further calls.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{OwnedWriteBatch, PersistMode};

use super::keys::{self, HostId};
use super::{DiskFrontier, Durability, files};
use crate::error::FrontierError;

/// The changes that wait for the next commit, whichever call makes that commit.
#[derive(Default)]
pub(super) struct PendingWrites {
    /// The notes that the caller stored, by name.
    pub(super) notes: BTreeMap<&'static str, Bytes>,
    /// The keys of the texts that the caller added to its lists.
    pub(super) listed: BTreeSet<Vec<u8>>,
    /// The hosts whose numbers of pages and bytes taken have changed.
    pub(super) spent: Vec<HostId>,
}

/// The times at which data in memory was last written to sorted files. The option `write_within` limits how old they
/// may become.
pub(super) struct WriteTimes {
    /// When the memtables (the unwritten data of the database in memory) were last written.
    memtables_at: Instant,
    /// When the gathered fingerprints were last written.
    fingerprints_at: Instant,
}

impl WriteTimes {
    pub(super) fn now() -> Self {
        let now = Instant::now();
        Self { memtables_at: now, fingerprints_at: now }
    }
}

/// The number of commits after which the store checks again whether the journal is full.
pub(super) const COMMITS_PER_LOOK: u64 = 64;

impl DiskFrontier {
    /// Returns an error when an earlier call or a sync failed, after which the store must not be used.
    pub(super) fn usable(&self) -> Result<(), FrontierError> {
        if self.broken || self.disk.synced.has_failed() {
            return Err(FrontierError::Stopped { store: self.disk.place.0.clone() });
        }
        Ok(())
    }

    /// Checks before each call of the store that the store may be used. If a sync in the background failed, the first
    /// call after it returns the reason.
    fn ready(&mut self) -> Result<(), FrontierError> {
        if let Some(error) = self.disk.synced.take_failure().filter(|_| !self.broken) {
            self.broken = true;
            return Err(self.failed_to_write(error));
        }
        self.usable()
    }

    /// Runs a call of the store, and turns a panic of the database into an error. The database trusts some of the
    /// data that it reads, and panics if a file is damaged there.
    pub(super) fn guarded<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, FrontierError>,
    ) -> Result<T, FrontierError> {
        self.ready()?;
        catch_unwind(AssertUnwindSafe(|| call(self))).unwrap_or_else(|panic| {
            self.broken = true;
            Err(self.disk.place.panicked(&*panic))
        })
    }

    /// Runs a call that writes. If the call fails, restores the counters and refuses all further calls, because the
    /// other data in memory may differ from the disk.
    pub(super) fn all_or_nothing<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, FrontierError>,
    ) -> Result<T, FrontierError> {
        self.ready()?;
        let (before, waiting) = (self.books.clone(), self.chains.waiting());
        let result = call(self);
        if result.is_err() {
            self.books = before;
            self.chains.take_back(waiting);
            self.broken = true;
        }
        result
    }

    /// Commits a batch together with the pending changes and the counters.
    pub(super) fn commit(&mut self, mut commit: OwnedWriteBatch) -> Result<(), FrontierError> {
        self.wait_for_database()?;
        self.write_spent(&mut commit)?;
        self.books.commits += 1;
        self.books.stats.hosts = u64::from(self.hosts.numbered());
        let misc = &self.disk.stored.misc;
        commit.insert(misc, keys::BOOKS, self.books.encode());
        for (name, note) in std::mem::take(&mut self.pending.notes) {
            commit.insert(misc, keys::named(keys::NOTES, name), &note[..]);
        }
        for key in std::mem::take(&mut self.pending.listed) {
            commit.insert(misc, key, []);
        }
        self.chains.write(misc, &mut commit);
        if self.options.durability == Durability::EveryCommit {
            commit = commit.durability(Some(PersistMode::SyncData));
        }
        commit.commit().map_err(|error| self.failed_to_write(error))?;
        self.disk.synced.committed(self.books.commits);
        if self.books.commits.is_multiple_of(COMMITS_PER_LOOK) {
            self.write_memtables().map_err(|error| self.failed_to_write(error))?;
        }
        Ok(())
    }

    /// Starts to write the memtables (the unwritten data of the database in memory) to sorted files when the journal
    /// is full, or when the time [`write_within`](super::DiskOptions::write_within) has passed. Without that limit of
    /// time, the memory of a slow crawl would grow for hours.
    fn write_memtables(&mut self) -> Result<(), fjall::Error> {
        let is_old = self.written.memtables_at.elapsed() >= self.options.write_within;
        if self.disk.stored.turn_journal()? || is_old && self.disk.stored.write_memtables()? {
            self.written.memtables_at = Instant::now();
        }
        Ok(())
    }

    /// Tells the table of fingerprints that its changes are committed. Then writes the gathered fingerprints to a
    /// sorted file if there are many, or if the time `write_within` has passed.
    pub(super) fn seen_committed(&mut self) -> Result<(), FrontierError> {
        self.seen.committed();
        let is_old = || self.written.fingerprints_at.elapsed() >= self.options.write_within;
        if self.seen.is_full() || self.seen.is_worth_a_file() && is_old() {
            self.write_sorted()?;
            self.written.fingerprints_at = Instant::now();
        }
        Ok(())
    }

    pub(super) fn write_sorted(&mut self) -> Result<(), FrontierError> {
        // The sync comes before the sorted file is written. A power cut may take the last commits: if the sorted file
        // kept the fingerprints of URLs whose queued records were lost, these URLs would never be queued again.
        self.sync()?;
        self.seen.write_sorted().map_err(|error| self.failed_to_write(error))?;
        let mut commit = self.disk.stored.db.batch();
        self.seen.remove_sheets(&mut commit);
        self.commit(commit)
    }

    /// Syncs all commits made so far to the disk.
    pub(super) fn sync(&self) -> Result<(), FrontierError> {
        let synced = self.disk.synced.sync(&self.disk.stored.db);
        synced.map(drop).map_err(|error| self.write_failed_while("sync", error))
    }

    /// Waits until the database can make a commit without delay, or returns an error after `stall_max`. The database
    /// itself would wait for its threads without a limit, even if they have ended.
    fn wait_for_database(&self) -> Result<(), FrontierError> {
        let since = Instant::now();
        while self.disk.stored.is_held_up() {
            let waited = since.elapsed();
            if waited > self.options.stall_max {
                return Err(FrontierError::Stalled { store: self.disk.place.0.clone(), waited });
            }
            // If a thread of the database ended with an error, this call returns that error.
            self.disk.stored.db.persist(PersistMode::Buffer).map_err(|error| self.failed_to_write(error))?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn failed_to_write(&self, error: fjall::Error) -> FrontierError {
        self.write_failed_while("write", error)
    }

    /// Returns the error for a failed write or sync. If the error occurred in a thread of the database, the database
    /// reports only that there was an error. The usual reason is a full disk, so this function tries another write,
    /// which fails for the same reason.
    fn write_failed_while(&self, doing: &'static str, error: fjall::Error) -> FrontierError {
        if matches!(error, fjall::Error::Poisoned)
            && let Err(error) = files::probe(Path::new(&self.disk.place.0))
        {
            return self.disk.place.io(doing, error);
        }
        self.disk.place.failed(doing, error)
    }
}
