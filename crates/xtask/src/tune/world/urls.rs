//! The URLs of a run: which of them the host may get next, and how each ended.

use std::collections::VecDeque;
use std::ops::Range;

use opilio_core::host::Delivery;

/// How a URL ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) delivery: Delivery,
    /// The number of attempts that the report gives.
    pub(crate) attempts: u16,
}

/// The URLs of a run, numbered from 0 on.
pub(super) struct UrlSet {
    /// The URLs that are known but not assigned to the host yet.
    unassigned: VecDeque<u64>,
    /// How many more leases the host has asked for.
    credit: usize,
    /// How many of the first URLs are listings: pages that link to the other URLs, in equal parts. With 0 all URLs
    /// are seeds.
    listings: u64,
    /// How each URL ended, by its number; `None` if it did not.
    pub(super) ends: Vec<Option<End>>,
    /// How many URLs ended as pages.
    pub(super) pages: usize,
    /// How many URLs ended in another way although they had retries left.
    pub(super) failures: usize,
    /// How many URLs ended in another way after all their retries.
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

    /// Returns how many URLs have not ended.
    pub(super) fn left(&self) -> usize {
        self.ends.iter().filter(|end| end.is_none()).count()
    }

    /// Records how many leases the host asks for.
    pub(super) fn ask(&mut self, credit: usize) {
        self.credit = credit;
    }

    /// Removes and returns the URLs to assign to the host now: at most as many as it asked for.
    pub(super) fn feed(&mut self) -> Vec<u64> {
        let count = self.unassigned.len().min(self.credit);
        if count > 0 {
            self.credit = 0;
        }
        self.unassigned.drain(..count).collect()
    }

    /// Records how a URL ended; returns false if the URL had ended before.
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

    /// Returns the depth of a URL: 1 if it is found on a listing, else 0.
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
