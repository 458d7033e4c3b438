//! How often a field is expected to have a value, and what is said if it has one less often.

use std::collections::BTreeMap;
use std::fmt;

use opilio_extract::FieldCounts;
use serde::Serialize;

/// The share of values in which a field is expected to be filled, over all runs of a crawl.
#[derive(Clone, PartialEq, Debug)]
pub struct Expectation {
    /// The field: `Product.price`, or `price` if no other struct has a field of this name.
    pub field: String,
    /// The share, from 0 to 1.
    pub share: f64,
}

/// An expectation that a crawl did not meet.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Shortfall {
    /// The field, as the expectation names it.
    pub field: String,
    /// The expected share, from 0 to 1.
    pub wanted: f64,
    /// How often the field was filled.
    pub filled: u64,
    /// How often the field was read.
    pub total: u64,
    /// In what way the expectation was not met.
    pub why: ShortfallReason,
    /// The names of the fields of the crawl, or those that the expectation could mean; only if the expectation does not
    /// name exactly one field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// The ways in which an expectation can be missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortfallReason {
    /// The field was filled less often.
    Less,
    /// No value of the struct was found.
    Unread,
    /// No field has the name.
    Unknown,
    /// Several structs have a field of the name.
    Ambiguous,
}

impl Expectation {
    /// Returns whether the share is a number from 0 to 1.
    #[must_use]
    pub fn is_share(&self) -> bool {
        (0.0..=1.0).contains(&self.share)
    }

    /// Compares the expectation with what was found for each field, by the name `Struct.field`. Returns `None` if it
    /// is met.
    #[must_use]
    pub fn judge(&self, fields: &BTreeMap<String, FieldCounts>) -> Option<Shortfall> {
        let Self { field, share } = self;
        let is_meant =
            |name: &str| name == field || name.split_once('.').is_some_and(|(_, bare)| bare == field);
        let meant: Vec<&String> = fields.keys().filter(|name| is_meant(name)).collect();
        let missed = |counts: FieldCounts, why, names: Vec<&String>| Shortfall {
            field: field.clone(),
            wanted: *share,
            filled: counts.filled,
            total: counts.total(),
            why,
            names: names.into_iter().cloned().collect(),
        };
        let none = FieldCounts::default();
        match meant[..] {
            [] => Some(missed(none, ShortfallReason::Unknown, fields.keys().collect())),
            [name] => match fields[name] {
                counts if counts.total() == 0 => Some(missed(counts, ShortfallReason::Unread, vec![name])),
                counts if counts.is_filled(*share) => None,
                counts => Some(missed(counts, ShortfallReason::Less, Vec::new())),
            },
            _ => Some(missed(none, ShortfallReason::Ambiguous, meant)),
        }
    }
}

/// Prints the shortfall for people: `Product.price was filled in 40 % (2 of 5), and 98 % are expected`.
impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, wanted, filled, total, why, names } = self;
        let wanted = percent(*wanted);
        match why {
            ShortfallReason::Less => {
                let rest = total.saturating_sub(*filled);
                let found = FieldCounts { filled: *filled, empty: rest, ..FieldCounts::default() };
                write!(f, "{field} was filled in {found}, and {wanted} are expected")
            }
            ShortfallReason::Unread => {
                let name = names.first().unwrap_or(field);
                let owner = name.split_once('.').map_or(&**name, |(owner, _)| owner);
                write!(f, "{field} was never read, since no {owner} was found, and {wanted} are expected")
            }
            ShortfallReason::Unknown if names.is_empty() => {
                write!(f, "{field} is not a field of this crawl: no fields were read from any page")
            }
            ShortfallReason::Unknown => {
                write!(f, "{field} is not a field of this crawl, whose fields are {}", list(names))
            }
            ShortfallReason::Ambiguous => write!(f, "{field} could be each of {}", list(names)),
        }
    }
}

/// Returns the first names, and the number of the others.
fn list(names: &[String]) -> String {
    let (shown, more) = names.split_at(names.len().min(NAMES_SHOWN));
    match more.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Returns a share as it is written in a setting: `98 %`, `99.95 %`.
fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The most names of fields that a message lists.
const NAMES_SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(field: &str, share: f64) -> Option<String> {
        let counts = |filled, empty| FieldCounts { filled, empty, ..FieldCounts::default() };
        let fields = [
            ("Product.name", counts(5, 0)),
            ("Product.price", counts(2, 3)),
            ("Card.name", counts(0, 0)),
            ("Card.sku", counts(0, 0)),
        ];
        let fields = fields.map(|(name, counts)| (name.to_owned(), counts)).into();
        Expectation { field: field.to_owned(), share }.judge(&fields).map(|missed| missed.to_string())
    }

    #[test]
    fn an_expectation_is_met_or_says_what_was_found() {
        assert_eq!(judged("Product.name", 1.0), None);
        assert_eq!(judged("price", 0.4), None);
        let less = judged("price", 0.9995).unwrap_or_default();
        assert_eq!(less, "price was filled in 40 % (2 of 5), and 99.95 % are expected");
        let unread = judged("sku", 0.0).unwrap_or_default();
        assert_eq!(unread, "sku was never read, since no Card was found, and 0 % are expected");
    }

    #[test]
    fn a_name_that_is_no_field_or_two_says_which_there_are() {
        let unknown = judged("pric", 0.5).unwrap_or_default();
        let names = "Card.name, Card.sku, Product.name, Product.price";
        assert_eq!(unknown, format!("pric is not a field of this crawl, whose fields are {names}"));
        let two = judged("name", 0.5).unwrap_or_default();
        assert_eq!(two, "name could be each of Card.name, Product.name");
        let none = Expectation { field: "price".to_owned(), share: 0.5 }.judge(&BTreeMap::new());
        assert!(none.is_some_and(|missed| missed.to_string().contains("no fields were read from any page")));
    }
}
