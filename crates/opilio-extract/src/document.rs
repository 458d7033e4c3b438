//! A fetched document, which is parsed when its parts are needed.

use crate::decode::{self, Decoded};
use crate::directives::Directives;
use crate::dom::{Dom, LinkTexts};
use crate::error::{ExtractError, Flaw, SelectorError};
use crate::link::{Base, Link, LinkKind, RawLink, Reach, is_web, parse, resolve, resolve_all};
use crate::markup::quick;
use crate::media::{Kind, Label};
use crate::select::{Element, Matches};
use crate::skim::{Cut, Skim};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;
use url::Url;

/// A fetched document. Creating it is cheap: each part is read when it is first needed, and at most once.
///
/// A document is not `Send`, since its DOM is not: create it on the thread that reads it.
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
    /// Makes a document of a body, without parsing it.
    ///
    /// `url` is the final URL of the body, after redirects; relative links are resolved against it. `content_type`
    /// is the value of the `Content-Type` header. If this value is missing or meaningless, the first bytes of the
    /// body decide how it is read.
    #[must_use]
    pub fn new(url: Url, content_type: Option<&str>, body: Bytes) -> Self {
        Self::with_content_types(url, content_type.map(str::as_bytes), body)
    }

    /// Makes a document like [`Document::new`], but takes all values of `Content-Type` as they were sent: the header
    /// may occur several times, and contain bytes that are not ASCII.
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

    /// Returns the URL of the body.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the bytes of the body, without decoding them.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns how the document is read, which depends on its Content-Type or, if that is meaningless, on its first
    /// bytes (MIME Sniffing §7). A feed that is labelled as HTML is read as XML. Only HTML and XML have a title and
    /// links.
    #[must_use]
    pub fn kind(&self) -> Kind {
        *self.kind.get_or_init(|| self.label.kind(&self.body))
    }

    /// Returns whether the document is HTML or XML.
    #[must_use]
    pub fn is_markup(&self) -> bool {
        matches!(self.kind(), Kind::Html | Kind::Xml)
    }

    /// Returns the reason why the document was not read strictly as XML; `None` if it was, or if it has not been
    /// parsed yet. This method does not parse the document.
    #[must_use]
    pub fn flaw(&self) -> Option<Flaw> {
        self.dom.get().and_then(|dom| dom.flaw)
    }

    /// Returns the body as text. The encoding is taken from the byte order mark, else from the `charset` of the
    /// Content-Type, else from a `<meta>` or XML declaration in the first 1024 bytes. Without these, the encoding is
    /// detected: UTF-8, UTF-16, or the result of a browser's detector on the first bytes that are not ASCII. Bytes
    /// that cannot be decoded become U+FFFD.
    ///
    /// A body that is UTF-8 is not copied.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.decoded().text
    }

    /// Returns the encoding of the body, by its name in the Encoding standard.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        self.decoded().encoding.name()
    }

    pub(crate) fn decoded(&self) -> &Decoded {
        self.text.get_or_init(|| decode::decode(&self.body, self.label.charset, self.kind()))
    }

    /// Returns the title, the links as written, `<base>`, and the directives in `<meta>` elements. They are read in
    /// one pass over the text, or from the DOM if it exists already, the document is XML, or its markup is very unusual
    /// (such as HTML in SVG). The result is empty for documents without markup.
    #[must_use]
    pub fn skim(&self) -> &Skim {
        self.skim.get_or_init(|| self.read(Reach::Pages))
    }

    fn read(&self, reach: Reach) -> Skim {
        let has_whole_dom = match self.kind() {
            Kind::Html => self.dom.get().is_some_and(|dom| !dom.cut),
            Kind::Xml => !self.dom().cut || self.is_read_as_xml(),
            Kind::Text | Kind::Data => return Skim::default(),
        };
        // If the DOM of HTML was cut off, the pass gets further into the page than the DOM does.
        let quick = if has_whole_dom { None } else { quick::skim(self.text(), reach) };
        quick.unwrap_or_else(|| self.dom().skim(LinkTexts::Skip, reach, &self.url))
    }

    /// Returns the reason why only part of the page was read; `None` if it was read completely, or has not been
    /// parsed yet. This method does not parse the document.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        let dom = self.dom.get().filter(|dom| dom.cut).map(|_| Cut::Memory);
        self.skim.get().and_then(|skim| skim.cut).or(dom)
    }

    /// Returns the first `<title>` that is not empty, with white space collapsed.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.skim().title.as_deref()
    }

    /// Returns the directives of `<meta name=robots>` elements, and of `<meta>` elements whose name is the product
    /// name in `user_agent`. Combine them with the directives of the header field: see [`Directives::of_header`].
    #[must_use]
    pub fn robots(&self, user_agent: &str) -> Directives {
        self.skim().robots.iter().fold(Directives::default(), |said, meta| said | meta.read_by(user_agent))
    }

    /// Returns the URL that the page prefers for itself (`<link rel=canonical>`, RFC 6596): absolute, http or https,
    /// without fragment. `None` if the page states no such URL, or several different ones.
    #[must_use]
    pub fn canonical(&self) -> Option<Url> {
        let links = self.skim().links.iter().filter(|l| l.kind == LinkKind::Canonical && !l.href.is_empty());
        let mut names = resolve_all(links, &self.base()).into_iter();
        names.next().map(|link| link.url).filter(|_| names.next().is_none())
    }

    /// Returns the links that a crawler follows ([`LinkKind::is_followed`]) in document order, each URL once. The
    /// URLs are absolute, http or https, without fragment.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        self.links_where(LinkKind::is_followed)
    }

    /// Returns the links of the kinds that `wanted` accepts; otherwise like [`Document::links`]. For links of
    /// images, the page is read in an additional pass.
    #[must_use]
    pub fn links_where(&self, wanted: impl Fn(LinkKind) -> bool) -> Vec<Link> {
        if wanted(LinkKind::Image) {
            return self.resolve_skim(&self.read(Reach::Images), wanted);
        }
        self.resolve_skim(self.skim(), wanted)
    }

    /// Returns the links of the kinds that `wanted` accepts, each with its text (for an image, its `alt`).
    /// Builds the DOM. Links beyond the limits of the DOM have no text.
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

    /// Returns the links of the elements that a selector matches ([`Element::href`]), in document order, whatever
    /// the names of the elements are. The links are resolved as by [`Document::links`].
    ///
    /// # Errors
    /// When the selector is not valid.
    pub fn links_at(&self, css: &str) -> Result<Vec<Link>, SelectorError> {
        let matches = self.css(css)?;
        let link = |element: Element<'_>| {
            let base = self.dom().base_of(element.inner(), &self.url).ok()?;
            Some(RawLink { base, ..element.raw_link()? })
        };
        let raw: Vec<_> = matches.iter().filter_map(link).collect();
        Ok(resolve_all(raw.iter(), &self.base()))
    }

    /// Resolves a link found on this page against its `<base>`. Returns an absolute http or https URL without
    /// fragment, or `None` if the link cannot be followed. The query is encoded in the encoding of the page, as in
    /// browsers.
    #[must_use]
    pub fn resolve(&self, href: &str) -> Option<Url> {
        let base = self.base();
        resolve(href, &base.url, base.encoding)
    }

    /// Resolves a link in an element of this document, like [`Document::resolve`], but the nearest `xml:base`, if
    /// there is one, takes precedence over `<base>`.
    #[must_use]
    pub fn resolve_in(&self, element: &Element<'_>, href: &str) -> Option<Url> {
        match self.dom().base_of(element.inner(), &self.url).ok()? {
            Some(base) => resolve(href, &base, self.decoded().encoding),
            None => self.resolve(href),
        }
    }

    /// Returns the elements that match a CSS selector, in document order. The first call builds the DOM.
    ///
    /// # Errors
    /// When the selector is not valid.
    pub fn css(&self, css: &str) -> Result<Matches<'_>, SelectorError> {
        Matches::in_document(self, self.dom().root(), css)
    }

    /// Returns the cache of the parts of this document that typed fields (fields of structs that derive `Extract`)
    /// have read.
    #[cfg(feature = "derive")]
    pub(crate) fn typed(&self) -> &crate::typed::TypedParts {
        &self.typed
    }

    /// Returns whether the DOM was built already.
    #[doc(hidden)]
    #[must_use]
    pub fn has_dom(&self) -> bool {
        self.dom.get().is_some()
    }

    /// Returns whether the end of the page is missing in the DOM because of a limit (512 levels, 250,000 nodes,
    /// 16,384 attributes of a tag). Builds the DOM.
    #[must_use]
    pub fn dom_is_cut(&self) -> bool {
        self.dom().cut
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// When the body is not JSON, or its JSON does not fit the type `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ExtractError> {
        let is_utf8 = self.label.charset.is_none_or(|charset| charset == encoding_rs::UTF_8);
        let read = if is_utf8 && encoding_rs::Encoding::for_bom(&self.body).is_none() {
            // RFC 8259 §8.1: JSON is UTF-8 unless the header states another encoding.
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

    /// Returns whether the DOM, which must have been built, was read as XML.
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

    /// Resolves `<base>` against the page's URL. A base that is not http or https is ignored.
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

/// Returns the URL without user name and password.
pub(crate) fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    // Both calls fail only for URLs that cannot contain a user name or password.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
