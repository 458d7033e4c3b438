//! Links: as written in the markup, and resolved to URLs that can be followed.

use encoding_rs::{EncoderResult, Encoding, UTF_8};
use hashbrown::HashTable;
use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use url::Url;

/// The most links taken from one page. If there are more, [`Skim::cut`](crate::Skim::cut) reports it.
pub const LINKS_MAX: usize = 20_000;

/// The longest link that is taken, in bytes after entities are decoded; a longer one is left out.
pub const LINK_BYTES_MAX: usize = 8 * 1024;

/// Where a link stands in the markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LinkKind {
    /// `<a href>`, in a drawing (SVG) also `<a xlink:href>`: followed.
    Anchor,
    /// `<area href>`, a part of an image map: followed.
    Area,
    /// `<frame src>`: followed, since the page is made of its frames.
    Frame,
    /// `<iframe src>`: followed, as a part of the page.
    Iframe,
    /// `<meta http-equiv=refresh>`, a redirect in markup: followed.
    Refresh,
    /// `<link rel=next href>`, the next page of a series: followed.
    Next,
    /// `<link rel=prev href>`, the page before in a series.
    Prev,
    /// `<link rel=canonical href>`, the name that the page prefers for itself.
    Canonical,
    /// `<link rel=alternate href>`: the same in another language or form, such as a feed.
    Alternate,
    /// `<img src>`, and each of a `srcset` of `<img>` or `<source>`.
    Image,
    /// The link of an entry of a feed (`<link>` of an RSS item or an Atom entry): followed.
    Entry,
}

/// Which links of a page are read: images are many and seldom wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every kind but pictures.
    Pages,
    /// Every kind.
    Images,
}

impl LinkKind {
    /// The stable word for output: the element's name, or the relation of a `<link>`.
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

    /// Whether a crawler follows the link by default: it leads a reader to another page, or shows one inside
    /// this page. Links that only name a page (canonical, alternate, prev) are not followed; a site that
    /// offers them to readers has an `<a>`, too.
    #[must_use]
    pub fn is_followed(self) -> bool {
        match self {
            Self::Anchor | Self::Area | Self::Frame | Self::Iframe => true,
            Self::Refresh | Self::Next | Self::Entry => true,
            Self::Prev | Self::Canonical | Self::Alternate | Self::Image => false,
        }
    }

    /// The kind of a `<link>` with this `rel`; of several the most specific one.
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

/// A link as written in the markup, with only its entities decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawLink {
    /// The value of `href` or `src`, or a part of one that holds more; relative or absolute, of any scheme, perhaps no URL at all.
    pub href: String,
    /// Where it stands.
    pub kind: LinkKind,
    /// `rel` holds one of `nofollow`, `ugc`, `sponsored`.
    pub nofollow: bool,
    /// The value of `rel`, where there is one.
    pub rel: Option<String>,
    /// The text of the link with white space collapsed, if requested.
    pub text: Option<String>,
    /// Where it starts from by an `xml:base`; `None` for the document's base.
    pub(crate) base: Option<Arc<Url>>,
}

impl RawLink {
    pub(crate) fn new(kind: LinkKind, href: String, rel: Option<String>) -> Self {
        let nofollow = rel.as_deref().is_some_and(asks_not_to_follow);
        Self { href, kind, nofollow, rel, text: None, base: None }
    }
}

/// Google documents white space and commas as separators of `rel`.
fn asks_not_to_follow(rel: &str) -> bool {
    rel.split(|c: char| c.is_ascii_whitespace() || c == ',')
        .any(|token| ["nofollow", "ugc", "sponsored"].iter().any(|word| token.eq_ignore_ascii_case(word)))
}

/// A link that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Absolute, http or https, without fragment.
    pub url: Url,
    /// Where it stands; of several to the same URL, where the first stands that is followed.
    pub kind: LinkKind,
    /// Every link of the page to this URL asks not to be followed.
    pub nofollow: bool,
    /// The value of `rel` of the first, where there is one.
    pub rel: Option<String>,
    /// The first text that is not empty; only from
    /// [`Document::links_with_text`](crate::Document::links_with_text).
    pub text: Option<String>,
}

impl Link {
    fn new(url: Url, raw: &RawLink) -> Self {
        Self { url, kind: raw.kind, nofollow: raw.nofollow, rel: raw.rel.clone(), text: raw.text.clone() }
    }
}

/// The base of a document's links.
#[derive(Debug, Clone)]
pub(crate) struct Base<'a> {
    pub(crate) url: Cow<'a, Url>,
    /// The encoding of the document, in which its links write their queries.
    pub(crate) encoding: &'static Encoding,
}

/// Resolves one link: absolute, http(s), without fragment; or nothing.
pub(crate) fn resolve(href: &str, base: &Url, encoding: &'static Encoding) -> Option<Url> {
    // With an http(s) base, `#` starts the fragment wherever it is, so the rest is not parsed. The `#` itself
    // stays; otherwise a space before it would be at the end and be trimmed.
    let without_fragment = memchr::memchr(b'#', href.as_bytes()).map_or(href, |at| &href[..=at]);
    let mut url = parse(without_fragment, base, encoding)?;
    url.set_fragment(None);
    is_web(&url).then_some(url)
}

/// Parses a link by the WHATWG URL standard: white space, tabs, line breaks, backslashes, and the query in
/// the document's encoding.
pub(crate) fn parse(href: &str, base: &Url, encoding: &'static Encoding) -> Option<Url> {
    // An encoding that no form is sent in writes UTF-8 ("output encoding").
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
/// When it is not a URL.
pub fn join(base: &Url, href: &str) -> Result<Url, url::ParseError> {
    base.join(&without_needless_slashes(href))
}

/// A URL that begins with more than two slashes begins with two ("special authority ignore slashes
/// state"). The parser does it behind a scheme, and not where the scheme is the base's.
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

/// URL standard, "percent-encode after encoding": a character that the encoding does not have is written
/// as its reference. The bytes beyond ASCII are escaped by the parser.
fn encode_query(query: &str, encoding: &'static Encoding) -> Vec<u8> {
    let mut encoder = encoding.new_encoder();
    let mut out = Vec::with_capacity(query.len() * 2);
    let mut rest = query;
    loop {
        // Room for the rest, or for a few of its characters.
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

/// Whether a crawler can fetch it.
pub(crate) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Resolves links in their order; one URL comes once.
pub(crate) fn resolve_all<'a>(raw: impl Iterator<Item = &'a RawLink>, base: &Base<'_>) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::with_capacity(raw.size_hint().1.unwrap_or(0));
    // Indices into `links`: so that no URL is kept twice.
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

/// Merges links with the same URL: it is followable if one of them is; an image link often comes before the
/// one with the text. A followed kind takes precedence over one that only names the page.
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
