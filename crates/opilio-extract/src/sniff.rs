//! Determines the kind of a body from its first bytes, for a body whose Content-Type is meaningless: MIME Sniffing
//! §6 (patterns) and §7 (rules).
//!
//! Only the patterns of images, sounds and archives that could be mistaken for text are needed. All other such files
//! contain bytes that never occur in text.

use crate::media::Kind;
use std::borrow::Cow;

/// The number of bytes that are examined (MIME Sniffing §5.2).
const HEAD_BYTES: usize = 1445;

/// Returns the kind of a body without a type (MIME Sniffing §7.1). In contrast to the standard, text that begins
/// with a tag unknown to the standard is HTML, too: browsers show such a body as text, but a crawler would then lose
/// its links.
pub(crate) fn kind(body: &[u8]) -> Kind {
    let head = &body[..body.len().min(HEAD_BYTES)];
    if DATA.iter().any(|(pattern, mask)| matches(head, pattern, mask)) {
        return Kind::Data;
    }
    let head = as_ascii(head);
    let text = head.trim_ascii_start();
    if text.starts_with(b"<?xml") || is_feed(text) {
        return Kind::Xml;
    }
    if head.iter().any(|byte| is_binary(*byte)) {
        return Kind::Data;
    }
    if begins_with_markup(text) { Kind::Html } else { Kind::Text }
}

/// Returns whether a body that is labelled as HTML is a feed (MIME Sniffing §7.3). Everything before the first
/// element is skipped.
pub(crate) fn is_feed(body: &[u8]) -> bool {
    let mut rest = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    // The root element of a feed comes early, so only the start of the body is searched.
    rest = &rest[..rest.len().min(HEAD_BYTES)];
    loop {
        rest = rest.trim_ascii_start();
        let Some(tag) = rest.strip_prefix(b"<") else { return false };
        let end = match tag.first() {
            Some(b'?') => find(tag, b"?>"),
            Some(b'!') if tag.starts_with(b"!--") => find(tag, b"-->"),
            Some(b'!') => find(tag, b">"),
            _ => return is_feed_tag(tag),
        };
        let Some(end) = end else { return false };
        rest = &tag[end..];
    }
}

fn is_feed_tag(tag: &[u8]) -> bool {
    if let Some(rest) = tag.strip_prefix(b"rss").or_else(|| tag.strip_prefix(b"feed")) {
        return rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'));
    }
    // RDF counts as a feed only if it is RSS 1.0 or 0.9.
    tag.starts_with(b"rdf:RDF")
        && [&b"http://purl.org/rss/1.0/"[..], b"http://my.netscape.com/rdf/simple/0.9/"]
            .iter()
            .any(|namespace| find(tag, namespace).is_some())
}

/// Returns the offset of the end of the first occurrence of `word`.
fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, word).map(|at| at + word.len())
}

/// Returns the start of a body without its byte order mark; in UTF-16 also without the zero bytes.
fn as_ascii(head: &[u8]) -> Cow<'_, [u8]> {
    if let Some(rest) = head.strip_prefix(b"\xEF\xBB\xBF") {
        return Cow::Borrowed(rest);
    }
    let marked = head.strip_prefix(b"\xFF\xFE").or_else(|| head.strip_prefix(b"\xFE\xFF"));
    let Some(text) = marked.or_else(|| crate::decode::looks_like_utf_16(head).map(|_| head)) else {
        return Cow::Borrowed(head);
    };
    Cow::Owned(text.iter().copied().filter(|byte| *byte != 0).collect())
}

fn begins_with_markup(text: &[u8]) -> bool {
    let Some(tag) = text.strip_prefix(b"<") else { return false };
    tag.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'!' | b'?' | b'/'))
}

/// Returns whether a byte never occurs in text (MIME Sniffing §3, "binary data byte").
fn is_binary(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)
}

/// Returns whether the start of a body matches a pattern (MIME Sniffing §6, "pattern matching algorithm"). Bits that
/// are zero in the mask are ignored.
fn matches(head: &[u8], pattern: &[u8], mask: &[u8]) -> bool {
    head.len() >= pattern.len()
        && pattern.iter().enumerate().all(|(at, byte)| head[at] & mask.get(at).unwrap_or(&0xFF) == *byte)
}

/// The first bytes of files that are not text, each with a mask of the bits that matter (MIME Sniffing §6.1, §6.2,
/// §6.4, §7.1).
const DATA: &[(&[u8], &[u8])] = &[
    (b"%PDF-", b""),
    (b"%!PS-Adobe-", b""),
    (b"BM", b""),
    (b"GIF87a", b""),
    (b"GIF89a", b""),
    (b"RIFF\0\0\0\0WEBPVP", RIFF),
    (b"RIFF\0\0\0\0AVI ", RIFF),
    (b"RIFF\0\0\0\0WAVE", RIFF),
    (b"FORM\0\0\0\0AIFF", RIFF),
    (b"\x89PNG\r\n\x1A\n", b""),
    (b"\xFF\xD8\xFF", b""),
    (b"ID3", b""),
    (b"OggS\0", b""),
    (b"MThd\0\0\0\x06", b""),
    (b"\x1A\x45\xDF\xA3", b""),
    (b"\0\0\0\0ftyp", b"\0\0\0\0"),
    (b"\x1F\x8B\x08", b""),
    (b"PK\x03\x04", b""),
    (b"Rar \x1A\x07\0", b""),
    (b"Rar!\x1A\x07", b""),
    (b"wOFF", b""),
    (b"wOF2", b""),
    (b"OTTO", b""),
];

/// The mask of RIFF files: four letters, then four bytes of length, which are ignored, then more letters.
const RIFF: &[u8] = b"\xFF\xFF\xFF\xFF\0\0\0\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_as_binary_is_no_markup() {
        let begins: &[&[u8]] = &[
            b"%PDF-1.7\n",
            b"%!PS-Adobe-3.0\n",
            b"\x89PNG\r\n\x1A\n",
            b"GIF87a",
            b"GIF89a",
            b"\xFF\xD8\xFF\xE0",
            b"PK\x03\x04",
            b"\x1F\x8B\x08",
            b"OggS\0",
            b"RIFF1234WEBPVP8 ",
            b"RIFF<<<<WAVEfmt ",
            b"BM",
            b"ID3",
            b"1234ftypmp42",
            b"\x1A\x45\xDF\xA3",
            b"wOF2",
            b"\0",
            b"\x7FELF\x02",
            b"text and \x01 more",
        ];
        for begin in begins {
            let body = [begin, &b"<html><a href=/x>x</a>"[..]].concat();
            assert_eq!(kind(&body), Kind::Data, "{:?}", String::from_utf8_lossy(begin));
        }
    }

    #[test]
    fn what_begins_with_a_tag_is_markup() {
        for (text, wanted) in [
            ("<!DOCTYPE html>", Kind::Html),
            (" \r\n\t<HTML><body>", Kind::Html),
            ("<!-- x --><p>", Kind::Html),
            ("<ul><li>", Kind::Html),
            ("</div><a href=/x>", Kind::Html),
            ("\u{FEFF}<html>", Kind::Html),
            ("\u{FEFF} <?xml version='1.0'?>", Kind::Xml),
            ("<?xml version='1.0'?><html>", Kind::Xml),
            ("<rss version='2.0'>", Kind::Xml),
            ("<!-- x -->\n<feed xmlns='http://www.w3.org/2005/Atom'>", Kind::Xml),
            ("<rdf:RDF xmlns='http://purl.org/rss/1.0/'>", Kind::Xml),
            ("plain text with <a href=/x>x</a>", Kind::Text),
            ("< a", Kind::Text),
            ("<", Kind::Text),
            ("{\"a\": \"<a href=/x>\"}", Kind::Text),
            ("a form feed \u{c} and an escape \u{1b}", Kind::Text),
            ("", Kind::Text),
        ] {
            assert_eq!(kind(text.as_bytes()), wanted, "{text}");
            let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            if text.len() > 20 {
                assert_eq!(kind(&utf16), wanted, "{text} in UTF-16");
            }
        }
        let late = format!("{}\u{1}", "x".repeat(HEAD_BYTES));
        assert_eq!(kind(late.as_bytes()), Kind::Text);
    }

    #[test]
    fn a_feed_that_is_called_html_is_a_feed() {
        for (text, feed) in [
            ("<rss>", true),
            ("<?xml version='1.0'?>\n<!-- <html> --><!DOCTYPE rss>\n<rss version='0.91'>", true),
            ("\u{FEFF}<feed>", true),
            ("<rdf:RDF xmlns:rdf='x' xmlns='http://purl.org/rss/1.0/'>", true),
            ("<rdf:RDF xmlns:rdf='x'>", false),
            ("<rssx>", false),
            ("<RSS>", false),
            ("<!DOCTYPE html><html><rss>", false),
            ("<p>", false),
            ("<?xml", false),
            ("<!--", false),
            ("rss", false),
            ("", false),
        ] {
            assert_eq!(is_feed(text.as_bytes()), feed, "{text}");
        }
    }
}
