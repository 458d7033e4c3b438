//! The dedup key of a URL: two URLs with the same canonical form count as one URL.
//!
//! The form is WHATWG-normalised, without fragment, default port and user info. The host is lower-case
//! punycode without trailing dot. Query parameters are sorted by name, then value; blank values stay, an
//! empty query is left out. Percent-encoding is normalised (RFC 3986 §6.2.2): unreserved characters are
//! decoded, hex digits are upper-case.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use url::Url;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64, xxh3_128};

/// Identifies a request, so that a repeated request is recognised. It is a hash of the canonical URL, and,
/// for any method but GET, also of the method and the body.
///
/// The upper 32 bits are a hash of the host's name, the lower 96 bits a hash of everything. Most links stay
/// on their host, so the links of one page lie together wherever fingerprints are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint(pub u128);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Fingerprint {
    /// Returns the fingerprint of a plain GET of this URL.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        let mut hasher = Xxh3Default::new();
        feed(url, &mut |part| hasher.update(part.as_bytes()));
        Self::on_host(host_name(url), hasher.digest128())
    }

    /// Returns the fingerprint of a URL that is already in canonical form. For any other text the result
    /// differs from the fingerprint of the URL that the text denotes.
    #[must_use]
    pub fn of_canonical(text: &str) -> Self {
        Self::on_host(host_in(text), xxh3_128(text.as_bytes()))
    }

    /// Returns the fingerprint of a text that is not a URL. Such a text can be counted once but never
    /// fetched.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self(xxh3_128(text.as_bytes()))
    }

    /// Returns the fingerprint of a request with another method than GET, or with a body.
    #[must_use]
    pub fn of_request(url: &Url, method: &str, body: &[u8]) -> Self {
        let mut hasher = Xxh3Default::new();
        feed(url, &mut |part| hasher.update(part.as_bytes()));
        // A serialised URL never contains a space, so no URL has the hash of another URL's request.
        hasher.update(b" ");
        hasher.update(method.as_bytes());
        hasher.update(b" ");
        hasher.update(body);
        Self::on_host(host_name(url), hasher.digest128())
    }

    /// Returns the fingerprint of the same request in a named session. A server may show another page to each
    /// user, so the same URL counts separately in each session. The empty name is the crawl's own session and
    /// changes nothing.
    #[must_use]
    pub fn in_session(self, session: &str) -> Self {
        if session.is_empty() {
            return self;
        }
        let mut hasher = Xxh3Default::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(session.as_bytes());
        Self(self.0 & !LOWER | hasher.digest128() & LOWER)
    }

    fn on_host(name: &str, hash: u128) -> Self {
        let upper = u128::from(xxh3_64(name.as_bytes()) as u32) << 96;
        Self(upper | hash & LOWER)
    }
}

/// The bits of a fingerprint that do not come from the hash of the host's name.
const LOWER: u128 = u128::MAX >> 32;

fn host_name(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host)
}

/// Returns the host's name in a canonical URL, which has neither user info nor a trailing dot.
fn host_in(text: &str) -> &str {
    let rest = text.split_once(':').and_then(|(_, rest)| rest.strip_prefix("//")).unwrap_or_default();
    let end = if rest.starts_with('[') {
        rest.find(']').map(|end| end + 1)
    } else {
        rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b':'))
    };
    &rest[..end.unwrap_or(rest.len())]
}

/// Returns the canonical form of a URL. URLs with equal forms count as one URL.
#[must_use]
pub fn canonicalize(url: &Url) -> String {
    let mut out = String::with_capacity(url.as_str().len());
    feed(url, &mut |part| out.push_str(part));
    out
}

/// Passes the canonical form to `out` piece by piece. In the common case (no query, nothing percent-encoded)
/// a fingerprint then allocates no memory.
fn feed(url: &Url, out: &mut dyn FnMut(&str)) {
    out(url.scheme());
    out("://");
    out(host_name(url));
    if let Some(port) = url.port() {
        out(":");
        out(&port.to_string());
    }
    out(&normalize_escapes(url.path()));
    if let Some(query) = url.query() {
        feed_query(query, out);
    }
}

/// Passes the query to `out` in canonical form, or nothing if the query has no parameters.
fn feed_query(query: &str, out: &mut dyn FnMut(&str)) {
    if query.bytes().all(|byte| byte == b'&') {
        return;
    }
    out("?");
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
            // The URL standard allows a lone percent sign, so it stays.
            out.push('%');
            rest = &rest[at + 1..];
            continue;
        };
        let byte = high << 4 | low;
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if unreserved && !would_escape(&out, byte) {
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

/// Returns whether a decoded character would complete an escape after a lone percent sign, as in `%%32D`. The
/// character then stays encoded, since canonicalising twice would otherwise give another form.
fn would_escape(before: &str, byte: u8) -> bool {
    let before = before.as_bytes();
    let lone = match before {
        [.., b'%'] => true,
        [.., b'%', digit] => digit.is_ascii_hexdigit(),
        _ => false,
    };
    lone && byte.is_ascii_hexdigit()
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
            ("http://example.com/p?", "http://example.com/p"),
            ("http://example.com?", "http://example.com/"),
            ("http://example.com/p?&&", "http://example.com/p"),
            ("http://example.com/p?&a&", "http://example.com/p?a"),
            ("http://example.com/p?#x", "http://example.com/p"),
            ("http://example.com/p?=", "http://example.com/p?="),
            ("http://example.com/p??", "http://example.com/p??"),
            ("http://example.com/p%3f", "http://example.com/p%3F"),
            ("http://example.com/%7euser/%2fx%c3%a9", "http://example.com/~user/%2Fx%C3%A9"),
            ("http://example.com/100%", "http://example.com/100%"),
            // A fuzzer found this case: if `%32` were decoded, the result `%2D` would be decoded by a second
            // canonicalisation.
            ("http://example.com/%%32D?%3%64", "http://example.com/%%32D?%3%64"),
            ("http://example.com/%%6d", "http://example.com/%m"),
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

    #[test]
    fn a_canonical_text_has_the_fingerprint_of_its_url() {
        for url in [
            "http://example.com",
            "https://example.com./a?b=1",
            "http://user:pw@example.com:8080/x",
            "http://[::1]:81/v6",
            "http://[2001:db8::7]/",
            "http://127.0.0.1?q=a:b/c",
            "http://b\u{fc}cher.example/%7e",
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(Fingerprint::of_canonical(&canonicalize(&url)), Fingerprint::of(&url), "{url}");
        }
    }

    #[test]
    fn fingerprints_of_one_host_lie_together() {
        let of = |url| Fingerprint::of(&Url::parse(url).unwrap()).0 >> 96;
        assert_eq!(of("http://example.com/a"), of("https://example.com:8443/b?c"));
        assert_ne!(of("http://example.com/a"), of("http://example.org/a"));
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
