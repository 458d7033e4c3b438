//! Decides which pages may be settled (all up to the last that every sink has written), and which passive
//! hosts may be told that the store has their saved state (memo).
//!
//! The rows of pages go to the sinks in numbered batches. A batch may be settled when the sinks have written
//! all batches up to its number, and batches are settled in order. So the rows of a settled page are always
//! written, even if the process is killed. If too many rows are waiting for the sinks, no new pages are
//! accepted; all other inputs still are.
//!
//! ```text
//! accept ──► hand_over ──► the sinks ──► Written ──► next_settled
//!              number n                  up to n       batches up to n
//! ```

mod memos;
#[cfg(test)]
mod tests;
mod witness;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::invariants::SchedulingInvariant::{S1, S4, S6};
use super::invariants::{SchedulingViolation, ensure};
use super::sabotage::{Planted, SchedulingBug as Bug};
use crate::name::Host;
use crate::record::LeaseId;
use crate::time::Timestamp;
use memos::Memos;
pub use witness::LedgerWitness;

/// The times at which committed data is synced, so that it survives a power cut: first the data of the sinks,
/// then that of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Syncing {
    /// At the end of the run.
    AtTheEnd,
    /// At this interval, if there is new data.
    Every(Duration),
    /// For each batch of pages, before the batch is settled.
    EachTime,
}

/// A number that distinguishes one passivation of a host from a later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp(pub u64);

/// The inputs of a ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LedgerInput {
    /// The memo of a live host, which is kept in case the process is killed.
    Memo {
        /// The host.
        host: Host,
        /// The memo of the host.
        memo: Bytes,
    },
    /// A host is passive and waits to be told that its memo is kept.
    Passivated {
        /// The host.
        host: Host,
        /// The memo of the host.
        memo: Bytes,
        /// The number of this passivation.
        stamp: Stamp,
    },
    /// The store has kept the memos that the last call of [`memos`](Ledger::memos) returned.
    MemosKept,
    /// The store has new data.
    Committed,
    /// The sinks have written all batches up to this number.
    Written(u64),
    /// The run is to end soon: from now on the time for the sinks is limited. Without this input, the crawl
    /// waits for the sinks for as long as they need.
    Hurry,
    /// The crawl is waiting for the sinks now. If their limited time is over, they get no more batches.
    Waiting,
    /// No further batch will come.
    Close,
}

/// A batch that was passed to the sinks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch<T> {
    /// The number of the batch.
    pub sequence: u64,
    /// The number of pages in the batch.
    pub pages: usize,
    /// The size of the batch's rows in bytes.
    pub rows_bytes: usize,
    /// The work to do when the batch is settled.
    pub settles: T,
}

/// The number of a batch, and whether the batch must be synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbered {
    /// The batch's number.
    pub sequence: u64,
    /// Whether the batch must be on disk before it counts as written.
    pub sync: bool,
}

/// Keeps account of the data that is on its way to the sinks and to the store.
#[derive(Debug)]
pub struct Ledger<T> {
    syncing: Syncing,
    /// The time at which the data committed since the last sync is to be synced; `None` if there is no such
    /// data.
    sync_due: Option<Timestamp>,
    /// The unsettled batches in order. The next two fields count their pages and the bytes of their rows.
    batches: VecDeque<Batch<T>>,
    pages: usize,
    rows_bytes: usize,
    /// The number of the last batch that was passed to the sinks. The next two fields hold the numbers of the
    /// last batch that is written, and of the last that is settled.
    handed: u64,
    written: u64,
    settled: u64,
    /// The leases that were reported and are not settled yet. A second report of such a lease is dropped.
    reported: HashSet<LeaseId>,
    memos: Memos,
    close: Close,
    planted: Planted,
}

/// The wait for the sinks at the end of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Close {
    /// The latest end of the wait; `None` as long as the run is not to end soon.
    until: Option<Timestamp>,
    /// Whether the time for the sinks is over, so that they get no more batches. This never changes back: the
    /// numbers would have a gap, and a batch after the gap could never be settled.
    cut_off: bool,
    closing: bool,
}

impl<T: Default> Ledger<T> {
    /// Creates an empty ledger.
    #[must_use]
    pub fn new(syncing: Syncing) -> Self {
        Self {
            syncing,
            sync_due: None,
            batches: VecDeque::new(),
            pages: 0,
            rows_bytes: 0,
            handed: 0,
            written: 0,
            settled: 0,
            reported: HashSet::new(),
            memos: Memos::default(),
            close: Close::default(),
            planted: Planted::default(),
        }
    }

    /// Updates the ledger by one input.
    pub fn handle(&mut self, now: Timestamp, input: LedgerInput) {
        match input {
            LedgerInput::Memo { host, memo } => self.memos.remember(host, memo),
            LedgerInput::Passivated { host, memo, stamp } => {
                self.memos.passivated(host, memo, stamp, self.planted.has(Bug::ConfirmUnkept));
            }
            LedgerInput::MemosKept => self.memos.kept(),
            LedgerInput::Committed => {
                if let Syncing::Every(span) = self.syncing {
                    self.sync_due.get_or_insert(now + span);
                }
            }
            LedgerInput::Written(sequence) => {
                debug_assert!(sequence <= self.handed, "the sinks have written what they were not given");
                self.written = self.written.max(sequence.min(self.handed));
                if self.close.closing && self.close.until.is_some() && self.is_all_written() {
                    // All rows are written. From now on the crawl waits only for the disk to sync them.
                    self.close.until = Some(now + SYNC_MAX);
                }
            }
            LedgerInput::Hurry => {
                self.close.until.get_or_insert(now + CLOSE_MAX);
            }
            LedgerInput::Waiting => self.close.cut_off |= self.close.until.is_some_and(|until| now >= until),
            LedgerInput::Close => {
                self.close.closing = true;
            }
        }
        if !self.planted.is_sabotaged() {
            debug_assert_eq!(self.check(), Ok(()));
        }
    }

    /// Records the report of a lease, and returns whether the report counts. A lease that expired and was
    /// fetched again may be reported twice: only the first report counts.
    pub fn accept(&mut self, lease: LeaseId) -> bool {
        self.reported.insert(lease)
    }

    /// Records that a lease is settled.
    pub fn settled(&mut self, lease: LeaseId) {
        self.reported.remove(&lease);
    }

    /// Gives a number to a batch with the rows of some pages. Returns `None` if the sinks get no more
    /// batches; these pages then stay unsettled.
    pub fn hand_over(&mut self, pages: usize, rows_bytes: usize, settles: T) -> Option<Numbered> {
        self.handed += 1;
        self.pages += pages;
        self.rows_bytes += rows_bytes;
        self.batches.push_back(Batch { sequence: self.handed, pages, rows_bytes, settles });
        let sync = self.syncing == Syncing::EachTime;
        (!self.close.cut_off).then_some(Numbered { sequence: self.handed, sync })
    }

    /// Begins a sync if one is due. The sync is a batch without pages. The sinks report this batch as written
    /// when all earlier batches are on disk.
    pub fn begin_sync(&mut self, now: Timestamp) -> Option<Numbered> {
        self.sync_due.take_if(|due| *due <= now)?;
        self.hand_over(0, 0, T::default()).map(|numbered| Numbered { sync: true, ..numbered })
    }

    /// Removes and returns the next batch that may be settled now.
    pub fn next_settled(&mut self) -> Option<Batch<T>> {
        let next = if self.planted.has(Bug::SettleLatestFirst) {
            let last = self.batches.iter().rposition(|batch| batch.sequence <= self.written)?;
            self.batches.remove(last)?
        } else {
            let ahead = u64::from(self.planted.has(Bug::SettleUnwritten));
            self.batches.pop_front_if(|batch| batch.sequence <= self.written + ahead)?
        };
        if !self.planted.is_sabotaged() {
            debug_assert_eq!(self.check_settled(next.sequence), Ok(()));
        }
        self.settled = next.sequence;
        self.pages -= next.pages;
        self.rows_bytes -= next.rows_bytes;
        Some(next)
    }

    /// Returns the memos that the store is to keep in one commit. Confirm the commit with
    /// [`MemosKept`](LedgerInput::MemosKept).
    pub fn memos(&mut self) -> Vec<(Host, Bytes)> {
        self.memos.take()
    }

    /// Returns the passive hosts whose memos the store has kept since the last call.
    pub fn confirmed(&mut self) -> Vec<(Host, Stamp)> {
        self.memos.confirmed()
    }

    /// Whether more pages may be accepted: little is waiting for the sinks, or the crawl no longer waits for
    /// the sinks.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.close.cut_off || (self.pages < UNWRITTEN_PAGES_MAX && self.rows_bytes < UNWRITTEN_BYTES_MAX)
    }

    /// Whether the sinks get no more batches.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.close.cut_off
    }

    /// Whether the sinks have written all batches that they were given.
    #[must_use]
    pub fn is_all_written(&self) -> bool {
        self.batches.back().is_none_or(|last| last.sequence <= self.written)
    }

    /// Returns the setting for syncs.
    #[must_use]
    pub fn syncing(&self) -> Syncing {
        self.syncing
    }

    /// Returns the time from which on [`begin_sync`](Self::begin_sync) begins a sync.
    #[must_use]
    pub fn sync_due(&self) -> Option<Timestamp> {
        self.sync_due
    }

    /// Returns the number of pages that were passed to the sinks and are not settled, and the size of their
    /// rows in bytes.
    #[must_use]
    pub fn before_sinks(&self) -> (usize, usize) {
        (self.pages, self.rows_bytes)
    }

    /// Returns the latest end of the wait for the sinks; `None` as long as the run is not to end soon.
    #[must_use]
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.close.until
    }

    /// Checks the invariants that the state alone can show.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self) -> Result<(), SchedulingViolation> {
        let order = self.batches.iter().map(|batch| batch.sequence).eq(self.settled + 1..=self.handed);
        ensure(order, S6, || format!("what is left after {} is no sequence", self.settled))?;
        ensure(self.settled <= self.written, S1, || format!("{} of {}", self.settled, self.written))?;
        ensure(self.memos.are_told_after(), S4, || "a host is told of a memo that is not kept".to_owned())
    }

    fn check_settled(&self, sequence: u64) -> Result<(), SchedulingViolation> {
        ensure(sequence <= self.written, S1, || format!("{sequence} of {}", self.written))?;
        ensure(sequence == self.settled + 1, S6, || format!("{sequence} after {}", self.settled))
    }

    /// Plants a bug, which the witness must find.
    #[cfg(feature = "sabotage")]
    pub fn sabotage(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}

/// How long a sink that accepts no rows may delay the end of a run.
const CLOSE_MAX: Duration = Duration::from_millis(1_500);
/// How long the disk may take for the last sync of a run that is to end soon.
const SYNC_MAX: Duration = Duration::from_secs(2);
/// The most pages that may wait for the sinks; the next constant limits the bytes of their rows.
const UNWRITTEN_PAGES_MAX: usize = 128;
const UNWRITTEN_BYTES_MAX: usize = 8 << 20;
