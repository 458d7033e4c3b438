//! The editions of the shop: the same content in markup with other class names.

/// An edition of the shop. Both editions serve the same products at the same URLs; in the second, three classes
/// have other names, as after a redesign of a web site. A spider that was written for the first edition then finds
/// three fields no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edition {
    /// The edition with the classes `name`, `price` and `stock`.
    #[default]
    First,
    /// The edition in which these classes are called `title`, `amount` and `availability`.
    Second,
}

impl Edition {
    /// The names of the three classes in the first edition.
    pub const RENAMED: [&'static str; 3] = ["name", "price", "stock"];

    /// Returns the name that a class of the first edition has in this edition.
    pub fn class(self, first: &'static str) -> &'static str {
        match (self, first) {
            (Self::Second, "name") => "title",
            (Self::Second, "price") => "amount",
            (Self::Second, "stock") => "availability",
            (Self::First | Self::Second, other) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_edition_renames_three_classes() {
        for class in Edition::RENAMED {
            assert_eq!(Edition::First.class(class), class);
            assert_ne!(Edition::Second.class(class), class);
        }
        assert_eq!(Edition::Second.class("sku"), "sku");
    }
}
