//! Finds the encoding that a page itself states. This happens before the page is decoded.

use crate::media::{charset_in, encoding_named};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// Returns the encoding that the XML declaration or a `<meta>` tag in `head` names, by the HTML standard ("prescan a
/// byte stream to determine its encoding").
pub(crate) fn prescan(head: &[u8]) -> Option<&'static Encoding> {
    if let Some(encoding) = declared(head) {
        return Some(encoding);
    }
    let mut rest = head;
    while let Some(at) = rest.iter().position(|&byte| byte == b'<') {
        rest = &rest[at..];
        if rest.starts_with(b"<!--") {
            // The search for `-->` begins at the second dash, since `<!-->` is a complete comment.
            let end = rest[2..].windows(3).position(|three| three == b"-->")?;
            rest = &rest[2 + end + 3..];
        } else if is_meta(rest) {
            let mut tag = Attributes { rest: &rest[5..] };
            if let Some(encoding) = encoding_of_meta(&mut tag) {
                return Some(encoding);
            }
            rest = tag.rest;
        } else if is_tag(rest) {
            // Only a tag that begins here counts: a `<meta` inside an attribute is not a tag.
            let name =
                rest.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'>')).unwrap_or(rest.len());
            let mut tag = Attributes { rest: &rest[name..] };
            tag.by_ref().for_each(drop);
            rest = tag.rest;
        } else if matches!(rest.get(1), Some(b'!' | b'/' | b'?')) {
            rest = &rest[rest.iter().position(|&byte| byte == b'>')?..];
        } else {
            rest = &rest[1..];
        }
    }
    None
}

/// Returns the encoding that an XML declaration names, in XHTML and XML, by the HTML standard ("get an XML
/// encoding").
fn declared(head: &[u8]) -> Option<&'static Encoding> {
    if !head.starts_with(b"<?xml") {
        return None;
    }
    let declaration = &head[..head.iter().position(|&byte| byte == b'>')?];
    let at = declaration.windows(8).position(|word| word == b"encoding")?;
    let rest = declaration[at + 8..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (&quote, rest) = rest.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
    let label = &rest[..rest.iter().position(|&byte| byte == quote)?];
    encoding_named(label).map(readable_as_ascii)
}

fn is_tag(tag: &[u8]) -> bool {
    let name = tag.get(1..).unwrap_or_default();
    name.strip_prefix(b"/").unwrap_or(name).first().is_some_and(u8::is_ascii_alphabetic)
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
        Some(name) => encoding_named(name.as_bytes()),
        None if is_content_type => charset_in(content?.as_bytes()),
        None => None,
    }?;
    Some(readable_as_ascii(found))
}

/// Corrects an encoding that cannot be true: if a page could be read as ASCII up to here, its encoding is not
/// UTF-16, whatever it states. The standard replaces UTF-16 by UTF-8, and `x-user-defined` by windows-1252.
fn readable_as_ascii(found: &'static Encoding) -> &'static Encoding {
    match found {
        e if e == UTF_16LE || e == UTF_16BE => UTF_8,
        e if e == X_USER_DEFINED => WINDOWS_1252,
        e => e,
    }
}

/// An iterator over the attributes of one tag. At the end of the iteration, `rest` is the text after the tag.
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
        // An attribute's name may start with `=` but is never empty, so every iteration advances.
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
