//! CSS selectors: thin wrappers, which keep the parser's types out of the public API.

use crate::document::Document;
#[cfg(feature = "derive")]
use crate::dom::below;
use crate::dom::{attribute, href_of, own_text, visible_text};
use crate::error::{NoMatch, SelectorError};
use crate::feed;
use crate::link::{LINK_BYTES_MAX, LinkKind, RawLink};
use opilio_extract_grammar::check_selector;
use scraper::{ElementRef, Selector};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// How many parsed selectors a thread keeps. A spider has a dozen; one that makes them up has no end.
const SELECTORS_MAX: usize = 256;

thread_local! {
    static SELECTORS: RefCell<HashMap<Rc<str>, Rc<Parsed>>> = RefCell::default();
}

/// A selector, and how it was written.
#[derive(Debug)]
pub(crate) struct Parsed {
    css: Rc<str>,
    selector: Selector,
}

/// Parses a selector, once per thread.
pub(crate) fn selector(css: &str) -> Result<Rc<Parsed>, SelectorError> {
    SELECTORS.with_borrow_mut(|known| {
        if let Some(selector) = known.get(css) {
            return Ok(Rc::clone(selector));
        }
        let wrong = |reason| SelectorError { selector: css.to_owned(), reason };
        check_selector(css).map_err(|mistake| wrong(mistake.reason))?;
        // The check has the rules of this parser, so this never fails.
        let selector = Selector::parse(css).map_err(|error| wrong(error.to_string()))?;
        if known.len() >= SELECTORS_MAX {
            known.clear();
        }
        let css: Rc<str> = css.into();
        let parsed = Rc::new(Parsed { css: Rc::clone(&css), selector });
        known.insert(css, Rc::clone(&parsed));
        Ok(parsed)
    })
}

/// The elements that a selector matches, in document order. Lazy: [`Matches::first`] reads no further
/// than to the first.
#[derive(Clone)]
pub struct Matches<'a> {
    document: &'a Document,
    /// The element itself is searched, too, where it is the root of the document.
    scope: Option<ElementRef<'a>>,
    includes_scope: bool,
    parsed: Rc<Parsed>,
}

impl<'a> Matches<'a> {
    pub(crate) fn in_document(
        document: &'a Document,
        root: Option<ElementRef<'a>>,
        css: &str,
    ) -> Result<Self, SelectorError> {
        Ok(Self { document, scope: root, includes_scope: true, parsed: selector(css)? })
    }

    /// The elements one by one.
    pub fn iter(&self) -> Iter<'a, '_> {
        let selector = &self.parsed.selector;
        let root =
            self.scope.filter(|root| self.includes_scope && selector.matches_with_scope(root, Some(*root)));
        let document = self.document;
        let root = root.map(|node| Element { node, document });
        Iter { document, root, below: self.scope.map(|scope| scope.select(selector)) }
    }

    /// The first element.
    #[must_use]
    pub fn first(&self) -> Option<Element<'a>> {
        self.iter().next()
    }

    /// The first element, for elements that a page must have.
    ///
    /// # Errors
    /// When nothing matches; the error names the selector. In a spider's `parse`, `?` ends the page as a
    /// failure with reason `parse_error` and this text.
    pub fn need(&self) -> Result<Element<'a>, NoMatch> {
        self.first().ok_or_else(|| NoMatch { selector: self.parsed.css.as_ref().to_owned() })
    }

    /// Whether nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The text of the first element, as [`Element::text`] reads it.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.first().map(|element| element.text())
    }

    /// The text of each element.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.iter().map(|element| element.text()).collect()
    }

    /// An attribute of the first element that has it.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&'a str> {
        self.iter().find_map(|element| element.attr(name))
    }

    /// An attribute of each element that has it.
    #[must_use]
    pub fn attrs(&self, name: &str) -> Vec<&'a str> {
        self.iter().filter_map(|element| element.attr(name)).collect()
    }
}

impl fmt::Debug for Matches<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Matches<'a> {
    type Item = Element<'a>;
    type IntoIter = std::vec::IntoIter<Element<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter().collect::<Vec<_>>().into_iter()
    }
}

impl<'a, 'm> IntoIterator for &'m Matches<'a> {
    type Item = Element<'a>;
    type IntoIter = Iter<'a, 'm>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The elements of [`Matches`], one by one.
pub struct Iter<'a, 'm> {
    document: &'a Document,
    root: Option<Element<'a>>,
    below: Option<scraper::element_ref::Select<'a, 'm>>,
}

impl fmt::Debug for Iter<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl<'a> Iterator for Iter<'a, '_> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (root, document) = (self.root.take(), self.document);
        root.or_else(|| self.below.as_mut()?.next().map(|node| Element { node, document }))
    }
}

/// One element of a page.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    node: ElementRef<'a>,
    document: &'a Document,
}

/// Whether they are one element of one document.
impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Eq for Element<'_> {}

impl<'a> Element<'a> {
    /// The name: lower case in HTML; in XML as it stands there, with its prefix.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.node.value().name()
    }

    /// The text in it and below in one line, as a person reads it: white space collapsed and trimmed, and a
    /// space where a page breaks the line (`<br>`, paragraphs, cells, items of lists). Without scripts, styles,
    /// `<noscript>` and templates, unless the element is one of them itself. For the text as it stands in
    /// the markup see [`Element::raw_text`].
    #[must_use]
    pub fn text(&self) -> String {
        visible_text(self.node, usize::MAX, usize::MAX)
    }

    /// The text directly in it, without that of the elements below; otherwise as [`Element::text`].
    #[must_use]
    pub fn own_text(&self) -> String {
        own_text(self.node)
    }

    /// The text in it and below as it stands in the markup, entities decoded: with all its white space, and
    /// with that of scripts and styles.
    #[must_use]
    pub fn raw_text(&self) -> String {
        self.node.text().collect()
    }

    /// The value of an attribute, entities decoded. Names are lower case in HTML; in XML they are as they
    /// stand there, with their prefix (`xml:lang`).
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&'a str> {
        attribute(self.node, name)
    }

    /// The markup of the element, its own tags included; as parsed, not as sent.
    #[must_use]
    pub fn html(&self) -> String {
        self.node.html()
    }

    /// The elements below this one that match; `:scope` is this one.
    ///
    /// # Errors
    /// The selector is not valid.
    pub fn css(&self, css: &str) -> Result<Matches<'a>, SelectorError> {
        Ok(Matches {
            document: self.document,
            scope: Some(self.node),
            includes_scope: false,
            parsed: selector(css)?,
        })
    }

    /// The target of the element as written in the markup: its `href` (in SVG also `xlink:href`), else its
    /// `src`; for a `<link>` of RSS its text. [`Document::resolve_in`](crate::Document::resolve_in) makes a
    /// URL of it.
    #[must_use]
    pub fn href(&self) -> Option<Cow<'a, str>> {
        let attribute = href_of(self.node).or_else(|| self.attr("src"));
        attribute.map(Cow::Borrowed).or_else(|| feed::text_of_link(self.node))
    }

    /// As [`Element::css`], and this element itself where the selector is `:scope`, or a list with it.
    #[cfg(feature = "derive")]
    pub(crate) fn css_from_here(&self, css: &str) -> Result<Matches<'a>, SelectorError> {
        let includes_scope = css.contains(":scope");
        Ok(Matches { includes_scope, ..self.css(css)? })
    }

    /// The document that it is in.
    #[cfg(feature = "derive")]
    pub(crate) fn document(&self) -> &'a Document {
        self.document
    }

    /// A number that no other element of the document has.
    #[cfg(feature = "derive")]
    pub(crate) fn place(&self) -> usize {
        std::ptr::from_ref(self.node.value()).addr()
    }

    /// The elements below this one in document order, each with its level: those directly below have 1.
    #[cfg(feature = "derive")]
    pub(crate) fn below(&self) -> impl Iterator<Item = (usize, Element<'a>)> + use<'a> {
        let document = self.document;
        below(self.node).map(move |(level, node)| (level, Element { node, document }))
    }

    /// The element of the parser behind.
    pub(crate) fn inner(&self) -> ElementRef<'a> {
        self.node
    }

    /// The link of the element, if any.
    pub(crate) fn raw_link(&self) -> Option<RawLink> {
        let href = self.href()?;
        let rel = self.attr("rel");
        let kind = match self.name() {
            "area" => LinkKind::Area,
            "frame" => LinkKind::Frame,
            "iframe" => LinkKind::Iframe,
            "link" if feed::text_of_link(self.node).is_some() => LinkKind::Entry,
            "link" => rel.and_then(LinkKind::of_relation).unwrap_or(LinkKind::Anchor),
            _ => LinkKind::Anchor,
        };
        let fits = href.len() <= LINK_BYTES_MAX;
        fits.then(|| RawLink::new(kind, href.into_owned(), rel.map(str::to_owned)))
    }
}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.node.value(), f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn keeps_a_bounded_number_of_selectors() {
        for n in 0..3 * SELECTORS_MAX {
            selector(&format!("a.c{n}")).unwrap();
        }
        SELECTORS.with_borrow(|known| assert!(known.len() <= SELECTORS_MAX));
    }

    #[test]
    fn what_a_page_needs_and_does_not_have_is_named() {
        let page = crate::Document::new("http://a.test/".parse().unwrap(), None, "<h1>Tea</h1>".into());
        assert_eq!(page.css("h1").unwrap().need().unwrap().text(), "Tea");
        let error = page.css(".price > b").unwrap().need().unwrap_err();
        assert_eq!(error.to_string(), "nothing matches the CSS selector `.price > b`");
    }

    #[test]
    fn a_wrong_selector_is_named_with_the_reason() {
        for css in ["", "a[", "p::", "<x>", "a:nonsense", ":not(", "a,", "::before"] {
            let error = selector(css).unwrap_err();
            assert_eq!(error.selector, css);
            assert!(!error.reason.is_empty() && !error.reason.contains('\n'), "{error}");
            assert!(!error.reason.contains("report") && !error.reason.contains("Unsupported"), "{error}");
        }
        let deep = ":not(".repeat(100_000);
        assert!(selector(&deep).is_err());
    }
}
