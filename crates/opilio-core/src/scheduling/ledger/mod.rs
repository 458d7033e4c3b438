//! Which prefix of pages may be settled, and which passive hosts may be told that their memo is kept.
//!
//! What pages gave goes to the sinks in numbered batches. A batch may be settled when the sinks have written
//! its number, and batches are settled in their order: so a page that is settled has its rows, whatever is
//! killed when. The sinks may have only so much before them; then nothing more is taken on, but everything
//! else is heard.
//!
//! ```text
//! accept ──► hand_over ──► the sinks ──► Written ──► next_settled
//!              number n                  up to n       the prefix up to n
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

/// When what is committed is made to survive a power cut, too: sinks first, then the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Syncing {
    /// When the run ends.
    AtTheEnd,
    /// That often, while there is something new.
    Every(Duration),
    /// With each batch of pages, before it is settled.
    EachTime,
}

/// Tells one passivation of a host from its next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp(pub u64);

/// What a ledger hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LedgerInput {
    /// What a live host is to remember after a kill.
    Memo {
        /// Which host.
        host: Host,
        /// Its memo.
        memo: Bytes,
    },
    /// A host is passive, and wants to be told when its memo is kept.
    Passivated {
        /// Which host.
        host: Host,
        /// Its memo.
        memo: Bytes,
        /// Which of its passivations.
        stamp: Stamp,
    },
    /// The store has kept the memos that [`memos`](Ledger::memos) gave last.
    MemosKept,
    /// Something new is in the store.
    Committed,
    /// The sinks have written all up to this number.
    Written(u64),
    /// The run is to close: the sinks are waited for no longer than they may take then.
    Hurry,
    /// The sinks are waited for now.
    Waiting,
    /// Nothing more is handed over.
    Close,
}

/// What was handed over under one number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch<T> {
    /// Its number.
    pub sequence: u64,
    /// How many pages it is of.
    pub pages: usize,
    /// How many bytes of rows.
    pub rows_bytes: usize,
    /// What is done when it is settled.
    pub settles: T,
}

/// How a batch goes to the sinks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbered {
    /// Under which number.
    pub sequence: u64,
    /// Whether it is to be on disk before it counts as written.
    pub sync: bool,
}

/// Keeps account of what is on its way to the sinks and to the store.
#[derive(Debug)]
pub struct Ledger<T> {
    syncing: Syncing,
    /// When what was committed since the last sync is to be synced.
    sync_due: Option<Timestamp>,
    /// Batches that are not settled, in sequence; their pages, and the bytes of their rows.
    batches: VecDeque<Batch<T>>,
    pages: usize,
    rows_bytes: usize,
    /// The last numbers that were handed over, written and settled.
    handed: u64,
    written: u64,
    settled: u64,
    /// Leases that were reported and wait to be settled: a second report of one is dropped.
    reported: HashSet<LeaseId>,
    memos: Memos,
    close: Close,
    planted: Planted,
}

/// How long the sinks are waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Close {
    /// No longer than this, once the run is to close.
    until: Option<Timestamp>,
    /// A batch could not be handed over any more. None that follows may be: the sequence is a prefix.
    cut_off: bool,
    closing: bool,
}

impl<T: Default> Ledger<T> {
    /// Nothing is on its way.
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

    /// Takes in one fact.
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
                if self.close.closing && self.is_all_written() {
                    // What is waited for now is the disk.
                    self.close.until = Some(now + SYNC_MAX);
                }
            }
            LedgerInput::Hurry => {
                self.close.until.get_or_insert(now + CLOSE_MAX);
            }
            LedgerInput::Waiting => self.close.cut_off |= self.close.until.is_some_and(|until| now >= until),
            LedgerInput::Close => {
                self.close.closing = true;
                self.close.until.get_or_insert(now + CLOSE_MAX);
            }
        }
        if !self.planted.is_sabotaged() {
            debug_assert_eq!(self.check(), Ok(()));
        }
    }

    /// A lease was reported; tells whether that counts. One that expired and was fetched again may be
    /// reported twice: the first counts.
    pub fn accept(&mut self, lease: LeaseId) -> bool {
        self.reported.insert(lease)
    }

    /// A lease is settled.
    pub fn settled(&mut self, lease: LeaseId) {
        self.reported.remove(&lease);
    }

    /// Numbers what some pages gave. `None` when it is not to be sent any more: then its pages are left.
    pub fn hand_over(&mut self, pages: usize, rows_bytes: usize, settles: T) -> Option<Numbered> {
        self.handed += 1;
        self.pages += pages;
        self.rows_bytes += rows_bytes;
        self.batches.push_back(Batch { sequence: self.handed, pages, rows_bytes, settles });
        let sync = self.syncing == Syncing::EachTime;
        (!self.close.cut_off).then_some(Numbered { sequence: self.handed, sync })
    }

    /// Begins a sync that is due: a batch of no page, which is on disk when it is written, and all before it.
    pub fn begin_sync(&mut self, now: Timestamp) -> Option<Numbered> {
        self.sync_due.take_if(|due| *due <= now)?;
        self.hand_over(0, 0, T::default()).map(|numbered| Numbered { sync: true, ..numbered })
    }

    /// The next batch that may be settled by now, with all before it.
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

    /// What hosts remember, to be kept in one commit; say so with [`MemosKept`](LedgerInput::MemosKept).
    pub fn memos(&mut self) -> Vec<(Host, Bytes)> {
        self.memos.take()
    }

    /// Passive hosts whose memo has been kept since the last call.
    pub fn confirmed(&mut self) -> Vec<(Host, Stamp)> {
        self.memos.confirmed()
    }

    /// Whether more may be taken on: the sinks have not too much before them, or are not waited for any more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.close.cut_off || (self.pages < UNWRITTEN_PAGES_MAX && self.rows_bytes < UNWRITTEN_BYTES_MAX)
    }

    /// Whether nothing that is handed over goes to the sinks any more.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.close.cut_off
    }

    /// Whether the sinks have written all that they were given.
    #[must_use]
    pub fn is_all_written(&self) -> bool {
        self.batches.back().is_none_or(|last| last.sequence <= self.written)
    }

    /// How pages are made to last.
    #[must_use]
    pub fn syncing(&self) -> Syncing {
        self.syncing
    }

    /// When [`begin_sync`](Self::begin_sync) is due.
    #[must_use]
    pub fn sync_due(&self) -> Option<Timestamp> {
        self.sync_due
    }

    /// Until when the sinks are waited for, once the run is to close.
    #[must_use]
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.close.until
    }

    /// Whether the invariants hold that can be seen from inside.
    ///
    /// # Errors
    /// The first that does not.
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

    /// Plants a bug.
    #[cfg(feature = "sabotage")]
    pub fn sabotage(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}

/// How long a sink that takes nothing may hold up the end.
const CLOSE_MAX: Duration = Duration::from_millis(1_500);
/// How long the disk may take to say that it has what was written.
const SYNC_MAX: Duration = Duration::from_secs(2);
/// What the sinks may have before them: pages, and bytes of their rows.
const UNWRITTEN_PAGES_MAX: usize = 128;
const UNWRITTEN_BYTES_MAX: usize = 8 << 20;
