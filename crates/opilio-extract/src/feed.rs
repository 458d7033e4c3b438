//! Finds the links of entries in feeds: RSS 0.9 to 2.0, and Atom.

use crate::link::{LINK_BYTES_MAX, LinkKind};
use html5ever::ns;
use scraper::ElementRef;
use std::borrow::Cow;

/// A link of a feed, and the element that contains it.
pub(crate) struct FeedLink<'a> {
    pub(crate) kind: LinkKind,
    pub(crate) href: Cow<'a, str>,
    pub(crate) rel: Option<&'a str>,
    pub(crate) element: ElementRef<'a>,
}

/// The meaning of an element in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FeedPart {
    /// `<channel>` of RSS or `<feed>` of Atom: the feed itself.
    Feed,
    /// `<item>` of RSS or `<entry>` of Atom: an entry of the feed.
    Entry,
    /// `<link>` of RSS, whose text is the URL.
    Link,
    /// `<link>` of Atom, whose `href` is the URL.
    AtomLink,
    /// `<content>` of Atom, whose content may be at another URL (`src`).
    Content,
    /// `<guid>` of RSS, whose text is a URL unless an attribute says otherwise.
    Guid,
    Title,
}

/// Returns whether a document with this root element is a feed, or a single entry of a feed.
pub(crate) fn is_feed(root: ElementRef<'_>) -> bool {
    let name = root.value().name();
    name == "rss" || name.ends_with(":RDF") || matches!(part(root), Some(FeedPart::Feed | FeedPart::Entry))
}

/// Returns the links directly in an entry or in the feed itself, and the element of its title. Returns nothing for
/// other elements. Visits each child once, since an entry may have very many children.
pub(crate) fn links_in<'a>(parent: ElementRef<'a>) -> (Vec<FeedLink<'a>>, Option<ElementRef<'a>>) {
    let in_entry = match part(parent) {
        Some(FeedPart::Entry) => true,
        Some(FeedPart::Feed) => false,
        _ => return (Vec::new(), None),
    };
    let mut links = Vec::new();
    let (mut guid, mut title) = (None, None);
    for element in parent.children().filter_map(ElementRef::wrap) {
        match part(element) {
            Some(FeedPart::Link) => {
                let kind = if in_entry { LinkKind::Entry } else { LinkKind::Alternate };
                let text = own_text(element);
                // Some RSS feeds write the URL of the link as Atom does, in `href`.
                let href = if text.is_empty() { element.attr("href").map(Cow::Borrowed) } else { Some(text) };
                links.extend(href.map(|href| FeedLink { kind, href, rel: None, element }));
            }
            Some(FeedPart::AtomLink) => links.extend(atom_link(element, in_entry)),
            Some(FeedPart::Content) if in_entry => links.extend(element.attr("src").map(|src| FeedLink {
                kind: LinkKind::Entry,
                href: Cow::Borrowed(src),
                rel: None,
                element,
            })),
            Some(FeedPart::Guid) if in_entry && guid.is_none() => guid = Some(element),
            Some(FeedPart::Title) if title.is_none() => title = Some(element),
            _ => {}
        }
    }
    if let Some(element) = guid.filter(|_| links.iter().all(|link| link.kind != LinkKind::Entry)) {
        let is_link = element.attr("isPermaLink").is_none_or(|said| said.trim() != "false");
        let href = own_text(element);
        if is_link && href.contains("://") {
            links.push(FeedLink { kind: LinkKind::Entry, href, rel: None, element });
        }
    }
    (links, title)
}

/// Returns the text of an RSS `<link>`, which is its target.
pub(crate) fn text_of_link(element: ElementRef<'_>) -> Option<Cow<'_, str>> {
    let text = (part(element) == Some(FeedPart::Link)).then(|| own_text(element));
    text.filter(|text| !text.is_empty())
}

/// Returns whether the element is the title of the feed itself, which is the title of the page.
pub(crate) fn is_title_of_feed(element: ElementRef<'_>) -> bool {
    let parent = element.parent().and_then(ElementRef::wrap);
    part(element) == Some(FeedPart::Title) && parent.and_then(part) == Some(FeedPart::Feed)
}

/// Reads a link of Atom (RFC 4287 §4.2.7). Returns `None` for links to files (`enclosure`) and for links that
/// concern the feed itself (`self`, `hub`).
fn atom_link(element: ElementRef<'_>, in_entry: bool) -> Option<FeedLink<'_>> {
    let href = Cow::Borrowed(element.attr("href")?);
    let rel = element.attr("rel");
    let relation = rel.unwrap_or("alternate").trim();
    let relation = relation.strip_prefix("http://www.iana.org/assignments/relation/").unwrap_or(relation);
    let kind = match relation.to_ascii_lowercase().as_str() {
        "" | "alternate" if in_entry => LinkKind::Entry,
        "" | "alternate" => LinkKind::Alternate,
        // The link leads to the next page of the feed (RFC 5005).
        "next" if !in_entry => LinkKind::Next,
        "prev" | "previous" if !in_entry => LinkKind::Prev,
        _ => return None,
    };
    Some(FeedLink { kind, href, rel, element })
}

fn part(element: ElementRef<'_>) -> Option<FeedPart> {
    let name = &element.value().name;
    let local = name.local.rsplit(':').next().unwrap_or_default();
    if name.ns == ns!() && name.prefix.is_some() {
        // The prefix of this element is not declared. Only `atom:link` has a known meaning without a declaration.
        return (&*name.local == "atom:link").then_some(FeedPart::AtomLink);
    }
    let part = match (&*name.ns, local) {
        (ATOM | ATOM_03, "feed") => FeedPart::Feed,
        (ATOM | ATOM_03, "entry") => FeedPart::Entry,
        (ATOM | ATOM_03, "link") => FeedPart::AtomLink,
        (ATOM | ATOM_03, "content") => FeedPart::Content,
        ("" | RSS_10 | RSS_09 | RSS_20, "channel") => FeedPart::Feed,
        ("" | RSS_10 | RSS_09 | RSS_20, "item") => FeedPart::Entry,
        ("" | RSS_10 | RSS_09 | RSS_20, "link") => FeedPart::Link,
        ("" | RSS_10 | RSS_09 | RSS_20, "guid") => FeedPart::Guid,
        (ATOM | ATOM_03 | "" | RSS_10 | RSS_09 | RSS_20, "title") => FeedPart::Title,
        _ => return None,
    };
    Some(part)
}

/// Returns the text directly in an element. The result is empty if the text is too long for a link.
fn own_text(element: ElementRef<'_>) -> Cow<'_, str> {
    let mut texts = element.children().filter_map(|child| child.value().as_text());
    let first: &str = texts.next().map_or("", |text| text);
    let mut all = Cow::Borrowed(first);
    for text in texts {
        if all.len() + text.len() > LINK_BYTES_MAX {
            return Cow::Borrowed("");
        }
        all.to_mut().push_str(text);
    }
    match all {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

const ATOM: &str = "http://www.w3.org/2005/Atom";
const ATOM_03: &str = "http://purl.org/atom/ns#";
const RSS_10: &str = "http://purl.org/rss/1.0/";
const RSS_09: &str = "http://my.netscape.com/rdf/simple/0.9/";
const RSS_20: &str = "http://backend.userland.com/rss2";
