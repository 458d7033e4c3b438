//! The dedup key: when two URLs are one.
//!
//! WHATWG-normalised; no fragment; default port dropped; host lower-case and punycode without
//! trailing dot; no user info; query parameters sorted by name, then value, blank values kept;
//! percent-encoding normalised (unreserved characters decoded, hex digits upper-case, RFC 3986 §6.2.2).

use std::borrow::Cow;
use std::fmt;

use url::Url;
use xxhash_rust::xxh3::Xxh3Default;

/// Says "seen before": 128 bits of the canonical URL, and of method and body for anything but GET.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Fingerprint {
    /// The fingerprint of a plain GET of this URL.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        let mut hasher = Xxh3Default::new();
        feed(url, &mut |part| hasher.update(part.as_bytes()));
        Self(hasher.digest128())
    }

    /// The fingerprint of a text that is no URL: it can be counted once, and never fetched.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
    }

    /// The fingerprint of a request with another method, or with a body.
    #[must_use]
    pub fn of_request(url: &Url, method: &str, body: &[u8]) -> Self {
        let mut hasher = Xxh3Default::new();
        feed(url, &mut |part| hasher.update(part.as_bytes()));
        // A space cannot stand in a serialised URL, so no URL collides with another URL's request.
        hasher.update(b" ");
        hasher.update(method.as_bytes());
        hasher.update(b" ");
        hasher.update(body);
        Self(hasher.digest128())
    }

    /// The fingerprint of the same request in a named session: what one user was shown says nothing
    /// about what another one would be. An empty name is the crawl's own session, and changes nothing.
    #[must_use]
    pub fn in_session(self, session: &str) -> Self {
        if session.is_empty() {
            return self;
        }
        let mut hasher = Xxh3Default::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(session.as_bytes());
        Self(hasher.digest128())
    }
}

/// The canonical form of a URL: equal for URLs that are one.
#[must_use]
pub fn canonicalize(url: &Url) -> String {
    let mut out = String::with_capacity(url.as_str().len());
    feed(url, &mut |part| out.push_str(part));
    out
}

/// Hands out the canonical form piece by piece, so that a fingerprint needs no allocation in the
/// common case (no query, nothing percent-encoded).
fn feed(url: &Url, out: &mut dyn FnMut(&str)) {
    out(url.scheme());
    out("://");
    let host = url.host_str().unwrap_or_default();
    out(host.strip_suffix('.').unwrap_or(host));
    if let Some(port) = url.port() {
        out(":");
        out(&port.to_string());
    }
    out(&normalize_escapes(url.path()));
    if let Some(query) = url.query() {
        out("?");
        feed_query(query, out);
    }
}

fn feed_query(query: &str, out: &mut dyn FnMut(&str)) {
    let query = normalize_escapes(query);
    if !query.contains('&') {
        return out(&query);
    }
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_by_key(|pair| pair.split_once('=').map_or((*pair, None), |(name, value)| (name, Some(value))));
    for (i, pair) in pairs.iter().enumerate() {
        if i > 0 {
            out("&");
        }
        out(pair);
    }
}

/// Decodes escaped unreserved characters and writes the other escapes' hex digits upper-case.
pub(crate) fn normalize_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let escape =
            rest.as_bytes().get(at + 1..at + 3).and_then(|hex| Some((nibble(hex[0])?, nibble(hex[1])?)));
        let Some((high, low)) = escape else {
            // A lone percent sign stays as it is: the URL standard lets it stand.
            out.push('%');
            rest = &rest[at + 1..];
            continue;
        };
        let byte = high << 4 | low;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(high)]));
            out.push(char::from(HEX[usize::from(low)]));
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn canonical(url: &str) -> String {
        canonicalize(&Url::parse(url).unwrap())
    }

    #[test]
    fn urls_that_are_one_have_one_form() {
        for (url, form) in [
            ("HTTP://Example.COM:80/a/../b#top", "http://example.com/b"),
            ("http://example.com", "http://example.com/"),
            ("http://example.com./x", "http://example.com/x"),
            ("http://user:pw@example.com/x", "http://example.com/x"),
            ("http://example.com/?b=2&a=1&a=0&c", "http://example.com/?a=0&a=1&b=2&c"),
            ("http://example.com/?a=", "http://example.com/?a="),
            ("http://example.com/%7euser/%2fx%c3%a9", "http://example.com/~user/%2Fx%C3%A9"),
            ("http://example.com/100%", "http://example.com/100%"),
            ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ] {
            assert_eq!(canonical(url), form, "{url}");
        }
    }

    #[test]
    fn a_request_with_a_body_is_not_the_plain_url() {
        let url = Url::parse("http://example.com/orders").unwrap();
        let plain = Fingerprint::of(&url);
        let one = Fingerprint::of_request(&url, "POST", b"1");
        assert_ne!(plain, one);
        assert_ne!(one, Fingerprint::of_request(&url, "POST", b"2"));
    }

    proptest! {
        #[test]
        fn canonicalisation_is_idempotent(path in "[ -~é%]{0,40}", query in "[ -~%&=]{0,40}") {
            let Ok(url) = Url::parse(&format!("http://example.com/{path}?{query}")) else { return Ok(()) };
            let once = canonicalize(&url);
            let twice = canonicalize(&Url::parse(&once).unwrap());
            prop_assert_eq!(once, twice);
        }
    }
}
