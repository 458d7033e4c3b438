//! Counts how often a field of a struct had a value.

use std::fmt;

use serde::Serialize;

/// Counts how often a field was read, by what was found for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct FieldCounts {
    /// The field got a value from the page. For a list: at least one value.
    pub filled: u64,
    /// The page had no value for the field, and the field has no default; or its value is an empty text.
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

    /// Returns whether at least this share of the values, from 0 to 1, is filled. Returns `false` if the field was
    /// never read.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of pages are far below 2^52")]
    pub fn is_filled(self, share: f64) -> bool {
        let total = self.total() as f64;
        // The tolerance is below one value. Without it, 7 of 100 would be less than 0.07, which no float is exactly.
        total > 0.0 && self.filled as f64 >= share * total - 1e-9 * total
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

/// Prints the share that is filled, rounded down: `99.2 % (1500 of 1512)`.
impl fmt::Display for FieldCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (filled, total) = (self.filled, self.total());
        let tenths = u128::from(filled) * 1_000 / u128::from(total.max(1));
        match (tenths / 10, tenths % 10) {
            (0, 0) if filled > 0 => f.write_str("under 0.1 %")?,
            (whole, 0) => write!(f, "{whole} %")?,
            (whole, tenth) => write!(f, "{whole}.{tenth} %")?,
        }
        write!(f, " ({filled} of {total})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(filled: u64, empty: u64) -> FieldCounts {
        FieldCounts { filled, empty, ..FieldCounts::default() }
    }

    #[test]
    fn a_share_is_rounded_down_so_that_only_all_is_all() {
        let shown = [(1_500, 12), (1, 0), (9_999, 1), (1, 5_000), (0, 0), (1, 1)];
        let shown = shown.map(|(filled, empty)| counts(filled, empty).to_string());
        assert_eq!(shown[..3], ["99.2 % (1500 of 1512)", "100 % (1 of 1)", "99.9 % (9999 of 10000)"]);
        assert_eq!(shown[3..], ["under 0.1 % (1 of 5001)", "0 % (0 of 0)", "50 % (1 of 2)"]);
    }

    #[test]
    fn a_share_that_no_float_is_exactly_is_met_by_its_count() {
        for of_100 in 0..=100_u32 {
            let share = f64::from(of_100) / 100.0;
            let filled = u64::from(of_100);
            assert!(counts(filled, 100 - filled).is_filled(share), "{of_100}");
            assert!(of_100 == 0 || !counts(filled - 1, 101 - filled).is_filled(share), "{of_100}");
        }
        assert!(!counts(0, 0).is_filled(0.0), "what was never read is not filled");
    }
}
