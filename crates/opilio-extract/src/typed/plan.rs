//! The plan of a struct: which fields it has, and where each is read. The derive macro writes it as a constant.

use std::borrow::Cow;
use std::fmt;

use opilio_extract_grammar::{NumberForm, Segment};

use crate::select::Element;

/// The fields of a struct, and their sources.
#[derive(Debug, Clone, Copy)]
pub struct ExtractPlan {
    /// The name of the struct.
    pub name: &'static str,
    /// The selector of the elements of which each is one value.
    pub each: Option<&'static str>,
    /// The field that tells two values apart.
    pub key: Option<&'static str>,
    /// The fields, in the order in which they are written.
    pub fields: &'static [FieldPlan],
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct FieldPlan {
    /// Its name in Rust.
    pub name: &'static str,
    /// How many values it has, and what it is without one.
    pub shape: FieldShape,
    /// The kind of its values.
    pub kind: ValueKind,
    /// Where it is read: the first source that has something counts.
    pub sources: &'static [SourcePlan],
}

/// How many values a field has, and what it is when nothing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldShape {
    /// One; nothing there is a fault.
    Single,
    /// One or none: an `Option`.
    Optional,
    /// One, or its default.
    Defaulted,
    /// Any number: a `Vec`.
    List,
}

/// The kind of a value.
#[derive(Debug, Clone, Copy)]
pub enum ValueKind {
    /// Text.
    Text,
    /// True or false.
    Bool,
    /// A number without a fraction.
    Whole,
    /// A floating-point number.
    Float,
    /// A number with all its digits.
    Decimal,
    /// An absolute URL.
    Url,
    /// An amount of money.
    Price,
    /// A date, a time or an instant.
    Date,
    /// What a function of the user makes of a text.
    Custom,
    /// Another struct.
    Struct(fn() -> &'static ExtractPlan),
}

/// One source of a field, and how its text becomes a value.
#[derive(Debug, Clone, Copy)]
pub struct SourcePlan {
    /// Where the text is.
    pub at: SourceAt,
    /// The part of the text that counts: the first group of this regular expression.
    pub re: Option<&'static str>,
    /// How numbers are written there.
    pub number: Option<NumberForm>,
    /// How dates are written there, as `strftime` has it.
    pub date: Option<&'static str>,
    /// The function of the user that reads the text, as it is written.
    pub by: Option<&'static str>,
}

/// The place of a source.
#[derive(Debug, Clone, Copy)]
pub enum SourceAt {
    /// A part of the elements that a selector matches.
    Css {
        /// The selector.
        css: &'static str,
        /// The part of an element.
        piece: Piece,
        /// Whether it must be the only match.
        one: bool,
    },
    /// JSON-LD: a path from the objects of a type.
    Ld(ItemPath),
    /// Microdata: a path from the items of a type.
    Micro(ItemPath),
    /// The content of a `<meta>` of this name or property.
    Meta(&'static str),
    /// A path into the body, which is JSON.
    Json(JsonPath),
    /// A path into JSON in an element.
    JsonIn(&'static str, JsonPath),
    /// A fact of the page.
    Page(PageFact),
}

/// A path from the objects of a type.
#[derive(Debug, Clone, Copy)]
pub struct ItemPath {
    /// The type, such as `Product`.
    pub kind: &'static str,
    /// The path from there.
    pub path: JsonPath,
}

/// A path, as it was written and as it was read.
#[derive(Debug, Clone, Copy)]
pub struct JsonPath {
    /// As it was written.
    pub written: &'static str,
    /// Its steps.
    pub steps: &'static [Segment<'static>],
}

/// The part of an element that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Its text, as [`Element::text`] reads it; for a URL its `href` or `src`.
    Text,
    /// The text directly in it.
    OwnText,
    /// Its text as it stands in the markup.
    Raw,
    /// Its markup.
    Html,
    /// An attribute.
    Attr(&'static str),
}

/// A fact of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFact {
    /// Where the page came from, after redirects.
    Url,
    /// The URL that was asked for.
    Origin,
    /// Links from a seed.
    Depth,
    /// When it was fetched.
    FetchedAt,
    /// A header field.
    Header(&'static str),
}

impl Piece {
    /// The part of an element; `None` for an attribute that it does not have.
    pub(super) fn of<'p>(self, element: &Element<'p>) -> Option<Cow<'p, str>> {
        Some(match self {
            Self::Text => element.text().into(),
            Self::OwnText => element.own_text().into(),
            Self::Raw => element.raw_text().into(),
            Self::Html => element.html().into(),
            Self::Attr(name) => element.attr(name)?.into(),
        })
    }
}

impl SourceAt {
    /// Whether it is the text of an element, of which a URL is no part.
    pub(super) fn reads_text(&self) -> bool {
        matches!(self, Self::Css { piece: Piece::Text, .. })
    }

    /// Whether an empty text there is a value: an attribute that is there and empty says something.
    pub(super) fn says_empty(&self) -> bool {
        !matches!(self, Self::Css { piece: Piece::Text | Piece::OwnText | Piece::Raw | Piece::Html, .. })
    }
}

/// As it is written above a field.
impl fmt::Display for SourceAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Css { css, piece, one } => {
                write!(f, "css({css:?}")?;
                match piece {
                    Piece::Text => {}
                    Piece::OwnText => f.write_str(", own_text")?,
                    Piece::Raw => f.write_str(", raw")?,
                    Piece::Html => f.write_str(", html")?,
                    Piece::Attr(name) => write!(f, ", attr = {name:?}")?,
                }
                f.write_str(if *one { ", one)" } else { ")" })
            }
            Self::Ld(ItemPath { kind, path }) => write!(f, "ld({kind:?}, {:?})", path.written),
            Self::Micro(ItemPath { kind, path }) => write!(f, "micro({kind:?}, {:?})", path.written),
            Self::Meta(name) => write!(f, "meta({name:?})"),
            Self::Json(path) => write!(f, "json({:?})", path.written),
            Self::JsonIn(css, path) => write!(f, "json_in({css:?}, {:?})", path.written),
            Self::Page(PageFact::Url) => f.write_str("page(url)"),
            Self::Page(PageFact::Origin) => f.write_str("page(origin)"),
            Self::Page(PageFact::Depth) => f.write_str("page(depth)"),
            Self::Page(PageFact::FetchedAt) => f.write_str("page(fetched_at)"),
            Self::Page(PageFact::Header(name)) => write!(f, "page(header = {name:?})"),
        }
    }
}
