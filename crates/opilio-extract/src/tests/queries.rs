//! Tests that the query of a link is encoded in the encoding of its page (URL standard, "query state").

use super::*;

fn encoded(charset: &str, body: &[u8]) -> [Document; 2] {
    let document = |content_type: &str| {
        Document::new(Url::parse(PAGE).unwrap(), Some(content_type), Bytes::copy_from_slice(body))
    };
    let parsed = document(&format!("text/html; charset={charset}"));
    parsed.css("p").unwrap();
    [document(&format!("text/html; charset={charset}")), parsed]
}

#[test]
fn a_query_is_written_in_the_encoding_of_the_page() {
    for (charset, body, wanted) in [
        ("windows-1251", &b"<a href='/s?q=\xf7\xe0\xe9'>"[..], "/s?q=%F7%E0%E9"),
        ("shift_jis", b"<a href='/s?q=\x83\x5c\x83t'>", "/s?q=%83\\%83t"),
        ("gbk", b"<a href='/s?q=\xb2\xe8'>", "/s?q=%B2%E8"),
        ("euc-kr", b"<a href='/s?q=\xc2\xf7'>", "/s?q=%C2%F7"),
        ("iso-8859-1", b"<a href='/s?q=th\xe9'>", "/s?q=th%E9"),
        ("utf-8", b"<a href='/s?q=th\xc3\xa9'>", "/s?q=th%C3%A9"),
        // Only the query of the URL is encoded in the page's encoding.
        ("windows-1251", b"<a href='/\xf7?q=\xf7#\xf7'>", "/%D1%87?q=%F7"),
        // The encoding also applies to characters that are written as character references. A character that the
        // encoding does not contain is written as a character reference in the query.
        ("windows-1251", b"<a href='/s?q=&#1095;&#x8336;&amp;r=1'>", "/s?q=%F7%26%2333590%3B&r=1"),
        ("windows-1251", b"<area href='?\xf7'>", "/dir/page?%F7"),
        ("windows-1251", b"<meta http-equiv=refresh content='0;url=/s?\xf7'>", "/s?%F7"),
        ("windows-1251", b"<link rel=next href='/s?\xf7'>", "/s?%F7"),
        ("windows-1251", b"<base href='/b/?\xf7'><a href=''>", "/b/?%F7"),
        // On pages in these encodings, queries are encoded in UTF-8.
        ("utf-16le", b"<\0a\0 \0h\0r\0e\0f\0=\0?\0\x47\x04>\0", "/dir/page?%D1%87"),
        ("iso-2022-jp", b"<a href='?\x1b$B%=\x1b(B'>", "/dir/page?%1B$B%=%1B(B"),
    ] {
        for document in encoded(charset, body) {
            let links = document.links();
            let url = &links[0].url;
            let found = &url.as_str()["https://site.example".len()..];
            assert_eq!(found, wanted, "{charset}");
            assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(url));
        }
    }
}

#[test]
fn it_holds_wherever_a_link_is_read() {
    let body = b"<title>x</title><link rel=canonical href='/c?\xf7'><b class=l href='/s?\xf7'>x</b><img src='/i?\xf7'>";
    for document in encoded("windows-1251", body) {
        assert_eq!(document.canonical().unwrap().query(), Some("%F7"));
        assert_eq!(document.links_at(".l").unwrap()[0].url.query(), Some("%F7"));
        assert_eq!(document.resolve("/s?\u{447}").unwrap().query(), Some("%F7"));
        assert_eq!(document.links_where(|kind| kind == LinkKind::Image)[0].url.query(), Some("%F7"));
    }
    // In these pages, the page itself states its encoding, without a header.
    for body in [&b"<meta charset=windows-1251><a href='/s?\xf7'>"[..], b"<?xml version='1.0' encoding='windows-1251'?><html xmlns='http://www.w3.org/1999/xhtml'><a href='/s?\xf7'/></html>"] {
        let document = Document::new(Url::parse(PAGE).unwrap(), None, Bytes::copy_from_slice(body));
        assert_eq!(document.links()[0].url.query(), Some("%F7"), "{:?}", document.kind());
    }
    let words = "\u{43d}\u{43e}\u{432}\u{43e}\u{441}\u{442}\u{438} \u{438} \u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}";
    let (bytes, _, _) = encoding_rs::WINDOWS_1251.encode(words);
    let body = [b"<p>", &bytes[..], b"<a href='/s?", &bytes[..7], b"'>"].concat();
    let document = Document::new(Url::parse(PAGE).unwrap(), Some("text/html"), body.into());
    assert_eq!(document.links()[0].url.query(), Some("%ED%EE%E2%EE%F1%F2%E8"));
}

#[test]
fn forms_are_sent_in_it_too() {
    for (charset, form, sent) in [
        ("windows-1251", &b"<form method=post><input name=q value='\xf7 \xff'>"[..], "q=%F7+%FF"),
        ("windows-1251", b"<form method=post><input name=q value='&#x8336;'>", "q=%26%2333590%3B"),
        ("windows-1251", b"<form method=post><input type=hidden name=_charset_>", "_charset_=windows-1251"),
        ("windows-1251", b"<form method=post accept-charset='x utf-8'><input name=q value='\xf7'>", "q=%D1%87"),
        ("utf-8", b"<form method=post accept-charset=windows-1251><input name=q value='&#1095;'>", "q=%F7"),
        ("utf-16", b"<\0f\0o\0r\0m\0 \0m\0e\0t\0h\0o\0d\0=\0p\0o\0s\0t\0>\0<\0i\0n\0p\0u\0t\0 \0n\0a\0m\0e\0=\0\x47\x04>\0", "%D1%87="),
    ] {
        for document in encoded(charset, form) {
            assert_eq!(document.form("form").unwrap().submission().body.as_deref(), Some(sent), "{charset}");
        }
    }
    let [page, _] = encoded("gbk", b"<form action=/s><input name=q value='\xb2\xe8'>");
    assert_eq!(page.form("form").unwrap().submission().url.as_str(), "https://site.example/s?q=%B2%E8");
}
