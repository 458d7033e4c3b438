//! Tests the reading of sitemaps, as sites write them and as attackers might write them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::{Bounds, ChangeFreq, Entry, SitemapEntryKind, SitemapError, read};

/// Returns all entries, and the error at the end, if there was one.
fn all(bytes: &[u8], bounds: &Bounds) -> (Vec<Entry>, Option<SitemapError>) {
    let mut entries = Vec::new();
    for entry in read(bytes, bounds) {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => return (entries, Some(error)),
        }
    }
    (entries, None)
}

fn locs(bytes: &[u8]) -> Vec<String> {
    let (entries, error) = all(bytes, &Bounds::default());
    assert!(error.is_none(), "{error:?} in {:?}", String::from_utf8_lossy(bytes));
    entries.into_iter().map(|entry| entry.loc).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str, octets: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(octets).collect()
}

/// Returns a sitemap with `urls` entries that do not compress well.
fn urlset(urls: usize) -> String {
    let urls: String = (0..urls)
        .map(|n| format!("<url><loc>https://a.example/{:x}</loc></url>", n * 2_654_435_761))
        .collect();
    format!("<urlset>{urls}</urlset>")
}

#[test]
fn reads_every_field() {
    let file = br#"<?xml version="1.0" encoding="UTF-8"?>
        <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
          <url>
            <loc>https://a.example/1</loc><lastmod>2026-01-02</lastmod>
            <changefreq>Weekly</changefreq><priority>0.8</priority>
          </url>
          <url><loc>https://a.example/2</loc><changefreq>often</changefreq><priority>7</priority></url>
        </urlset>"#;
    let (entries, error) = all(file, &Bounds::default());
    assert!(error.is_none());
    assert_eq!(entries[0].changefreq, Some(ChangeFreq::Weekly));
    assert_eq!(
        serde_json::to_string(&entries[0]).unwrap(),
        r#"{"loc":"https://a.example/1","lastmod":"2026-01-02","changefreq":"weekly","priority":0.8,"kind":"url"}"#
    );
    assert_eq!(entries[1].changefreq, None);
    assert_eq!(entries[1].priority, None);
    assert_eq!(entries.len(), 2);
}

#[test]
fn reads_an_index() {
    let file = b"<sitemapindex><sitemap><loc>https://a.example/s1.xml.gz</loc>\
        <lastmod>2026-01-02T03:04:05Z</lastmod></sitemap></sitemapindex>";
    let (entries, _) = all(file, &Bounds::default());
    assert_eq!(entries[0].kind, SitemapEntryKind::Sitemap);
    assert_eq!(entries[0].lastmod.as_deref(), Some("2026-01-02T03:04:05Z"));
}

#[test]
fn reads_addresses_however_they_are_written() {
    for (loc, expected) in [
        ("\n   https://a.example/x\n  ", "https://a.example/x"),
        ("https://a.example/?a=1&amp;b=2", "https://a.example/?a=1&b=2"),
        ("https://a.example/?a=1&b=2", "https://a.example/?a=1&b=2"),
        ("https://a.example/?a=1&copy;=2", "https://a.example/?a=1&copy;=2"),
        ("https://a.example/&#x41;&#66;", "https://a.example/AB"),
        ("<![CDATA[https://a.example/?a&b]]>", "https://a.example/?a&b"),
        (" <![CDATA[ https://a.example/ ]]> ", "https://a.example/"),
        ("https://a.example/a<!-- no -->b", "https://a.example/ab"),
        ("https://a.example/long\n      path", "https://a.example/longpath"),
        ("https://a.example/<b>not this</b>x", "https://a.example/x"),
        ("/relative", "/relative"),
        ("https://a.example/ツ", "https://a.example/ツ"),
    ] {
        let file = format!("<urlset><url><loc>{loc}</loc></url></urlset>");
        assert_eq!(locs(file.as_bytes()), [expected], "{loc:?}");
    }
}

#[test]
fn knows_the_pages_own_address_from_those_of_extensions() {
    let file = br#"<sm:urlset xmlns:sm="x" xmlns:image="y" xmlns:xhtml="z"><sm:url>
        <image:loc>https://a.example/direct.png</image:loc>
        <image:image><image:loc>https://a.example/i.png</image:loc></image:image>
        <sm:loc>https://a.example/page</sm:loc><sm:loc>https://a.example/second</sm:loc>
        <xhtml:link rel="alternate" hreflang="de" href="https://a.example/de"/>
        </sm:url><sm:url/><sm:url><sm:loc> </sm:loc></sm:url></sm:urlset>"#;
    let (entries, skipped) = some(file);
    assert_eq!(entries, ["https://a.example/page", "https://a.example/second"]);
    assert_eq!(skipped, 2, "two entries have no address");
}

/// Returns the addresses, and how many entries the error at the end reports as skipped.
fn some(file: &[u8]) -> (Vec<String>, usize) {
    let (entries, error) = all(file, &Bounds::default());
    let skipped = match error {
        None => 0,
        Some(SitemapError::Skipped { entries }) => entries,
        Some(error) => panic!("{error} in {:?}", String::from_utf8_lossy(file)),
    };
    (entries.into_iter().map(|entry| entry.loc).collect(), skipped)
}

#[test]
fn reads_what_can_be_read_and_says_how_many_entries_cannot() {
    for (inside, expected, skipped) in [
        ("<url><loc>1</loc><loc>2</loc></url><url><loc>3</loc></url>", "1 2 3", 0),
        ("<url><loc>1</loc><loc> </loc><loc>2</loc></url>", "1 2", 0),
        // Here, elements are not closed, closed by another name, or closed too often.
        ("<url><loc>1</loc><url><loc>2</loc></url>", "1 2", 0),
        ("<url><loc>1</loc><url><loc>2</loc>", "1 2", 0),
        ("<url><loc>1</url><url><loc>2</loc></url>", "1 2", 0),
        ("<url><loc>1</loc></item></url></url><url><loc>2</loc></url>", "1 2", 0),
        ("<url><loc>1</link></loc></url>", "1", 0),
        ("<url><lastmod>2026<loc>1</loc></url><url><loc>2</loc></url>", "2", 1),
        // Here, the address is text directly in the entry or the root, not in an element of its own.
        (
            "<url>https://a.example/1</url><url> https://a.example/2\n</url>",
            "https://a.example/1 https://a.example/2",
            0,
        ),
        (
            "https://a.example/?a=1&amp;b=2\n https://a.example/2 and <url><loc>3</loc></url>",
            "https://a.example/?a=1&b=2 https://a.example/2 3",
            0,
        ),
        ("<url>somewhere</url><url><loc>2</loc></url>", "2", 1),
        ("<url/><url></url><url><lastmod>2026</lastmod></url><url><loc/></url>", "", 4),
        // Here, element names are written in capital letters, wholly or partly.
        ("<URL><LOC>1</LOC></URL><Url><Loc>2</lOC></url>", "1 2", 0),
        ("<URL><LOC>1<LOC>2</URL>", "1", 0),
    ] {
        let file = format!("<urlset>{inside}</urlset>");
        let (entries, count) = some(file.as_bytes());
        assert_eq!((entries.join(" ").as_str(), count), (expected, skipped), "{inside}");
    }
    let capitals = b"<SITEMAPINDEX><SITEMAP><LOC>1</LOC><LASTMOD>2026</LASTMOD></SITEMAP></SITEMAPINDEX>";
    let (entries, error) = all(capitals, &Bounds::default());
    assert!(error.is_none() && entries[0].kind == SitemapEntryKind::Sitemap && entries[0].lastmod.is_some());
    assert_eq!(
        some(b"<RSS><Item><Link>1</Link><PubDate>x</PubDate></Item><item><title>t</title></item></RSS>").0,
        ["1"]
    );
    let both = b"<urlset><url><loc>1</loc><loc>2</loc><lastmod>2026</lastmod></url></urlset>";
    let (entries, _) = all(both, &Bounds::default());
    assert!(entries.iter().all(|entry| entry.lastmod.as_deref() == Some("2026")), "{entries:?}");
}

#[test]
fn marks_and_words_in_front_are_skipped() {
    let file = "<?xml version='1.0'?><urlset><url><loc>1</loc></url></urlset>";
    for front in [
        "\u{feff}\u{feff}",
        "\u{feff}\r\n\u{feff} \u{feff}",
        "PHP Warning: x in y\n",
        "\u{feff}<br />\n<b>Warning</b>: x <br />",
    ] {
        let file = format!("{front}{file}");
        assert_eq!(locs(file.as_bytes()), ["1"], "{front:?}");
        if front.starts_with('\u{feff}') {
            assert_eq!(locs(&utf16(&file, u16::to_le_bytes)), ["1"], "{front:?}");
        }
        assert_eq!(locs(&gzip(file.as_bytes())), ["1"], "{front:?}");
    }
    assert_eq!(locs("\u{feff}\u{feff}https://a.example/1\n".as_bytes()), ["https://a.example/1"]);
}

#[test]
fn what_is_never_closed_costs_no_more_than_its_entries() {
    let bounds = Bounds { entries_max: 1_000, ..Bounds::default() };
    for piece in ["<url>", "<url><loc>", "<url><loc>1", "<url><loc>1</loc>", "</url>", "<loc>"] {
        let file = format!("<urlset>{}", piece.repeat(100_000));
        let (entries, error) = all(file.as_bytes(), &bounds);
        assert!(entries.len() <= 1_000 && error.is_some(), "{piece}: {} {error:?}", entries.len());
    }
    let many = format!("<urlset><url>{}</url></urlset>", "<loc>1</loc>".repeat(5_000));
    assert_eq!(some(many.as_bytes()).0.len(), 100);
}

#[test]
fn reads_feeds() {
    let rss = br#"<?xml version="1.0"?><rss version="2.0" xmlns:atom="a" xmlns:dc="d"><channel>
        <link>https://a.example/</link><image><url>https://a.example/logo.png</url></image>
        <item><atom:link href="https://a.example/self"/><link>https://a.example/1</link>
          <pubDate>Mon, 05 Jan 2026 10:00:00 GMT</pubDate></item>
        <item><guid>https://a.example/2</guid><dc:date>2026-01-05</dc:date></item>
        <item><guid isPermaLink="false">abc</guid></item></channel></rss>"#;
    let (entries, error) = all(rss, &Bounds::default());
    assert!(error.is_none());
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].loc, "https://a.example/1");
    assert_eq!(entries[0].lastmod.as_deref(), Some("Mon, 05 Jan 2026 10:00:00 GMT"));
    assert_eq!(entries[1].loc, "https://a.example/2");
    assert_eq!(entries[1].lastmod.as_deref(), Some("2026-01-05"));

    let rdf = b"<rdf:RDF xmlns:rdf='r' xmlns='http://purl.org/rss/1.0/'><channel/>\
        <item><link>https://a.example/3</link></item></rdf:RDF>";
    assert_eq!(locs(rdf), ["https://a.example/3"]);

    let atom = br#"<feed xmlns="http://www.w3.org/2005/Atom"><link href="https://a.example/"/>
        <entry><link rel="edit" href="https://a.example/edit"/>
          <link rel="alternate" href="https://a.example/4?a=1&amp;b=2"/>
          <published>2025-01-01T00:00:00Z</published><updated>2026-01-01T00:00:00Z</updated></entry>
        <entry><link href="https://a.example/5?a=1&b=2"/><published>2025-01-01</published></entry></feed>"#;
    let (entries, error) = all(atom, &Bounds::default());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(entries[0].loc, "https://a.example/4?a=1&b=2");
    assert_eq!(entries[0].lastmod.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(entries[1].loc, "https://a.example/5?a=1&b=2");
    assert_eq!(entries[1].lastmod.as_deref(), Some("2025-01-01"));
}

#[test]
fn feeds_say_what_their_addresses_are_relative_to() {
    for (feed, expected) in [
        (
            "<feed xml:base='http://b.example/x/'><entry><link href='1'/></entry></feed>",
            "http://b.example/x/1",
        ),
        (
            "<feed xml:base='http://b.example/x/'><entry xml:base='y/'><link href='1'/></entry></feed>",
            "http://b.example/x/y/1",
        ),
        ("<feed><entry><link xml:base='http://b.example/' href='1'/></entry></feed>", "http://b.example/1"),
        (
            "<feed xml:base='/x/'><entry xml:base='/y/'><link href='1'/></entry><entry><link href='2'/></entry></feed>",
            "/y/1 /x/2",
        ),
        (
            "<feed xml:base='http://b.example/'><entry><link href='http://c.example/1'/></entry></feed>",
            "http://c.example/1",
        ),
        (
            "<rss xml:base='http://b.example/'><channel><item><link>1</link></item></channel></rss>",
            "http://b.example/1",
        ),
        ("<rss><channel xml:base='/c/'><item><guid>1</guid></item></channel></rss>", "/c/1"),
        // In RSS, an `atom:link` is used if there is no other link.
        (
            "<rss><item><atom:link href='1'/></item><item><atom:link href='2'/><link>3</link></item></rss>",
            "1 3",
        ),
        (
            "<rss><item><a10:link rel='alternate' href='1'/></item><item><atom:link rel='self' href='2'/></item></rss>",
            "1",
        ),
        ("<urlset xml:base='http://b.example/'><url><loc>1</loc></url></urlset>", "1"),
    ] {
        assert_eq!(locs(feed.as_bytes()).join(" "), expected, "{feed}");
    }
}

#[test]
fn reads_lists() {
    let file = b"\xEF\xBB\xBF\r\n https://a.example/1 \r\nHTTP://a.example/2\rjunk\n\nftp://a.example/\n\
        https://a.example/3";
    assert_eq!(locs(file), ["https://a.example/1", "HTTP://a.example/2", "https://a.example/3"]);
    let long = format!("https://a.example/{}\nhttps://a.example/ok", "x".repeat(100_000));
    assert_eq!(locs(long.as_bytes()), ["https://a.example/ok"]);
}

#[test]
fn reads_gzip_by_its_bytes() {
    let plain = urlset(3);
    let expected = locs(plain.as_bytes());
    assert_eq!(locs(&gzip(plain.as_bytes())), expected);
    assert_eq!(locs(&gzip(&gzip(plain.as_bytes()))), expected);
    assert_eq!(locs(&gzip(b"https://a.example/1\n")), ["https://a.example/1"]);
    // A file of several gzip members is one stream.
    let (a, b) = plain.split_at(40);
    let members = [gzip(a.as_bytes()), gzip(b.as_bytes())].concat();
    assert_eq!(locs(&members), expected);
}

#[test]
fn reads_other_encodings() {
    let text = "<urlset><url><loc>https://a.example/é</loc></url></urlset>";
    let expected = ["https://a.example/é"];
    assert_eq!(locs(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()), expected);
    assert_eq!(locs(&utf16(&format!("\u{FEFF}{text}"), u16::to_le_bytes)), expected);
    assert_eq!(locs(&utf16(&format!("\u{FEFF}{text}"), u16::to_be_bytes)), expected);
    assert_eq!(locs(&utf16(text, u16::to_le_bytes)), expected);
    assert_eq!(locs(&utf16(text, u16::to_be_bytes)), expected);
    assert_eq!(locs(&utf16("\u{FEFF}https://a.example/é\n", u16::to_le_bytes)), expected);
    let mut latin = b"<?xml version='1.0' encoding='ISO-8859-1'?>".to_vec();
    latin.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()));
    assert_eq!(locs(&latin), expected);
    // A declaration of UTF-16 in a file that is not UTF-16 is ignored.
    let liar = format!("<?xml version='1.0' encoding='UTF-16'?>{text}");
    assert_eq!(locs(liar.as_bytes()), expected);
    assert_eq!(
        locs(b"<urlset><url><loc>https://a.example/\xFF</loc></url></urlset>"),
        ["https://a.example/\u{FFFD}"]
    );
}

#[test]
fn broken_xml_gives_what_came_before_and_one_error() {
    let start = "<urlset><url><loc>https://a.example/1</loc></url>";
    for rest in ["", "<url><loc>https://a.example/2", "<url>", "<!-- never ends", "<![CDATA[ never ends"] {
        let file = format!("{start}{rest}");
        let results: Vec<_> = read(file.as_bytes(), &Bounds::default()).collect();
        assert_eq!(results[0].as_ref().unwrap().loc, "https://a.example/1", "{rest}");
        assert!(matches!(results[1..], [Err(SitemapError::Xml { at, .. })] if at > 0), "{rest}: {results:?}");
    }
    // If the file is cut off within an entry, the entry is still read if its address is complete.
    let (entries, error) = all(format!("{start}<url><loc>2</loc>").as_bytes(), &Bounds::default());
    assert!(entries.len() == 2 && matches!(error, Some(SitemapError::Xml { .. })), "{error:?}");
    // Content after the root is ignored.
    assert_eq!(locs(format!("{start}</urlset> junk <<").as_bytes()).len(), 1);
}

#[test]
fn a_cut_gzip_stream_gives_what_came_before_and_one_error() {
    for urls in [5, 5_000] {
        let mut file = gzip(urlset(urls).as_bytes());
        file.truncate(file.len() * 3 / 4);
        let (entries, error) = all(&file, &Bounds::default());
        assert!(!entries.is_empty() && entries.len() < urls);
        assert!(matches!(error, Some(SitemapError::Io(_))), "{error:?}");
    }
}

#[test]
fn says_what_is_no_sitemap() {
    for file in [
        &b""[..],
        b" \n ",
        b"\xEF\xBB\xBF",
        b"not found",
        b"<!DOCTYPE html><html><body>Not found</body></html>",
        b"<html><p>Not <b>found</p>",
        b"<?xml version='1.0'?>",
        b"{\"error\":404}",
        b"<",
    ] {
        let (entries, error) = all(file, &Bounds::default());
        assert!(entries.is_empty());
        assert!(matches!(error, Some(SitemapError::NotASitemap { .. })), "{error:?} for {file:?}");
    }
}

#[test]
fn bounds_entries() {
    let bounds = Bounds { entries_max: 10, ..Bounds::default() };
    let (entries, error) = all(urlset(10).as_bytes(), &bounds);
    assert_eq!((entries.len(), error.is_none()), (10, true));
    let (entries, error) = all(urlset(11).as_bytes(), &bounds);
    assert_eq!(entries.len(), 10);
    assert!(matches!(error, Some(SitemapError::TooManyEntries { entries_max: 10 })));
}

#[test]
fn bounds_bytes() {
    let file = urlset(1_000);
    let exact = Bounds { bytes_max: file.len() as u64, ..Bounds::default() };
    assert!(all(file.as_bytes(), &exact).1.is_none());
    let less = Bounds { bytes_max: 30_000, ..Bounds::default() };
    for file in [file.clone().into_bytes(), gzip(file.as_bytes())] {
        let (entries, error) = all(&file, &less);
        assert!(entries.len() > 100 && entries.len() < 1_000, "{}", entries.len());
        assert!(matches!(error, Some(SitemapError::TooManyBytes { bytes_max: 30_000 })));
    }
}

#[test]
fn stops_decompression_bombs() {
    let bomb = gzip(format!("<urlset>{}</urlset>", "<!--x-->".repeat(1 << 20)).as_bytes());
    let (_, error) = all(&bomb, &Bounds::default());
    assert!(matches!(error, Some(SitemapError::DecompressionBomb { ratio_max: 200 })), "{error:?}");
    // The ratio is that of the whole file: two gzip layers multiply.
    let (_, error) = all(&gzip(&bomb), &Bounds::default());
    assert!(matches!(error, Some(SitemapError::DecompressionBomb { .. })), "{error:?}");
}

#[test]
fn bounds_events_depth_and_entities() {
    let comment = format!("<urlset><!--{}--></urlset>", "x".repeat(3 << 20));
    let deep = "<urlset>".to_owned() + &"<a>".repeat(100_000);
    for file in [comment, deep] {
        let (entries, error) = all(file.as_bytes(), &Bounds::default());
        assert!(entries.is_empty());
        assert!(matches!(error, Some(SitemapError::Xml { .. })), "{error:?}");
    }
    let laughs = b"<!DOCTYPE urlset [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>\
        <urlset><url><loc>https://a.example/&b;</loc></url></urlset>";
    assert_eq!(locs(laughs), ["https://a.example/&b;"]);
}

#[test]
fn skips_entries_with_an_endless_address() {
    for long in ["x".repeat(9_000), "x&amp;".repeat(9_000), "<![CDATA[x]]>".repeat(9_000)] {
        let file = format!(
            "<urlset><url><loc>{long}</loc></url><url><loc>https://a.example/ok</loc></url></urlset>"
        );
        assert_eq!(some(file.as_bytes()), (vec!["https://a.example/ok".to_owned()], 1));
    }
    let spaces = " ".repeat(100_000);
    let padded = format!("<urlset><url><loc>{spaces}https://a.example/{spaces}</loc></url></urlset>");
    assert_eq!(locs(padded.as_bytes()), ["https://a.example/"]);
}

/// Generates pieces of XML in any order, which random bytes would never produce.
fn documents() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<urlset>",
        "</urlset>",
        "<url>",
        "</url>",
        "<loc>",
        "</loc>",
        "https://a.example/",
        "&amp;",
        "&#xFFFFFFFF;",
        "&",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<x:loc a='&'/>",
        "<sitemap>",
        "ツ",
        " ",
        "<rss>",
        "<feed>",
        "<entry>",
        "<feed xml:base='http://b.example/ä/'>",
        "<entry xml:base='../ツ/'>",
        "<link href='ä",
        "'/>",
        "<?xml encoding='utf-16'?>",
        "\u{FEFF}",
        ";",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        crate::fuzz::sitemap(&bytes);
        crate::fuzz::sitemap(&gzip(&bytes));
    }

    #[test]
    fn no_document_panics(document in documents()) {
        crate::fuzz::sitemap(document.as_bytes());
        crate::fuzz::sitemap(format!("<urlset><url>{document}").as_bytes());
        crate::fuzz::sitemap(&utf16(&document, u16::to_le_bytes));
    }

    #[test]
    fn a_text_field_never_splits_a_character(text in "[ツé ]{0,200}") {
        let file = format!("<urlset><url><loc>x{text}</loc></url></urlset>");
        crate::fuzz::sitemap(file.as_bytes());
    }
}
