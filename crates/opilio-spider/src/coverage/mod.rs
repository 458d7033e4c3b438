//! The coverage of fields: how often each field of the structs that a spider reads had a value.
//!
//! `parse` is counted page by page ([`PageCoverage`]). The counts travel in the result of the page, and are added to
//! those of the crawl ([`CrawlCoverage`]) when the page is settled, in the same commit. So they add up exactly, however
//! often a crawl is killed and resumed. [`Expectation`] says how often a field is expected to have a value.

mod expectation;

use std::collections::BTreeMap;

use bytes::Bytes;
use opilio_core::Ending;
use opilio_extract::FieldCounts;
use opilio_frontier::Frontier;
use serde::{Deserialize, Serialize};

use crate::error::CrawlError;

pub use expectation::{Expectation, Shortfall, ShortfallReason};

/// What `parse` found for the fields of the structs that it read from one page, or from several pages.
#[derive(Clone, Debug, Default)]
pub struct PageCoverage {
    structs: Vec<StructCounts>,
}

#[derive(Clone, Debug)]
struct StructCounts {
    name: &'static str,
    fields: Vec<(&'static str, FieldCounts)>,
}

impl PageCoverage {
    /// Runs `work`, and counts what it finds for the fields of structs.
    #[cfg(feature = "derive")]
    pub fn during<R>(work: impl FnOnce() -> R) -> (R, Self) {
        let (result, coverage) = opilio_extract::typed::coverage::during(work);
        let structs = coverage.structs().iter().map(|all| StructCounts {
            name: all.plan().name,
            fields: all.fields().map(|(field, counts)| (field.name, counts)).collect(),
        });
        (result, Self { structs: structs.collect() })
    }

    /// Runs `work`. Without the feature `derive` no structs are read.
    #[cfg(not(feature = "derive"))]
    pub fn during<R>(work: impl FnOnce() -> R) -> (R, Self) {
        (work(), Self::default())
    }

    /// Adds the counts of another page.
    pub fn add(&mut self, other: Self) {
        for more in other.structs {
            match self.structs.iter_mut().find(|known| known.is_like(&more)) {
                Some(known) => {
                    for ((_, all), (_, more)) in known.fields.iter_mut().zip(more.fields) {
                        *all = all.plus(more);
                    }
                }
                None => self.structs.push(more),
            }
        }
    }
}

impl StructCounts {
    /// Returns whether both have the same fields in the same order.
    fn is_like(&self, other: &Self) -> bool {
        let (one, other_fields) = (&self.fields, &other.fields);
        self.name == other.name
            && one.len() == other_fields.len()
            && one.iter().zip(other_fields).all(|((one, _), (other, _))| one == other)
    }
}

/// The coverage of several pages, by how these pages ended.
#[derive(Debug, Default)]
pub struct EndedCoverage {
    pages: PageCoverage,
    failures: PageCoverage,
}

impl EndedCoverage {
    /// Adds the coverage of a page that ended in this way. That of an alias is dropped, as its items are.
    pub fn add(&mut self, ending: &Ending, page: PageCoverage) {
        match ending {
            Ending::Page => self.pages.add(page),
            Ending::Failed(_) => self.failures.add(page),
            Ending::Alias | Ending::Redirected | Ending::Retry { .. } | Ending::Return => {}
        }
    }
}

/// How often a value was found for each field, in all runs of a crawl. The fields are named `Struct.field`.
#[derive(Clone, Debug, Default)]
pub struct CrawlCoverage {
    pages: BTreeMap<String, FieldCounts>,
    /// The counts of pages that ended as failures, because `parse` returned an error or panicked. They are kept apart,
    /// since these pages may be read again in a later run.
    failures: BTreeMap<String, FieldCounts>,
    /// Whether the counts differ from those in the store.
    is_changed: bool,
    is_full: bool,
}

impl CrawlCoverage {
    /// Reads the counts of earlier runs.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read(frontier: &dyn Frontier) -> Result<Self, CrawlError> {
        // A later version may have written this note in another form. If it cannot be read, the counts begin at 0.
        let note = frontier.note(COVERAGE)?;
        let note: Option<CoverageNote<String, Vec<u64>>> =
            note.and_then(|note| serde_json::from_slice(&note).ok());
        let CoverageNote { pages, failures } = note.unwrap_or_default();
        let counts = |kept: BTreeMap<String, Vec<u64>>| {
            kept.into_iter().take(FIELDS_MAX).map(|(name, counts)| (name, of_note(&counts))).collect()
        };
        Ok(Self { pages: counts(pages), failures: counts(failures), is_changed: false, is_full: false })
    }

    /// Gives the counts to the store, which saves them with its next commit. Does nothing if the store has them.
    pub fn keep(&mut self, frontier: &mut dyn Frontier) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        let note = CoverageNote { pages: to_note(&self.pages), failures: to_note(&self.failures) };
        // JSON can hold every value of this type, so this error never occurs.
        let note = serde_json::to_vec(&note).unwrap_or_default();
        frontier.keep_note(COVERAGE, Bytes::from(note));
    }

    /// Adds the coverage of pages that the store is about to count as ended.
    pub fn add(&mut self, ended: &EndedCoverage) {
        let EndedCoverage { pages, failures } = ended;
        for (all, more) in [(&mut self.pages, pages), (&mut self.failures, failures)] {
            for StructCounts { name, fields } in &more.structs {
                for (field, counts) in fields {
                    let name = format!("{name}.{field}");
                    if all.len() >= FIELDS_MAX && !all.contains_key(&name) {
                        if !std::mem::replace(&mut self.is_full, true) {
                            tracing::warn!(
                                fields = FIELDS_MAX,
                                name,
                                "too many fields: the coverage of this field and of further ones is not counted"
                            );
                        }
                        continue;
                    }
                    let kept = all.entry(name).or_default();
                    *kept = kept.plus(*counts);
                    self.is_changed = true;
                }
            }
        }
    }

    /// Drops all counts in the store with its next commit.
    pub fn begin_anew(frontier: &mut dyn Frontier) {
        Self { is_changed: true, ..Self::default() }.keep(frontier);
    }

    /// Puts these counts back into the store, after [`begin_anew`](Self::begin_anew).
    pub fn restore(&mut self, frontier: &mut dyn Frontier) {
        self.is_changed = true;
        self.keep(frontier);
    }

    /// Drops the counts of pages that ended as failures, because these pages are read again.
    pub fn forget_failures(&mut self) {
        self.is_changed |= !self.failures.is_empty();
        self.failures.clear();
    }

    /// Returns what was found for each field.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<String, FieldCounts> {
        let mut fields = self.pages.clone();
        for (name, counts) in &self.failures {
            let all = fields.entry(name.clone()).or_default();
            *all = all.plus(*counts);
        }
        fields
    }
}

/// The counts of each field, in the order filled, empty, defaulted, unreadable. A later version may add more.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct CoverageNote<Name: Ord, Counts> {
    pages: BTreeMap<Name, Counts>,
    failures: BTreeMap<Name, Counts>,
}

fn to_note(fields: &BTreeMap<String, FieldCounts>) -> BTreeMap<&str, [u64; 4]> {
    fields.iter().map(|(name, counts)| (name.as_str(), in_order(*counts))).collect()
}

fn in_order(counts: FieldCounts) -> [u64; 4] {
    let FieldCounts { filled, empty, defaulted, unreadable } = counts;
    [filled, empty, defaulted, unreadable]
}

fn of_note(counts: &[u64]) -> FieldCounts {
    let at = |n: usize| counts.get(n).copied().unwrap_or_default();
    FieldCounts { filled: at(0), empty: at(1), defaulted: at(2), unreadable: at(3) }
}

/// The most fields whose coverage a crawl keeps. The names of fields come from the program, and those of earlier
/// versions of the program stay.
const FIELDS_MAX: usize = 4_096;
const COVERAGE: &str = "coverage";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use opilio_core::Reason;
    use opilio_frontier::{MemoryFrontier, MemoryOptions};

    fn page(name: &'static str, counts: [u64; 4]) -> PageCoverage {
        PageCoverage { structs: vec![StructCounts { name, fields: vec![("f", of_note(&counts))] }] }
    }

    fn ended(pages: impl IntoIterator<Item = (Ending, PageCoverage)>) -> EndedCoverage {
        let mut all = EndedCoverage::default();
        pages.into_iter().for_each(|(ending, page)| all.add(&ending, page));
        all
    }

    #[test]
    fn pages_and_failures_count_and_aliases_do_not() {
        let failed = || Ending::Failed(Reason::ParseError);
        let mut crawl = CrawlCoverage::default();
        crawl.add(&ended([
            (Ending::Page, page("A", [1, 0, 0, 0])),
            (Ending::Page, page("A", [2, 1, 0, 0])),
            (Ending::Alias, page("A", [9, 9, 9, 9])),
            (failed(), page("A", [0, 1, 0, 2])),
            (failed(), page("B", [0, 0, 3, 0])),
        ]));
        let fields = crawl.fields();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["A.f", "B.f"]);
        assert_eq!((in_order(fields["A.f"]), in_order(fields["B.f"])), ([3, 2, 0, 2], [0, 0, 3, 0]));

        crawl.forget_failures();
        assert_eq!(in_order(crawl.fields()["A.f"]), [3, 1, 0, 0]);
    }

    #[test]
    fn what_is_kept_is_read_again_and_only_changes_are_kept() {
        let mut store = MemoryFrontier::with(MemoryOptions::default());
        let mut crawl = CrawlCoverage::default();
        crawl.keep(&mut store);
        assert!(store.note(COVERAGE).unwrap().is_none(), "a crawl without structs keeps no note");
        crawl.add(&ended([
            (Ending::Page, page("A", [1, 2, 3, 4])),
            (Ending::Failed(Reason::ParseError), page("A", [5, 6, 7, 8])),
        ]));
        crawl.keep(&mut store);
        let read = CrawlCoverage::read(&store).unwrap();
        assert_eq!((&read.pages, &read.failures), (&crawl.pages, &crawl.failures));
        assert!(!read.is_changed && !crawl.is_changed);

        store.keep_note(COVERAGE, Bytes::from_static(br#"{"pages": {"A.f": [1, 2]}, "new": 1}"#));
        assert_eq!(in_order(CrawlCoverage::read(&store).unwrap().fields()["A.f"]), [1, 2, 0, 0]);
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        let mut crawl = CrawlCoverage::default();
        for n in 0..FIELDS_MAX + 5 {
            crawl.add(&ended([(Ending::Page, page(format!("S{n}").leak(), [1, 0, 0, 0]))]));
        }
        assert_eq!(crawl.fields().len(), FIELDS_MAX);
        crawl.add(&ended([(Ending::Page, page("S0", [1, 0, 0, 0]))]));
        assert_eq!(crawl.fields()["S0.f"].filled, 2, "what has a place is counted on");
    }
}
