//! Lines of the summary about fields: how often they were filled, and which expectations were not met.

use std::collections::{BTreeMap, BTreeSet};

use opilio_engine::{CrawlReport, FieldCounts, Shortfall};

/// Returns lines about the fields of the structs that the crawl read: one line if all of them are always filled, and
/// one more for each field that is not. Returns nothing for a crawl that read no struct.
pub(crate) fn lines(coverage: &BTreeMap<String, FieldCounts>) -> Vec<String> {
    if coverage.is_empty() {
        return Vec::new();
    }
    let (unread, read): (Vec<_>, Vec<_>) = coverage.iter().partition(|(_, counts)| counts.total() == 0);
    let mut partly: Vec<_> = read.iter().filter(|(_, counts)| counts.filled < counts.total()).collect();
    partly.sort_by(|(_, one), (_, other)| share(**one).total_cmp(&share(**other)));
    let structs: BTreeSet<&str> = unread.iter().map(|(name, _)| owner(name)).collect();

    let always = match (partly.len(), read.len()) {
        (_, 0) => Vec::new(),
        (0, 1) => vec!["  fields: the only one was always filled".to_owned()],
        (0, all) => vec![format!("  fields: all {all} were always filled")],
        (partly, all) => vec![format!("  fields: {} of {all} were always filled", all - partly)],
    };
    let shown = partly.iter().take(FIELDS_SHOWN);
    let fields =
        shown.map(|(name, counts)| format!("    {} {counts}{}", short(name, coverage), rest(**counts)));
    let more = partly.len().saturating_sub(FIELDS_SHOWN);
    let more = (more > 0).then(|| format!("    and {more} more that were not always filled"));
    let absent = structs.iter().take(FIELDS_SHOWN).map(|name| format!("  fields: no {name} was found"));
    always.into_iter().chain(fields).chain(more).chain(absent).collect()
}

/// Returns the error line about the expectations that were not met; `None` if all of them were met.
pub(crate) fn error(report: &CrawlReport) -> Option<String> {
    missed(report).map(|missed| format!("error: {missed}"))
}

/// Returns a line of the summary about these expectations, for a crawl whose error line is about something else.
pub(crate) fn unmet(report: &CrawlReport) -> Option<String> {
    missed(report).map(|missed| format!("  {missed}"))
}

fn missed(report: &CrawlReport) -> Option<String> {
    let missed: Vec<String> = report.shortfalls.iter().map(Shortfall::to_string).collect();
    (!missed.is_empty()).then(|| format!("not what --expect asks for: {}", missed.join("; ")))
}

/// Returns the bare name of a field if no other struct has a field of this name, and else its full name.
fn short<'n>(name: &'n str, coverage: &BTreeMap<String, FieldCounts>) -> &'n str {
    let bare = bare(name);
    let count = coverage.keys().filter(|other| self::bare(other) == bare).count();
    if count == 1 { bare } else { name }
}

/// Says what was found instead of values.
fn rest(counts: FieldCounts) -> String {
    let FieldCounts { empty, defaulted, unreadable, .. } = counts;
    let words = [(empty, "empty"), (defaulted, "by default"), (unreadable, "unreadable")];
    let words = words.iter().filter(|(count, _)| *count > 0);
    words.map(|(count, word)| format!(", {count} {word}")).collect()
}

fn bare(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, bare)| bare)
}

fn owner(name: &str) -> &str {
    name.split_once('.').map_or(name, |(owner, _)| owner)
}

/// Returns the share that is filled, for sorting.
#[expect(clippy::cast_precision_loss, reason = "counts of pages are far below 2^52")]
fn share(counts: FieldCounts) -> f64 {
    counts.filled as f64 / counts.total().max(1) as f64
}

/// The most fields, and the most structs, that the summary names.
const FIELDS_SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(fields: &[(&str, [u64; 4])]) -> BTreeMap<String, FieldCounts> {
        let counts = |[filled, empty, defaulted, unreadable]: [u64; 4]| FieldCounts {
            filled,
            empty,
            defaulted,
            unreadable,
        };
        fields.iter().map(|(name, found)| ((*name).to_owned(), counts(*found))).collect()
    }

    #[test]
    fn fields_that_are_always_filled_take_one_line() {
        assert!(lines(&coverage(&[])).is_empty());
        let all = coverage(&[("Product.name", [9, 0, 0, 0]), ("Product.price", [9, 0, 0, 0])]);
        assert_eq!(lines(&all), ["  fields: all 2 were always filled"]);
    }

    #[test]
    fn fields_that_are_not_always_filled_are_named_the_emptiest_first() {
        let some = coverage(&[
            ("Product.name", [1512, 0, 0, 0]),
            ("Product.price", [1500, 9, 0, 3]),
            ("Product.stock", [700, 0, 812, 0]),
            ("Shop.name", [0, 1, 0, 0]),
            ("Card.name", [0, 0, 0, 0]),
            ("Card.sku", [0, 0, 0, 0]),
        ]);
        assert_eq!(
            lines(&some),
            [
                "  fields: 1 of 4 were always filled",
                "    Shop.name 0 % (0 of 1), 1 empty",
                "    stock 46.2 % (700 of 1512), 812 by default",
                "    price 99.2 % (1500 of 1512), 9 empty, 3 unreadable",
                "  fields: no Card was found",
            ]
        );
    }

    #[test]
    fn the_lines_are_few_however_many_fields_there_are() {
        let names: Vec<String> = (0..4_000).map(|n| format!("S{n}.f{n}")).collect();
        let many: Vec<(&str, [u64; 4])> =
            names.iter().enumerate().map(|(n, name)| (name.as_str(), [0, (n % 2) as u64, 0, 0])).collect();
        let lines = lines(&coverage(&many));
        assert_eq!(lines.len(), 2 + 2 * FIELDS_SHOWN);
        assert_eq!(lines[9], "    and 1992 more that were not always filled");
    }
}
