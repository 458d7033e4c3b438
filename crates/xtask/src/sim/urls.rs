//! The URLs of a simulated host: how many of them were assigned to the host, and which of them have ended.

use std::ops::Range;

use opilio_core::LeaseId;
use opilio_core::host::{Invariant, Violation};

/// The URLs of one host. They are numbered, starting with 0.
pub(super) struct Urls {
    count: u32,
    /// The number of the first URL that was not yet assigned to the host.
    fed: u32,
    /// Whether the scheduler has been asked for more URLs and has not yet assigned them.
    feeding: bool,
    /// One bit for each URL: 1 if it has ended.
    ended: Vec<u64>,
    ends: u32,
}

impl Urls {
    pub(super) fn new(count: u32) -> Self {
        Self { count, fed: 0, feeding: false, ended: vec![0; count as usize / 64 + 1], ends: 0 }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn have_ended(&self) -> bool {
        self.ends >= self.count
    }

    /// Returns whether the scheduler has to be asked for more URLs. If so, records that it was asked.
    pub(super) fn begin_feeding(&mut self) -> bool {
        let more = self.fed < self.count && !self.feeding;
        self.feeding |= more;
        more
    }

    /// Returns the numbers of at most `most` URLs that were not yet assigned to the host, and records that they are
    /// assigned.
    pub(super) fn feed(&mut self, most: u32) -> Range<u32> {
        let first = self.fed;
        self.fed += most.min(self.count - first);
        self.feeding = false;
        first..self.fed
    }

    /// Records that a URL ended, and checks invariant G4: each URL ends only once.
    pub(super) fn end(&mut self, lease: LeaseId) -> Result<(), Violation> {
        let (word, bit) = (lease.0 as usize / 64, 1 << (lease.0 % 64));
        if self.ended[word] & bit != 0 {
            return Err(Violation { invariant: Invariant::G4, text: format!("{lease:?} ends twice") });
        }
        self.ended[word] |= bit;
        self.ends += 1;
        Ok(())
    }
}
