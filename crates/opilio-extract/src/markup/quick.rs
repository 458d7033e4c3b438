//! Reads title, links and `<meta>` elements of a page without a tree and without a stack of open elements.
//!
//! Nothing of a page is lost by that: `<template>`, MathML and most of SVG, in which elements have another meaning,
//! are unusual forms. lol_html reads a page that has an unusual form ([`pass`](crate::pass)); a test compares both.

use html5ever::tokenizer::states::RawKind;

use super::{MarkupPiece, Scanner};
use crate::entities::decoded_text;
use crate::link::{LinkKind, Reach};
use crate::pass::{TITLE_ROOM_BYTES, decoded};
use crate::skim::{Collector, Enough, Skim};
use crate::text::{bounded, push_collapsed};

/// The longest name of an element that is looked at: `plaintext`.
const NAME_BYTES_MAX: usize = 9;

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
    // The parser of the HTML standard replaces this character wherever it is.
    if memchr::memchr(0, page.as_bytes()).is_some() {
        return None;
    }
    let mut quick = Quick { scanner: Scanner::new(page), into: Collector::default(), reach };
    while !quick.scanner.is_at_end() {
        if let MarkupPiece::Start { name, self_closing } = quick.scanner.piece()? {
            match quick.element(&page[name], self_closing) {
                Ok(()) => {}
                Err(QuickStop::Enough) => break,
                Err(QuickStop::Unusual) => return None,
            }
        }
    }
    Some(quick.into.skim)
}

struct Quick<'p> {
    scanner: Scanner<'p>,
    into: Collector,
    reach: Reach,
}

impl<'p> Quick<'p> {
    /// Takes what an element says, and reads its content if this is plain text.
    fn element(&mut self, name: &str, self_closing: bool) -> Result<(), QuickStop> {
        let mut lower = [0; NAME_BYTES_MAX];
        let Some(lower) = lower.get_mut(..name.len()) else { return Ok(()) };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match &*lower {
            b"a" => self.link(LinkKind::Anchor, "href")?,
            b"area" => self.link(LinkKind::Area, "href")?,
            b"frame" => self.link(LinkKind::Frame, "src")?,
            b"link" => {
                if let Some(kind) = self.value("rel").and_then(LinkKind::of_relation) {
                    self.link(kind, "href")?;
                }
            }
            b"base" => {
                if let Some(href) = self.value("href").and_then(decoded) {
                    self.into.base(href);
                }
            }
            b"meta" => self.meta()?,
            b"img" if self.reach == Reach::Images => self.image(true)?,
            b"source" if self.reach == Reach::Images => self.image(false)?,
            b"title" => self.title()?,
            b"iframe" => {
                self.link(LinkKind::Iframe, "src")?;
                self.skip(RawKind::Rawtext, name)?;
            }
            b"textarea" => self.skip(RawKind::Rcdata, name)?,
            b"style" | b"xmp" | b"noembed" | b"noframes" => self.skip(RawKind::Rawtext, name)?,
            b"script" => self.skip(RawKind::ScriptData, name)?,
            b"plaintext" => self.scanner.at = self.scanner.page.len(),
            b"svg" if !self_closing => self.svg()?,
            b"math" | b"template" => return Err(QuickStop::Unusual),
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
        let Some(href) = self.value(attribute).and_then(decoded) else { return Ok(()) };
        let rel = self.value("rel").and_then(decoded).map(std::borrow::Cow::into_owned);
        self.into.link(kind, href, rel)
    }

    fn meta(&mut self) -> Result<(), Enough> {
        let Some(content) = self.value("content").and_then(decoded) else { return Ok(()) };
        let (name, event) =
            (self.value("name").and_then(decoded), self.value("http-equiv").and_then(decoded));
        self.into.meta(name.as_deref(), event.as_deref(), &content)
    }

    fn image(&mut self, has_source: bool) -> Result<(), Enough> {
        if let Some(source) = self.value("src").filter(|_| has_source).and_then(decoded) {
            self.into.link(LinkKind::Image, source, None)?;
        }
        self.into.image_set(&self.value("srcset").and_then(decoded).unwrap_or_default())
    }

    fn title(&mut self) -> Result<(), QuickStop> {
        let text = self.scanner.raw_text(RawKind::Rcdata, "title").ok_or(QuickStop::Unusual)?;
        if self.into.skim.title.is_none() {
            let mut title = String::new();
            push_collapsed(&mut title, bounded(&self.scanner.page[text], TITLE_ROOM_BYTES));
            self.into.title(&decoded_text(&title));
        }
        Ok(())
    }

    /// Skips the text of an element, in which tags have no meaning.
    fn skip(&mut self, kind: RawKind, name: &str) -> Result<(), QuickStop> {
        self.scanner.raw_text(kind, name).map(|_| ()).ok_or(QuickStop::Unusual)
    }

    /// Skips an image in SVG that has drawings and texts only.
    fn svg(&mut self) -> Result<(), QuickStop> {
        let mut in_label = false;
        loop {
            match self.scanner.piece().ok_or(QuickStop::Unusual)? {
                MarkupPiece::Start { name, self_closing } => {
                    let name = &self.scanner.page[name];
                    // A label may have HTML in it.
                    if in_label || !draws(name) {
                        return Err(QuickStop::Unusual);
                    }
                    in_label = is_label(name) && !self_closing;
                }
                MarkupPiece::End { name } => {
                    let name = &self.scanner.page[name];
                    if name.eq_ignore_ascii_case("svg") {
                        return Ok(());
                    }
                    if !draws(name) {
                        return Err(QuickStop::Unusual);
                    }
                    in_label = in_label && !is_label(name);
                }
                MarkupPiece::Doctype(_) => return Err(QuickStop::Unusual),
                MarkupPiece::Text(_) | MarkupPiece::Comment(_) => {}
            }
            if self.scanner.is_at_end() {
                return Ok(());
            }
        }
    }
}

fn is_label(name: &str) -> bool {
    name.eq_ignore_ascii_case("title") || name.eq_ignore_ascii_case("desc")
}

/// Returns whether an element of SVG is a drawing, a text, or a part of one: no link, no script, no HTML.
fn draws(name: &str) -> bool {
    const DRAWS: [&str; 24] = [
        "path",
        "g",
        "circle",
        "rect",
        "line",
        "polyline",
        "polygon",
        "ellipse",
        "defs",
        "use",
        "symbol",
        "linearGradient",
        "radialGradient",
        "stop",
        "clipPath",
        "mask",
        "pattern",
        "text",
        "tspan",
        "filter",
        "animate",
        "animateTransform",
        "title",
        "desc",
    ];
    DRAWS.iter().any(|known| name.eq_ignore_ascii_case(known))
}
