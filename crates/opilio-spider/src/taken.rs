//! Remembers the canonical URLs and the contents of the pages of this run. The code calls both "names". The first
//! page with a name is kept as a page; all later pages with the same name end as aliases of that page.

use std::collections::HashSet;

use opilio_core::{Ending, Fingerprint};

use crate::parsed::{EncodedItems, Parsed};

/// The names (canonical URLs and page contents) of the pages so far, at most about a million. When the table is full,
/// new names are not added, and duplicates with such a name are not recognised.
#[derive(Default)]
pub struct TakenNames(HashSet<u128>);

impl TakenNames {
    /// Makes a page an alias, without items, if an earlier page has one of its names. Otherwise records the names of
    /// the page. The links of an alias are still followed. So if a site states wrong canonical URLs, the crawl loses
    /// items of that site but finds all its pages.
    ///
    /// Call this only for a page that will end as a page; otherwise other pages could become aliases of a page that
    /// fails. A canonical URL is recorded even if that URL itself cannot be fetched.
    #[must_use]
    pub fn merge(&mut self, mut page: Parsed) -> Parsed {
        let names = std::mem::take(&mut page.names);
        let own: Vec<_> = names.iter().map(|name| name.fingerprint).collect();
        let taken = names.iter().position(|name| self.has(name.fingerprint));
        match taken.and_then(|at| names.into_iter().nth(at)) {
            Some(name) => {
                page.ending = Ending::Alias;
                page.items = EncodedItems { count: 0, rows: name.alias_rows };
            }
            None => own.into_iter().for_each(|name| self.take(name)),
        }
        page
    }

    /// Returns whether an earlier page has this name. Names that were not added because the table was full
    /// are not found.
    fn has(&self, name: Fingerprint) -> bool {
        self.0.contains(&name.0)
    }

    /// Records a name, if the table has room. Logs a warning when the table becomes full.
    fn take(&mut self, name: Fingerprint) {
        if self.0.len() < NAMES_MAX && self.0.insert(name.0) && self.0.len() == NAMES_MAX {
            tracing::warn!(
                names = NAMES_MAX,
                "the table of canonical URLs and page contents is full: pages with a new canonical URL or content are no longer recognised as duplicates of each other"
            );
        }
    }
}

/// The most names that are kept. They take about 40 MB.
const NAMES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once_and_what_does_not_fit_is_free() {
        let mut names = TakenNames::default();
        names.take(Fingerprint(1));
        assert!(names.has(Fingerprint(1)) && !names.has(Fingerprint(2)));
        (0..NAMES_MAX as u128).for_each(|n| {
            names.take(Fingerprint(n));
        });
        let beyond = Fingerprint(u128::MAX);
        names.take(beyond);
        assert!(!names.has(beyond) && names.has(Fingerprint(1)));
    }
}
