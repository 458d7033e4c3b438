//! The URLs of a run: which of them the host may have, and how each ended.

use std::collections::VecDeque;
use std::ops::Range;

use opilio_core::host::Delivery;

/// How a URL ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) delivery: Delivery,
    /// Attempts, as the report has them.
    pub(crate) attempts: u16,
}

/// The URLs of a run, numbered from 0 on.
pub(super) struct UrlSet {
    /// URLs that the scheduler has not assigned yet.
    unassigned: VecDeque<u64>,
    /// Room for leases that the host has requested.
    credit: usize,
    /// The first URLs are listings, on which the others are found in equal parts. With 0 all URLs are seeds.
    listings: u64,
    /// How each URL ended.
    pub(super) ends: Vec<Option<End>>,
    /// URLs that ended as pages.
    pub(super) pages: usize,
    /// URLs that ended otherwise, with attempts left.
    pub(super) failures: usize,
    /// URLs that failed by themselves as often as they may.
    exhausted: usize,
}

impl UrlSet {
    pub(super) fn new(count: u64, listings: u64) -> Self {
        let listed = if listings == 0 { count } else { listings.min(count) };
        Self {
            unassigned: (0..listed).collect(),
            credit: 0,
            listings,
            ends: vec![None; count as usize],
            pages: 0,
            failures: 0,
            exhausted: 0,
        }
    }

    pub(super) fn have_ended(&self) -> bool {
        self.pages + self.failures + self.exhausted == self.ends.len()
    }

    /// How many have not ended.
    pub(super) fn left(&self) -> usize {
        self.ends.iter().filter(|end| end.is_none()).count()
    }

    /// The host asks for so many.
    pub(super) fn ask(&mut self, credit: usize) {
        self.credit = credit;
    }

    /// Takes what the host has room for.
    pub(super) fn feed(&mut self) -> Vec<u64> {
        let count = self.unassigned.len().min(self.credit);
        if count > 0 {
            self.credit = 0;
        }
        self.unassigned.drain(..count).collect()
    }

    /// Records how a URL ended; false if it had ended before.
    pub(super) fn end(&mut self, id: u64, end: End, retries: u16) -> bool {
        let first = self.ends[id as usize].replace(end).is_none();
        if end.delivery == Delivery::Page {
            self.pages += 1;
            self.unassigned.extend(self.found_on(id));
        } else if end.attempts > retries {
            self.exhausted += 1;
        } else {
            self.failures += 1;
        }
        first
    }

    /// 1 for a URL that is found on a listing.
    pub(super) fn depth(&self, id: u64) -> u16 {
        u16::from(self.listings > 0 && id >= self.listings)
    }

    /// The URLs that a listing leads to.
    fn found_on(&self, id: u64) -> Range<u64> {
        if id >= self.listings {
            return 0..0;
        }
        let others = self.ends.len() as u64 - self.listings;
        let first = |id: u64| self.listings + others * id / self.listings;
        first(id)..first(id + 1)
    }
}
