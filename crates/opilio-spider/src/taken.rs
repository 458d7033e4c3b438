//! The names that pages of this run have taken: canonical URLs and contents. The first page with a name stands for
//! all later pages with the same name.

use std::collections::HashSet;

use opilio_core::Fingerprint;

/// Names that are taken, at most a million. Pages with further names are not merged.
#[derive(Default)]
pub struct TakenNames(HashSet<u128>);

impl TakenNames {
    /// Whether a name is taken. A name that did not fit is not.
    #[must_use]
    pub fn has(&self, name: Fingerprint) -> bool {
        self.0.contains(&name.0)
    }

    /// Takes a name, if there is room.
    pub fn take(&mut self, name: Fingerprint) {
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
