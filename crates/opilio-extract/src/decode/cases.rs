//! Tests with pages in old encodings, as bytes that other software wrote: with every kind of label, and without a
//! label.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::media::Label;

/// The test texts. Each has the label of its encoding, its bytes, and the decoded text.
const TEXTS: [(&str, &[u8], &str); 18] = [
    (
        "Shift_JIS",
        b"\x93\xFA\x96{\x8C\xEA\x82\xCC\x95\xB6\x8F\xCD\x82\xC5\x82\xB7\x81B\x82\xB1\x82\xEA\x82\xCD\x8E\x8E\x8C\xB1\x82\xCC\x82\xBD\x82\xDF\x82\xCC\x83y\x81[\x83W\x82\xC5\x81A\x83J\x83^\x83J\x83i\x82\xC6\x8A\xBF\x8E\x9A\x82\xAA\x82\xA0\x82\xE8\x82\xDC\x82\xB7\x81B",
        "日本語の文章です。これは試験のためのページで、カタカナと漢字があります。",
    ),
    (
        "EUC-JP",
        b"\xC6\xFC\xCB\xDC\xB8\xEC\xA4\xCE\xCA\xB8\xBE\xCF\xA4\xC7\xA4\xB9\xA1\xA3\xA4\xB3\xA4\xEC\xA4\xCF\xBB\xEE\xB8\xB3\xA4\xCE\xA4\xBF\xA4\xE1\xA4\xCE\xA5\xDA\xA1\xBC\xA5\xB8\xA4\xC7\xA1\xA2\xA5\xAB\xA5\xBF\xA5\xAB\xA5\xCA\xA4\xC8\xB4\xC1\xBB\xFA\xA4\xAC\xA4\xA2\xA4\xEA\xA4\xDE\xA4\xB9\xA1\xA3",
        "日本語の文章です。これは試験のためのページで、カタカナと漢字があります。",
    ),
    (
        "ISO-2022-JP",
        b"\x1B$BF|K\\8l$NJ8>O$G$9!#$3$l$O;n83$N$?$a$N%Z!<%8$G$9!#\x1B(B",
        "日本語の文章です。これは試験のためのページです。",
    ),
    (
        "GBK",
        b"\xD5\xE2\xCA\xC7\xD2\xBB\xB8\xF6\xD3\xC3\xD3\xDA\xB2\xE2\xCA\xD4\xB5\xC4\xCD\xF8\xD2\xB3\xA3\xAC\xC4\xDA\xC8\xDD\xCA\xC7\xBC\xF2\xCC\xE5\xD6\xD0\xCE\xC4\xA1\xA3\xCE\xD2\xC3\xC7\xD0\xE8\xD2\xAA\xD7\xE3\xB9\xBB\xB6\xE0\xB5\xC4\xCE\xC4\xD7\xD6\xA1\xA3",
        "这是一个用于测试的网页，内容是简体中文。我们需要足够多的文字。",
    ),
    (
        "gb2312",
        b"\xD5\xE2\xCA\xC7\xD2\xBB\xB8\xF6\xD3\xC3\xD3\xDA\xB2\xE2\xCA\xD4\xB5\xC4\xCD\xF8\xD2\xB3\xA3\xAC\xC4\xDA\xC8\xDD\xCA\xC7\xBC\xF2\xCC\xE5\xD6\xD0\xCE\xC4\xA1\xA3\xCE\xD2\xC3\xC7\xD0\xE8\xD2\xAA\xD7\xE3\xB9\xBB\xB6\xE0\xB5\xC4\xCE\xC4\xD7\xD6\xA1\xA3",
        "这是一个用于测试的网页，内容是简体中文。我们需要足够多的文字。",
    ),
    (
        "Big5",
        b"\xB3o\xACO\xA4@\xAD\xD3\xA5\xCE\xA9\xF3\xB4\xFA\xB8\xD5\xAA\xBA\xBA\xF4\xAD\xB6\xA1A\xA4\xBA\xAEe\xACO\xC1c\xC5\xE9\xA4\xA4\xA4\xE5\xA1C\xA7\xDA\xAD\xCC\xBB\xDD\xADn\xA8\xAC\xB0\xF7\xA6h\xAA\xBA\xA4\xE5\xA6r\xA1C",
        "這是一個用於測試的網頁，內容是繁體中文。我們需要足夠多的文字。",
    ),
    (
        "EUC-KR",
        b"\xC0\xCC\xB0\xCD\xC0\xBA \xBD\xC3\xC7\xE8\xC0\xBB \xC0\xA7\xC7\xD1 \xC6\xE4\xC0\xCC\xC1\xF6\xC0\xD4\xB4\xCF\xB4\xD9. \xC7\xD1\xB1\xB9\xBE\xEE \xB9\xAE\xC0\xE5\xC0\xCC \xC3\xE6\xBA\xD0\xC8\xF7 \xC0\xD6\xBE\xEE\xBE\xDF \xC7\xD5\xB4\xCF\xB4\xD9.",
        "이것은 시험을 위한 페이지입니다. 한국어 문장이 충분히 있어야 합니다.",
    ),
    (
        "windows-1251",
        b"\xDD\xF2\xEE \xF1\xF2\xF0\xE0\xED\xE8\xF6\xE0 \xE4\xEB\xFF \xEF\xF0\xEE\xE2\xE5\xF0\xEA\xE8 \xEA\xEE\xE4\xE8\xF0\xEE\xE2\xEE\xEA, \xED\xE0\xEF\xE8\xF1\xE0\xED\xED\xE0\xFF \xEF\xEE-\xF0\xF3\xF1\xF1\xEA\xE8.",
        "Это страница для проверки кодировок, написанная по-русски.",
    ),
    (
        "KOI8-R",
        b"\xFC\xD4\xCF \xD3\xD4\xD2\xC1\xCE\xC9\xC3\xC1 \xC4\xCC\xD1 \xD0\xD2\xCF\xD7\xC5\xD2\xCB\xC9 \xCB\xCF\xC4\xC9\xD2\xCF\xD7\xCF\xCB, \xCE\xC1\xD0\xC9\xD3\xC1\xCE\xCE\xC1\xD1 \xD0\xCF-\xD2\xD5\xD3\xD3\xCB\xC9.",
        "Это страница для проверки кодировок, написанная по-русски.",
    ),
    (
        "ISO-8859-2",
        b"P\xF8\xEDli\xB9 \xBElu\xBBou\xE8k\xFD k\xF9\xF2 \xFAp\xECl \xEF\xE1belsk\xE9 \xF3dy, a v\xB9ichni ho sly\xB9eli. \xA9\xBBastn\xFD \xBEivot.",
        "Příliš žluťoučký kůň úpěl ďábelské ódy, a všichni ho slyšeli. Šťastný život.",
    ),
    (
        "windows-1250",
        b"Za\xBF\xF3\xB3\xE6 g\xEA\x9Cl\xB9 ja\x9F\xF1. \x8Cci\x9Cle m\xF3wi\xB9c, \x9Fr\xF3d\xB3o jest \xBF\xF3\xB3te i \x9Cwie\xBFe.",
        "Zażółć gęślą jaźń. Ściśle mówiąc, źródło jest żółte i świeże.",
    ),
    (
        "windows-1252",
        b"O\xF9 est le caf\xE9 ? \xC0 c\xF4t\xE9 de l\x92\xE9cole, o\xF9 les \xE9l\xE8ves \xE9taient \xE0 l\x92heure.",
        "Où est le café ? À côté de l’école, où les élèves étaient à l’heure.",
    ),
    (
        "ISO-8859-1",
        b"Die Stra\xDFe f\xFChrt \xFCber die Br\xFCcke, und die H\xE4user stehen sch\xF6n da.",
        "Die Straße führt über die Brücke, und die Häuser stehen schön da.",
    ),
    (
        "windows-1253",
        b"\xC1\xF5\xF4\xDE \xE5\xDF\xED\xE1\xE9 \xEC\xE9\xE1 \xF3\xE5\xEB\xDF\xE4\xE1 \xE3\xE9\xE1 \xE4\xEF\xEA\xE9\xEC\xDE \xF4\xF9\xED \xEA\xF9\xE4\xE9\xEA\xEF\xF0\xEF\xE9\xDE\xF3\xE5\xF9\xED \xF3\xF4\xE1 \xE5\xEB\xEB\xE7\xED\xE9\xEA\xDC.",
        "Αυτή είναι μια σελίδα για δοκιμή των κωδικοποιήσεων στα ελληνικά.",
    ),
    (
        "windows-1254",
        b"Bu sayfa T\xFCrk\xE7e yaz\xFDlm\xFD\xFE bir deneme sayfas\xFDd\xFDr, \xFEeker ve \xE7i\xF0 k\xF6fte i\xE7in.",
        "Bu sayfa Türkçe yazılmış bir deneme sayfasıdır, şeker ve çiğ köfte için.",
    ),
    (
        "windows-1255",
        b"\xE6\xE4\xE5 \xE3\xF3 \xEC\xE1\xE3\xE9\xF7\xFA \xF7\xE9\xE3\xE5\xE3 \xE4\xFA\xE5\xE5\xE9\xED \xE1\xF9\xF4\xE4 \xE4\xF2\xE1\xF8\xE9\xFA.",
        "זהו דף לבדיקת קידוד התווים בשפה העברית.",
    ),
    (
        "windows-1256",
        b"\xE5\xD0\xE5 \xD5\xDD\xCD\xC9 \xE1\xC7\xCE\xCA\xC8\xC7\xD1 \xCA\xD1\xE3\xED\xD2 \xC7\xE1\xCD\xD1\xE6\xDD \xC8\xC7\xE1\xE1\xDB\xC9 \xC7\xE1\xDA\xD1\xC8\xED\xC9.",
        "هذه صفحة لاختبار ترميز الحروف باللغة العربية.",
    ),
    (
        "windows-874",
        b"\xB9\xD5\xE8\xA4\xD7\xCD\xCB\xB9\xE9\xD2\xCA\xD3\xCB\xC3\xD1\xBA\xB7\xB4\xCA\xCD\xBA\xA1\xD2\xC3\xE0\xA2\xE9\xD2\xC3\xCB\xD1\xCA\xCD\xD1\xA1\xA2\xC3\xD0\xC0\xD2\xC9\xD2\xE4\xB7\xC2",
        "นี่คือหน้าสำหรับทดสอบการเข้ารหัสอักขระภาษาไทย",
    ),
];

fn read(content_type: Option<&str>, body: &[u8]) -> String {
    let label = Label::parse(content_type.map(str::as_bytes));
    decode(&Bytes::copy_from_slice(body), label.charset, label.kind(body)).text.to_string()
}

fn page(head: &str, text: &[u8]) -> Vec<u8> {
    [b"<!doctype html>", head.as_bytes(), b"<title>", text, b"</title><p>", text].concat()
}

#[test]
fn a_text_is_read_whoever_names_its_encoding() {
    for (label, bytes, text) in TEXTS {
        let header = format!("text/html; charset={label}");
        assert_eq!(read(Some(&header), bytes), text, "{label} by header");
        for head in [
            format!("<meta charset={label}>"),
            format!("<META CharSet = '{}' />", label.to_uppercase()),
            format!("<meta http-equiv=Content-Type content=\"text/html; charset={label}\">"),
            format!("<meta content='text/html;charset={label}' name=x http-equiv='content-type'>"),
            format!("<html lang=x><head><meta name=viewport content=x><!-- > --><meta charset=\"{label}\">"),
        ] {
            assert!(read(Some("text/html"), &page(&head, bytes)).ends_with(text), "{label} by {head}");
        }
        let xml = [format!("<?xml version='1.0' encoding='{label}'?><p>").as_bytes(), bytes].concat();
        assert!(read(Some("application/xhtml+xml"), &xml).ends_with(text), "{label} by XML declaration");
    }
}

#[test]
fn a_text_is_read_that_nobody_names() {
    for (label, bytes, text) in TEXTS {
        // The words of a page may come after a long script, so the test also puts a script before them.
        for lead in [0, 40_000] {
            let script = format!("<script>{}</script>", " ".repeat(lead));
            let read = read(Some("text/html"), &page(&script, bytes));
            assert!(read.ends_with(text), "{label}: {}", &read[read.len() - text.len().min(60)..]);
        }
    }
}

#[test]
fn utf_16_is_read_with_and_without_a_mark() {
    let text = "<!doctype html><title>Straße 本</title><p>words of a page that is mostly markup";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for body in [&little, &big] {
        assert_eq!(read(None, body), text, "without anything");
        assert_eq!(read(Some("text/html"), body), text);
    }
    assert_eq!(read(Some("text/html; charset=utf-16"), &little), text, "by header: little endian");
    assert_eq!(read(Some("text/html; charset=utf-16be"), &big), text);
    for (mark, body) in [(b"\xFF\xFE", &little), (b"\xFE\xFF", &big)] {
        let marked = [&mark[..], body].concat();
        for header in [None, Some("text/html; charset=utf-16"), Some("text/html; charset=iso-8859-1")] {
            assert_eq!(read(header, &marked), text, "{header:?}");
        }
    }
    for no_text in [&b"\0"[..], b"\0\0\0\0\0\0", b"a\0", b"ab\0cd", b""] {
        let _ = read(None, no_text);
    }
}

#[test]
fn wrong_labels_do_the_least_harm() {
    let cases: &[(Option<&str>, &[u8], &str)] = &[
        // The byte order mark takes precedence over all labels.
        (Some("text/html; charset=iso-8859-1"), b"\xEF\xBB\xBF\xC3\xA4", "\u{e4}"),
        // This declaration could be read as ASCII, so the page cannot be UTF-16.
        (None, b"<meta charset=utf-16le>\xC3\xA4", "\u{e4}"),
        (None, b"<?xml version='1.0' encoding='UTF-16'?>\xC3\xA4", "\u{e4}"),
        (None, b"<meta charset=x-user-defined>\xE4", "\u{e4}"),
        // The old names of Latin-1 and ASCII mean windows-1252, as in browsers.
        (Some("text/html; charset=us-ascii"), b"\x80", "\u{20ac}"),
        (Some("text/html; charset=latin1"), b"\x93", "\u{201c}"),
        // Labels that name no existing encoding are ignored.
        (Some("text/html; charset=utf8mb4"), b"\xC3\xA4", "\u{e4}"),
        (Some("text/html; charset=\"\""), b"\xC3\xA4", "\u{e4}"),
        (None, b"<meta charset=none><meta charset=koi8-r>\xC1", "\u{430}"),
        (None, b"<meta http-equiv=content-type content='text/html'>\xC3\xA4", "\u{e4}"),
        // Labels at places that the standard ignores do not count.
        (None, b"<!-- <meta charset=koi8-r> -->\xC3\xA4", "\u{e4}"),
        (None, b"<a title='<meta charset=koi8-r>'>\xC3\xA4", "\u{e4}"),
        (None, b"<p name=charset content=koi8-r>\xC3\xA4", "\u{e4}"),
        (None, b" <?xml version='1.0' encoding='koi8-r'?>\xC3\xA4", "\u{e4}"),
        (Some("text/plain"), b"<meta charset=koi8-r>\xC3\xA4", "\u{e4}"),
        // Labels of encodings that decode every text to an error, by the standard, do not count.
        (Some("text/html; charset=iso-2022-kr"), b"\xC3\xA4", "\u{e4}"),
        (None, b"<meta charset=hz-gb-2312>\xC3\xA4", "\u{e4}"),
    ];
    for (content_type, body, end) in cases {
        let read = read(*content_type, body);
        assert!(read.ends_with(end), "{content_type:?} {body:?}: {read}");
    }
}
