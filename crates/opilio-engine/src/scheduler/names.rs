//! Which names are taken, canonical URLs and contents: the first page of each name stands for all that bear it.

use std::collections::HashSet;

use opilio_core::Fingerprint;

/// The names that a page of this run stands for. What is beyond the bound is not merged.
#[derive(Default)]
pub(crate) struct Names(HashSet<u128>);

impl Names {
    /// Whether a name is taken. Once there is no room, every other name is free.
    pub(crate) fn has(&self, name: Fingerprint) -> bool {
        self.0.contains(&name.0)
    }

    /// Takes a name, if there is room.
    pub(crate) fn take(&mut self, name: Fingerprint) {
        if self.0.len() < NAMES_MAX && self.0.insert(name.0) && self.0.len() == NAMES_MAX {
            tracing::warn!(names = NAMES_MAX, "pages with further names are not merged");
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
        let mut names = Names::default();
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
