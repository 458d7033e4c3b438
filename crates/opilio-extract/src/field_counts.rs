//! Counts how often a field of a struct had a value.

use serde::{Deserialize, Serialize};

/// Counts how often a field was read, by what was found for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FieldCounts {
    /// The field got a value from the page. For a list: at least one value.
    pub filled: u64,
    /// The page had no value for the field, and the field has no default.
    pub empty: u64,
    /// The page had no value for the field, so that the field got its default.
    pub defaulted: u64,
    /// The page had something for the field that could not be read as a value.
    pub unreadable: u64,
}

impl FieldCounts {
    /// Returns how often the field was read.
    #[must_use]
    pub fn total(self) -> u64 {
        let Self { filled, empty, defaulted, unreadable } = self;
        filled.saturating_add(empty).saturating_add(defaulted).saturating_add(unreadable)
    }

    /// Returns the sum of each count of `self` and `other`.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            filled: self.filled.saturating_add(other.filled),
            empty: self.empty.saturating_add(other.empty),
            defaulted: self.defaulted.saturating_add(other.defaulted),
            unreadable: self.unreadable.saturating_add(other.unreadable),
        }
    }
}
