//! The plan of a struct: its fields, and the sources from which each field is read. The derive macro writes the plan
//! as a constant.

use std::borrow::Cow;
use std::fmt;

use opilio_extract_grammar::{NumberForm, Segment};

use crate::select::Element;

/// The fields of a struct, with their sources.
#[derive(Debug, Clone, Copy)]
pub struct ExtractPlan {
    /// The name of the struct.
    pub name: &'static str,
    /// The selector of `#[extract(each = "…")]`: each matching element is one value of the struct. `None` without
    /// `each`.
    pub each: Option<&'static str>,
    /// The field of `#[extract(key = "…")]`, by which values are told apart. `None` without `key`.
    pub key: Option<&'static str>,
    /// The fields, in the order in which the struct has them.
    pub fields: &'static [FieldPlan],
}

/// The plan of one field.
#[derive(Debug, Clone, Copy)]
pub struct FieldPlan {
    /// The name of the field in the struct.
    pub name: &'static str,
    /// The number of values that the field may have, and what happens if the page has none.
    pub shape: FieldShape,
    /// The kind of the field's values.
    pub kind: ValueKind,
    /// The sources of the field. The first source that has something is used.
    pub sources: &'static [SourcePlan],
}

/// The number of values that a field may have, and what happens if the page has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldShape {
    /// One value. It is a fault if the page has none.
    Single,
    /// One value or none: the field is an `Option`.
    Optional,
    /// One value, or the field's default if the page has none.
    Defaulted,
    /// Any number of values: the field is a `Vec`.
    List,
}

/// The kind of a field's value.
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
    /// A decimal number, which keeps all its digits.
    Decimal,
    /// An absolute URL.
    Url,
    /// An amount of money, which may have a currency.
    Price,
    /// A date, a time, or both.
    Date,
    /// A value that a function of the user makes from a text.
    Custom,
    /// A nested struct; contains a function that returns its plan.
    Struct(fn() -> &'static ExtractPlan),
}

/// One source of a field, and the way in which the source's text becomes a value.
#[derive(Debug, Clone, Copy)]
pub struct SourcePlan {
    /// The place in which the source looks for the text.
    pub at: SourceAt,
    /// The regular expression whose first group is the part of the text that is used; `None` for the whole text.
    pub re: Option<&'static str>,
    /// The form in which the source writes numbers; `None` if it is not given.
    pub number: Option<NumberForm>,
    /// The format, in the notation of `strftime`, in which the source writes dates; `None` if it is not given.
    pub date: Option<&'static str>,
    /// The Rust code of the user's function that makes the value, for messages; `None` if there is none.
    pub by: Option<&'static str>,
}

/// The place in which a source looks for a value.
#[derive(Debug, Clone, Copy)]
pub enum SourceAt {
    /// A part of the elements that a selector matches.
    Css {
        /// The selector.
        css: &'static str,
        /// The part of a matching element that is read.
        piece: Piece,
        /// Whether only one element may match.
        one: bool,
    },
    /// JSON-LD: the values at a path, starting from the objects of a type.
    Ld(ItemPath),
    /// Microdata: the values at a path, starting from the items of a type.
    Micro(ItemPath),
    /// The `content` of the `<meta>` elements with this name or property.
    Meta(&'static str),
    /// The values at a path into the body, which is JSON.
    Json(JsonPath),
    /// The values at a path into JSON that is the text of an element. Contains the selector of the element, and the
    /// path.
    JsonIn(&'static str, JsonPath),
    /// A fact about the page, such as its URL.
    Page(PageFact),
}

/// A path that starts from the objects of a type.
#[derive(Debug, Clone, Copy)]
pub struct ItemPath {
    /// The type of the objects, such as `Product`.
    pub kind: &'static str,
    /// The path from an object to the value.
    pub path: JsonPath,
}

/// A path into JSON, as written and as parsed.
#[derive(Debug, Clone, Copy)]
pub struct JsonPath {
    /// The path as the user wrote it.
    pub written: &'static str,
    /// The steps of the parsed path.
    pub steps: &'static [Segment<'static>],
}

/// The part of an element that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The element's text, as [`Element::text`] returns it. For a URL, the element's `href` or `src`.
    Text,
    /// The text directly in the element, without the text of elements inside it.
    OwnText,
    /// The element's text exactly as written in the markup.
    Raw,
    /// The element's markup, with its own tags.
    Html,
    /// The value of the attribute with this name.
    Attr(&'static str),
}

/// A fact about a page that a field can have as its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFact {
    /// The final URL of the page, after redirects.
    Url,
    /// The URL that was requested, before redirects.
    RequestedUrl,
    /// The number of links from a seed to the page.
    Depth,
    /// The time at which the page was fetched.
    FetchedAt,
    /// The value of the header field with this name.
    Header(&'static str),
}

impl Piece {
    /// Returns this part of an element. `None` if the part is an attribute that the element does not have.
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
    /// Returns whether this place is the text of an element, which is usually not a URL.
    pub(super) fn reads_text(&self) -> bool {
        matches!(self, Self::Css { piece: Piece::Text, .. })
    }

    /// Returns whether an empty text at this place is a value. It is a value in an attribute, since the page sets
    /// the attribute on purpose.
    pub(super) fn says_empty(&self) -> bool {
        !matches!(self, Self::Css { piece: Piece::Text | Piece::OwnText | Piece::Raw | Piece::Html, .. })
    }
}

/// Writes the source as it is written in the attribute above a field.
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
            Self::Page(PageFact::RequestedUrl) => f.write_str("page(requested_url)"),
            Self::Page(PageFact::Depth) => f.write_str("page(depth)"),
            Self::Page(PageFact::FetchedAt) => f.write_str("page(fetched_at)"),
            Self::Page(PageFact::Header(name)) => write!(f, "page(header = {name:?})"),
        }
    }
}
