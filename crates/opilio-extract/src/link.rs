//! Links: as they stand in the markup, and resolved to URLs that can be followed.

use hashbrown::HashTable;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use url::Url;

/// How many links are taken from one page; the rest is cut, and [`Skim::cut`](crate::Skim::cut) says so.
pub const LINKS_MAX: usize = 20_000;

/// The longest link that is taken, in bytes after entities are decoded; a longer one is left out.
pub const LINK_BYTES_MAX: usize = 8 * 1024;

/// Where a link stands in the markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LinkKind {
    /// `<a href>`: followed.
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
}

/// How far a reading of the page goes: pictures are many and seldom asked for.
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
        }
    }

    /// Whether a crawler follows it unless told otherwise: where it leads a reader to another page, or
    /// shows one inside of this. What only names a page (canonical, alternate, prev) is a fact about
    /// this one; a site that means it for readers has an `<a>` for it.
    #[must_use]
    pub fn is_followed(self) -> bool {
        matches!(self, Self::Anchor | Self::Area | Self::Frame | Self::Iframe | Self::Refresh | Self::Next)
    }

    /// What a `<link>` with this `rel` is to us; of several the one that says most.
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

/// A link as it stands in the markup: entities decoded, nothing else done.
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
    /// The text of the link with white space collapsed; only where it was asked for.
    pub text: Option<String>,
}

impl RawLink {
    pub(crate) fn new(kind: LinkKind, href: String, rel: Option<String>) -> Self {
        let nofollow = rel.as_deref().is_some_and(asks_not_to_follow);
        Self { href, kind, nofollow, rel, text: None }
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

/// Resolves one link against `base`: absolute, http(s), without fragment; or nothing.
///
/// White space, tabs, line breaks and backslashes are read as the WHATWG URL standard says.
pub(crate) fn resolve(href: &str, base: &Url) -> Option<Url> {
    // With a base that has a host, `#` starts the fragment wherever it stands: what is not parsed
    // costs nothing. An opaque base would be another matter; ours is http(s).
    let without_fragment = href.split_once('#').map_or(href, |(before, _)| before);
    let mut url = base.join(without_fragment).ok()?;
    url.set_fragment(None);
    is_web(&url).then_some(url)
}

/// Whether a crawler can fetch it.
pub(crate) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Resolves links in their order; one URL comes once.
pub(crate) fn resolve_all<'a>(raw: impl Iterator<Item = &'a RawLink>, base: &Url) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::with_capacity(raw.size_hint().1.unwrap_or(0));
    // Indices into `links`: so that no URL is kept twice.
    let mut seen: HashTable<usize> = HashTable::with_capacity(links.capacity());
    let hasher = RandomState::new();
    for raw in raw {
        let Some(url) = resolve(&raw.href, base) else { continue };
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

/// One link that may be followed is enough; an image link often precedes the one with the words.
/// What a reader follows says more than what only names the page, wherever it stands.
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
