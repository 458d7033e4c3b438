//! The numbers of a crawl's URLs by state ("the books"). They are kept up to date as counters, so that reading them
//! needs no scan.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use opilio_core::{Reason, Timestamp};

use crate::batch::Filtered;

/// The numbers of URLs by state, at one moment.
///
/// Each URL is in exactly one state: filtered, ended (as a page, an alias or a failure), or left. See
/// [`FrontierStats::balances`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FrontierStats {
    /// The number of distinct URLs that were discovered, as seeds or links.
    pub discovered: u64,
    /// The number of discovered URLs that the crawl admitted.
    pub admitted: u64,
    /// The number of discovered URLs that the crawl filtered, by reason.
    pub filtered: BTreeMap<Filtered, u64>,
    /// The number of URLs that ended as a page.
    pub pages: u64,
    /// The number of URLs that ended as an alias: the URL leads to a page that the crawl has under another URL.
    pub aliases: u64,
    /// The number of URLs that failed, by reason.
    pub failures: BTreeMap<Reason, u64>,
    /// The number of admitted URLs that have not ended: due, due later, waiting for a known URL, or leased. A
    /// crawl is finished when this is 0.
    pub left: u64,
    /// The number of the URLs in `left` that are leased.
    pub out: u64,
    /// The number of the URLs in `left` that are due later or wait for a known URL.
    pub waiting: u64,
    /// The number of times that a URL was returned to the store for a later attempt.
    pub retries: u64,
    /// The number of times that a redirect was followed.
    pub redirects: u64,
    /// The number of times that a page was made due again. From then on the page counts in `left` until it ends
    /// again.
    pub refreshed: u64,
    /// The number of times that a failure was made due again.
    pub revived: u64,
    /// The number of hosts that the store knows.
    pub hosts: u64,
}

impl FrontierStats {
    /// Returns the number of filtered URLs, as the sum over all reasons.
    #[must_use]
    pub fn filtered_total(&self) -> u64 {
        self.filtered.values().sum()
    }

    /// Returns the number of failures, as the sum over all reasons.
    #[must_use]
    pub fn failures_total(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Moves a URL from filtered to admitted.
    pub(crate) fn unfilter(&mut self, why: Filtered) {
        take_one(&mut self.filtered, why);
    }

    /// Moves an admitted URL from `left` to the filtered URLs.
    pub(crate) fn put_off(&mut self, why: Filtered) {
        self.admitted = self.admitted.saturating_sub(1);
        self.left = self.left.saturating_sub(1);
        *self.filtered.entry(why).or_default() += 1;
    }

    /// Moves a URL from the failures to `left`, because it is due again.
    pub(crate) fn revive(&mut self, reason: Reason) {
        take_one(&mut self.failures, reason);
        self.left += 1;
        self.revived += 1;
    }

    /// Moves a URL from the pages to `left`, because it is due again.
    pub(crate) fn refresh(&mut self) {
        self.pages = self.pages.saturating_sub(1);
        self.left += 1;
        self.refreshed += 1;
    }

    /// Returns whether `discovered = filtered + admitted` and `admitted = pages + aliases + failures + left`.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.discovered == self.filtered_total() + self.admitted
            && self.admitted == self.pages + self.aliases + self.failures_total() + self.left
    }
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, u64>, of: K) {
    if let Entry::Occupied(mut count) = counts.entry(of) {
        *count.get_mut() = count.get().saturating_sub(1);
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// A URL that failed, with the data about its failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The URL as it was discovered. If the target of a redirect failed, this is the URL where the redirects began.
    pub url: Arc<str>,
    /// Why the URL failed.
    pub reason: Reason,
    /// The number of attempts that were made.
    pub attempts: u16,
    /// The time at which the URL failed.
    pub ended: Timestamp,
    /// The HTTP status and the error text of the failure.
    pub cause: Cause,
    /// The caller's data in the record that failed.
    pub extra: Bytes,
}

/// The HTTP status and the error text of a failure.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cause {
    /// The HTTP status of the last response, if there was a response.
    pub status: Option<u16>,
    /// The error text; [`Cause::new`] keeps about the first 300 bytes.
    pub error: Option<Box<str>>,
}

impl Cause {
    /// Builds a cause. Cuts the error text to a maximum length, because a server can influence the text.
    #[must_use]
    pub fn new(status: Option<u16>, error: Option<&str>) -> Self {
        let error = error.filter(|error| !error.is_empty());
        let error = error.map(|error| match error.get(..error.floor_char_boundary(ERROR_BYTES)) {
            Some(start) if start.len() < error.len() => format!("{start}\u{2026}").into(),
            _ => error.into(),
        });
        Self { status, error }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The most bytes of an error text that are kept: enough for a message, because every failure in the store may have a
/// text.
const ERROR_BYTES: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_cause_have_a_bound_and_end_at_a_character() {
        let long = "é".repeat(ERROR_BYTES);
        let error = Cause::new(None, Some(&long)).error.unwrap_or_default();
        assert!(error.len() <= ERROR_BYTES + 3 && error.ends_with("é…"), "{error}");
        assert_eq!(Cause::new(None, Some("")), Cause::default());
    }
}
