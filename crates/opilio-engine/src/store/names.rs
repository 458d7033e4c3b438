//! Which canonical names are taken: the first page of each name stands for all that bear it.

use std::collections::HashSet;

use opilio_core::Fingerprint;

/// The names that a page of this run stands for. What is beyond the bound is not merged.
#[derive(Default)]
pub(crate) struct Names(HashSet<u128>);

impl Names {
    /// Takes a name; whether it was free. Once there is no room, every name is.
    pub(crate) fn take(&mut self, name: Fingerprint) -> bool {
        if self.0.len() >= NAMES_MAX {
            return !self.0.contains(&name.0);
        }
        if self.0.len() + 1 == NAMES_MAX {
            tracing::warn!(names = NAMES_MAX, "pages with further canonical names are not merged");
        }
        self.0.insert(name.0)
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
        assert!(names.take(Fingerprint(1)) && !names.take(Fingerprint(1)));
        (0..NAMES_MAX as u128).for_each(|n| {
            names.take(Fingerprint(n));
        });
        let beyond = Fingerprint(u128::MAX);
        assert!(names.take(beyond) && names.take(beyond));
        assert!(!names.take(Fingerprint(1)));
    }
}
