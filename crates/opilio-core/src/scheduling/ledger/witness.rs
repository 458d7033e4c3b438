//! An observer that keeps its own record of a ledger and reports each broken invariant.

use std::collections::HashMap;

use bytes::Bytes;

use super::{LedgerInput, Numbered, Stamp};
use crate::name::Host;
use crate::record::LeaseId;
use crate::scheduling::invariants::SchedulingInvariant::{S1, S4, S6};
use crate::scheduling::invariants::{SchedulingViolation, ensure};

/// Checks which batches are settled, and which hosts are told that their memo is kept.
#[derive(Clone, Debug, Default)]
pub struct LedgerWitness {
    /// For each lease, the number of the batch in which its rows went to the sinks.
    handed: HashMap<LeaseId, u64>,
    written: u64,
    settled: u64,
    /// The latest memo of each host whose memo the store does not have yet.
    memos: HashMap<Host, Bytes>,
    /// The passivations that are not confirmed to their hosts yet, in three lists: the memo is not yet passed
    /// to the store (`leaving`), is being stored (`with_store`), or is stored (`kept`).
    leaving: Vec<(Host, Stamp)>,
    with_store: Vec<(Host, Stamp)>,
    kept: Vec<(Host, Stamp)>,
}

impl LedgerWitness {
    /// Records an input.
    pub fn hear(&mut self, input: &LedgerInput) {
        match input {
            LedgerInput::Memo { host, memo } => {
                self.memos.insert(host.clone(), memo.clone());
            }
            LedgerInput::Passivated { host, memo, stamp } => {
                self.memos.insert(host.clone(), memo.clone());
                self.leaving.push((host.clone(), *stamp));
            }
            LedgerInput::MemosKept => self.kept.append(&mut self.with_store),
            LedgerInput::Written(sequence) => self.written = self.written.max(*sequence),
            LedgerInput::Committed | LedgerInput::Hurry | LedgerInput::Waiting | LedgerInput::Close => {}
        }
    }

    /// Records the leases of a batch that was passed to the sinks. A batch that did not reach the sinks has
    /// no number and is never settled.
    pub fn handed(&mut self, numbered: Option<Numbered>, leases: &[LeaseId]) {
        let sequence = numbered.map_or(u64::MAX, |numbered| numbered.sequence);
        self.handed.extend(leases.iter().map(|lease| (*lease, sequence)));
    }

    /// Checks that a batch may be settled now.
    ///
    /// # Errors
    /// When an invariant is broken.
    pub fn settled(&mut self, sequence: u64, leases: &[LeaseId]) -> Result<(), SchedulingViolation> {
        let (written, before) = (self.written, self.settled);
        ensure(sequence <= written, S1, || format!("{sequence} is settled, {written} is written"))?;
        ensure(sequence == before + 1, S6, || format!("{sequence} is settled after {before}"))?;
        self.settled = sequence;
        for lease in leases {
            let handed = self.handed.remove(lease);
            let is_its = handed == Some(sequence);
            ensure(is_its, S1, || format!("{lease:?} is settled with {sequence}, and went with {handed:?}"))?;
        }
        Ok(())
    }

    /// Checks the memos that go to the store.
    ///
    /// # Errors
    /// When an invariant is broken.
    pub fn memos(&mut self, memos: &[(Host, Bytes)]) -> Result<(), SchedulingViolation> {
        let all: HashMap<_, _> = memos.iter().cloned().collect();
        let ours = std::mem::take(&mut self.memos);
        self.with_store.append(&mut self.leaving);
        ensure(all == ours, S4, || format!("{all:?} are kept, and not {ours:?}"))
    }

    /// Checks the confirmations that hosts get: a host may get one only after the store has kept its memo.
    ///
    /// # Errors
    /// When an invariant is broken.
    pub fn confirmed(&mut self, told: &[(Host, Stamp)]) -> Result<(), SchedulingViolation> {
        let kept = std::mem::take(&mut self.kept);
        ensure(told == kept, S4, || format!("{told:?} are told, and {kept:?} are kept"))
    }
}
