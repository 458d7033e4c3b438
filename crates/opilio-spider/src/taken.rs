//! The names that pages of this run have taken: canonical URLs and contents. The first page with a name stands for
//! all later pages with the same name.

use std::collections::HashSet;

use opilio_core::{Ending, Fingerprint};

use crate::parsed::{EncodedItems, Parsed};

/// Names that are taken, at most a million. Pages with further names are not merged.
#[derive(Default)]
pub struct TakenNames(HashSet<u128>);

impl TakenNames {
    /// Makes a page an alias if another page has taken one of its names, and has the page take its names otherwise.
    /// The links of an alias count: if a site is wrong about names, this hides items and no page.
    ///
    /// Only a page that will be settled as a page may come here, so that none gives way to a page that fails. Whether
    /// the URL that a name stands for can be fetched does not matter.
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

    /// Whether a name is taken. A name that did not fit is not.
    fn has(&self, name: Fingerprint) -> bool {
        self.0.contains(&name.0)
    }

    /// Takes a name, if there is room.
    fn take(&mut self, name: Fingerprint) {
        if self.0.len() < NAMES_MAX && self.0.insert(name.0) && self.0.len() == NAMES_MAX {
            tracing::warn!(
                names = NAMES_MAX,
                "the crawl remembers no more canonical URLs: further pages with equal ones are not recognised"
            );
        }
    }
}

/// About 40 MB.
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
