//! Tests that the entries of a feed are its links.

use super::*;

fn feed(body: &str) -> Document {
    Document::new(
        Url::parse("https://site.example/dir/feed").unwrap(),
        Some("application/xml"),
        body.to_owned().into(),
    )
}

/// Returns the kind and the URL of every link.
fn told(document: &Document) -> Vec<(&'static str, String)> {
    let links = document.links_where(|_| true);
    links.iter().map(|l| (l.kind.as_str(), l.url.as_str().replace("https://site.example", ""))).collect()
}

fn entries(document: &Document) -> Vec<String> {
    document.links().into_iter().map(|link| link.url.as_str().replace("https://site.example", "")).collect()
}

const RSS: &str = "<?xml version='1.0'?><rss version='2.0' xmlns:atom='http://www.w3.org/2005/Atom' \
    xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:media='http://search.yahoo.com/mrss/'>\
    <channel><title><![CDATA[News & more]]></title><link>https://site.example/</link>\
    <atom:link rel='self' href='/feed'/><atom:link rel='next' href='?page=2'/>\
    <image><title>no</title><link>/image</link></image>\
    <item><title>One &amp; only</title><link>\n https://site.example/1 \n</link><dc:creator>A</dc:creator>\
    <media:title>no</media:title><pubDate>today</pubDate><enclosure url='/a.mp3'/></item>\
    <item><title>Two</title><link><![CDATA[/2?a=1&b=2]]></link><guid>https://site.example/g2</guid></item>\
    <item><guid isPermaLink='true'>https://site.example/3</guid></item>\
    <item><guid isPermaLink='false'>https://site.example/no</guid></item>\
    <item><guid>tag:no</guid><description>&lt;a href='/no'></description></item>\
    <item><title>Six</title><atom:link href='6'/></item></channel></rss>";

#[test]
fn the_entries_of_rss_are_its_links() {
    let document = feed(RSS);
    let wanted = [
        ("alternate", "/"),
        ("next", "/dir/feed?page=2"),
        ("entry", "/1"),
        ("entry", "/2?a=1&b=2"),
        ("entry", "/3"),
        ("entry", "/dir/6"),
    ];
    assert_eq!(told(&document), wanted.map(|(kind, url)| (kind, url.to_owned())));
    assert_eq!(entries(&document), ["/dir/feed?page=2", "/1", "/2?a=1&b=2", "/3", "/dir/6"]);
    assert_eq!((document.title(), document.flaw()), (Some("News & more"), None));
    let texts: Vec<_> =
        document.links_with_text(LinkKind::is_followed).into_iter().filter_map(|l| l.text).collect();
    assert_eq!(texts, ["News & more", "One & only", "Two", "", "Six"]);
    assert_eq!(document.css("item > link").unwrap().texts(), ["https://site.example/1", "/2?a=1&b=2"]);
    assert_eq!(document.css("item > title").unwrap().texts(), ["One & only", "Two", "Six"]);
    assert_eq!(document.css("item > pubDate").unwrap().text().as_deref(), Some("today"));
    assert_eq!(document.css("dc\\:creator").unwrap().text().as_deref(), Some("A"));
    assert_eq!(urls(&document.links_at("item > atom\\:link").unwrap()), ["https://site.example/dir/6"]);
    let links = document.links_at("item > link").unwrap();
    assert_eq!(urls(&links), ["https://site.example/1", "https://site.example/2?a=1&b=2"]);
    assert_eq!(links[0].kind, LinkKind::Entry);
}

#[test]
fn every_dialect_of_rss_is_read() {
    for body in [
        "<rss version='0.91'><channel><item><link>/e</link></item></channel></rss>",
        "<!DOCTYPE rss PUBLIC '-//Netscape//DTD RSS 0.91//EN' 'rss.dtd' [<!ENTITY a 'b'>]><rss><channel><item><link>/e</link></item></channel></rss>",
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'><channel><title>t</title></channel><item rdf:about='/no'><link>/e</link></item></rdf:RDF>",
        "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://my.netscape.com/rdf/simple/0.9/'><item><link>/e</link></item></r:RDF>",
        "<rss xmlns='http://backend.userland.com/rss2'><channel><item><link>/e</link></item></channel></rss>",
        "<rss><channel><item><link href='/e'/></item></channel></rss>",
        "<rss><channel><item><atom:link href='/e'/></item></channel></rss>",
        "<rss><channel><item><a10:link xmlns:a10='http://www.w3.org/2005/Atom' href='/e'/></item></channel></rss>",
        // These feeds are not well-formed. If they were read as HTML, their links would be lost.
        "<rss><channel><title>Q & A</title><item><link>/e</link></wrong></item></channel></rss>",
        "<rss><channel><item><link>/e</link><description><p>a<br></description></item></channel></rss>",
        "<rss><channel><item><link>/e</link></item><item><link>/e",
        "<rss><channel><item><link>/e</link></item></chan",
    ] {
        let document = feed(body);
        assert_eq!(entries(&document), ["/e"], "{body}");
        let broken = body.contains("wrong") || body.contains("<br>");
        assert_eq!(document.flaw() == Some(Flaw::Mended), broken, "{body}");
        let unfinished = body.ends_with("/e") || body.ends_with("</chan");
        assert_eq!(document.flaw() == Some(Flaw::Unfinished), unfinished, "{body}");
    }
    assert!(entries(&feed("<rss><channel><link>/no</link><item/></channel></rss>")).is_empty());
    assert!(entries(&feed("<items><item><link>/no</link></item></items>")).is_empty(), "it is no feed");
}

#[test]
fn the_entries_of_atom_are_its_links() {
    let body = "<feed xmlns='http://www.w3.org/2005/Atom'><title type='text'>T</title><link href='/'/>\
        <link rel='self' href='/feed'/><link rel='next' href='?2'/><link rel='hub' href='/hub'/>\
        <entry><title>A</title><link href='1'/><link rel='edit' href='/edit'/><link rel='enclosure' href='/a.mp3'/></entry>\
        <entry><title>B</title><link rel=' alternate ' type='text/html' href='2'/><link rel='related' href='/no'/></entry>\
        <entry><title>C</title><link rel='http://www.iana.org/assignments/relation/alternate' href='3'/>\
        <source><link href='/no'/></source></entry>\
        <entry><content type='image/png' src='/4'/></entry>\
        <entry><content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><a href='5'>x</a></div></content></entry></feed>";
    let wanted = [
        ("alternate", "/"),
        ("next", "/dir/feed?2"),
        ("entry", "/dir/1"),
        ("entry", "/dir/2"),
        ("entry", "/dir/3"),
        ("entry", "/4"),
        ("a", "/dir/5"),
    ];
    for body in [
        body.to_owned(),
        body.replace("<feed xmlns=", "<a:feed xmlns:x='urn:x' xmlns:a='http://www.w3.org/2005/Atom' xmlns=")
            .replace("</feed>", "</a:feed>"),
        body.replace("http://www.w3.org/2005/Atom", "http://purl.org/atom/ns#"),
    ] {
        let document = feed(&body);
        assert_eq!(told(&document), wanted.map(|(kind, url)| (kind, url.to_owned())), "{body}");
        assert_eq!((document.title(), document.flaw()), (Some("T"), None));
    }
    let entry = feed("<entry xmlns='http://www.w3.org/2005/Atom'><link href='/e'/></entry>");
    assert_eq!(entries(&entry), ["/e"]);
}

#[test]
fn links_of_feeds_start_from_the_nearest_xml_base() {
    let atom = |body: &str| feed(&format!("<feed xmlns='http://www.w3.org/2005/Atom' {body}</feed>"));
    for (body, wanted) in [
        ("xml:base='/f/'><entry><link href='x'/></entry>", "/f/x"),
        ("xml:base='/f/'><entry xml:base='e/'><link href='x'/></entry>", "/f/e/x"),
        ("xml:base='/f/'><entry xml:base='e/'><link xml:base='l/' href='x'/></entry>", "/f/e/l/x"),
        ("><entry xml:base='/e/'><link href='x'/></entry>", "/e/x"),
        ("><entry><link xml:base='/l/' href='x'/></entry>", "/l/x"),
        ("xml:base='http://['><entry><link href='x'/></entry>", "/dir/x"),
        ("xml:base='mailto:a@b'><entry xml:base='/e/'><link href='x'/></entry>", "/e/x"),
        ("xml:base='/f/'><entry><link href='/x'/></entry>", "/x"),
        ("xml:base='/f/'><entry xml:base=''><link href='?x'/></entry>", "/f/?x"),
        ("base='/f/'><entry><link href='x'/></entry>", "/dir/x"),
        (
            "xml:base='/f/'><entry><content type='xhtml'><p xmlns='http://www.w3.org/1999/xhtml'><a href='x'/></p></content></entry>",
            "/f/x",
        ),
        ("xml:base='/f/'><entry xml:base='e/'><content src='x'/></entry>", "/f/e/x"),
    ] {
        let document = atom(body);
        assert_eq!(entries(&document), [wanted], "{body}");
        assert_eq!(document.css("entry").unwrap().iter().count(), 1);
    }
    let rss = feed(
        "<rss xml:base='/r/' xmlns:a='http://www.w3.org/2005/Atom'><channel><item xml:base='i/'><link>x</link><a:link href='y'/></item></channel></rss>",
    );
    assert_eq!(entries(&rss), ["/r/i/x", "/r/i/y"]);
    let elsewhere = atom("xml:base='https://other.example/f/'><entry><link href='x'/></entry>");
    assert_eq!(entries(&elsewhere), ["https://other.example/f/x"]);
    assert_eq!(urls(&elsewhere.links_at("entry > link").unwrap()), ["https://other.example/f/x"]);
    let link = elsewhere.css("entry > link").unwrap().first().unwrap();
    assert_eq!(link.href().as_deref(), Some("x"));
    assert_eq!(elsewhere.resolve_in(&link, "y#z").unwrap().as_str(), "https://other.example/f/y");
    assert_eq!(elsewhere.css("feed").unwrap().attr("xml:base"), Some("https://other.example/f/"));
    // In HTML, `xml:base` has no effect any more.
    let xhtml = feed("<html xmlns='http://www.w3.org/1999/xhtml' xml:base='/no/'><a href='x'/></html>");
    assert_eq!(entries(&xhtml), ["/dir/x"]);
    assert_eq!(urls(&page("<p xml:base=/no/><a href=x>").links()), ["https://site.example/dir/x"]);
}

#[test]
fn bases_and_entries_without_end_are_bounded() {
    let long = format!("/{}", "x".repeat(8_000));
    let bases = "<entry xml:base='a'><link href='x'/></entry>".repeat(20_000);
    let document =
        feed(&format!("<feed xmlns='http://www.w3.org/2005/Atom' xml:base='{long}/'>{bases}</feed>"));
    assert_eq!(document.skim().cut, Some(Cut::Memory));
    assert!(document.links().len() < 20_000);
    let nested = format!("<rss><channel>{}", "<item xml:base='http://['><link>/e</link>".repeat(500));
    assert_eq!(entries(&feed(&nested)), ["/e"]);
    let many: String = (0..LINKS_MAX + 5).map(|n| format!("<item><link>/{n}</link></item>")).collect();
    let document = feed(&format!("<rss><channel>{many}</channel></rss>"));
    assert_eq!((document.links().len(), document.skim().cut), (LINKS_MAX, Some(Cut::Links)));
    let one = format!(
        "<rss><channel><item>{}<title>t</title></item>",
        "<link>/1</link><guid>http://a/</guid>".repeat(60_000)
    );
    let document = feed(&one);
    assert_eq!(document.links_with_text(|_| true)[0].text.as_deref(), Some("t"));
    let guids = format!("<rss><channel><item>{}", "<guid>http://a/</guid><link/>".repeat(60_000));
    assert_eq!(feed(&guids).links().len(), 1);
}
