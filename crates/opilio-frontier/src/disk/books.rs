//! The counters of the store, in the form in which every commit writes them. Because they are stored, opening a store
//! does not have to count anything.

use crate::batch::Filtered;
use crate::encode::{Reader, put_varint};
use crate::levels::Depths;
use crate::stats::FrontierStats;

/// All stored counters except two: the number of failures of each reason is stored under a key of its own, because it
/// seldom changes, and the number of leases is not stored.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredBooks {
    pub(super) stats: FrontierStats,
    /// The number of commits that the store has made in all runs.
    pub(super) commits: u64,
    /// The number of admissions so far. The next record that is admitted has this number as its age.
    pub(super) next_age: u64,
    /// The number that the next failure gets.
    pub(super) next_failure: u64,
    /// The number of the oldest failure that is still in the list of failures, or `next_failure` if that list is
    /// empty.
    pub(super) first_failure: u64,
    /// The number that the next page of the history gets.
    pub(super) next_page: u64,
    /// For each depth, the number of URLs that have not ended.
    pub(super) depths: Depths,
}

impl StoredBooks {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        for number in [
            self.commits,
            self.next_age,
            self.next_failure,
            self.first_failure,
            self.next_page,
            self.stats.discovered,
            self.stats.admitted,
            self.stats.pages,
            self.stats.aliases,
            self.stats.left,
            self.stats.waiting,
            self.stats.retries,
            self.stats.redirects,
            self.stats.refreshed,
            self.stats.revived,
            self.stats.hosts,
            Filtered::ALL.len() as u64,
        ] {
            put_varint(number, &mut out);
        }
        for why in Filtered::ALL {
            put_varint(self.stats.filtered.get(why).copied().unwrap_or(0), &mut out);
        }
        put_varint(self.depths.counts().len() as u64, &mut out);
        for count in self.depths.counts() {
            put_varint(*count, &mut out);
        }
        out
    }

    /// Reads the counters. Returns `None` when the bytes are damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let mut books = Self::default();
        for number in [
            &mut books.commits,
            &mut books.next_age,
            &mut books.next_failure,
            &mut books.first_failure,
            &mut books.next_page,
            &mut books.stats.discovered,
            &mut books.stats.admitted,
            &mut books.stats.pages,
            &mut books.stats.aliases,
            &mut books.stats.left,
            &mut books.stats.waiting,
            &mut books.stats.retries,
            &mut books.stats.redirects,
            &mut books.stats.refreshed,
            &mut books.stats.revived,
            &mut books.stats.hosts,
        ] {
            *number = from.varint()?;
        }
        let whys = usize::try_from(from.varint()?).ok()?;
        for why in Filtered::ALL.get(..whys)? {
            let count = from.varint()?;
            if count > 0 {
                books.stats.filtered.insert(*why, count);
            }
        }
        // A store that an earlier version wrote has no counts of depths.
        if !from.0.is_empty() {
            let depths = from.varint()?;
            let counts = (0..depths).map_while(|_| from.varint()).collect::<Vec<_>>();
            books.depths = Depths::of_counts(counts).filter(|read| read.counts().len() as u64 == depths)?;
        }
        from.0.is_empty().then_some(books)
    }
}
