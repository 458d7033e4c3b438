//! One fetched document, parsed on demand.

use crate::decode::{self, Decoded};
use crate::directives::Directives;
use crate::dom::{Dom, LinkTexts};
use crate::error::{ExtractError, Flaw, SelectorError};
use crate::link::{Base, Link, LinkKind, RawLink, Reach, is_web, parse, resolve, resolve_all};
use crate::media::{Kind, Label};
use crate::pass;
use crate::select::{Element, Matches};
use crate::skim::{Cut, Skim};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;
use url::Url;

/// A document: made cheaply, read lazily, each part at most once.
///
/// Not `Send`, since its DOM is not: make it where it is read.
pub struct Document {
    url: Url,
    label: Label,
    body: Bytes,
    kind: OnceCell<Kind>,
    text: OnceCell<Decoded>,
    skim: OnceCell<Skim>,
    dom: OnceCell<Dom>,
    #[cfg(feature = "derive")]
    typed: crate::typed::TypedParts,
}

impl Document {
    /// Wraps a body without parsing it.
    ///
    /// `url` is the final URL of the body; relative links are resolved against it. `content_type` is the
    /// header's value; if it is missing or meaningless, the body decides.
    #[must_use]
    pub fn new(url: Url, content_type: Option<&str>, body: Bytes) -> Self {
        Self::with_content_types(url, content_type.map(str::as_bytes), body)
    }

    /// As [`Document::new`], from all the values of the Content-Type as they came: a field may be there
    /// several times, and have bytes in it that are no ASCII.
    #[must_use]
    pub fn with_content_types<'v>(
        url: Url,
        content_types: impl IntoIterator<Item = &'v [u8]>,
        body: Bytes,
    ) -> Self {
        Self {
            url,
            label: Label::parse(content_types),
            body,
            kind: OnceCell::new(),
            text: OnceCell::new(),
            skim: OnceCell::new(),
            dom: OnceCell::new(),
            #[cfg(feature = "derive")]
            typed: crate::typed::TypedParts::default(),
        }
    }

    /// Where the body came from.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The body as it is.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// How the document is read: by its Content-Type, or, if that is meaningless, by its first bytes (MIME
    /// Sniffing §7). A feed labelled as HTML is read as XML. Only HTML and XML have a title and links.
    #[must_use]
    pub fn kind(&self) -> Kind {
        *self.kind.get_or_init(|| self.label.kind(&self.body))
    }

    /// Whether the document is HTML or XML.
    #[must_use]
    pub fn is_markup(&self) -> bool {
        matches!(self.kind(), Kind::Html | Kind::Xml)
    }

    /// Why the document was not read strictly as XML; `None` if it was, or if nothing was parsed yet. Parses
    /// nothing.
    #[must_use]
    pub fn flaw(&self) -> Option<Flaw> {
        self.dom.get().and_then(|dom| dom.flaw)
    }

    /// The body as text: decoded by byte order mark, `charset` of the Content-Type, `<meta>` or XML
    /// declaration in the first 1024 bytes, else by detection (UTF-8, UTF-16, or a browser's detector on the
    /// first bytes beyond ASCII). Undecodable bytes become U+FFFD.
    ///
    /// A body that is UTF-8 already is not copied.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.decoded().text
    }

    /// The encoding of the body, by the name that the Encoding standard gives it.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        self.decoded().encoding.name()
    }

    pub(crate) fn decoded(&self) -> &Decoded {
        self.text.get_or_init(|| decode::decode(&self.body, self.label.charset, self.kind()))
    }

    /// The title, the links as written, `<base>`, and directives in metas: from one streaming pass, or from
    /// the DOM if it is built already or the document is XML. Empty for documents without markup.
    #[must_use]
    pub fn skim(&self) -> &Skim {
        self.skim.get_or_init(|| self.read(Reach::Pages))
    }

    fn read(&self, reach: Reach) -> Skim {
        let dom = match self.kind() {
            Kind::Html => self.dom.get(),
            Kind::Xml => Some(self.dom()),
            Kind::Text | Kind::Data => return Skim::default(),
        };
        match dom {
            // The pass goes on where the DOM of HTML ends.
            Some(dom) if !dom.cut || self.is_read_as_xml() => dom.skim(LinkTexts::Skip, reach, &self.url),
            _ => pass::skim(self.text(), reach),
        }
    }

    /// Why the page was read only in part; `None` if it was read completely, or not parsed yet. Parses
    /// nothing.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        let dom = self.dom.get().filter(|dom| dom.cut).map(|_| Cut::Memory);
        self.skim.get().and_then(|skim| skim.cut).or(dom)
    }

    /// The first `<title>` that is not empty, with white space collapsed.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.skim().title.as_deref()
    }

    /// The directives of the page's `<meta name=robots>`, and of those that name the product of `user_agent`.
    /// Combine them with the header field's: see [`Directives::of_header`].
    #[must_use]
    pub fn robots(&self, user_agent: &str) -> Directives {
        self.skim().robots.iter().fold(Directives::default(), |said, meta| said | meta.read_by(user_agent))
    }

    /// The name that the page prefers for itself (`<link rel=canonical>`, RFC 6596): absolute, http or
    /// https, without fragment. None, if it names none, or names several that are not one.
    #[must_use]
    pub fn canonical(&self) -> Option<Url> {
        let links = self.skim().links.iter().filter(|l| l.kind == LinkKind::Canonical && !l.href.is_empty());
        let mut names = resolve_all(links, &self.base()).into_iter();
        names.next().map(|link| link.url).filter(|_| names.next().is_none())
    }

    /// The links that a crawler follows ([`LinkKind::is_followed`]): absolute, http or https, without
    /// fragment, each URL once, in document order.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        self.links_where(LinkKind::is_followed)
    }

    /// The links of the kinds that `wanted` accepts; otherwise as [`Document::links`]. Pictures cost a
    /// pass of their own.
    #[must_use]
    pub fn links_where(&self, wanted: impl Fn(LinkKind) -> bool) -> Vec<Link> {
        if wanted(LinkKind::Image) {
            return self.resolve_skim(&self.read(Reach::Images), wanted);
        }
        self.resolve_skim(self.skim(), wanted)
    }

    /// The links of the kinds that `wanted` accepts, each with its text (for an image its `alt`); builds the
    /// DOM. Links beyond the DOM's limits have no text.
    #[must_use]
    pub fn links_with_text(&self, wanted: impl Fn(LinkKind) -> bool) -> Vec<Link> {
        if !self.is_markup() {
            return Vec::new();
        }
        let skim = self.dom().skim(LinkTexts::Take, Reach::Images, &self.url);
        let mut links = self.resolve_skim(&skim, &wanted);
        if self.dom().cut && !self.is_read_as_xml() {
            let known: HashSet<Url> = links.iter().map(|link| link.url.clone()).collect();
            let all = self.links_where(wanted);
            links.extend(all.into_iter().filter(|link| !known.contains(&link.url)));
        }
        links
    }

    /// The links of the elements that a selector matches ([`Element::href`]), in document order, resolved as
    /// by [`Document::links`], for elements of any name.
    ///
    /// # Errors
    /// The selector is not valid.
    pub fn links_at(&self, css: &str) -> Result<Vec<Link>, SelectorError> {
        let matches = self.css(css)?;
        let link = |element: Element<'_>| {
            let base = self.dom().base_of(element.inner(), &self.url).ok()?;
            Some(RawLink { base, ..element.raw_link()? })
        };
        let raw: Vec<_> = matches.iter().filter_map(link).collect();
        Ok(resolve_all(raw.iter(), &self.base()))
    }

    /// Resolves a link found on this page, against `<base>`: absolute, http(s), without fragment; `None` if
    /// it cannot be followed. Its query is encoded in the encoding of the page, as in browsers.
    #[must_use]
    pub fn resolve(&self, href: &str) -> Option<Url> {
        let base = self.base();
        resolve(href, &base.url, base.encoding)
    }

    /// Resolves a link in an element of this document as [`Document::resolve`] does, but from the nearest
    /// `xml:base`, if there is one.
    #[must_use]
    pub fn resolve_in(&self, element: &Element<'_>, href: &str) -> Option<Url> {
        match self.dom().base_of(element.inner(), &self.url).ok()? {
            Some(base) => resolve(href, &base, self.decoded().encoding),
            None => self.resolve(href),
        }
    }

    /// The elements that match a CSS selector, in document order; builds the DOM when first called.
    ///
    /// # Errors
    /// The selector is not valid.
    pub fn css(&self, css: &str) -> Result<Matches<'_>, SelectorError> {
        Matches::in_document(self, self.dom().root(), css)
    }

    /// What typed fields have read.
    #[cfg(feature = "derive")]
    pub(crate) fn typed(&self) -> &crate::typed::TypedParts {
        &self.typed
    }

    /// Whether the DOM was built.
    #[doc(hidden)]
    #[must_use]
    pub fn has_dom(&self) -> bool {
        self.dom.get().is_some()
    }

    /// Whether the DOM lacks the end of the page because of its limits (512 levels, 250,000 nodes, 16,384
    /// attributes of a tag); builds the DOM.
    #[must_use]
    pub fn dom_is_cut(&self) -> bool {
        self.dom().cut
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// The body is not JSON, or not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ExtractError> {
        let is_utf8 = self.label.charset.is_none_or(|charset| charset == encoding_rs::UTF_8);
        let read = if is_utf8 && encoding_rs::Encoding::for_bom(&self.body).is_none() {
            // RFC 8259 §8.1: UTF-8 unless stated otherwise.
            serde_json::from_slice(&self.body)
        } else {
            serde_json::from_str(self.text())
        };
        read.map_err(|source| ExtractError::Json {
            url: redacted(&self.url),
            wanted: std::any::type_name::<T>(),
            source,
        })
    }

    fn dom(&self) -> &Dom {
        self.dom.get_or_init(|| match self.kind() {
            Kind::Xml => Dom::parse_xml(self.text()),
            Kind::Html | Kind::Text | Kind::Data => Dom::parse(self.text()),
        })
    }

    /// Whether the DOM, which is there, is that of XML.
    fn is_read_as_xml(&self) -> bool {
        self.kind() == Kind::Xml && self.flaw() != Some(Flaw::ReadAsHtml)
    }

    fn resolve_skim(&self, skim: &Skim, wanted: impl Fn(LinkKind) -> bool) -> Vec<Link> {
        let base = self.base_of(skim);
        resolve_all(skim.links.iter().filter(|link| wanted(link.kind)), &base)
    }

    fn base(&self) -> Base<'_> {
        self.base_of(self.skim())
    }

    /// Resolves `<base>` against the page; a base that is not http(s) is ignored.
    fn base_of(&self, skim: &Skim) -> Base<'_> {
        let encoding = self.decoded().encoding;
        let base = skim.base_href.as_deref().and_then(|href| parse(href, &self.url, encoding));
        Base { url: base.filter(is_web).map_or(Cow::Borrowed(&self.url), Cow::Owned), encoding }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("url", &redacted(&self.url))
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The URL without credentials.
pub(crate) fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    // Both refuse URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
