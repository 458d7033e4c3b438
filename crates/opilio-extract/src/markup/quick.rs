//! Reads title, links and `<meta>` elements of a page without a tree and without a stack of open elements.
//!
//! It finds the same elements as a parser that builds a tree. The content of `<template>` is left out, and SVG and MathML are read with a stack
//! of their own, up to HTML in them: a page with such HTML is an unusual form, and its tree is read instead
//! ([`Document`](crate::Document)). Tests compare what is found here with what html5ever makes of the tags.

use std::borrow::Cow;

use html5ever::tokenizer::states::RawKind;

use super::{MarkupPiece, Scanner};
use crate::entities::{decoded_attribute, decoded_text};
use crate::link::{LINK_BYTES_MAX, LinkKind, Reach};
use crate::skim::{Collector, Enough, Skim, TITLE_BYTES_MAX};
use crate::text::{bounded, push_collapsed};

/// The longest name of an element that is looked at: `plaintext`.
const NAME_BYTES_MAX: usize = 9;

/// The factor by which a value becomes shorter, at most, when its entities are decoded.
const ENTITY_SHRINKS_MAX: usize = 8;

/// The most bytes of a title as written.
const TITLE_ROOM_BYTES: usize = TITLE_BYTES_MAX * ENTITY_SHRINKS_MAX;

/// The deepest level of elements in SVG or MathML. Each takes 16 bytes.
const FOREIGN_DEPTH_MAX: usize = 1_000_000;

/// The reason why a page is not read further.
enum QuickStop {
    Unusual,
    Enough,
}

impl From<Enough> for QuickStop {
    fn from(_: Enough) -> Self {
        Self::Enough
    }
}

/// Reads a page. Returns `None` if the page has an unusual form.
pub(crate) fn skim(page: &str, reach: Reach) -> Option<Skim> {
    let mut quick = Quick { scanner: Scanner::new(page), into: Collector::default(), reach, templates: 0 };
    match quick.read() {
        Ok(()) | Err(QuickStop::Enough) => Some(quick.into.skim),
        Err(QuickStop::Unusual) => None,
    }
}

struct Quick<'p> {
    scanner: Scanner<'p>,
    into: Collector,
    reach: Reach,
    /// The number of open `<template>` elements. Their content is not part of the page.
    templates: usize,
}

impl<'p> Quick<'p> {
    fn read(&mut self) -> Result<(), QuickStop> {
        while !self.scanner.is_at_end() {
            match self.piece(Namespace::Html)? {
                MarkupPiece::Start { name, self_closing } => {
                    self.element(&self.scanner.page[name], self_closing)?;
                }
                MarkupPiece::End { name } if self.templates > 0 => {
                    let closes = self.scanner.page[name].eq_ignore_ascii_case("template");
                    self.templates -= usize::from(closes);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn piece(&mut self, namespace: Namespace) -> Result<MarkupPiece, QuickStop> {
        let piece = self.scanner.piece();
        piece.or_else(|| self.scanner.cdata(namespace != Namespace::Html)).ok_or(QuickStop::Unusual)
    }

    /// Takes what an element says, and reads its content if this is plain text.
    fn element(&mut self, name: &'p str, self_closing: bool) -> Result<(), QuickStop> {
        let mut lower = [0; NAME_BYTES_MAX];
        let Some(lower) = lower.get_mut(..name.len()) else { return Ok(()) };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match &*lower {
            b"a" => self.link(LinkKind::Anchor, "href")?,
            b"area" => self.link(LinkKind::Area, "href")?,
            b"frame" => self.link(LinkKind::Frame, "src")?,
            b"link" => {
                let rel = self.value("rel").and_then(decoded);
                if let Some(kind) = rel.and_then(|rel| LinkKind::of_relation(&rel)) {
                    self.link(kind, "href")?;
                }
            }
            b"base" => {
                if let Some(href) = self.value("href").filter(|_| self.templates == 0).and_then(decoded) {
                    self.into.base(href);
                }
            }
            b"meta" => self.meta()?,
            b"img" if self.reach == Reach::Images => self.image(true)?,
            b"source" if self.reach == Reach::Images => self.image(false)?,
            b"title" => self.title(),
            b"iframe" => {
                self.link(LinkKind::Iframe, "src")?;
                self.skip(RawKind::Rawtext, name);
            }
            b"textarea" => self.skip(RawKind::Rcdata, name),
            b"style" | b"xmp" | b"noembed" | b"noframes" => self.skip(RawKind::Rawtext, name),
            b"script" => self.skip(RawKind::ScriptData, name),
            b"plaintext" => self.scanner.at = self.scanner.page.len(),
            b"template" => self.templates += 1,
            b"svg" if !self_closing => self.foreign(name, Namespace::Svg)?,
            b"math" if !self_closing => self.foreign(name, Namespace::MathMl)?,
            _ => {}
        }
        Ok(())
    }

    /// Returns the value of an attribute, as written. If several have the name, the first counts.
    fn value(&self, name: &str) -> Option<&'p str> {
        let page = self.scanner.page;
        let is = |written: &str| written.eq_ignore_ascii_case(name);
        let found = self.scanner.attributes.iter().find(|attribute| is(&page[attribute.name.clone()]));
        found.map(|attribute| &page[attribute.value.clone()])
    }

    fn link(&mut self, kind: LinkKind, attribute: &str) -> Result<(), Enough> {
        self.take(kind, self.value(attribute))
    }

    fn take(&mut self, kind: LinkKind, href: Option<&str>) -> Result<(), Enough> {
        let Some(href) = href.filter(|_| self.templates == 0).and_then(decoded) else { return Ok(()) };
        let rel = self.value("rel").and_then(decoded).map(Cow::into_owned);
        self.into.link(kind, href, rel)
    }

    fn meta(&mut self) -> Result<(), Enough> {
        let content = self.value("content").filter(|_| self.templates == 0);
        let Some(content) = content.and_then(decoded) else { return Ok(()) };
        let (name, event) =
            (self.value("name").and_then(decoded), self.value("http-equiv").and_then(decoded));
        self.into.meta(name.as_deref(), event.as_deref(), &content)
    }

    fn image(&mut self, has_source: bool) -> Result<(), Enough> {
        if self.templates > 0 {
            return Ok(());
        }
        if let Some(source) = self.value("src").filter(|_| has_source).and_then(decoded) {
            self.into.link(LinkKind::Image, source, None)?;
        }
        self.into.image_set(&self.value("srcset").and_then(decoded).unwrap_or_default())
    }

    fn title(&mut self) {
        let text = self.scanner.raw_text(RawKind::Rcdata, "title");
        if self.into.skim.title.is_none() && self.templates == 0 {
            let mut title = String::new();
            push_collapsed(&mut title, bounded(&self.scanner.page[text], TITLE_ROOM_BYTES));
            self.into.title(&without_nul(decoded_text(&title)));
        }
    }

    /// Skips the text of an element, in which tags have no meaning.
    fn skip(&mut self, kind: RawKind, name: &str) {
        self.scanner.raw_text(kind, name);
    }

    /// Reads SVG or MathML up to its end. `root` is the name of the element that began it.
    fn foreign(&mut self, root: &'p str, namespace: Namespace) -> Result<(), QuickStop> {
        let mut open = vec![root];
        while !self.scanner.is_at_end() {
            match self.piece(namespace)? {
                MarkupPiece::Start { name, self_closing } => {
                    let name = &self.scanner.page[name];
                    if open.last().is_some_and(|inside| namespace.has_html_in(inside)) || ends_foreign(name) {
                        return Err(QuickStop::Unusual);
                    }
                    if name.eq_ignore_ascii_case("a") {
                        self.take(LinkKind::Anchor, self.value("href").or_else(|| self.value("xlink:href")))?;
                    }
                    if open.len() == FOREIGN_DEPTH_MAX {
                        return Err(QuickStop::Unusual);
                    }
                    if !self_closing {
                        open.push(name);
                    }
                }
                MarkupPiece::End { name } => {
                    let name = &self.scanner.page[name];
                    let closed = open.iter().rposition(|inside| inside.eq_ignore_ascii_case(name));
                    // The end tag of an element outside ends SVG and MathML, or has no effect.
                    open.truncate(closed.ok_or(QuickStop::Unusual)?);
                    if open.is_empty() {
                        return Ok(());
                    }
                }
                MarkupPiece::Text(_) | MarkupPiece::Comment(_) | MarkupPiece::Doctype(_) => {}
            }
        }
        Ok(())
    }
}

/// The language to which an element belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Namespace {
    Html,
    Svg,
    MathMl,
}

impl Namespace {
    /// Returns whether elements inside an element with this name may be HTML (HTML standard §13.2.6.5, "HTML
    /// integration point" and "MathML text integration point").
    fn has_html_in(self, name: &str) -> bool {
        let names: &[&str] = match self {
            Self::Html => &[],
            Self::Svg => &["foreignObject", "desc", "title"],
            Self::MathMl => &["mi", "mo", "mn", "ms", "mtext", "annotation-xml"],
        };
        names.iter().any(|known| name.eq_ignore_ascii_case(known))
    }
}

/// Returns whether the start tag of such an element ends SVG and MathML (HTML standard §13.2.6.5). `<font>` does so with
/// some attributes only.
fn ends_foreign(name: &str) -> bool {
    const HTML: [&str; 45] = [
        "b",
        "big",
        "blockquote",
        "body",
        "br",
        "center",
        "code",
        "dd",
        "div",
        "dl",
        "dt",
        "em",
        "embed",
        "font",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "head",
        "hr",
        "i",
        "img",
        "li",
        "listing",
        "menu",
        "meta",
        "nobr",
        "ol",
        "p",
        "pre",
        "ruby",
        "s",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tt",
        "u",
        "ul",
        "var",
    ];
    HTML.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Returns the value of an attribute with its entities decoded; `None` if the value is too long for a link.
pub(super) fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    if raw.len() > LINK_BYTES_MAX * ENTITY_SHRINKS_MAX {
        return None;
    }
    if memchr::memchr2(b'&', 0, raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    Some(without_nul(decoded_attribute(raw)))
}

/// Replaces each NUL character by U+FFFD, as the tokenizer of the HTML standard does.
fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        text
    }
}
