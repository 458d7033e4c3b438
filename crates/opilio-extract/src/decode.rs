//! Bytes in, text out: which encoding a body is in.
//!
//! The order is that of the HTML standard, "determining the character encoding": byte order mark,
//! `charset` of the Content-Type, `<meta>` in the first 1024 bytes. What nobody labelled is taken for
//! UTF-8 if it reads as such, else for windows-1252.

use bytes::Bytes;
use bytestring::ByteString;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};
use std::borrow::Cow;

/// How far into a body a `<meta>` may name the encoding; the HTML standard says 1024.
const PRESCAN_BYTES: usize = 1024;

/// What the Content-Type says, read once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    /// The `charset` parameter, where it names an encoding that exists.
    pub(crate) charset: Option<&'static Encoding>,
    /// Whether the body may hold markup: HTML, XML, or nothing was said.
    pub(crate) markup: bool,
}

impl Label {
    /// Reads a Content-Type; a missing or an empty one counts as HTML.
    pub(crate) fn parse(content_type: Option<&str>) -> Self {
        let mut parts = content_type.unwrap_or_default().split(';');
        let essence = parts.next().unwrap_or_default().trim();
        let charset = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let is_charset = name.trim().eq_ignore_ascii_case("charset");
            is_charset.then(|| value.trim().trim_matches(['"', '\'']))
        });
        Self { charset: charset.and_then(encoding_named), markup: essence.is_empty() || is_markup(essence) }
    }
}

fn is_markup(essence: &str) -> bool {
    let ends_with = |end: &str| {
        let at = essence.len().checked_sub(end.len());
        at.and_then(|at| essence.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    ends_with("/html") || ends_with("/xml") || ends_with("+xml")
}

/// The encodings that decode to nothing but an error are as good as no label.
fn encoding_named(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes())
}

/// Decodes `body`; never fails, and does not copy what is UTF-8 already.
pub(crate) fn decode(body: &Bytes, label: Label) -> ByteString {
    if let Some((encoding, bom_bytes)) = Encoding::for_bom(body) {
        return decode_as(encoding, body.slice(bom_bytes..));
    }
    let named = label.charset.or_else(|| {
        let head = &body[..body.len().min(PRESCAN_BYTES)];
        label.markup.then(|| prescan(head)).flatten()
    });
    match named {
        Some(encoding) => decode_as(encoding, body.clone()),
        None => guess(body),
    }
}

fn decode_as(encoding: &'static Encoding, bytes: Bytes) -> ByteString {
    if encoding == UTF_8
        && let Ok(text) = ByteString::try_from(bytes.clone())
    {
        return text;
    }
    match encoding.decode_without_bom_handling(&bytes).0 {
        Cow::Owned(text) => text.into(),
        // Borrowed: the bytes were ASCII, or as good as.
        Cow::Borrowed(text) => {
            ByteString::try_from(bytes.slice_ref(text.as_bytes())).unwrap_or_else(|_| text.into())
        }
    }
}

/// Nothing names the encoding. A body with more sound UTF-8 sequences than broken ones is UTF-8 that
/// was damaged or cut; any other is in one of the old encodings of one byte a character.
fn guess(body: &Bytes) -> ByteString {
    if let Ok(text) = ByteString::try_from(body.clone()) {
        return text;
    }
    let (mut sound, mut broken) = (0_usize, 0_usize);
    for chunk in body.utf8_chunks() {
        sound += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    decode_as(if sound > broken { UTF_8 } else { WINDOWS_1252 }, body.clone())
}

/// Looks for an encoding in the `<meta>` tags of `head`: HTML standard, "prescan a byte stream".
fn prescan(head: &[u8]) -> Option<&'static Encoding> {
    let mut rest = head;
    while let Some(at) = rest.iter().position(|&byte| byte == b'<') {
        rest = &rest[at..];
        if rest.starts_with(b"<!--") {
            // From the second dash on: `<!-->` is a whole comment.
            let end = rest[2..].windows(3).position(|three| three == b"-->")?;
            rest = &rest[2 + end + 3..];
        } else if is_meta(rest) {
            let mut tag = Attributes { rest: &rest[5..] };
            if let Some(encoding) = encoding_of_meta(&mut tag) {
                return Some(encoding);
            }
            rest = tag.rest;
        } else {
            rest = &rest[1..];
        }
    }
    None
}

fn is_meta(tag: &[u8]) -> bool {
    let named = tag.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"<meta"));
    named && tag.get(5).is_some_and(|&byte| byte.is_ascii_whitespace() || byte == b'/')
}

fn encoding_of_meta(tag: &mut Attributes<'_>) -> Option<&'static Encoding> {
    let (mut charset, mut content, mut is_content_type) = (None, None, false);
    for (name, value) in tag {
        let value = String::from_utf8_lossy(value);
        if name.eq_ignore_ascii_case(b"charset") {
            charset = charset.or(Some(value));
        } else if name.eq_ignore_ascii_case(b"content") {
            content = content.or(Some(value));
        } else if name.eq_ignore_ascii_case(b"http-equiv") {
            is_content_type |= value.eq_ignore_ascii_case("content-type");
        }
    }
    let found = match charset {
        Some(name) => encoding_named(&name),
        None if is_content_type => Label::parse(content.as_deref()).charset,
        None => None,
    }?;
    // A page that could be read up to here as ASCII is not in UTF-16, whatever it says.
    Some(match found {
        e if e == UTF_16LE || e == UTF_16BE => UTF_8,
        e if e == X_USER_DEFINED => WINDOWS_1252,
        e => e,
    })
}

/// The attributes of one tag; afterwards `rest` stands behind the tag.
struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    fn take(&mut self, until: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| until(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_space(&mut self) {
        self.take(|byte| !byte.is_ascii_whitespace());
    }

    fn value(&mut self) -> &'a [u8] {
        self.skip_space();
        match self.rest.first() {
            Some(&quote @ (b'"' | b'\'')) => {
                self.rest = &self.rest[1..];
                let value = self.take(|byte| byte == quote);
                self.rest = self.rest.get(1..).unwrap_or_default();
                value
            }
            _ => self.take(|byte| byte.is_ascii_whitespace() || byte == b'>'),
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.take(|byte| !byte.is_ascii_whitespace() && byte != b'/');
        if matches!(self.rest.first(), None | Some(b'>')) {
            return None;
        }
        // A name may start with `=`, and is not empty: each turn moves on.
        let start = self.rest;
        self.rest = &self.rest[1..];
        let tail = self.take(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>' | b'='));
        let name = &start[..1 + tail.len()];
        self.skip_space();
        if self.rest.first() != Some(&b'=') {
            return Some((name, b""));
        }
        self.rest = &self.rest[1..];
        Some((name, self.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content_type: Option<&str>, body: &[u8]) -> String {
        decode(&Bytes::copy_from_slice(body), Label::parse(content_type)).to_string()
    }

    #[test]
    fn follows_bom_then_header_then_meta_then_guess() {
        let latin = Some("text/html; charset=ISO-8859-1");
        let cases: &[(Option<&str>, &[u8], &str)] = &[
            (latin, b"\xEF\xBB\xBF\xC3\xA4", "ä"),
            (latin, b"\xFF\xFEa\0b\0", "ab"),
            (None, b"\xFE\xFF\0a\0b", "ab"),
            (latin, b"\xE4", "ä"),
            (Some("text/html;charset=\"Shift_JIS\""), b"\x83\x65", "テ"),
            (Some("text/html; charset=windows-1251"), b"<meta charset=utf-8>\xE4", "<meta charset=utf-8>д"),
            (Some("text/html; charset=nonsense"), b"\xC3\xA4", "ä"),
            (Some("text/html; charset=hz-gb-2312"), b"\xC3\xA4", "ä"),
            (None, b"<meta charset='koi8-r'>\xC1", "<meta charset='koi8-r'>а"),
            (
                None,
                b"<META content=\"text/html; charset=koi8-r\" HTTP-EQUIV=Content-Type>\xC1",
                "<META content=\"text/html; charset=koi8-r\" HTTP-EQUIV=Content-Type>а",
            ),
            (None, b"<!-- <meta charset=koi8-r> -->\xC3\xA4", "<!-- <meta charset=koi8-r> -->ä"),
            (None, b"<meta charset=utf-16>\xC3\xA4", "<meta charset=utf-16>ä"),
            (Some("application/json"), b"\"<meta charset=koi8-r>\xC3\xA4\"", "\"<meta charset=koi8-r>ä\""),
            (None, b"caf\xE9", "café"),
            (None, b"\xC3\xA4\xC3\xB6 cut \xC3", "äö cut \u{FFFD}"),
            (Some("text/html; charset=utf-8"), b"a\xFFb", "a\u{FFFD}b"),
            (None, b"", ""),
        ];
        for (content_type, body, wanted) in cases {
            assert_eq!(text(*content_type, body), *wanted, "{content_type:?} {body:?}");
        }
    }

    #[test]
    fn reads_no_meta_behind_the_first_1024_bytes() {
        let body = [vec![b' '; 1024], b"<meta charset=koi8-r>\xC3\xA4".to_vec()].concat();
        assert!(text(None, &body).ends_with('ä'));
    }

    #[test]
    fn survives_broken_metas() {
        for body in ["<meta", "<meta ", "<meta =", "<meta charset", "<meta charset=", "<meta charset='x"] {
            assert_eq!(text(None, body.as_bytes()), body);
        }
    }

    #[test]
    fn does_not_copy_utf_8_nor_ascii() {
        let body = Bytes::from_static(b"plain");
        for content_type in [None, Some("text/html; charset=utf-8"), Some("text/html; charset=koi8-r")] {
            let text = decode(&body, Label::parse(content_type));
            assert_eq!(text.as_bytes().as_ptr(), body.as_ptr(), "{content_type:?}");
        }
    }

    #[test]
    fn tells_markup_from_the_rest() {
        for (content_type, markup) in [
            (None, true),
            (Some("text/html"), true),
            (Some("TEXT/HTML ; charset=x"), true),
            (Some("application/xhtml+xml"), true),
            (Some("application/json"), false),
            (Some("text/plain"), false),
            (Some("x"), false),
        ] {
            assert_eq!(Label::parse(content_type).markup, markup, "{content_type:?}");
        }
    }
}
