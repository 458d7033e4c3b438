//! Links: as written in the markup, and resolved to URLs that can be followed.

use encoding_rs::{EncoderResult, Encoding, UTF_8};
use hashbrown::HashTable;
use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use url::Url;

/// The most links that are read from one page. If a page has more, [`Skim::cut`](crate::Skim::cut) says so.
pub const LINKS_MAX: usize = 20_000;

/// The most bytes of a link, after entities are decoded. Longer links are left out.
pub const LINK_BYTES_MAX: usize = 8 * 1024;

/// The kind of place in which a link occurs in the markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LinkKind {
    /// `<a href>`, in SVG also `<a xlink:href>`: followed.
    Anchor,
    /// `<area href>`, a part of an image map: followed.
    Area,
    /// `<frame src>`: followed, since the page consists of its frames.
    Frame,
    /// `<iframe src>`: followed, since it is part of the page.
    Iframe,
    /// `<meta http-equiv=refresh>`, a redirect in markup: followed.
    Refresh,
    /// `<link rel=next href>`, the next page of a series: followed.
    Next,
    /// `<link rel=prev href>`, the previous page of a series.
    Prev,
    /// `<link rel=canonical href>`, the URL that the page prefers for itself.
    Canonical,
    /// `<link rel=alternate href>`: the same content in another language or form, such as a feed.
    Alternate,
    /// `<img src>`, and each URL in the `srcset` of an `<img>` or `<source>`.
    Image,
    /// The link of a feed's entry (`<link>` of an RSS item or an Atom entry): followed.
    Entry,
}

/// The kinds of links that are read from a page. Images are read only on request: pages have many, and they are
/// rarely wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Links of every kind except images.
    Pages,
    /// Links of every kind, including images.
    Images,
}

impl LinkKind {
    /// Returns the word for this kind in outputs, which never changes: the element's name, or the relation of a
    /// `<link>`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anchor => "a",
            Self::Area => "area",
            Self::Frame => "frame",
            Self::Iframe => "iframe",
            Self::Refresh => "refresh",
            Self::Next => "next",
            Self::Prev => "prev",
            Self::Canonical => "canonical",
            Self::Alternate => "alternate",
            Self::Image => "img",
            Self::Entry => "entry",
        }
    }

    /// Returns whether a crawler follows links of this kind by default: links that lead a reader to another page, or
    /// that show another page inside this page. Links that only mention a page (canonical, alternate, prev) are not
    /// followed; a site that offers the mentioned pages to readers has an `<a>` for them, too.
    #[must_use]
    pub fn is_followed(self) -> bool {
        match self {
            Self::Anchor | Self::Area | Self::Frame | Self::Iframe => true,
            Self::Refresh | Self::Next | Self::Entry => true,
            Self::Prev | Self::Canonical | Self::Alternate | Self::Image => false,
        }
    }

    /// Returns the kind of a `<link>` with this `rel`. If `rel` has several words, the most specific word decides.
    pub(crate) fn of_relation(rel: &str) -> Option<Self> {
        let has = |word: &str| rel.split_ascii_whitespace().any(|token| token.eq_ignore_ascii_case(word));
        if has("canonical") {
            Some(Self::Canonical)
        } else if has("next") {
            Some(Self::Next)
        } else if has("prev") || has("previous") {
            Some(Self::Prev)
        } else if has("alternate") && !has("stylesheet") {
            Some(Self::Alternate)
        } else {
            None
        }
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A link as it is written in the markup. Only its character references (entities) are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawLink {
    /// The value of `href` or `src`, or one URL of a list. It may be relative or absolute, may have any scheme, and
    /// may not even be a URL.
    pub href: String,
    /// The kind of place in which the link occurs.
    pub kind: LinkKind,
    /// Whether `rel` contains `nofollow`, `ugc` or `sponsored`.
    pub nofollow: bool,
    /// The value of the attribute `rel`, if the element has one.
    pub rel: Option<String>,
    /// The text of the link with white space collapsed; `None` if texts were not requested.
    pub text: Option<String>,
    /// The base that an `xml:base` sets for this link; `None` if the document's base applies.
    pub(crate) base: Option<Arc<Url>>,
}

impl RawLink {
    pub(crate) fn new(kind: LinkKind, href: String, rel: Option<String>) -> Self {
        let nofollow = rel.as_deref().is_some_and(asks_not_to_follow);
        Self { href, kind, nofollow, rel, text: None, base: None }
    }
}

/// Returns whether `rel` asks crawlers not to follow the link. Google documents white space and commas as
/// separators.
fn asks_not_to_follow(rel: &str) -> bool {
    rel.split(|c: char| c.is_ascii_whitespace() || c == ',')
        .any(|token| ["nofollow", "ugc", "sponsored"].iter().any(|word| token.eq_ignore_ascii_case(word)))
}

/// A link that a crawler can follow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The URL: absolute, http or https, without fragment.
    pub url: Url,
    /// The kind of place in which the link occurs. If several links have this URL, the first link of a followed kind
    /// decides.
    pub kind: LinkKind,
    /// Whether every link of the page to this URL asks crawlers not to follow it.
    pub nofollow: bool,
    /// The value of `rel` of the first link to this URL, if there is one.
    pub rel: Option<String>,
    /// The first text of a link to this URL that is not empty. Only
    /// [`Document::links_with_text`](crate::Document::links_with_text) sets this field.
    pub text: Option<String>,
}

impl Link {
    fn new(url: Url, raw: &RawLink) -> Self {
        Self { url, kind: raw.kind, nofollow: raw.nofollow, rel: raw.rel.clone(), text: raw.text.clone() }
    }
}

/// The base URL and the encoding with which a document's links are resolved.
#[derive(Debug, Clone)]
pub(crate) struct Base<'a> {
    pub(crate) url: Cow<'a, Url>,
    /// The encoding of the document. The queries of its links are encoded in it.
    pub(crate) encoding: &'static Encoding,
}

/// Resolves one link to an absolute http or https URL without fragment. Returns `None` if that is not possible.
pub(crate) fn resolve(href: &str, base: &Url, encoding: &'static Encoding) -> Option<Url> {
    // With an http(s) base, the first `#` always starts the fragment, so the text after it is not parsed. The `#`
    // itself remains: without it, a space before the `#` would be at the end and would be trimmed.
    let without_fragment = memchr::memchr(b'#', href.as_bytes()).map_or(href, |at| &href[..=at]);
    let mut url = parse(without_fragment, base, encoding)?;
    url.set_fragment(None);
    is_web(&url).then_some(url)
}

/// Parses a link by the WHATWG URL standard, which handles white space, tabs, line breaks and backslashes. The query
/// is encoded in the document's encoding.
pub(crate) fn parse(href: &str, base: &Url, encoding: &'static Encoding) -> Option<Url> {
    // A few encodings cannot be used for output. In their place, UTF-8 is used ("output encoding" in the standard).
    let encoding = encoding.output_encoding();
    if encoding == UTF_8 || href.is_ascii() {
        return join(base, href).ok();
    }
    let href = without_needless_slashes(href);
    let encode: &dyn Fn(&str) -> Cow<'_, [u8]> = &|query| Cow::Owned(encode_query(query, encoding));
    Url::options().base_url(Some(base)).encoding_override(Some(encode)).parse(&href).ok()
}

/// Resolves a URL that may be relative to `base`, by the WHATWG URL standard.
///
/// # Errors
/// When the text is not a URL.
pub fn join(base: &Url, href: &str) -> Result<Url, url::ParseError> {
    base.join(&without_needless_slashes(href))
}

/// Reduces more than two slashes at the start of a URL to two (WHATWG URL standard, "special authority ignore
/// slashes state"). The parser does this only after a scheme, not if the scheme is that of the base.
fn without_needless_slashes(href: &str) -> Cow<'_, str> {
    let trimmed = href.trim_start_matches(|c: char| c <= ' ');
    if !trimmed.starts_with(['/', '\\']) {
        return Cow::Borrowed(href);
    }
    let mut slashes = 0;
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let ignored = |c: char| matches!(c, '\t' | '\n' | '\r');
    let end = trimmed.find(|c| {
        slashes += usize::from(is_slash(c));
        !is_slash(c) && !ignored(c)
    });
    if slashes <= 2 {
        return Cow::Borrowed(href);
    }
    Cow::Owned(format!("//{}", &trimmed[end.unwrap_or(trimmed.len())..]))
}

/// Encodes a query by the URL standard, "percent-encode after encoding". A character that the encoding does not
/// contain is written as a character reference. Bytes that are not ASCII are escaped later, by the URL parser.
fn encode_query(query: &str, encoding: &'static Encoding) -> Vec<u8> {
    let mut encoder = encoding.new_encoder();
    let mut out = Vec::with_capacity(query.len() * 2);
    let mut rest = query;
    loop {
        // Reserves room for the rest of the query, or for a few of its characters.
        out.reserve(rest.len() * 2 + 16);
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return out,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(c) => out.extend(format!("%26%23{}%3B", u32::from(c)).bytes()),
        }
    }
}

/// Returns whether a crawler can fetch the URL: whether it is http or https.
pub(crate) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Resolves links in their order. If several links have the same URL, one merged link is returned for them.
pub(crate) fn resolve_all<'a>(raw: impl Iterator<Item = &'a RawLink>, base: &Base<'_>) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::with_capacity(raw.size_hint().1.unwrap_or(0));
    // The table holds indices into `links`, so that no URL is stored twice.
    let mut seen: HashTable<usize> = HashTable::with_capacity(links.capacity());
    let hasher = RandomState::new();
    for raw in raw {
        let from = raw.base.as_deref().unwrap_or(&base.url);
        let Some(url) = resolve(&raw.href, from, base.encoding) else { continue };
        let hash = hasher.hash_one(url.as_str());
        if let Some(&index) = seen.find(hash, |&index| links[index].url == url) {
            merge(&mut links[index], raw);
            continue;
        }
        seen.insert_unique(hash, links.len(), |&index| hasher.hash_one(links[index].url.as_str()));
        links.push(Link::new(url, raw));
    }
    links
}

/// Merges a link into an earlier link with the same URL. The result may be followed if one of the two may be
/// followed. It takes the text of the second link if the first link has none (the first link is often an image). A
/// kind that is followed takes precedence over a kind that only mentions the page.
fn merge(first: &mut Link, again: &RawLink) {
    if !again.kind.is_followed() && first.kind.is_followed() {
        return;
    }
    if again.kind.is_followed() && !first.kind.is_followed() {
        let url = first.url.clone();
        *first = Link::new(url, again);
        return;
    }
    first.nofollow &= again.nofollow;
    if first.text.as_deref().is_some_and(str::is_empty) {
        first.text.clone_from(&again.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_relations_as_tokens() {
        for (rel, nofollow) in [
            ("nofollow", true),
            ("noopener  NoFollow", true),
            ("ugc,noopener", true),
            ("external sponsored", true),
            ("nofollowing", false),
            ("", false),
        ] {
            assert_eq!(asks_not_to_follow(rel), nofollow, "{rel}");
        }
        assert_eq!(LinkKind::of_relation("Next prefetch"), Some(LinkKind::Next));
        assert_eq!(LinkKind::of_relation("next CANONICAL"), Some(LinkKind::Canonical));
        assert_eq!(LinkKind::of_relation("stylesheet"), None);
        assert_eq!(LinkKind::of_relation("alternate stylesheet"), None);
        assert_eq!(LinkKind::of_relation("Alternate"), Some(LinkKind::Alternate));
        assert_eq!(LinkKind::of_relation("previous"), Some(LinkKind::Prev));
    }
}
