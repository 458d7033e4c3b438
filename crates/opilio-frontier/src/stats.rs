//! The books of a crawl, kept as counters so that nobody has to scan for them.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use opilio_core::{Reason, Timestamp};

use crate::batch::Filtered;

/// How many URLs are where, at one moment.
///
/// Of every URL exactly one is true: it was filtered, it ended (as a page, an alias or a failure),
/// or it is left. See [`FrontierStats::balances`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FrontierStats {
    /// Different URLs met, as seeds or outlinks.
    pub discovered: u64,
    /// Those of them that the crawl took on.
    pub admitted: u64,
    /// Those of them that it did not, by why.
    pub filtered: BTreeMap<Filtered, u64>,
    /// Ended as a page.
    pub pages: u64,
    /// Ended as another name of a URL that the crawl already knows.
    pub aliases: u64,
    /// Ended without a page, by reason.
    pub failures: BTreeMap<Reason, u64>,
    /// Not ended yet: due, waiting or out. A crawl is finished when this is 0.
    pub left: u64,
    /// Of those left: with a host, under a lease.
    pub out: u64,
    /// Of those left: not due before some later instant.
    pub waiting: u64,
    /// How often a URL was given back to be tried again later.
    pub retries: u64,
    /// How often a redirect was followed.
    pub redirects: u64,
    /// How often a page was made due again: from then on it is left, until it ends again.
    pub refreshed: u64,
    /// How often a failure was made due again.
    pub revived: u64,
    /// Hosts that the store knows.
    pub hosts: u64,
}

impl FrontierStats {
    /// All that were filtered, whatever the why.
    #[must_use]
    pub fn filtered_total(&self) -> u64 {
        self.filtered.values().sum()
    }

    /// All that ended as failures, whatever the reason.
    #[must_use]
    pub fn failures_total(&self) -> u64 {
        self.failures.values().sum()
    }

    /// A URL that was filtered is taken on after all.
    pub(crate) fn unfilter(&mut self, why: Filtered) {
        take_one(&mut self.filtered, why);
    }

    /// A URL that was taken on and is left is filtered after all.
    pub(crate) fn put_off(&mut self, why: Filtered) {
        self.admitted = self.admitted.saturating_sub(1);
        self.left = self.left.saturating_sub(1);
        *self.filtered.entry(why).or_default() += 1;
    }

    /// A failure is due again.
    pub(crate) fn revive(&mut self, reason: Reason) {
        take_one(&mut self.failures, reason);
        self.left += 1;
        self.revived += 1;
    }

    /// A page is due again.
    pub(crate) fn refresh(&mut self) {
        self.pages = self.pages.saturating_sub(1);
        self.left += 1;
        self.refreshed += 1;
    }

    /// Whether `discovered = filtered + admitted` and
    /// `admitted = pages + aliases + failures + left`.
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

/// A URL that ended without a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The URL as it was discovered: the origin's, when it failed behind redirects.
    pub url: Arc<str>,
    /// The stable word for why.
    pub reason: Reason,
    /// Attempts that it used up.
    pub attempts: u16,
    /// When.
    pub ended: Timestamp,
    /// What is known of the why beyond its word.
    pub cause: Cause,
    /// The caller's data of the record that failed.
    pub extra: Bytes,
}

/// What is known of a failure beyond its reason.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cause {
    /// The status of the last answer, where there was one.
    pub status: Option<u16>,
    /// What went wrong, in words; [`Cause::new`] keeps the first 300 bytes or so.
    pub error: Option<Box<str>>,
}

impl Cause {
    /// A cause, its words cut to a bound: a server may have a say in them.
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

/// Of an error's words.
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
