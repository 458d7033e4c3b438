//! Reads the media type and the encoding in a `Content-Type`.
//!
//! The rules are those of MIME Sniffing §4.4 (parse a MIME type) and Fetch §2.2.2 (extract a MIME type), but for
//! bytes: a byte above 0x7F in a parameter does not affect the other parameters. The module `sniff` handles wrong or
//! missing types.

use crate::sniff;
use encoding_rs::Encoding;

/// The way in which a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// HTML.
    Html,
    /// XML: XHTML, a feed, or another kind of XML.
    Xml,
    /// Text without markup, such as plain text, JSON or code. It has neither title nor links.
    Text,
    /// Anything else, such as images, archives or PDF. It has neither title nor links.
    Data,
}

/// The parsed content of a Content-Type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    /// The encoding that the `charset` parameter names, if that encoding exists.
    pub(crate) charset: Option<&'static Encoding>,
    /// The kind that the media type states; `None` if the type is meaningless.
    said: Option<Kind>,
}

impl Label {
    /// Reads the values of a Content-Type. The last meaningful value decides. If it names no encoding, the encoding
    /// of an earlier value with the same type is used.
    pub(crate) fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut label = Self { charset: None, said: None };
        let mut essence: Option<&[u8]> = None;
        for value in values.into_iter().flat_map(split) {
            let Some(parsed) = MediaType::parse(value) else {
                label.charset = label.charset.or_else(|| charset_in(value));
                continue;
            };
            if essence.is_none_or(|essence| !essence.eq_ignore_ascii_case(parsed.essence)) {
                // If the earlier values were all meaningless, their charset still concerns the body, so it is kept.
                label.charset = label.charset.filter(|_| essence.is_none());
            }
            essence = Some(parsed.essence);
            label.charset = parsed.charset.or(label.charset);
            label.said = kind_of(parsed.essence);
        }
        label
    }

    /// Returns how `body` is read.
    pub(crate) fn kind(self, body: &[u8]) -> Kind {
        match self.said {
            Some(Kind::Html) if sniff::is_feed(body) => Kind::Xml,
            Some(kind) => kind,
            None => sniff::kind(body),
        }
    }
}

/// A parsed media type.
struct MediaType<'a> {
    /// The text `type/subtype`, as written.
    essence: &'a [u8],
    charset: Option<&'static Encoding>,
}

impl<'a> MediaType<'a> {
    /// Parses a media type by MIME Sniffing §4.4, but keeps only the `charset` parameter.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let essence = value[..end].trim_ascii_end();
        let slash = memchr::memchr(b'/', essence)?;
        let is_token = |token: &[u8]| !token.is_empty() && token.iter().all(|byte| is_token_byte(*byte));
        if !is_token(&essence[..slash]) || !is_token(&essence[slash + 1..]) || essence == b"*/*" {
            return None;
        }
        Some(Self { essence, charset: charset_of(&value[end..]) })
    }
}

/// Returns the encoding that the parameters of a media type name. If there are several `charset` parameters, the
/// first decides.
fn charset_of(parameters: &[u8]) -> Option<&'static Encoding> {
    let mut rest = parameters;
    while let Some((b';', behind)) = rest.split_first() {
        let end = behind.iter().position(|byte| matches!(byte, b';' | b'=')).unwrap_or(behind.len());
        let name = behind[..end].trim_ascii();
        rest = &behind[end..];
        let Some((b'=', behind)) = rest.split_first() else { continue };
        let quoted = behind.trim_ascii_start().strip_prefix(b"\"");
        let (value, behind) = match quoted {
            Some(quoted) => quoted_value(quoted),
            None => {
                let end = memchr::memchr(b';', behind).unwrap_or(behind.len());
                (behind[..end].to_vec(), &behind[end..])
            }
        };
        rest = &behind[memchr::memchr(b';', behind).unwrap_or(behind.len())..];
        if name.eq_ignore_ascii_case(b"charset") {
            return encoding_of_label(&value);
        }
    }
    None
}

/// Reads a quoted value; `text` begins after the opening quote. Returns the value, and the text after the closing
/// quote.
fn quoted_value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => {
                value.push(text.get(at).copied().unwrap_or(b'\\'));
                at += 1;
            }
            _ => value.push(byte),
        }
    }
    (value, text.get(at..).unwrap_or_default())
}

/// Returns the encoding that a text names anywhere, by the HTML standard ("extracting a character encoding from a
/// meta element"). Used for the `content` of a `<meta>`, and for a Content-Type without a valid type.
pub(crate) fn charset_in(text: &[u8]) -> Option<&'static Encoding> {
    const NAME: &[u8] = b"charset";
    let mut rest = text;
    let value = loop {
        let at = rest.windows(NAME.len()).position(|word| word.eq_ignore_ascii_case(NAME))?;
        rest = rest[at + NAME.len()..].trim_ascii_start();
        if let Some(value) = rest.strip_prefix(b"=") {
            break value.trim_ascii_start();
        }
    };
    let label = match value.split_first() {
        Some((quote @ (b'"' | b'\''), value)) => &value[..memchr::memchr(*quote, value)?],
        _ => {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b';';
            &value[..value.iter().position(ends).unwrap_or(value.len())]
        }
    };
    encoding_of_label(label)
}

/// Returns the encoding with this label. By the standard, single quotes would be part of the label; here they are
/// removed, since no label contains single quotes.
fn encoding_of_label(label: &[u8]) -> Option<&'static Encoding> {
    let label = label.trim_ascii();
    let label = label.strip_prefix(b"'").unwrap_or(label);
    encoding_named(label.strip_suffix(b"'").unwrap_or(label))
}

/// Returns the encoding with this label, but not the encodings that decode every text to an error.
pub(crate) fn encoding_named(label: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label)
}

/// Returns the kind of documents with this media type; `None` for a meaningless type (MIME Sniffing §7).
fn kind_of(essence: &[u8]) -> Option<Kind> {
    let is = |other: &[u8]| essence.eq_ignore_ascii_case(other);
    let begins = |start: &[u8]| essence.get(..start.len()).is_some_and(|e| e.eq_ignore_ascii_case(start));
    let ends = |end: &[u8]| {
        let at = essence.len().checked_sub(end.len());
        at.and_then(|at| essence.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    if ends(b"/html") {
        Some(Kind::Html)
    } else if is(b"unknown/unknown") || is(b"application/unknown") {
        None
    } else if ends(b"/xml") || ends(b"+xml") {
        Some(Kind::Xml)
    } else if begins(b"text/") || ends(b"/json") || ends(b"+json") || ends(b"javascript") {
        Some(Kind::Text)
    } else {
        Some(Kind::Data)
    }
}

/// Splits a header field with several values at the commas that are not inside quotes.
fn split(values: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(values);
    std::iter::from_fn(move || {
        let values = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = values.iter().position(|byte| {
            let was_escaped = std::mem::take(&mut escaped);
            match byte {
                b'"' if !was_escaped => quoted = !quoted,
                b'\\' => escaped = quoted && !was_escaped,
                b',' => return !quoted,
                _ => {}
            }
            false
        });
        rest = end.map(|end| &values[end + 1..]);
        Some(&values[..end.unwrap_or(values.len())])
    })
}

/// Returns whether a byte may occur in a token (RFC 9110 §5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> (Option<Kind>, &'static str) {
        let label = Label::parse([value]);
        (label.said, label.charset.map_or("", Encoding::name))
    }

    #[test]
    fn tells_markup_from_the_rest() {
        let cases: &[(&[u8], Option<Kind>)] = &[
            (b"text/html", Some(Kind::Html)),
            (b"TEXT/HTML ; charset=x", Some(Kind::Html)),
            (b"application/xhtml+xml", Some(Kind::Xml)),
            (b"text/xml", Some(Kind::Xml)),
            (b"application/RSS+XML", Some(Kind::Xml)),
            (b"application/json", Some(Kind::Text)),
            (b"text/plain", Some(Kind::Text)),
            (b"application/pdf", Some(Kind::Data)),
            (b"application/octet-stream", Some(Kind::Data)),
            (b"", None),
            (b" ", None),
            (b"x", None),
            (b"html", None),
            (b"text", None),
            (b"text/", None),
            (b"/html", None),
            (b"text/html charset=utf-8", None),
            (b"charset=utf-8", None),
            (b"*/*", None),
            (b"*/*; q=0.5", None),
            (b"unknown/unknown", None),
            (b"Application/Unknown", None),
            (b"{{type}}", None),
            (b"text/html, text/plain", Some(Kind::Text)),
            (b"text/html, */*, html", Some(Kind::Html)),
        ];
        for (value, kind) in cases {
            assert_eq!(read(value).0, *kind, "{:?}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn finds_the_encoding_wherever_it_stands() {
        let cases: &[(&[u8], &str)] = &[
            (b"text/html; charset=windows-1251", "windows-1251"),
            (b"text/html;charset=\"shift_jis\"", "Shift_JIS"),
            (b"text/html; Charset = 'gbk'", "GBK"),
            (b"text/html; charset=", ""),
            (b"text/html; charset=nonsense; charset=gbk", ""),
            (b"text/html; name=\"a;charset=gbk;\\\";\"; charset=utf-8", "UTF-8"),
            (b"text/html; charset=windows-1250; name=\xcf.htm", "windows-1250"),
            (b"text/html; name=\xcf.htm; charset=windows-1250", "windows-1250"),
            (b"text/html; name=\"\xe9.htm\";charset=windows-1250", "windows-1250"),
            (b"text/html; \xe9; charset=windows-1250", "windows-1250"),
            (b"text/html; charset=utf-8\xe9", ""),
            (b"charset=koi8-r", "KOI8-R"),
            (b"html; charset=koi8-r", "KOI8-R"),
            (b"text/html charset=koi8-r", "KOI8-R"),
            (b"text/html, charset=koi8-r", "KOI8-R"),
            (b"text/html; charset=gbk, text/html", "GBK"),
            (b"text/html; charset=gbk, text/xml", ""),
            (b"text/html; charset=gbk, text/html; charset=utf-8", "UTF-8"),
            (b"text/html; charset=\"gbk", "GBK"),
            (b"text/html; charset=\"gbk\\", ""),
        ];
        for (value, charset) in cases {
            assert_eq!(read(value).1, *charset, "{:?}", String::from_utf8_lossy(value));
        }
        let two = Label::parse([&b"text/html; charset=gbk"[..], b"text/html"]);
        assert_eq!(two.charset.map(Encoding::name), Some("GBK"));
    }
}
