//! Counts how often each field had a value, over all extractions of a piece of work: the coverage of the fields.
//!
//! A thread counts only inside [`during`]. Everywhere else an extraction costs one look at a thread-local variable.

use std::cell::RefCell;
use std::ptr;

use super::plan::{ExtractPlan, FieldPlan, ValueKind};
use crate::field_counts::FieldCounts;

/// The most fields that one piece of work counts. Extractions of further structs are not counted.
pub const FIELDS_MAX: usize = 4_096;

/// Runs `work`, and counts what was found for each field of each value that `work` extracts on this thread.
///
/// Calls may nest: the outer call counts what the inner calls count, too.
///
/// ```
/// use opilio_extract::typed::coverage;
/// use opilio_extract::{Document, Extract};
///
/// #[derive(Extract)]
/// struct Product {
///     #[css("h1")]
///     name: String,
///     #[css(".sku")]
///     sku: Option<String>,
/// }
///
/// let page = Document::new("https://shop.example/kettle".parse()?, Some("text/html"), "<h1>Kettle</h1>".into());
/// let (product, coverage) = coverage::during(|| page.extract::<Product>());
/// assert_eq!(product?.name, "Kettle");
///
/// let fields: Vec<_> = coverage.structs()[0].fields().map(|(field, found)| (field.name, found.filled)).collect();
/// assert_eq!(fields, [("name", 1), ("sku", 0)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn during<R>(work: impl FnOnce() -> R) -> (R, Coverage) {
    let counting = Counting { outer: COUNTED.replace(Some(Coverage::default())) };
    let result = work();
    (result, counting.end())
}

/// What was found for the fields of all values that a piece of work extracted.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    structs: Vec<StructCoverage>,
}

/// What was found for the fields of the values of one struct.
#[derive(Clone, Debug)]
pub struct StructCoverage {
    plan: &'static ExtractPlan,
    counts: Box<[FieldCounts]>,
}

impl StructCoverage {
    /// Returns the plan of the struct, which has the name of the struct and the sources of its fields.
    #[must_use]
    pub fn plan(&self) -> &'static ExtractPlan {
        self.plan
    }

    /// Returns the plan of each field, with the counts of the field.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&'static FieldPlan, FieldCounts)> {
        self.plan.fields.iter().zip(self.counts.iter().copied())
    }
}

impl Coverage {
    /// Returns the structs that the work has read or looked for, with the structs of their fields. A struct that was
    /// looked for and not found has counts of zero. Two structs of one name are two entries.
    #[must_use]
    pub fn structs(&self) -> &[StructCoverage] {
        &self.structs
    }

    /// Returns whether the work has looked for no struct.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.structs.is_empty()
    }

    /// Adds the counts of other work.
    pub fn add(&mut self, other: &Self) {
        for StructCoverage { plan, counts } in &other.structs {
            let Some(place) = self.place_of(plan) else { continue };
            for (all, more) in self.structs[place].counts.iter_mut().zip(counts) {
                *all = all.plus(*more);
            }
        }
    }

    /// Returns the place of a struct in the list. If it is new, adds it and the structs of its fields. Returns `None`
    /// if there are too many fields.
    fn place_of(&mut self, plan: &'static ExtractPlan) -> Option<usize> {
        if let Some(place) = self.structs.iter().position(|known| is_same(known.plan, plan)) {
            return Some(place);
        }
        let fields: usize = self.structs.iter().map(|known| known.counts.len()).sum();
        if fields + plan.fields.len() > FIELDS_MAX {
            return None;
        }
        let place = self.structs.len();
        let counts = vec![FieldCounts::default(); plan.fields.len()].into_boxed_slice();
        self.structs.push(StructCoverage { plan, counts });
        for field in plan.fields {
            if let ValueKind::Struct(inner) = field.kind {
                self.place_of(inner());
            }
        }
        Some(place)
    }
}

/// Returns whether two plans are those of one struct. A constant may have several addresses, so the names and places
/// of the fields are compared, too.
fn is_same(one: &'static ExtractPlan, other: &'static ExtractPlan) -> bool {
    let same_fields = || {
        let (one, other) = (one.fields, other.fields);
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.name == other.name)
    };
    ptr::eq(one, other) || (one.name == other.name && one.each == other.each && same_fields())
}

/// What was found for a field of one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldFound {
    /// A value.
    Value,
    /// Nothing, and the field has no default; or an empty text.
    Nothing,
    /// Nothing, so that the field got its default.
    NothingButDefault,
    /// Something that cannot be read as a value.
    Unreadable,
}

/// Counts what was found for the fields of one value, in the order of the plan. This is for values that other code
/// than `#[derive(Extract)]` reads, such as fields that a user names at run time.
pub fn count(plan: &'static ExtractPlan, found: impl IntoIterator<Item = FieldFound>) {
    let counter = Counter::of(plan);
    found.into_iter().enumerate().for_each(|(field, found)| counter.count(field, found));
}

/// The place at which the fields of one struct are counted; nowhere outside [`during`].
#[derive(Clone, Copy)]
pub(super) struct Counter(Option<usize>);

impl Counter {
    /// Returns the place for a struct of this plan. From here on the coverage names the struct, even if none of its
    /// values is found.
    pub(super) fn of(plan: &'static ExtractPlan) -> Self {
        Self(COUNTED.with_borrow_mut(|counted| counted.as_mut()?.place_of(plan)))
    }

    /// Counts what was found for a field.
    pub(super) fn count(self, field: usize, found: FieldFound) {
        let Self(Some(place)) = self else { return };
        COUNTED.with_borrow_mut(|counted| {
            let all = counted.as_mut().and_then(|counted| counted.structs.get_mut(place));
            let Some(counts) = all.and_then(|all| all.counts.get_mut(field)) else { return };
            match found {
                FieldFound::Value => counts.filled += 1,
                FieldFound::Nothing => counts.empty += 1,
                FieldFound::NothingButDefault => counts.defaulted += 1,
                FieldFound::Unreadable => counts.unreadable += 1,
            }
        });
    }
}

thread_local! {
    /// The counts of the innermost [`during`] of this thread; `None` outside of it.
    static COUNTED: RefCell<Option<Coverage>> = const { RefCell::new(None) };
}

/// One call of [`during`]. Holds the counts of the call around it.
struct Counting {
    outer: Option<Coverage>,
}

impl Counting {
    fn end(mut self) -> Coverage {
        let counted = self.close();
        std::mem::forget(self);
        counted
    }

    /// Lets the call around this one count again, and adds to its counts those of this call.
    fn close(&mut self) -> Coverage {
        let mut outer = self.outer.take();
        let counted = COUNTED.take().unwrap_or_default();
        if let Some(outer) = &mut outer {
            outer.add(&counted);
        }
        COUNTED.set(outer);
        counted
    }
}

/// Runs if the work panics.
impl Drop for Counting {
    fn drop(&mut self) {
        self.close();
    }
}
