//! The URLs of a simulated host: which of them the host was given, and which have ended.

use std::ops::Range;

use opilio_core::LeaseId;
use opilio_core::host::{Invariant, Violation};

/// The URLs of one host, numbered from 0 on.
pub(super) struct Urls {
    count: u32,
    /// The host was given the URLs before this one.
    fed: u32,
    /// The scheduler is about to bring more.
    feeding: bool,
    /// One bit for each URL that has ended.
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

    /// Whether the scheduler has to bring more; it is about to do so afterwards.
    pub(super) fn begin_feeding(&mut self) -> bool {
        let more = self.fed < self.count && !self.feeding;
        self.feeding |= more;
        more
    }

    /// Takes at most so many URLs that the host was not given.
    pub(super) fn feed(&mut self, most: u32) -> Range<u32> {
        let first = self.fed;
        self.fed += most.min(self.count - first);
        self.feeding = false;
        first..self.fed
    }

    /// G4: a URL ends once.
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
