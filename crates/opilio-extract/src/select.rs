//! CSS selectors, and the elements that they match. The types here wrap those of the parser, so that the public API
//! does not contain the parser's types.

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

/// The most parsed selectors that a thread keeps. A spider has about a dozen selectors, but may by mistake make up
/// new selectors without end.
const SELECTORS_MAX: usize = 256;

thread_local! {
    static SELECTORS: RefCell<HashMap<Rc<str>, Rc<Parsed>>> = RefCell::default();
}

/// A parsed selector, with its text.
#[derive(Debug)]
pub(crate) struct Parsed {
    css: Rc<str>,
    selector: Selector,
}

/// Parses a selector. Each thread parses the same selector only once.
pub(crate) fn selector(css: &str) -> Result<Rc<Parsed>, SelectorError> {
    SELECTORS.with_borrow_mut(|known| {
        if let Some(selector) = known.get(css) {
            return Ok(Rc::clone(selector));
        }
        let wrong = |reason| SelectorError { selector: css.to_owned(), reason };
        check_selector(css).map_err(|mistake| wrong(mistake.reason))?;
        // Parsing never fails here: the check above has the same rules as this parser.
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

/// The elements that a selector matches, in document order. They are searched on demand: [`Matches::first`] stops at
/// the first match.
#[derive(Clone)]
pub struct Matches<'a> {
    document: &'a Document,
    /// The element in which to search: the root of the document, or the element whose method was called.
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

    /// Iterates over the matching elements.
    pub fn iter(&self) -> Iter<'a, '_> {
        let selector = &self.parsed.selector;
        let root =
            self.scope.filter(|root| self.includes_scope && selector.matches_with_scope(root, Some(*root)));
        let document = self.document;
        let root = root.map(|node| Element { node, document });
        Iter { document, root, below: self.scope.map(|scope| scope.select(selector)) }
    }

    /// Returns the first matching element.
    #[must_use]
    pub fn first(&self) -> Option<Element<'a>> {
        self.iter().next()
    }

    /// Returns the first matching element; for elements that a page must have.
    ///
    /// # Errors
    /// When nothing matches; the error contains the selector. In a spider's `parse`, the operator `?` then ends the
    /// page as a failure with the reason `parse_error` and this error's text.
    pub fn need(&self) -> Result<Element<'a>, NoMatch> {
        self.first().ok_or_else(|| NoMatch { selector: self.parsed.css.as_ref().to_owned() })
    }

    /// Returns whether nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// Returns the text of the first matching element, as [`Element::text`] does.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.first().map(|element| element.text())
    }

    /// Returns the text of each matching element.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.iter().map(|element| element.text()).collect()
    }

    /// Returns the value of an attribute from the first matching element that has this attribute.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&'a str> {
        self.iter().find_map(|element| element.attr(name))
    }

    /// Returns the values of an attribute from all matching elements that have this attribute.
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

/// An iterator over the elements of [`Matches`].
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

/// Two elements are equal if they are the same element of the same document.
impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Eq for Element<'_> {}

impl<'a> Element<'a> {
    /// Returns the element's name. In HTML it is in lower case; in XML it is as written, with its prefix.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.node.value().name()
    }

    /// Returns the text in the element and below it in one line, as a person reads it: white space is collapsed and
    /// trimmed, and there is a space where a page breaks the line (`<br>`, paragraphs, cells, list items). Scripts,
    /// styles, `<noscript>` and templates are left out, unless the element itself is one of these. For the text as
    /// written in the markup see [`Element::raw_text`].
    #[must_use]
    pub fn text(&self) -> String {
        visible_text(self.node, usize::MAX, usize::MAX)
    }

    /// Returns the beginning of [`Element::text`]: reads at most this many bytes of text, and as many nodes. For code
    /// that looks at many elements of a page that may be hostile: elements nest, so their texts together may be much
    /// longer than the page.
    #[must_use]
    pub fn text_of(&self, bytes_max: usize, nodes_max: usize) -> String {
        visible_text(self.node, bytes_max, nodes_max)
    }

    /// Returns the text directly in the element, without the text of elements inside it. White space is handled as
    /// by [`Element::text`].
    #[must_use]
    pub fn own_text(&self) -> String {
        own_text(self.node)
    }

    /// Returns the text in the element and below it as written in the markup, with entities decoded: with all
    /// white space, and with scripts and styles.
    #[must_use]
    pub fn raw_text(&self) -> String {
        self.node.text().collect()
    }

    /// Returns the value of an attribute, with entities decoded. In HTML, names are in lower case; in XML
    /// they are as written, with their prefix (`xml:lang`).
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&'a str> {
        attribute(self.node, name)
    }

    /// Returns the markup of the element, with its own tags. It is the markup as the parser understood it, which may
    /// differ from the markup as it was sent.
    #[must_use]
    pub fn html(&self) -> String {
        self.node.html()
    }

    /// Returns the elements below this element that match the selector; `:scope` in the selector means this element.
    ///
    /// # Errors
    /// When the selector is not valid.
    pub fn css(&self, css: &str) -> Result<Matches<'a>, SelectorError> {
        Ok(Matches {
            document: self.document,
            scope: Some(self.node),
            includes_scope: false,
            parsed: selector(css)?,
        })
    }

    /// Returns the target of the element as written in the markup: its `href` (in SVG also `xlink:href`),
    /// else its `src`; for a `<link>` of RSS, its text. [`Document::resolve_in`](crate::Document::resolve_in)
    /// converts it to a URL.
    #[must_use]
    pub fn href(&self) -> Option<Cow<'a, str>> {
        let attribute = href_of(self.node).or_else(|| self.attr("src"));
        attribute.map(Cow::Borrowed).or_else(|| feed::text_of_link(self.node))
    }

    /// Returns the elements that match, like [`Element::css`], but a selector that contains `:scope` may match this
    /// element itself.
    #[cfg(feature = "derive")]
    pub(crate) fn css_from_here(&self, css: &str) -> Result<Matches<'a>, SelectorError> {
        let includes_scope = css.contains(":scope");
        Ok(Matches { includes_scope, ..self.css(css)? })
    }

    /// Returns the document that contains the element.
    #[cfg(feature = "derive")]
    pub(crate) fn document(&self) -> &'a Document {
        self.document
    }

    /// Returns a number that identifies the element in its document.
    #[cfg(feature = "derive")]
    pub(crate) fn place(&self) -> usize {
        std::ptr::from_ref(self.node.value()).addr()
    }

    /// Iterates over the elements below this element in document order, each with its level; children have level 1.
    #[cfg(feature = "derive")]
    pub(crate) fn below(&self) -> impl Iterator<Item = (usize, Element<'a>)> + use<'a> {
        let document = self.document;
        below(self.node).map(move |(level, node)| (level, Element { node, document }))
    }

    /// Returns the element in the type of scraper, the parser.
    pub(crate) fn inner(&self) -> ElementRef<'a> {
        self.node
    }

    /// Returns the link of the element, if it has one.
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
