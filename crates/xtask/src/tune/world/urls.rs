//! The URLs of a simulated run: which of them the host may get next, and how each of them ended.

use std::collections::VecDeque;
use std::ops::Range;

use opilio_core::host::Delivery;

/// The ending of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) delivery: Delivery,
    /// The number of attempts, as the host reported it.
    pub(crate) attempts: u16,
}

/// The URLs of a run. They are numbered, starting with 0.
pub(super) struct UrlSet {
    /// The URLs that the crawler knows and that are not yet assigned to the host.
    unassigned: VecDeque<u64>,
    /// The number of further leases that the host has asked for.
    credit: usize,
    /// The number of listings: the first URLs are pages that link to the other URLs, each to an equal part of them.
    /// With 0, all URLs are seeds.
    listings: u64,
    /// For each URL, by its number, how it ended. `None` if it did not end.
    pub(super) ends: Vec<Option<End>>,
    /// The number of URLs that ended as pages.
    pub(super) pages: usize,
    /// The number of URLs that did not end as pages although they had retries left.
    pub(super) failures: usize,
    /// The number of URLs that did not end as pages after all their retries.
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

    /// Returns the number of URLs that have not ended.
    pub(super) fn left(&self) -> usize {
        self.ends.iter().filter(|end| end.is_none()).count()
    }

    /// Records the number of leases that the host asks for.
    pub(super) fn ask(&mut self, credit: usize) {
        self.credit = credit;
    }

    /// Removes and returns the URLs to assign to the host now: at most as many as the host asked for.
    pub(super) fn feed(&mut self) -> Vec<u64> {
        let count = self.unassigned.len().min(self.credit);
        if count > 0 {
            self.credit = 0;
        }
        self.unassigned.drain(..count).collect()
    }

    /// Records how a URL ended. Returns false if the URL had ended before.
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

    /// Returns the depth of a URL: 1 if a listing links to it, and otherwise 0.
    pub(super) fn depth(&self, id: u64) -> u16 {
        u16::from(self.listings > 0 && id >= self.listings)
    }

    /// Returns the numbers of the URLs that a listing links to.
    fn found_on(&self, id: u64) -> Range<u64> {
        if id >= self.listings {
            return 0..0;
        }
        let others = self.ends.len() as u64 - self.listings;
        let first = |id: u64| self.listings + others * id / self.listings;
        first(id)..first(id + 1)
    }
}
