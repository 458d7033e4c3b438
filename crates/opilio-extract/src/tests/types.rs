//! Tests of how a body is read (as HTML, XML, text or data): by its Content-Type, or by its first bytes if the type
//! is meaningless.

use super::*;

const HTML: &str = "<!DOCTYPE html><title>t</title><a href=/x>x</a>";

fn typed(content_type: Option<&[u8]>, body: &[u8]) -> Document {
    let url = Url::parse("https://site.example/dir/page").unwrap();
    Document::with_content_types(url, content_type, Bytes::copy_from_slice(body))
}

#[test]
fn a_type_that_means_nothing_is_sniffed() {
    for content_type in [
        "html",
        "text",
        "charset=utf-8",
        "*/*",
        "unknown/unknown",
        "application/unknown",
        "",
        ";",
        "text/",
        "text/html charset=utf-8",
        "text / html",
        "{{content_type}}",
    ] {
        let read = |body: &[u8]| typed(Some(content_type.as_bytes()), body);
        assert_eq!(urls(&read(HTML.as_bytes()).links()), ["https://site.example/x"], "{content_type}");
        assert_eq!(read(HTML.as_bytes()).title(), Some("t"), "{content_type}");
        assert_eq!(
            read(b"<rss><channel><item><link>/e</link>").links()[0].url.path(),
            "/e",
            "{content_type}"
        );
        for other in [&b"%PDF-1.4 <a href=/x>"[..], b"text <a href=/x>", b"\x89PNG\r\n\x1a\n<a href=/x>"] {
            assert!(read(other).links().is_empty(), "{content_type} {other:?}");
        }
    }
}

#[test]
fn a_body_without_type_that_is_no_markup_has_no_links() {
    for begin in [
        &b"%PDF-1.7\n"[..],
        b"\x89PNG\r\n\x1A\n",
        b"GIF89a",
        b"\xFF\xD8\xFF\xE1",
        b"PK\x03\x04",
        b"\x1F\x8B\x08",
        b"OggS\0",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"\x7FELF\x02\x01\x01\0",
    ] {
        let document = typed(None, &[begin, HTML.as_bytes()].concat());
        assert_eq!(document.kind(), Kind::Data);
        assert_eq!((document.links().len(), document.title()), (0, None), "{begin:?}");
        assert!(document.links_with_text(|_| true).is_empty() && !document.is_markup());
    }
}

#[test]
fn a_type_that_means_something_is_believed() {
    for (content_type, kind) in [
        ("text/plain", Kind::Text),
        ("application/json", Kind::Text),
        ("application/octet-stream", Kind::Data),
        ("image/png", Kind::Data),
        ("text/html", Kind::Html),
        ("application/xhtml+xml", Kind::Xml),
        ("image/svg+xml", Kind::Xml),
        ("text/html, text/plain", Kind::Text),
    ] {
        assert_eq!(typed(Some(content_type.as_bytes()), HTML.as_bytes()).kind(), kind, "{content_type}");
    }
    // A body with this label is read as HTML even if it is something else, as in browsers.
    assert_eq!(typed(Some(b"text/html"), b"%PDF-1.4 <a href=/x>").links().len(), 1);
}

#[test]
fn bytes_above_ascii_harm_neither_type_nor_charset() {
    let cases: &[(&[u8], &str)] = &[
        (b"text/html; charset=windows-1250; name=\xcf.htm", "\u{17e}"),
        (b"text/html; name=\"\xcf.htm\"; charset=windows-1250", "\u{17e}"),
        (b"text/html; name=\"\xcf;\\\".htm\"; CHARSET=\"windows-1250\"", "\u{17e}"),
        (b"text/html; charset=koi8-r; x=\xc3\xa9", "\u{418}"),
    ];
    for (content_type, letter) in cases {
        let page = typed(Some(content_type), b"<title>a\x9e</title>");
        let decoded = page.title().unwrap();
        if content_type.windows(4).any(|word| word == b"1250") {
            assert_eq!(decoded, format!("a{letter}"));
        } else {
            assert_eq!(page.encoding(), "KOI8-R");
        }
    }
    for content_type in
        [&b"application/pdf; name=\"\xe9.pdf\""[..], b"image/png; name=\xe9", b"text/plain;\xff"]
    {
        assert!(typed(Some(content_type), HTML.as_bytes()).links().is_empty());
    }
}

#[test]
fn several_types_are_read_as_browsers_do() {
    let url = Url::parse("https://site.example/").unwrap();
    let read = |values: &[&'static str]| {
        let values = values.iter().map(|value| value.as_bytes());
        Document::with_content_types(url.clone(), values, HTML.into())
    };
    assert_eq!(read(&["text/plain", "text/html"]).kind(), Kind::Html);
    assert_eq!(read(&["text/html", "*/*"]).kind(), Kind::Html);
    assert_eq!(read(&["text/html; charset=gbk", "text/html"]).encoding(), "GBK");
    assert_eq!(read(&["text/plain; charset=gbk", "text/html"]).encoding(), "UTF-8");
}

#[test]
fn a_feed_that_is_called_html_is_read_as_one() {
    let feed = "<?xml version='1.0'?><!-- c --><rss version='2.0'><channel><item><link>/e</link></item></channel></rss>";
    let document = typed(Some(b"text/html; charset=utf-8"), feed.as_bytes());
    assert_eq!((document.kind(), urls(&document.links())), (Kind::Xml, vec!["https://site.example/e"]));
    assert_eq!(document.css("item > link").unwrap().text().as_deref(), Some("/e"));
}
