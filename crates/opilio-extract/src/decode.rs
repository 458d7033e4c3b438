//! Decodes a body into text, after detecting its encoding.
//!
//! The encoding is determined in the order of the HTML standard ("determining the character encoding"): byte order
//! mark, `charset` of the Content-Type, then `<meta>` or XML declaration in the first 1024 bytes (`prescan`). A body
//! that names no encoding is UTF-8 if it is valid UTF-8, or UTF-16 if its zero bytes suggest this; otherwise the
//! detector of a browser (chardetng) decides.

use crate::media::Kind;
use crate::prescan::prescan;
use bytes::Bytes;
use bytestring::ByteString;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// The number of bytes at the start of a body in which a `<meta>` may name the encoding: 1024, by the HTML standard.
const PRESCAN_BYTES: usize = 1024;

const ESCAPE: u8 = 0x1B;

/// The most bytes that the detector reads (16 KiB). The detector tests each byte against some twenty encodings, and
/// the first words are enough to decide.
const DETECT_BYTES: usize = 16 * 1024;

/// A body as text, with the encoding from which it was decoded.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    pub(crate) text: ByteString,
    pub(crate) encoding: &'static Encoding,
}

/// Decodes a body. Never fails, and does not copy a body that is UTF-8.
pub(crate) fn decode(body: &Bytes, charset: Option<&'static Encoding>, kind: Kind) -> Decoded {
    if let Some((encoding, bom_bytes)) = Encoding::for_bom(body) {
        return decode_as(encoding, body.slice(bom_bytes..));
    }
    let named = charset.or_else(|| {
        let head = &body[..body.len().min(PRESCAN_BYTES)];
        matches!(kind, Kind::Html | Kind::Xml).then(|| prescan(head)).flatten()
    });
    match named {
        Some(encoding) => decode_as(encoding, body.clone()),
        None => guess(body),
    }
}

fn decode_as(encoding: &'static Encoding, bytes: Bytes) -> Decoded {
    Decoded { text: text_of(encoding, bytes), encoding }
}

fn text_of(encoding: &'static Encoding, bytes: Bytes) -> ByteString {
    if encoding == UTF_8
        && let Ok(text) = ByteString::try_from(bytes.clone())
    {
        return text;
    }
    match encoding.decode_without_bom_handling(&bytes).0 {
        Cow::Owned(text) => text.into(),
        // If the text is borrowed, the bytes were valid UTF-8, so the body is used without a copy.
        Cow::Borrowed(text) => {
            ByteString::try_from(bytes.slice_ref(text.as_bytes())).unwrap_or_else(|_| text.into())
        }
    }
}

/// Decodes a body that names no encoding. A body with more valid than broken UTF-8 sequences is UTF-8 that
/// was damaged or cut off. A body whose even or odd bytes are mostly zero is UTF-16. For any other body, the
/// detector decides.
fn guess(body: &Bytes) -> Decoded {
    if let Some(encoding) = looks_like_utf_16(body) {
        return decode_as(encoding, body.clone());
    }
    // ISO-2022-JP is the only old encoding whose bytes are all ASCII: escape sequences switch between its alphabets.
    // So a body with an escape byte is given to the detector.
    if memchr::memchr(ESCAPE, body).is_some() && detect(body) == ISO_2022_JP {
        return decode_as(ISO_2022_JP, body.clone());
    }
    if let Ok(text) = ByteString::try_from(body.clone()) {
        return Decoded { text, encoding: UTF_8 };
    }
    let (mut sound, mut broken) = (0_usize, 0_usize);
    for chunk in body.utf8_chunks() {
        sound += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    decode_as(if sound > broken { UTF_8 } else { detect(body) }, body.clone())
}

/// Returns the variant of UTF-16 (by byte order) in which a body without a byte order mark seems to be written.
/// Markup is mostly ASCII, so nearly every second byte is zero. Text in other encodings has no zero bytes.
pub(crate) fn looks_like_utf_16(body: &[u8]) -> Option<&'static Encoding> {
    let head = &body[..body.len().min(PRESCAN_BYTES)];
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
    if half == 0 {
        return None;
    }
    match (even * 10 >= half * 7, odd * 10 >= half * 7) {
        (true, false) => Some(UTF_16BE),
        (false, true) => Some(UTF_16LE),
        _ => None,
    }
}

/// Detects the encoding from the first part of the body that contains bytes that are not ASCII.
fn detect(body: &[u8]) -> &'static Encoding {
    // A page may begin with a long ASCII script, which shows nothing about its encoding.
    let from = body.iter().position(|&byte| !byte.is_ascii() || byte == ESCAPE).unwrap_or_default();
    // The detector starts a little earlier, since the letters before these bytes help it.
    let from = from.saturating_sub(64);
    let seen = &body[from..body.len().min(from + DETECT_BYTES)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(seen, from + seen.len() == body.len());
    detector.guess(None, Utf8Detection::Deny)
}

#[cfg(test)]
mod cases;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Label;

    fn text(content_type: Option<&str>, body: &[u8]) -> String {
        let label = Label::parse(content_type.map(str::as_bytes));
        decode(&Bytes::copy_from_slice(body), label.charset, label.kind(body)).text.to_string()
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
            let label = Label::parse(content_type.map(str::as_bytes));
            let text = decode(&body, label.charset, Kind::Html).text;
            assert_eq!(text.as_bytes().as_ptr(), body.as_ptr(), "{content_type:?}");
        }
    }
}
