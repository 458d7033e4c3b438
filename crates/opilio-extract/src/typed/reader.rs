//! Interprets plans: reads the fields of one value, and collects the faults of all fields that cannot be read.

use std::borrow::Cow;

use super::coverage::{Counter, FieldFound};
use super::fault::{ExtractFaults, FieldFault, FoundThere};
use super::find::{self, Looked};
use super::plan::{ExtractPlan, FieldPlan, FieldShape, SourcePlan, ValueKind};
use super::{Extract, FieldValue, PageAround};
use crate::document::Document;
use crate::select::Element;

/// The most levels to which structs may nest. Without this limit, a struct that contains itself could be read
/// without end.
const DEPTH_MAX: usize = 64;

/// The document that is read, with the facts about its page.
#[derive(Clone, Copy)]
pub(super) struct Subject<'p> {
    pub(super) document: &'p Document,
    pub(super) context: Option<&'p dyn PageAround>,
}

/// The part of the page in which the sources of a struct are looked up.
#[derive(Clone, Copy)]
pub(super) enum Within<'p> {
    Page,
    Element(Element<'p>),
    Json(&'p serde_json::Value),
}

/// The raw content of a source, before it is converted to a value of the field's type.
#[derive(Debug, Clone)]
pub enum Raw<'p> {
    /// A text, with the element that it comes from. There is no element if the source has none, or if a regular
    /// expression took out a part of the text.
    Text {
        /// The text of the source.
        text: Cow<'p, str>,
        /// The element that the text comes from; `None` if there is none.
        element: Option<Element<'p>>,
    },
    /// A JSON value.
    Json(&'p serde_json::Value),
    /// An element, from which a nested struct is read.
    Element(Element<'p>),
}

/// The reason why a raw value is not a value of the wanted type.
#[derive(Debug, Clone)]
pub enum Unreadable {
    /// The raw value is not of the wanted kind.
    Wrong {
        /// The wanted kind, in words.
        wanted: Cow<'static, str>,
        /// A hint on how to make the value readable; empty if there is no hint.
        hint: Cow<'static, str>,
    },
    /// The raw value is a nested struct with faults, which are recorded already.
    Noted,
}

impl Unreadable {
    /// Makes a `Wrong` without a hint.
    pub fn wanted(wanted: impl Into<Cow<'static, str>>) -> Self {
        Self::Wrong { wanted: wanted.into(), hint: Cow::Borrowed("") }
    }

    /// Makes a `Wrong` with a hint on how to make the value readable.
    pub fn with_hint(wanted: impl Into<Cow<'static, str>>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::Wrong { wanted: wanted.into(), hint: hint.into() }
    }
}

/// The position of a value: the chain of fields that leads to the value.
#[derive(Clone, Copy)]
struct Trail<'t> {
    above: Option<&'t Trail<'t>>,
    name: &'static str,
    index: Option<usize>,
}

impl Trail<'_> {
    fn write(&self, out: &mut String) {
        if let Some(above) = self.above {
            above.write(out);
            out.push('.');
        }
        out.push_str(self.name);
        if let Some(index) = self.index {
            out.push_str(&format!("[{index}]"));
        }
    }

    fn depth(&self) -> usize {
        1 + self.above.map_or(0, Trail::depth)
    }
}

/// Reads the fields of one struct. The code of the derive macro calls the methods.
pub struct FieldReader<'r, 'p> {
    pub(super) subject: Subject<'p>,
    pub(super) within: Within<'p>,
    plan: &'static ExtractPlan,
    trail: Trail<'r>,
    source: Option<&'static SourcePlan>,
    counter: Counter,
    faults: &'r mut ExtractFaults,
}

/// A function that makes a value from a raw value. The `usize` argument is the index of the source in the field's
/// plan.
type ReadRaw<'a, 'p, T> =
    &'a mut dyn FnMut(Raw<'p>, &mut FieldReader<'_, 'p>, usize) -> Result<T, Unreadable>;

impl<'p> FieldReader<'_, 'p> {
    /// Returns the source of the value that is being read.
    pub(super) fn source(&self) -> Option<&'static SourcePlan> {
        self.source
    }

    /// Reads a field that must have a value. Returns `None` if the field has a fault.
    pub fn single<T: FieldValue>(&mut self, field: usize) -> Option<T> {
        self.single_by(field, &mut |raw, reader, _| T::read(raw, reader))
    }

    /// Reads a field that must have a value, using a function of the user.
    pub fn single_by<T>(&mut self, field: usize, read: ReadRaw<'_, 'p, T>) -> Option<T> {
        let (found, looked) = self.one(field, read)?;
        if found.is_none() {
            self.missing(&self.plan.fields[field], looked);
        }
        found
    }

    /// Reads a field that may have no value. The outer `None` means that the field has a value that cannot be read.
    pub fn optional<T: FieldValue>(&mut self, field: usize) -> Option<Option<T>> {
        self.optional_by(field, &mut |raw, reader, _| T::read(raw, reader))
    }

    /// Reads a field that may have no value, using a function of the user.
    pub fn optional_by<T>(&mut self, field: usize, read: ReadRaw<'_, 'p, T>) -> Option<Option<T>> {
        self.one(field, read).map(|(found, _)| found)
    }

    /// Reads all values of a field. Returns `None` if one of them has a fault.
    pub fn list<T: FieldValue>(&mut self, field: usize) -> Option<Vec<T>> {
        self.list_by(field, &mut |raw, reader, _| T::read(raw, reader))
    }

    /// Reads all values of a field, using a function of the user.
    pub fn list_by<T>(&mut self, field: usize, read: ReadRaw<'_, 'p, T>) -> Option<Vec<T>> {
        let mut found = FieldFound::Nothing;
        let read = self.all(&self.plan.fields[field], &mut found, read);
        self.counter.count(field, if read.is_some() { found } else { FieldFound::Unreadable });
        read
    }

    /// Reads all values of a field. Sets `found` to `Value` if one of them counts as a value.
    fn all<T>(
        &mut self,
        plan: &'static FieldPlan,
        found: &mut FieldFound,
        read: ReadRaw<'_, 'p, T>,
    ) -> Option<Vec<T>> {
        for (n, source) in plan.sources.iter().enumerate() {
            match find::all(self, plan, source) {
                Ok(raws) if raws.is_empty() => {}
                Ok(raws) => {
                    let count = raws.len();
                    if raws.iter().any(|raw| counts_as_value(raw, plan)) {
                        *found = FieldFound::Value;
                    }
                    let values = raws.into_iter().enumerate();
                    let read = values
                        .filter_map(|(at, raw)| self.value(plan, Some(at), (n, source), raw, &mut *read));
                    let values: Vec<T> = read.collect();
                    return (values.len() == count).then_some(values);
                }
                Err(found) => {
                    self.fault(plan, None, source.at.to_string(), found);
                    return None;
                }
            }
        }
        Some(Vec::new())
    }

    /// Reads the first value of a field. Returns `None` if the value cannot be read; else the value, if there is
    /// one, and a description of what was found in its place. A value that is an empty text is described as empty.
    fn one<T>(&mut self, field: usize, read: ReadRaw<'_, 'p, T>) -> Option<(Option<T>, FoundThere)> {
        let plan = &self.plan.fields[field];
        let read = self.first(plan, read);
        let found = match (&read, plan.shape) {
            (Some((Some(_), FoundThere::Empty)), _) => FieldFound::Nothing,
            (Some((Some(_), _)), _) => FieldFound::Value,
            (Some((None, _)), FieldShape::Defaulted) => FieldFound::NothingButDefault,
            (Some((None, _)), _) => FieldFound::Nothing,
            (None, _) => FieldFound::Unreadable,
        };
        self.counter.count(field, found);
        read
    }

    fn first<T>(
        &mut self,
        plan: &'static FieldPlan,
        read: ReadRaw<'_, 'p, T>,
    ) -> Option<(Option<T>, FoundThere)> {
        let mut found = FoundThere::Nothing;
        for (n, source) in plan.sources.iter().enumerate() {
            match find::first(self, plan, source) {
                Looked::Raw(raw) => {
                    let found =
                        if counts_as_value(&raw, plan) { FoundThere::Nothing } else { FoundThere::Empty };
                    return self.value(plan, None, (n, source), raw, read).map(|value| (Some(value), found));
                }
                Looked::Nothing => {}
                Looked::Empty => found = FoundThere::Empty,
                Looked::Fault(fault) => {
                    self.fault(plan, None, source.at.to_string(), fault);
                    return None;
                }
            }
        }
        Some((None, found))
    }

    fn value<T>(
        &mut self,
        plan: &'static FieldPlan,
        index: Option<usize>,
        (n, source): (usize, &'static SourcePlan),
        raw: Raw<'p>,
        read: ReadRaw<'_, 'p, T>,
    ) -> Option<T> {
        let trail = Trail { above: Some(&self.trail), name: plan.name, index };
        let mut inner = FieldReader {
            subject: self.subject,
            within: self.within,
            plan: self.plan,
            trail,
            source: Some(source),
            counter: self.counter,
            faults: &mut *self.faults,
        };
        match read(raw, &mut inner, n) {
            Ok(value) => Some(value),
            Err(Unreadable::Noted) => None,
            Err(Unreadable::Wrong { wanted, hint }) => {
                // The value is looked up a second time here for the error. So values that can be read need not be
                // copied.
                let fault =
                    FaultWords { wanted, hint, ..FaultWords::new(find::again(self, plan, source, index)) };
                self.note(plan, index, with_re(source), fault);
                None
            }
        }
    }

    /// Reads a struct that is a field of this struct. Its sources are looked up in the raw value that was found for
    /// the field.
    ///
    /// # Errors
    /// When fields of the inner struct cannot be read. Their faults are recorded already.
    pub fn nested<T: Extract>(&mut self, raw: Raw<'p>) -> Result<T, Unreadable> {
        let within = match raw {
            Raw::Element(element) | Raw::Text { element: Some(element), .. } => Within::Element(element),
            Raw::Json(value @ serde_json::Value::Object(_)) => Within::Json(value),
            Raw::Json(_) | Raw::Text { .. } => return Err(Unreadable::wanted("an object")),
        };
        if self.trail.depth() > DEPTH_MAX {
            return Err(Unreadable::wanted("a struct that ends: this one contains itself"));
        }
        let mut reader = FieldReader {
            subject: self.subject,
            within,
            plan: T::PLAN,
            trail: self.trail,
            source: None,
            counter: Counter::of(T::PLAN),
            faults: &mut *self.faults,
        };
        T::read_fields(&mut reader).ok_or(Unreadable::Noted)
    }

    /// Records the fault of a field for which no value was found.
    fn missing(&mut self, plan: &'static FieldPlan, found: FoundThere) {
        let asked: Vec<String> = plan.sources.iter().map(with_re).collect();
        let hint = find::hint_at_nothing(self, plan);
        self.note(plan, None, asked.join(", "), FaultWords { hint, ..FaultWords::new(found) });
    }

    fn fault(&mut self, plan: &'static FieldPlan, index: Option<usize>, asked: String, found: FoundThere) {
        self.note(plan, index, asked, FaultWords::new(found));
    }

    fn note(&mut self, plan: &'static FieldPlan, index: Option<usize>, asked: String, fault: FaultWords) {
        let mut field = String::new();
        Trail { above: Some(&self.trail), name: plan.name, index }.write(&mut field);
        let FaultWords { found, wanted, hint } = fault;
        self.faults.add(FieldFault { field, asked, found, wanted, hint });
    }
}

/// Returns whether the coverage counts a raw value as a value of its field. An empty text is none, since a site that
/// empties a field has no value for it. An empty attribute of a `bool` means true.
fn counts_as_value(raw: &Raw<'_>, plan: &FieldPlan) -> bool {
    let text = match raw {
        Raw::Text { text, .. } => text.as_ref(),
        Raw::Json(serde_json::Value::String(text)) => text.as_str(),
        Raw::Json(_) | Raw::Element(_) => return true,
    };
    matches!(plan.kind, ValueKind::Bool) || !text.trim().is_empty()
}

/// The parts of a fault besides the name of the field.
struct FaultWords {
    found: FoundThere,
    wanted: Cow<'static, str>,
    hint: Cow<'static, str>,
}

impl FaultWords {
    fn new(found: FoundThere) -> Self {
        Self { found, wanted: Cow::Borrowed(""), hint: Cow::Borrowed("") }
    }
}

/// Returns a source as it is written in the attribute above a field, including its regular expression.
fn with_re(source: &SourcePlan) -> String {
    match source.re {
        Some(re) => format!("{}, re = {re:?}", source.at),
        None => source.at.to_string(),
    }
}

/// Reads one value of `T`. `index` is the index of this value if there are several values.
pub(super) fn read<T: Extract>(
    subject: Subject<'_>,
    within: Within<'_>,
    index: Option<usize>,
) -> Result<T, ExtractFaults> {
    let mut faults = ExtractFaults::new();
    let trail = Trail { above: None, name: T::PLAN.name, index };
    let counter = Counter::of(T::PLAN);
    let mut reader =
        FieldReader { subject, within, plan: T::PLAN, trail, source: None, counter, faults: &mut faults };
    match T::read_fields(&mut reader) {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(super::notes::explained(faults, subject)),
    }
}

impl FieldShape {
    /// Returns whether a field of this shape may be without a value.
    #[must_use]
    pub fn may_be_empty(self) -> bool {
        self != Self::Single
    }
}
