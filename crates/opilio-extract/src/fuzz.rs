//! Functions for fuzzing. Each function takes any bytes, and panics if the parser violates its guarantees. The
//! property tests call the same functions.

#[cfg(any(test, fuzzing))]
use crate::markup::compare;
use crate::{Directives, Document, Flaw, Kind, LINKS_MAX, Link, LinkKind};
use std::collections::HashSet;
use url::Url;

/// Reads the bytes as a document, first in one pass over the text and then with a DOM. The first line is the
/// Content-Type, if it is valid text.
pub fn links(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (content_type, body) = end.map_or((&b""[..], bytes), |end| (&bytes[..end], &bytes[end + 1..]));
    let content_type = str::from_utf8(content_type).ok();
    let document = || {
        // Parsing cannot fail: the URL is a constant.
        let url = Url::parse("https://site.example/dir/page?x=1").expect("a constant");
        Document::new(url, content_type, body.to_vec().into())
    };
    let streamed = document();
    assert_are_sound(&streamed.links_where(|_| true));
    let parsed = document();
    assert_are_sound(&parsed.links_with_text(|_| true));
    for document in [streamed, parsed] {
        assert_are_sound(&document.links());
        assert!(document.canonical().is_none_or(|url| url.has_host()));
        assert!(document.title().is_none_or(|title| !title.trim().is_empty()));
        let _ = document.robots("Opilio/0.1");
        let _ = document.json::<serde_json::Value>();
    }
    let _ = Directives::of_header(&String::from_utf8_lossy(body), "Opilio");
}

/// Reads the bytes as XML, in every way in which this crate reads XML.
///
/// # Panics
/// When a link is not valid, a text has more than one line, or two ways of reading give different results.
pub fn xml(bytes: &[u8]) {
    let document = || {
        // Parsing cannot fail: the URL is a constant.
        let url = Url::parse("https://site.example/dir/feed?x=1").expect("a constant");
        Document::new(url, Some("application/xml"), bytes.to_vec().into())
    };
    let (read, again) = (document(), document());
    let links = read.links_with_text(|_| true);
    assert_are_sound(&links);
    assert_are_sound(&again.links());
    assert_eq!(again.links_where(|_| true).len(), links.len());
    assert_eq!((read.kind(), read.flaw()), (Kind::Xml, again.flaw()));
    assert_eq!(read.title(), again.title());
    // Parsing cannot fail: the selector is a constant.
    let all = read.css("*").expect("a constant");
    assert!(!all.is_empty() || read.text().trim().is_empty(), "nothing was read");
    for element in all.iter().take(20) {
        let text = element.text();
        assert!(text.trim() == text && !text.contains(['\n', '\t']) && !text.contains("  "), "{text:?}");
    }
    let entries = links.iter().filter(|link| link.kind == LinkKind::Entry);
    assert!(entries.count() == 0 || read.flaw() != Some(Flaw::ReadAsHtml));
}

/// Reads the first line as the values of a Content-Type, whatever bytes it contains, and the rest as a body.
///
/// # Panics
/// When a document without markup has links, or a binary body counts as a page.
pub fn media(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (types, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let read = |types: &[&[u8]]| {
        // Parsing cannot fail: the URL is a constant.
        let url = Url::parse("https://site.example/").expect("a constant");
        Document::with_content_types(url, types.iter().copied(), body.to_vec().into())
    };
    let typed = read(&[types]);
    let untyped = read(&[]);
    for document in [&typed, &untyped] {
        let has_links = !document.links().is_empty() || document.title().is_some();
        assert!(!has_links || document.is_markup());
        assert!(!document.encoding().is_empty());
    }
    if [&b"%PDF-"[..], b"\x89PNG\r\n\x1a\n", b"GIF8", b"PK\x03\x04", b"\0"]
        .iter()
        .any(|begin| body.starts_with(begin))
        && !body.contains(&b'<')
    {
        assert!(!untyped.is_markup());
    }
    // A meaningless value changes nothing, and neither does another value of the same type.
    assert_eq!(read(&[b"*/*", types]).kind(), typed.kind());
    assert_eq!(read(&[b"html"]).kind(), untyped.kind());
}

/// Reads the bytes as markup, behind a line whose bytes are the lengths of the pieces in which a parser gets it, and
/// compares the result with html5ever's. Only tests and fuzz targets have this function.
///
/// # Panics
/// When the tree, the title, the links or the `<meta>` elements are not those of html5ever.
#[cfg(any(test, fuzzing))]
pub fn markup(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (steps, page) = end.map_or((&b""[..], bytes), |end| (&bytes[..end], &bytes[end + 1..]));
    let page = String::from_utf8_lossy(page);
    compare::assert_same_tree(&page, steps);
    compare::assert_same_skim(&page);
}

/// Checks that all links are absolute http or https URLs without fragment, that each URL occurs once, and that there
/// are not too many links.
///
/// # Panics
/// When the links violate one of these rules.
pub(crate) fn assert_are_sound(links: &[Link]) {
    assert!(links.len() <= LINKS_MAX);
    let mut seen = HashSet::new();
    for link in links {
        assert!(matches!(link.url.scheme(), "http" | "https"), "{}", link.url);
        assert!(link.url.has_host() && link.url.fragment().is_none(), "{}", link.url);
        assert_eq!(Url::parse(link.url.as_str()).as_ref(), Ok(&link.url));
        assert!(seen.insert(link.url.as_str()), "twice: {}", link.url);
    }
}
