//! Finds the values of a source: in the elements of a page, in its JSON, in its `<meta>` elements, or in the facts
//! about the page.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex::Regex;
use serde_json::Value;

use super::fault::FoundThere;
use super::plan::{FieldPlan, ItemPath, JsonPath, PageFact, Piece, SourceAt, SourcePlan, ValueKind};
use super::reader::{FieldReader, Raw, Within};
use super::{follow, linked_data};
use crate::select::{Element, Matches};

/// The result of looking for the first value of a source.
pub(super) enum Looked<'p> {
    Raw(Raw<'p>),
    Nothing,
    Empty,
    Fault(FoundThere),
}

/// The most values of one field that are read. The constant below limits the total length of their texts. Both
/// limits are needed because elements nest, so the same text may occur in many values.
const VALUES_MAX: usize = 10_000;
const VALUES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Finds the first value of a source.
pub(super) fn first<'p>(
    reader: &FieldReader<'_, 'p>,
    field: &FieldPlan,
    source: &'static SourcePlan,
) -> Looked<'p> {
    if let SourceAt::Css { css, piece, one } = source.at {
        return match matches(reader, css) {
            Ok(matches) => first_of(&matches, field, source, piece, one),
            Err(found) => Looked::Fault(found),
        };
    }
    let mut empty = false;
    let mut first = None;
    let looked = each(reader, source, &mut |raw| {
        match judged(raw, field, source) {
            Judged::Value(raw) => first = Some(raw),
            Judged::Nothing => {}
            Judged::Empty => empty = true,
        }
        first.is_some()
    });
    match (looked, first) {
        (Err(found), _) => Looked::Fault(found),
        (Ok(()), Some(raw)) => Looked::Raw(raw),
        (Ok(()), None) if empty => Looked::Empty,
        (Ok(()), None) => Looked::Nothing,
    }
}

/// Finds all values of a source. Values that are empty are left out.
pub(super) fn all<'p>(
    reader: &FieldReader<'_, 'p>,
    field: &FieldPlan,
    source: &'static SourcePlan,
) -> Result<Vec<Raw<'p>>, FoundThere> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let mut take = |raw| {
        if let Judged::Value(raw) = judged(raw, field, source) {
            if let Raw::Text { text: Cow::Owned(text), .. } = &raw {
                bytes += text.len();
            }
            found.push(raw);
        }
        found.len() == VALUES_MAX || bytes > VALUES_BYTES_MAX
    };
    if let SourceAt::Css { css, piece, .. } = source.at {
        for element in &matches(reader, css)? {
            if raw_of(element, kind_of(field, source), piece).is_some_and(&mut take) {
                break;
            }
        }
    } else {
        each(reader, source, &mut take)?;
    }
    if bytes > VALUES_BYTES_MAX {
        return Err(FoundThere::unreadable("its texts together have more than 32 MiB"));
    }
    Ok(found)
}

/// Looks up a source again to describe its content, for the fault about a value that could not be read.
pub(super) fn again(
    reader: &FieldReader<'_, '_>,
    field: &FieldPlan,
    source: &'static SourcePlan,
    index: Option<usize>,
) -> FoundThere {
    let raw = match index {
        None => match first(reader, field, source) {
            Looked::Raw(raw) => Some(raw),
            Looked::Nothing | Looked::Empty | Looked::Fault(_) => None,
        },
        Some(index) => all(reader, field, source).ok().and_then(|raws| raws.into_iter().nth(index)),
    };
    match raw {
        Some(Raw::Text { text, .. }) => FoundThere::text(&text),
        Some(Raw::Json(Value::String(text))) => FoundThere::text(text),
        Some(Raw::Json(Value::Array(_))) => FoundThere::text("a list"),
        Some(Raw::Json(Value::Object(_))) => FoundThere::text("an object"),
        Some(Raw::Json(value)) => FoundThere::text(&value.to_string()),
        Some(Raw::Element(element)) => FoundThere::text(&element.text()),
        None => FoundThere::Nothing,
    }
}

/// Returns a hint for a fault about sources in which nothing was found; the hint is empty if there is none.
pub(super) fn hint_at_nothing(reader: &FieldReader<'_, '_>, field: &FieldPlan) -> Cow<'static, str> {
    let reads_ld = field.sources.iter().any(|source| matches!(source.at, SourceAt::Ld(_)));
    if !reads_ld || !matches!(reader.within, Within::Page) {
        return Cow::Borrowed("");
    }
    match linked_data::broken(reader.subject.document) {
        0 => Cow::Borrowed(""),
        1 => Cow::Borrowed("a block of JSON-LD is broken and was left out"),
        broken => Cow::Owned(format!("{broken} blocks of JSON-LD are broken and were left out")),
    }
}

fn first_of<'p>(
    matches: &Matches<'p>,
    field: &FieldPlan,
    source: &'static SourcePlan,
    piece: Piece,
    one: bool,
) -> Looked<'p> {
    if one {
        let count = matches.iter().take(VALUES_MAX).count();
        if count > 1 {
            return Looked::Fault(FoundThere::Several(count));
        }
    }
    for element in matches {
        let Some(raw) = raw_of(element, kind_of(field, source), piece) else { continue };
        match judged(raw, field, source) {
            Judged::Value(raw) => return Looked::Raw(raw),
            Judged::Empty => return Looked::Empty,
            Judged::Nothing => {}
        }
    }
    Looked::Nothing
}

/// Returns the kind of value that is read from a source. If a function of the user reads the value, the kind is
/// text, whatever the function makes of the text.
fn kind_of(field: &FieldPlan, source: &SourcePlan) -> ValueKind {
    if source.by.is_some() { ValueKind::Custom } else { field.kind }
}

/// Returns the part of an element that a field asks for. `None` if the part is an attribute that the element does
/// not have.
fn raw_of<'p>(element: Element<'p>, kind: ValueKind, piece: Piece) -> Option<Raw<'p>> {
    match kind {
        ValueKind::Struct(_) => Some(Raw::Element(element)),
        // For a URL, the element's `href` or `src` is read first: its text is rarely a URL, although any text could
        // be resolved as one.
        ValueKind::Url if piece == Piece::Text => {
            let text = element.href().map(|href| Cow::Owned(href.into_owned()));
            Some(Raw::Text { text: text.unwrap_or_else(|| element.text().into()), element: Some(element) })
        }
        _ => Some(Raw::Text { text: piece.of(&element)?, element: Some(element) }),
    }
}

/// The result of applying the regular expression of a source to a raw value.
enum Judged<'p> {
    Value(Raw<'p>),
    Nothing,
    Empty,
}

fn judged<'p>(raw: Raw<'p>, field: &FieldPlan, source: &'static SourcePlan) -> Judged<'p> {
    let raw = match raw {
        Raw::Json(Value::Null) => return Judged::Nothing,
        Raw::Element(_) => return Judged::Value(raw),
        raw => match source.re.filter(|_| !matches!(source.at, SourceAt::JsonIn(..))) {
            None => raw,
            Some(re) => match part(raw, re) {
                Some(text) => Raw::Text { text, element: None },
                None => return Judged::Nothing,
            },
        },
    };
    let text = match &raw {
        Raw::Text { text, .. } => text.as_ref(),
        Raw::Json(Value::String(text)) => text.as_str(),
        Raw::Json(_) | Raw::Element(_) => return Judged::Value(raw),
    };
    if !text.trim().is_empty() {
        return Judged::Value(raw);
    }
    let says_empty = source.at.says_empty() && source.re.is_none();
    let takes_empty = matches!(kind_of(field, source), ValueKind::Text | ValueKind::Bool | ValueKind::Custom);
    if says_empty && takes_empty { Judged::Value(raw) } else { Judged::Empty }
}

/// Returns the part of a text that a regular expression takes out: its first group, or the whole match if the
/// expression has no group.
fn part<'p>(raw: Raw<'p>, re: &'static str) -> Option<Cow<'p, str>> {
    let text = match raw {
        Raw::Text { text, .. } => text,
        Raw::Json(Value::String(text)) => Cow::Borrowed(text.as_str()),
        Raw::Json(value) => Cow::Owned(value.to_string()),
        Raw::Element(element) => Cow::Owned(element.text()),
    };
    let re = expression(re)?;
    let range = {
        let captures = re.captures(&text)?;
        let group = if captures.len() > 1 { captures.get(1)? } else { captures.get(0)? };
        group.range()
    };
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    })
}

thread_local! {
    static EXPRESSIONS: RefCell<HashMap<&'static str, Option<Rc<Regex>>>> = RefCell::default();
}

/// Returns a compiled regular expression. Each expression is compiled once per thread. The macro has checked its
/// syntax; if it is too large when it is compiled, the result is `None`, so that it matches nothing.
fn expression(re: &'static str) -> Option<Rc<Regex>> {
    EXPRESSIONS
        .with_borrow_mut(|known| known.entry(re).or_insert_with(|| Regex::new(re).ok().map(Rc::new)).clone())
}

fn matches<'p>(reader: &FieldReader<'_, 'p>, css: &str) -> Result<Matches<'p>, FoundThere> {
    let matches = match reader.within {
        Within::Page => reader.subject.document.css(css),
        Within::Element(element) => element.css_from_here(css),
        Within::Json(_) => return Err(FoundThere::unreadable("there are no elements in a value of JSON")),
    };
    matches.map_err(|error| FoundThere::unreadable(&error.to_string()))
}

/// Passes each value of a source to `take`, until `take` returns that it has enough. Handles all sources except CSS.
fn each<'p>(
    reader: &FieldReader<'_, 'p>,
    source: &'static SourcePlan,
    take: &mut dyn FnMut(Raw<'p>) -> bool,
) -> Result<(), FoundThere> {
    let document = reader.subject.document;
    match source.at {
        SourceAt::Css { .. } => {}
        SourceAt::Ld(ItemPath { kind, path }) => {
            let blocks = linked_data::blocks(document);
            items(blocks, kind, path, take);
        }
        SourceAt::Micro(ItemPath { kind, path }) => {
            items(super::microdata::items(document), kind, path, take)
        }
        SourceAt::Meta(name) => {
            for content in document.typed().islands(document).metas(name) {
                if take(Raw::Text { text: content.into(), element: None }) {
                    break;
                }
            }
        }
        SourceAt::Json(path) => {
            let root = match reader.within {
                Within::Json(value) => value,
                Within::Page | Within::Element(_) => document.typed().body(document)?,
            };
            follow::each(root, path.steps, &mut |value| take(Raw::Json(value)));
        }
        SourceAt::JsonIn(css, path) => json_in(reader, (css, source.re), path, take)?,
        SourceAt::Page(fact) => {
            if let Some(text) = page_fact(reader, fact)? {
                take(Raw::Text { text, element: None });
            }
        }
    }
    Ok(())
}

fn items<'p>(roots: &'p [Value], kind: &str, path: JsonPath, take: &mut dyn FnMut(Raw<'p>) -> bool) {
    linked_data::each(roots, kind, path.steps, &mut |value| take(Raw::Json(value)));
}

fn json_in<'p>(
    reader: &FieldReader<'_, 'p>,
    (css, re): (&str, Option<&'static str>),
    path: JsonPath,
    take: &mut dyn FnMut(Raw<'p>) -> bool,
) -> Result<(), FoundThere> {
    let typed = reader.subject.document.typed();
    for element in &matches(reader, css)? {
        let parsed = typed.parsed(element, re, || {
            let text = element.raw_text();
            let Some(re) = re else { return Some(linked_data::first_value(&text)) };
            let raw = Raw::Text { text: text.into(), element: None };
            part(raw, re).map(|json| linked_data::first_value(&json))
        });
        match parsed {
            None => {}
            Some(Ok(root)) => {
                let mut enough = false;
                follow::each(root, path.steps, &mut |value| {
                    enough = take(Raw::Json(value));
                    enough
                });
                if enough {
                    break;
                }
            }
            Some(Err(error)) => return Err(FoundThere::unreadable(error)),
        }
    }
    Ok(())
}

fn page_fact<'p>(reader: &FieldReader<'_, 'p>, fact: PageFact) -> Result<Option<Cow<'p, str>>, FoundThere> {
    let subject = reader.subject;
    let context = subject.context;
    let known = || {
        context.ok_or_else(|| {
            FoundThere::unreadable(
                "it is known of a fetched page only: use `page.extract()` of the page itself",
            )
        })
    };
    Ok(match fact {
        PageFact::Url => Some(subject.document.url().as_str().into()),
        PageFact::RequestedUrl => Some(known()?.requested_url().into()),
        PageFact::Depth => Some(known()?.depth().to_string().into()),
        PageFact::FetchedAt => known()?.fetched_at().map(|at| at.to_string().into()),
        PageFact::Header(name) => known()?.header(name).map(Cow::Borrowed),
    })
}
