//! Finds pages with equal content. Counts how often a host has sent the same body, and recognises pages that differ
//! only in white space and session ids.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use opilio_core::{Fingerprint, Host, is_session_id};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128};

use crate::admission::FingerprintHasher;

/// Counts how often each host of a shard has sent the same body, byte for byte, in this run. The memory is limited:
/// when the table is full, bodies that were sent only once are removed first.
#[derive(Default)]
pub struct Bodies(HashMap<u64, u32, BuildHasherDefault<FingerprintHasher>>);

impl Bodies {
    /// Counts a body, and returns how often this host has sent it.
    pub fn note(&mut self, host: &Host, body: &[u8]) -> u32 {
        if self.0.len() >= BODIES_MAX {
            self.0.retain(|_, times| *times > 1);
            if self.0.len() >= BODIES_MAX {
                self.0.clear();
            }
        }
        let times = self.0.entry(xxh3_64_with_seed(body, xxh3_64(host.as_str().as_bytes()))).or_default();
        *times = times.saturating_add(1);
        *times
    }
}

/// The first page of each content, for a crawl that treats pages of equal content as duplicates. Only pages of this
/// run are included. The memory is limited: when the table is full, duplicates of further pages are not recognised.
#[derive(Default)]
pub struct Firsts(HashMap<u128, First, BuildHasherDefault<FingerprintHasher>>);

struct First {
    /// The fingerprint of the first page with this content.
    page: Fingerprint,
    /// The URL of the page.
    url: Arc<str>,
}

impl Firsts {
    /// Returns the URL of the first page with this content, which may be the given page itself. Returns `None` if the
    /// table is full, or if the given page is the first page and was read before.
    pub fn of(&mut self, content: Fingerprint, page: Fingerprint, url: &str) -> Option<Arc<str>> {
        if let Some(first) = self.0.get(&content.0) {
            return Some(first.url.clone()).filter(|_| first.page != page);
        }
        if self.0.len() >= FIRSTS_MAX {
            return None;
        }
        let url: Arc<str> = url.into();
        self.0.insert(content.0, First { page, url: url.clone() });
        if self.0.len() == FIRSTS_MAX {
            tracing::warn!(
                pages = FIRSTS_MAX,
                "the table of page contents is full: pages with new contents are no longer recognised as duplicates of each other"
            );
        }
        Some(url)
    }
}

/// Returns a hash of the content of a page. Two pages of one registrable domain have the same hash if they differ
/// only in white space and session ids. Returns `None` for a body without content.
pub fn content(host: &Host, body: &[u8], is_text: bool) -> Option<Fingerprint> {
    let mut plain = if is_text { plain(body) } else { body.to_vec() };
    if plain.is_empty() {
        return None;
    }
    plain.push(0);
    plain.extend_from_slice(host.group().as_str().as_bytes());
    Some(Fingerprint(xxh3_128(&plain)))
}

/// Returns the text without white space and without the session ids in its links and forms.
fn plain(body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(body.len());
    let mut rest = body;
    // Whether the name of a form field was read, and this name is one that session ids have.
    let mut is_field = false;
    while let Some((&byte, after)) = rest.split_first() {
        if byte.is_ascii_whitespace() {
            rest = after;
        } else if is_name(byte) {
            let (name, after) = split_while(rest, is_name);
            if let Some(after) = after_id(name, after) {
                leave_out(&mut out, after);
                rest = after;
                continue;
            }
            is_field |= is_quoted(out.last(), after.first()) && is_id_name(name);
            out.extend_from_slice(name);
            rest = after;
            if is_field && name.eq_ignore_ascii_case(b"value") {
                rest = after_value(after);
            }
        } else {
            is_field &= byte != b'>';
            out.push(byte);
            rest = after;
        }
    }
    out
}

/// Returns the text after `=value` if the value is a session id, otherwise `None`. `rest` is the text after the name.
fn after_id<'a>(name: &[u8], rest: &'a [u8]) -> Option<&'a [u8]> {
    let rest = rest.strip_prefix(b"=")?;
    // Very few names are names of session ids, so for most names the value is not read at all.
    let may_be = is_id_name(name) || name.eq_ignore_ascii_case(b"cfid") || name.len() == ASP_BYTES;
    if !may_be {
        return None;
    }
    let within = &rest[..rest.len().min(ID_BYTES_MAX)];
    let (value, _) = split_while(within, |byte| byte > b' ' && !b"&\"'<>;#?/\\)".contains(&byte));
    let after = &rest[value.len()..];
    let (name, value) = (std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?);
    let is_id = is_session_id(name, value) || name.eq_ignore_ascii_case("cfid");
    is_id.then_some(after)
}

/// Removes the separator in front of a session id, so that the result equals a link without a session id.
fn leave_out(out: &mut Vec<u8>, after: &[u8]) {
    if matches!(out.last(), Some(b'?' | b'&' | b';')) && after.first() != Some(&b'&') {
        out.pop();
    }
}

fn is_id_name(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| is_session_id(name, "0123456789abcdef0123456789abcdef"))
}

fn is_quoted(before: Option<&u8>, after: Option<&u8>) -> bool {
    matches!(
        (before, after),
        (Some(b'"'), Some(b'"')) | (Some(b'\''), Some(b'\'')) | (Some(b'='), Some(b' ' | b'>'))
    )
}

/// Returns the text after `="value"`; returns `rest` itself if there is no quoted value.
fn after_value(rest: &[u8]) -> &[u8] {
    let Some((quote @ (b'"' | b'\''), value)) = rest.strip_prefix(b"=").and_then(|rest| rest.split_first())
    else {
        return rest;
    };
    split_while(value, |byte| byte != *quote).1
}

fn split_while(bytes: &[u8], holds: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| !holds(*byte)).unwrap_or(bytes.len()))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The length of a session id's name in ASP, in bytes: `ASPSESSIONID` and eight letters.
const ASP_BYTES: usize = 20;
/// The most bytes that are read after a name to find a session id. All known kinds of session ids are shorter.
const ID_BYTES_MAX: usize = 256;
/// The most bodies that are counted. They take about 2 MB for each shard.
const BODIES_MAX: usize = 1 << 17;
/// The most first pages that are kept. They take about 40 MB for each shard, including their URLs.
const FIRSTS_MAX: usize = 1 << 18;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use url::Url;

    fn host(name: &str) -> Host {
        Host::of(&Url::parse(&format!("http://{name}/")).unwrap()).unwrap()
    }

    fn key(text: &str) -> Option<Fingerprint> {
        content(&host("a.example"), text.as_bytes(), true)
    }

    #[test]
    fn white_space_and_session_ids_make_no_other_content() {
        let id = "0123456789abcdef0123456789abcdef";
        let other = "fedcba9876543210fedcba9876543210";
        for (one, two) in [
            ("<p>a</p><p>b</p>".to_owned(), "<p>a</p> <p>b </p>".to_owned()),
            ("<p>a b</p>\n".to_owned(), "  <p>a\r\n\tb</p>".to_owned()),
            (format!("<a href='/x;jsessionid={id}'>"), format!("<a href='/x;jsessionid={other}'>")),
            (format!("<a href='/x;jsessionid={id}'>"), "<a href='/x'>".to_owned()),
            (format!("<a href=\"/x?PHPSESSID={id}&b=1\">"), format!("<a href=\"/x?PHPSESSID={other}&b=1\">")),
            (format!("<a href=/x?b=1&sid={id}>y</a>"), "<a href=/x?b=1>y</a>".to_owned()),
            ("?CFID=12&CFTOKEN=34\"".to_owned(), "?CFID=13&CFTOKEN=35\"".to_owned()),
            (
                format!("<input type=hidden name=\"PHPSESSID\" value=\"{id}\">"),
                format!("<input type=hidden name=\"PHPSESSID\" value=\"{other}\">"),
            ),
            (format!("<input name='sid'  value='{id}'/>"), format!("<input name='sid' value='{other}'/>")),
        ] {
            assert_eq!(key(&one), key(&two), "{one} {two}");
        }
    }

    #[test]
    fn anything_else_does() {
        for (one, two) in [
            ("<p>a</p>", "<p>b</p>"),
            ("<p>a</p>", "<p>ab</p>"),
            ("<a href='?sid=1'>", "<a href='?sid=2'>"),
            ("<a href='?id=1'>", "<a href='?id=2'>"),
            ("<input name=\"q\" value=\"1\">", "<input name=\"q\" value=\"2\">"),
            (
                "<input name=\"sid\"><input name=\"q\" value=\"1\">",
                "<input name=\"sid\"><input name=\"q\" value=\"2\">",
            ),
        ] {
            assert_ne!(key(one), key(two), "{one} {two}");
        }
        assert_eq!((key(""), key(" \n\t ")), (None, None));
        let of = |name: &str, is_text| content(&host(name), b"%PDF  x", is_text);
        assert_eq!(of("a.example.com", true), of("b.example.com", true));
        assert_ne!(of("a.example.com", true), of("a.example.org", true));
        assert_ne!(of("a.example.com", true), of("a.example.com", false), "bytes are bytes");
    }

    #[test]
    fn a_page_of_names_only_is_read_once() {
        let text = "a=sid=".repeat(1 << 15);
        assert_eq!(plain(text.as_bytes()), text.as_bytes());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in "(sid=|PHPSESSID=|value=|[\"'<>?&; ]|name=|0123456789abcdef){0,20}") {
            plain(&bytes);
            let once = plain(text.as_bytes());
            proptest::prop_assert!(!once.iter().any(u8::is_ascii_whitespace) && once.len() <= text.len());
        }
    }

    #[test]
    fn the_first_page_of_a_content_stands_for_it_and_not_for_itself() {
        let mut firsts = Firsts::default();
        let mut of = |page, url| firsts.of(Fingerprint(7), Fingerprint(page), url);
        assert_eq!(of(1, "http://a/1").as_deref(), Some("http://a/1"));
        assert_eq!(of(2, "http://a/2").as_deref(), Some("http://a/1"));
        assert_eq!(of(1, "http://a/1"), None, "read once more, it is what it was");
    }

    #[test]
    fn what_a_host_has_shown_often_is_remembered_longest() {
        let mut bodies = Bodies::default();
        assert_eq!((bodies.note(&host("a.example"), b"x"), bodies.note(&host("a.example"), b"x")), (1, 2));
        assert_eq!(bodies.note(&host("b.example"), b"x"), 1, "each host by itself");
        for n in 0..BODIES_MAX + 9 {
            bodies.note(&host("a.example"), &n.to_le_bytes());
        }
        assert!(bodies.0.len() <= BODIES_MAX);
        assert_eq!(bodies.note(&host("a.example"), b"x"), 3);
    }
}
