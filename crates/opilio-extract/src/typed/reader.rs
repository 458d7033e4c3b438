//! Interprets plans: reads the fields of one value, and collects the faults of all fields that cannot be read.

use std::borrow::Cow;

use super::fault::{ExtractFaults, FieldFault, FoundThere};
use super::find::{self, Looked};
use super::plan::{ExtractPlan, FieldPlan, FieldShape, SourcePlan};
use super::{Extract, FieldValue, PageAround};
use crate::document::Document;
use crate::select::Element;

/// The most levels of structs inside of each other: a struct that contains itself could go on for ever.
const DEPTH_MAX: usize = 64;

/// The document that is read, and the facts about its page.
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

/// What a source has for a field, before it becomes a value of the field's type.
#[derive(Debug, Clone)]
pub enum Raw<'p> {
    /// A text. `element` is the element that the text comes from, if there is one and no regular expression
    /// took a part of its text.
    Text {
        /// The text.
        text: Cow<'p, str>,
        /// The element that the text comes from.
        element: Option<Element<'p>>,
    },
    /// A value of JSON.
    Json(&'p serde_json::Value),
    /// An element, for a nested struct.
    Element(Element<'p>),
}

/// Why a raw value is not a value of the wanted type.
#[derive(Debug, Clone)]
pub enum Unreadable {
    /// The raw value is something else than what is wanted.
    Wrong {
        /// What is wanted, in words.
        wanted: Cow<'static, str>,
        /// A hint at what may help; empty if there is none.
        hint: Cow<'static, str>,
    },
    /// The raw value is a struct whose faults are noted already.
    Noted,
}

impl Unreadable {
    /// Makes a `Wrong` without a hint.
    pub fn wanted(wanted: impl Into<Cow<'static, str>>) -> Self {
        Self::Wrong { wanted: wanted.into(), hint: Cow::Borrowed("") }
    }

    /// Makes a `Wrong` with a hint at what may help.
    pub fn with_hint(wanted: impl Into<Cow<'static, str>>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::Wrong { wanted: wanted.into(), hint: hint.into() }
    }
}

/// The position of a value: the chain of fields that leads to it.
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

/// Reads the fields of one struct. The derive macro writes the calls of its methods.
pub struct FieldReader<'r, 'p> {
    pub(super) subject: Subject<'p>,
    pub(super) within: Within<'p>,
    plan: &'static ExtractPlan,
    trail: Trail<'r>,
    source: Option<&'static SourcePlan>,
    faults: &'r mut ExtractFaults,
}

/// A function that makes a value of a raw value. The number is the index of the source.
type ReadRaw<'a, 'p, T> =
    &'a mut dyn FnMut(Raw<'p>, &mut FieldReader<'_, 'p>, usize) -> Result<T, Unreadable>;

impl<'p> FieldReader<'_, 'p> {
    /// Returns the source of the value that is being read.
    pub(super) fn source(&self) -> Option<&'static SourcePlan> {
        self.source
    }

    /// Reads a field that must be there; returns `None` if it has a fault.
    pub fn single<T: FieldValue>(&mut self, field: usize) -> Option<T> {
        self.single_by(field, &mut |raw, reader, _| T::read(raw, reader))
    }

    /// Reads a field that must be there, by a function of the user.
    pub fn single_by<T>(&mut self, field: usize, read: ReadRaw<'_, 'p, T>) -> Option<T> {
        let (found, looked) = self.one(field, read)?;
        if found.is_none() {
            self.missing(&self.plan.fields[field], looked);
        }
        found
    }

    /// Reads a field that may be there. The outer `None` means that it is there and cannot be read.
    pub fn optional<T: FieldValue>(&mut self, field: usize) -> Option<Option<T>> {
        self.optional_by(field, &mut |raw, reader, _| T::read(raw, reader))
    }

    /// Reads a field that may be there, by a function of the user.
    pub fn optional_by<T>(&mut self, field: usize, read: ReadRaw<'_, 'p, T>) -> Option<Option<T>> {
        self.one(field, read).map(|(found, _)| found)
    }

    /// Reads all values of a field; returns `None` if one of them has a fault.
    pub fn list<T: FieldValue>(&mut self, field: usize) -> Option<Vec<T>> {
        self.list_by(field, &mut |raw, reader, _| T::read(raw, reader))
    }

    /// Reads all values of a field, by a function of the user.
    pub fn list_by<T>(&mut self, field: usize, read: ReadRaw<'_, 'p, T>) -> Option<Vec<T>> {
        let plan = &self.plan.fields[field];
        for (n, source) in plan.sources.iter().enumerate() {
            match find::all(self, plan, source) {
                Ok(raws) if raws.is_empty() => {}
                Ok(raws) => {
                    let count = raws.len();
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

    /// Reads the first value of a field, if there is any, and what was found otherwise. Returns `None` if the
    /// value cannot be read.
    fn one<T>(&mut self, field: usize, read: ReadRaw<'_, 'p, T>) -> Option<(Option<T>, FoundThere)> {
        let plan = &self.plan.fields[field];
        let mut found = FoundThere::Nothing;
        for (n, source) in plan.sources.iter().enumerate() {
            match find::first(self, plan, source) {
                Looked::Raw(raw) => {
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
            faults: &mut *self.faults,
        };
        match read(raw, &mut inner, n) {
            Ok(value) => Some(value),
            Err(Unreadable::Noted) => None,
            Err(Unreadable::Wrong { wanted, hint }) => {
                // The value is looked up a second time here, so that values that can be read need not be
                // copied.
                let fault =
                    FaultWords { wanted, hint, ..FaultWords::new(find::again(self, plan, source, index)) };
                self.note(plan, index, with_re(source), fault);
                None
            }
        }
    }

    /// Reads a struct inside of this one. Its sources are looked up in the value that was found for it.
    ///
    /// # Errors
    /// When fields of the inner struct cannot be read. Their faults are noted already.
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
            faults: &mut *self.faults,
        };
        T::read_fields(&mut reader).ok_or(Unreadable::Noted)
    }

    /// Notes a fault: nothing is there.
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

/// Returns a source as it is written above a field, with its regular expression.
fn with_re(source: &SourcePlan) -> String {
    match source.re {
        Some(re) => format!("{}, re = {re:?}", source.at),
        None => source.at.to_string(),
    }
}

/// Reads one value of `T`. `index` is its index, if there are several values.
pub(super) fn read<T: Extract>(
    subject: Subject<'_>,
    within: Within<'_>,
    index: Option<usize>,
) -> Result<T, ExtractFaults> {
    let mut faults = ExtractFaults::new();
    let trail = Trail { above: None, name: T::PLAN.name, index };
    let mut reader = FieldReader { subject, within, plan: T::PLAN, trail, source: None, faults: &mut faults };
    match T::read_fields(&mut reader) {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(super::notes::explained(faults, subject)),
    }
}

impl FieldShape {
    /// Whether a field of it may be without a value.
    #[must_use]
    pub fn may_be_empty(self) -> bool {
        self != Self::Single
    }
}
