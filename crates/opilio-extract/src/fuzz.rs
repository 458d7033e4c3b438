//! One pure entry for fuzzers: any bytes in, a panic if a promise is broken. The property tests call
//! the same function.

use crate::{Directives, Document, LINKS_MAX, Link};
use std::collections::HashSet;
use url::Url;

/// Reads the bytes as a document, both ways; the first line is the Content-Type, if it is text.
pub fn links(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (content_type, body) = end.map_or((&b""[..], bytes), |end| (&bytes[..end], &bytes[end + 1..]));
    let content_type = str::from_utf8(content_type).ok();
    let document = || {
        // Parses, since it is a constant.
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

/// Links are absolute, http or https, without fragment, each URL once, and not endless.
///
/// # Panics
/// When they are not.
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
