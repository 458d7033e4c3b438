//! Reads the head of an answer: checks whether its framing can be trusted, where it redirects to, and whether the
//! crawl wants this kind of body.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use opilio_core::{Fault, Statuses};
use url::Url;

use crate::decode;
use crate::limits::Limits;
use crate::transport::Answer;

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status, 100–599.
    pub status: u16,
    /// The version of HTTP in which the answer was sent.
    pub version: Version,
    /// The header fields as they were sent.
    pub headers: HeaderMap,
    /// The URL of the request, without fragment and user info.
    pub url: Url,
    /// The address of the server; `None` if it is not known.
    pub remote: Option<SocketAddr>,
}

impl Head {
    /// Returns the header fields in the order in which they were sent. (A `HeaderMap` returns all fields of one name
    /// together, at the place of the first of them.) Over HTTP/2 and from the cache the order as sent is not known.
    #[must_use]
    pub fn fields(&self) -> Vec<(&HeaderName, &HeaderValue)> {
        let mut fields: Vec<_> = self.headers.iter().collect();
        // The transport's values of an HTTP/1 head are all slices of one buffer, so the order of their addresses is
        // the order of the fields.
        let place = |value: &HeaderValue| value.as_bytes().as_ptr() as usize;
        let places = || fields.iter().map(|(_, value)| place(value));
        let (first, last) = (places().min().unwrap_or_default(), places().max().unwrap_or_default());
        if self.version <= Version::HTTP_11 && last - first <= HEAD_BYTES_MAX {
            fields.sort_by_key(|(_, value)| place(value));
        }
        fields
    }

    /// Returns the media type without its parameters, in lower case; empty if the answer has no media type.
    #[must_use]
    pub fn media_type(&self) -> String {
        media_type(&self.headers).to_ascii_lowercase()
    }
}

/// The kinds of content that a request wants. The body of any other kind is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Accept {
    /// Every kind of content.
    #[default]
    Any,
    /// HTML, XML, JSON and other text, and answers without a `Content-Type`.
    Text,
}

impl Accept {
    /// Returns whether a body whose answer has these header fields is wanted.
    #[must_use]
    pub fn wants(self, headers: &HeaderMap) -> bool {
        match self {
            Self::Any => true,
            Self::Text => is_text(media_type(headers)),
        }
    }

    /// Returns the value of the `Accept` header for these kinds.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Any => "*/*",
            Self::Text => {
                "text/html,application/xhtml+xml,application/xml;q=0.9,application/json;q=0.9,*/*;q=0.5"
            }
        })
    }
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    // The bytes are compared, because a parameter may contain bytes that are not ASCII.
    let media_type = value.split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default();
    std::str::from_utf8(media_type).unwrap_or_default().trim()
}

fn is_text(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    // Such a media type says nothing about the body, so the body itself decides (MIME Sniffing §7).
    let is_unknown = media_type.split_once('/').is_none_or(|(kind, subtype)| {
        kind.is_empty() || subtype.is_empty() || media_type.contains([' ', '*', '{'])
    });
    is_unknown
        || matches!(media_type.as_str(), "unknown/unknown" | "application/unknown")
        || media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || media_type.ends_with("+json")
        || matches!(
            media_type.as_str(),
            "application/json" | "application/xml" | "application/x-ndjson" | "application/javascript"
        )
}

/// Checks that a head is not too large and does not contradict itself. A status outside 100–599 is accepted if it is
/// in `named`, since then the user knows that the server sends it.
///
/// # Errors
/// `BadStatus`; `TooManyHeaders`; or `Malformed` for framing that different readers would understand differently
/// (RFC 9112 §6.3).
pub(crate) fn check(answer: &Answer, limits: &Limits, named: &Statuses) -> Result<(), Fault> {
    if !(100..=599).contains(&answer.status) && !named.contains(answer.status) {
        return Err(Fault::BadStatus);
    }
    let headers = &answer.headers;
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits.header_count_max || bytes > limits.header_bytes_max {
        return Err(Fault::TooManyHeaders);
    }
    check_framing(headers)
}

fn check_framing(headers: &HeaderMap) -> Result<(), Fault> {
    let length = content_length(headers)?;
    match transfer(headers)? {
        Transfer::Chunked if length.is_some() => Err(Fault::Malformed),
        Transfer::Chunked | Transfer::Plain => Ok(()),
    }
}

/// The way in which the bytes of a body are transferred.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transfer {
    /// The bytes are sent unchanged, up to the stated length or to the end of the connection.
    Plain,
    Chunked,
}

/// Reads `Transfer-Encoding`. A value that means no coding (`identity`, or an empty value) counts as an absent
/// field.
fn transfer(headers: &HeaderMap) -> Result<Transfer, Fault> {
    let mut transfer = Transfer::Plain;
    for value in headers.get_all(header::TRANSFER_ENCODING) {
        for word in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            // If there are several names, the transport looks only at the last one.
            let may_be = transfer == Transfer::Plain;
            if may_be && word.eq_ignore_ascii_case(b"chunked") {
                transfer = Transfer::Chunked;
            } else if !may_be || !matches!(decode::coding(word), Ok(None)) {
                return Err(Fault::Malformed);
            }
        }
    }
    Ok(transfer)
}

/// Returns the length at which a body ends that the transport reads to the end of the connection; `None` if there is
/// no such length. With any `Transfer-Encoding`, the transport ignores the stated length.
pub(crate) fn ends_at(headers: &HeaderMap, length: Option<u64>) -> Option<u64> {
    length.filter(|_| headers.contains_key(header::TRANSFER_ENCODING))
}

/// Returns whether a body without a stated length consists of chunks from beginning to end. Then the transport has
/// ignored the header line that announced the chunks, because the line was malformed.
pub(crate) fn is_chunked_in_secret(answer: &Head, body: &[u8]) -> bool {
    let headers = &answer.headers;
    answer.version <= Version::HTTP_11
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && is_chunked_through(body).is_some()
}

/// Checks that a body consists of chunks (RFC 9112 §7.1): the last chunk is empty, then come trailers, then nothing
/// more. Returns `None` for any other body.
fn is_chunked_through(mut body: &[u8]) -> Option<()> {
    loop {
        let end = body.iter().take(CHUNK_LINE_MAX).position(|byte| *byte == b'\n')?;
        let line = body[..end].strip_suffix(b"\r")?;
        let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
        let digits = std::str::from_utf8(size).ok().filter(|size| !size.starts_with('+'))?;
        let size = usize::from_str_radix(digits, 16).ok()?;
        body = &body[end + 1..];
        if size == 0 {
            let has_trailers = body.ends_with(b"\r\n\r\n") && !body.starts_with(b"\r\n");
            return (body == b"\r\n" || has_trailers).then_some(());
        }
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Returns the length of the body, as sent, that the header fields state.
///
/// # Errors
/// `Malformed` when the length is not a number, or when two different numbers are stated. The same number stated
/// twice, or as a list, is allowed (RFC 9112 §6.3).
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for part in value.to_str().map_err(|_| Fault::Malformed)?.split(',') {
            let part = part.trim();
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Fault::Malformed);
            }
            let stated = part.parse().map_err(|_| Fault::Malformed)?;
            if length.is_some_and(|length: u64| length != stated) {
                return Err(Fault::Malformed);
            }
            length = Some(stated);
        }
    }
    Ok(length)
}

/// Returns whether an answer with this method and status has no body, whatever its header fields state (RFC 9112
/// §6.3).
pub(crate) fn is_bodiless(method: &Method, status: u16) -> bool {
    method == Method::HEAD || matches!(status, 100..=199 | 204 | 304)
}

/// Returns the target of a redirect: an absolute http or https URL, without fragment and user info.
///
/// Bytes of the target that are not UTF-8 are percent-encoded one by one, as in browsers.
pub(crate) fn location(headers: &HeaderMap, base: &Url, limits: &Limits) -> Option<Url> {
    let mut values = headers.get_all(header::LOCATION).iter();
    let value = values.next()?.as_bytes().trim_ascii();
    if values.any(|other| other.as_bytes().trim_ascii() != value) || value.len() > limits.url_bytes_max {
        return None;
    }
    let mut target = redirect_target(base, value)?;
    clean(&mut target);
    let usable = matches!(target.scheme(), "http" | "https") && target.has_host();
    (usable && target.as_str().len() <= limits.url_bytes_max).then_some(target)
}

/// Returns the URL to which the value of a header field such as `Location` leads from `base`; `None` if the value is
/// empty or no URL. Bytes that are not UTF-8 are escaped.
#[must_use]
pub fn redirect_target(base: &Url, value: &[u8]) -> Option<Url> {
    let text = match std::str::from_utf8(value.trim_ascii()) {
        Ok("") => return None,
        Ok(text) => text.to_owned(),
        Err(_) => value.trim_ascii().iter().map(escape).collect(),
    };
    base.join(&without_needless_slashes(&text)).ok()
}

/// Replaces more than two leading slashes by two (WHATWG URL Standard, "special authority ignore slashes state"),
/// which the URL parser does only after a scheme. Tabs and line breaks between the slashes are ignored.
fn without_needless_slashes(text: &str) -> Cow<'_, str> {
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let end = text.find(|c| !is_slash(c) && !matches!(c, '\t' | '\n' | '\r')).unwrap_or(text.len());
    if text[..end].matches(is_slash).count() <= 2 {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("//{}", &text[end..]))
}

fn escape(byte: &u8) -> String {
    if byte.is_ascii() { char::from(*byte).to_string() } else { format!("%{byte:02X}") }
}

/// Removes the fragment and the user info of a URL, which are never sent or logged.
pub(crate) fn clean(url: &mut Url) {
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        // This fails only for URLs without a host, and such URLs have no user info.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
}

/// The most bytes of the line at the beginning of a chunk, which states the chunk's size.
const CHUNK_LINE_MAX: usize = 4_096;
/// The size of the transport's buffer for a head, rounded up to 512 KiB. If two values are further apart, they are
/// not from one buffer.
const HEAD_BYTES_MAX: usize = 1 << 19;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn a_redirects_target_is_resolved_or_refused() {
        let base = Url::parse("http://user:pw@a.test/dir/page?q#f").unwrap();
        for (value, target) in [
            (&b"/x"[..], Some("http://a.test/x")),
            (b"next#part", Some("http://a.test/dir/next")),
            (b" //b.test/y ", Some("http://b.test/y")),
            (b"///b.test/y", Some("http://b.test/y")),
            (b"/\\//b.test/y", Some("http://b.test/y")),
            (b"http:///b.test/y", Some("http://b.test/y")),
            (b"///", None),
            (b"/y #x", Some("http://a.test/y%20")),
            (b"https://u:p@b.test:8443/", Some("https://b.test:8443/")),
            (b"?page=2", Some("http://a.test/dir/page?page=2")),
            (b"\xc3\xa9", Some("http://a.test/dir/%C3%A9")),
            (b"\xe9t\xe9", Some("http://a.test/dir/%E9t%E9")),
            (b"", None),
            (b"mailto:me@a.test", None),
            (b"javascript:alert(1)", None),
            (b"file:///etc/passwd", None),
            (b"http://", None),
            (b"http://[::1", None),
        ] {
            let got = location(&headers(&[("location", value)]), &base, &Limits::default());
            assert_eq!(got.as_ref().map(Url::as_str), target, "{:?}", String::from_utf8_lossy(value));
        }
        let long = vec![b'a'; 9_000];
        assert_eq!(location(&headers(&[("location", &long)]), &base, &Limits::default()), None);
        let two = headers(&[("location", b"/a"), ("location", b"/b")]);
        assert_eq!(location(&two, &base, &Limits::default()), None);
        assert_eq!(location(&headers(&[]), &base, &Limits::default()), None);
    }

    #[test]
    fn redirects_lead_where_the_reference_of_the_whatwg_says() {
        type Case = (String, String, Option<String>);
        let all: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/urls/whatwg.json")).unwrap();
        let cases =
            [&all["cases"], &all["ours"]].map(|cases| serde_json::from_value::<Vec<Case>>(cases.clone()));
        let mut checked = 0;
        for (link, page, wanted) in cases.into_iter().flat_map(Result::unwrap) {
            let wanted = wanted.map(|url| {
                let mut url = Url::parse(&url).unwrap();
                clean(&mut url);
                url
            });
            // A field cannot contain a control character, and an empty field is not a target.
            let Ok(value) = HeaderValue::from_bytes(link.as_bytes()) else { continue };
            if value.as_bytes().trim_ascii().is_empty() {
                continue;
            }
            let headers = HeaderMap::from_iter([(header::LOCATION, value)]);
            let found = location(&headers, &Url::parse(&page).unwrap(), &Limits::default());
            assert_eq!(found, wanted, "{link:?} at {page}");
            checked += 1;
        }
        assert!(checked > 550, "{checked}");
    }

    #[test]
    fn framing_that_can_be_read_in_two_ways_is_refused() {
        for lines in [
            &[("content-length", &b"5"[..]), ("transfer-encoding", b"chunked")][..],
            &[("transfer-encoding", b"gzip, chunked")],
            &[("transfer-encoding", b"chunked"), ("transfer-encoding", b"chunked")],
            &[("transfer-encoding", b"chunked, chunked")],
            &[("transfer-encoding", b"chunked, identity")],
            &[("transfer-encoding", b"chunked"), ("transfer-encoding", b"")],
            &[("transfer-encoding", b"gzip")],
            &[("transfer-encoding", b"compress")],
            &[("content-length", b"5"), ("content-length", b"6")],
            &[("content-length", b"5, 6")],
            &[("content-length", b"+5")],
            &[("content-length", b"")],
        ] {
            assert_eq!(check_framing(&headers(lines)), Err(Fault::Malformed), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[("content-length", &b"5"[..])],
            &[("content-length", b"5"), ("content-length", b"5")],
            &[("content-length", b"5, 5")],
            &[("transfer-encoding", b" Chunked ")],
            &[("transfer-encoding", b"identity")],
            &[("transfer-encoding", b"Identity"), ("content-length", b"5")],
            &[("transfer-encoding", b""), ("content-length", b"5")],
            &[("transfer-encoding", b"none")],
            &[("transfer-encoding", b"8bit, binary")],
            &[("transfer-encoding", b"identity, chunked")],
            &[("transfer-encoding", b"identity"), ("transfer-encoding", b"chunked")],
        ] {
            assert_eq!(check_framing(&headers(lines)), Ok(()), "{lines:?}");
        }
    }

    #[test]
    fn text_is_told_from_the_rest() {
        let wants = |value: &[u8]| Accept::Text.wants(&headers(&[("content-type", value)]));
        for text in [
            &b"text/html; charset=utf-8"[..],
            b"TEXT/plain",
            b"application/ld+json",
            b"application/rss+xml",
            b"text/html; name=\xe9",
            b"",
            b"html",
            b"charset=utf-8",
            b"text",
            b"*/*",
            b"text/html charset=utf-8",
            b"unknown/unknown",
            b"; charset=utf-8",
            b"application/unknown",
            b"/",
            b"text/",
            b"\xe9",
            b"text/html; charset=windows-1250; name=\xcf.htm",
        ] {
            assert!(wants(text), "{}", String::from_utf8_lossy(text));
        }
        for other in [
            &b"image/png"[..],
            b"application/pdf",
            b"application/octet-stream",
            b"image/png; name=\"\xe9.png\"",
            b"application/pdf; name=\"\xe9.pdf\"",
        ] {
            assert!(!wants(other), "{}", String::from_utf8_lossy(other));
            assert!(Accept::Any.wants(&headers(&[("content-type", other)])));
        }
        assert!(Accept::Text.wants(&headers(&[])));
    }

    proptest! {
        #[test]
        fn no_header_can_upset_the_reader(lines in proptest::collection::vec((0..NAMES.len(), any::<Vec<u8>>()), 0..6)) {
            let mut map = HeaderMap::new();
            for (name, bytes) in lines {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    map.append(NAMES[name], value);
                }
            }
            let limits = Limits::default();
            let _ = check_framing(&map);
            let _ = crate::decode::codings(&map);
            let _ = Accept::Text.wants(&map);
            if let Some(url) = location(&map, &Url::parse("http://a.test/x?y").unwrap(), &limits) {
                prop_assert!(matches!(url.scheme(), "http" | "https"));
                prop_assert!(url.fragment().is_none() && url.username().is_empty());
                prop_assert!(url.as_str().len() <= limits.url_bytes_max);
            }
        }
    }

    const NAMES: [&str; 5] =
        ["location", "content-length", "transfer-encoding", "content-encoding", "content-type"];
}
