//! Tests of documents, with tables of pages and results, and with properties that hold for any bytes.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::*;
use bytes::Bytes;
use proptest::prelude::*;
use url::Url;

mod feeds;
mod foreign;
mod queries;
mod selectors;
mod types;
mod urls;
mod words;
mod xml;

const PAGE: &str = "https://site.example/dir/page?x=1#frag";

fn html(body: impl Into<Bytes>) -> Document {
    Document::new(Url::parse(PAGE).unwrap(), Some("text/html; charset=utf-8"), body.into())
}

fn page(body: &str) -> Document {
    html(body.to_owned())
}

fn urls(links: &[Link]) -> Vec<&str> {
    links.iter().map(|link| link.url.as_str()).collect()
}

/// Returns the links that the pass over the text finds, and the links that are found in the DOM.
fn both(body: &str) -> [Vec<Link>; 2] {
    let (streamed, parsed) = (page(body), page(body));
    parsed.css("html").unwrap();
    [streamed.links_where(|_| true), parsed.links_where(|_| true)]
}

#[test]
fn links_are_resolved_as_browsers_do() {
    let cases: &[(&str, &[&str])] = &[
        ("<a href=/a>", &["https://site.example/a"]),
        ("<a href=a/../b>", &["https://site.example/dir/b"]),
        ("<a href='//host/p'>", &["https://host/p"]),
        ("<a href='?q'>", &["https://site.example/dir/page?q"]),
        ("<a href=''>", &["https://site.example/dir/page?x=1"]),
        ("<a href>", &["https://site.example/dir/page?x=1"]),
        ("<a href='#top'>", &["https://site.example/dir/page?x=1"]),
        ("<a href='/a#b#c'>", &["https://site.example/a"]),
        ("<a href=' \t\n/a b\r\n '>", &["https://site.example/a%20b"]),
        ("<a href='/a\n\tb'>", &["https://site.example/ab"]),
        ("<a href='\\\\host\\p\\q'>", &["https://host/p/q"]),
        ("<a href='HTTP://Host.Example:80/'>", &["http://host.example/"]),
        ("<a href='https:rel'>", &["https://site.example/dir/rel"]),
        ("<a href='/ä?ö'>", &["https://site.example/%C3%A4?%C3%B6"]),
        ("<A HREF=/a><AREA HREF=/b>", &["https://site.example/a", "https://site.example/b"]),
        ("<a href=/1 href=/2>", &["https://site.example/1"]),
        ("<a href=/a><a href=/b><a href='/a#x'>", &["https://site.example/a", "https://site.example/b"]),
        ("<a href='javascript:void(0)'><a href='mailto:a@b'><a href='tel:1'><a href='data:,x'>", &[]),
        ("<a href='ftp://h/'><a href='file:///etc/passwd'><a href='http://'><a href='http://a b/'>", &[]),
        (
            "<a name=x><link href=/a><link rel=stylesheet href=/b><script src=/c></script><form action=/d>",
            &[],
        ),
    ];
    for (body, wanted) in cases {
        for links in both(body) {
            assert_eq!(urls(&links), *wanted, "{body}");
        }
    }
}

#[test]
fn entities_in_links_and_titles_are_decoded() {
    let cases: &[(&str, &str)] = &[
        ("/a?b=1&amp;c=2", "https://site.example/a?b=1&c=2"),
        ("/a?b=1&c=2", "https://site.example/a?b=1&c=2"),
        // In an attribute, `&copy=` is not a copyright sign, but `&copy;` is.
        ("/a?b=1&copy=2", "https://site.example/a?b=1&copy=2"),
        ("/&copy;", "https://site.example/%C2%A9"),
        ("&#47;x&#x2F;y", "https://site.example/x/y"),
        ("/a&num;b", "https://site.example/a"),
        ("/&nonsense;", "https://site.example/&nonsense;"),
        ("/a\0b", "https://site.example/a%EF%BF%BDb"),
    ];
    for (href, wanted) in cases {
        for links in both(&format!("<a href='{href}'>")) {
            assert_eq!(urls(&links), [*wanted], "{href}");
        }
    }
}

#[test]
fn base_counts_once_and_for_the_whole_page() {
    let cases: &[(&str, &str)] = &[
        ("<base href=/b/><a href=x>", "https://site.example/b/x"),
        ("<a href=x><base href='/b/'>", "https://site.example/b/x"),
        ("<base href='//cdn/b/'><a href=x>", "https://cdn/b/x"),
        ("<base href=/1/><base href=/2/><a href=x>", "https://site.example/1/x"),
        ("<base target=_top><base href=/2/><a href=x>", "https://site.example/2/x"),
        ("<base href='/b/?q&amp;r#f'><a href='#'>", "https://site.example/b/?q&r"),
        ("<base href='javascript:1'><a href=x>", "https://site.example/dir/x"),
        ("<base href='http://['><a href=x>", "https://site.example/dir/x"),
        ("<!-- <base href=/c/> --><a href=x>", "https://site.example/dir/x"),
        ("<template><base href=/c/></template><a href=x>", "https://site.example/dir/x"),
    ];
    for (body, wanted) in cases {
        for links in both(body) {
            assert_eq!(urls(&links), [*wanted], "{body}");
        }
    }
    assert_eq!(page(cases[0].0).resolve("y#z").unwrap().as_str(), "https://site.example/b/y");
    assert_eq!(page(cases[0].0).resolve("mailto:x@y"), None);
}

#[test]
fn nothing_comes_out_of_what_is_no_markup() {
    for body in [
        "<!-- <a href=/x> -->",
        "<!-- <a href=/x>",
        "<script>'<a href=/x>'</script>",
        "<script>'<a href=/x>",
        "<script><!-- <script></script> <a href=/x> --></script>",
        "<style><a href=/x></style>",
        "<textarea><a href=/x></textarea>",
        "<title><a href=/x></title>",
        "<xmp><a href=/x></xmp>",
        "<iframe><a href=/x></iframe>",
        "<template><a href=/x></template>",
        "<template><template></template><a href=/x></template>",
        "<template><a href=/x>",
        "<a href=/x",
        "<a href='/x>",
        "</a href=/x>",
        "<ahref=/x>",
        "&lt;a href=/x&gt;",
        "<svg><![CDATA[<a href=/x>]]></svg>",
    ] {
        for links in both(body) {
            assert_eq!(urls(&links), Vec::<&str>::new(), "{body}");
        }
    }
    for links in both("<template><a href=/x></template><a href=/y>") {
        assert_eq!(urls(&links), ["https://site.example/y"]);
    }
}

#[test]
fn broken_markup_keeps_its_links() {
    for body in [
        "<p><b><i></p><a href=/x></b>",
        "<a href=/x",
        "<div></span></div></div><a href=/x>",
        "<a/href=/x>",
        "<a\nhref\n=\n/x\n>",
        "<a \"' href=/x>",
        "<a href=/x/></a>",
        "<svg><a href=/x></a></svg>",
        "<<a href=/x>",
        "<a href=\"/x\"target=_blank>",
        "</html><a href=/x>",
        "\u{FEFF}<a href=/x>",
    ] {
        let [streamed, parsed] = both(body);
        assert_eq!(streamed, parsed, "{body}");
        if body.ends_with('>') {
            assert!(urls(&streamed)[0].starts_with("https://site.example/x"), "{body}");
        }
    }
}

#[test]
fn kinds_and_relations_are_told() {
    let body = "<meta http-equiv=Refresh content='5; url=/r'><link rel='NEXT' href=/2><link rel=prev href=/0>\
                <link rel=canonical href=/c><link rel=alternate hreflang=de href=/de>\
                <a href=/1 rel='noopener NoFollow'>\
                <a href=/1>again</a><a href=/s rel=sponsored><a href=/u rel=ugc><area href=/m>\
                <iframe src=/f></iframe><a href=/p rel=prev><img src=/i srcset='/i 1x, /j 2x'>\
                <picture><source srcset=/k></picture><video src=/v><source src=/w></video>";
    for links in both(body) {
        let told: Vec<_> =
            links.iter().map(|l| (l.url.path(), l.kind.as_str(), l.nofollow, l.rel.as_deref())).collect();
        let wanted = [
            ("/r", "refresh", false, None),
            ("/2", "next", false, Some("NEXT")),
            ("/0", "prev", false, Some("prev")),
            ("/c", "canonical", false, Some("canonical")),
            ("/de", "alternate", false, Some("alternate")),
            // Only one of the two links to this URL asks not to be followed, so the URL may be followed.
            ("/1", "a", false, Some("noopener NoFollow")),
            ("/s", "a", true, Some("sponsored")),
            ("/u", "a", true, Some("ugc")),
            ("/m", "area", false, None),
            ("/f", "iframe", false, None),
            ("/p", "a", false, Some("prev")),
            ("/i", "img", false, None),
            ("/j", "img", false, None),
            ("/k", "img", false, None),
        ];
        assert_eq!(told, wanted);
    }
    let followed = page(body).links();
    let paths: Vec<_> = followed.iter().map(|link| link.url.path()).collect();
    assert_eq!(paths, ["/r", "/2", "/1", "/s", "/u", "/m", "/f", "/p"]);
    let frames = "<frameset><frame src=/f></frameset>";
    for links in both(frames) {
        assert_eq!(links[0].kind, LinkKind::Frame);
    }
}

#[test]
fn what_is_for_browsers_without_scripts_is_markup_to_us() {
    let cases: &[(&str, &[&str])] = &[
        ("<noscript><a href=/x>x</a></noscript><a href=/y>", &["/x", "/y"]),
        ("<NOSCRIPT ><p><a href=/x></NoScript\n><a href=/y>", &["/x", "/y"]),
        (
            "<head><noscript><meta http-equiv=refresh content='0;url=/x'></noscript></head><a href=/y>",
            &["/x", "/y"],
        ),
        ("<noscript><iframe src=/x></iframe><img src=/p></noscript>", &["/x"]),
        ("<noscript><!-- <a href=/x> --></noscript><a href=/y>", &["/y"]),
        ("<script><noscript><a href=/x></noscript></script><a href=/y>", &["/y"]),
        ("<template><noscript><a href=/x></noscript></template><a href=/y>", &["/y"]),
        ("<noscript><a href=/x>", &["/x"]),
        ("<svg><noscript><a href=/x></a></noscript></svg><a href=/y>", &["/x", "/y"]),
    ];
    for (body, wanted) in cases {
        let [streamed, parsed] = [page(body), page(body)];
        parsed.css("html").unwrap();
        for links in [streamed.links(), parsed.links()] {
            assert_eq!(links.iter().map(|link| link.url.path()).collect::<Vec<_>>(), *wanted, "{body}");
        }
    }
    let title = page("<title>one</title><noscript><title>two</title></noscript>");
    assert_eq!(title.title(), Some("one"));
    let many = page(&"<noscript><a href=/x></noscript>".repeat(100_000));
    assert_eq!(many.links().len(), 1);
    let nested = page(&format!("{}<a href=/x>", "<noscript>".repeat(100_000)));
    assert_eq!(nested.skim().cut, None);
}

#[test]
fn the_canonical_name_is_one_or_none() {
    let name = "https://site.example/b";
    let cases: &[(&str, Option<&str>)] = &[
        ("<link rel=canonical href=/b>", Some(name)),
        ("<link rel='x Canonical' href='HTTPS://Site.Example:443/a/../b#top'>", Some(name)),
        ("<base href=/c/><link rel=canonical href='../b'>", Some(name)),
        ("<link rel=canonical href=/b><link rel=canonical href=/b#x>", Some(name)),
        ("<link rel=canonical href=/b><link rel=canonical href=/c>", None),
        ("<link rel=canonical href=''><link rel=canonical href=/b>", Some(name)),
        ("<link rel=canonical href='ftp://x/'><link rel=canonical>", None),
        ("<a rel=canonical href=/b>", None),
        ("<!-- <link rel=canonical href=/b> -->", None),
    ];
    for (body, wanted) in cases {
        let parsed = page(body);
        parsed.css("html").unwrap();
        for document in [page(body), parsed] {
            assert_eq!(document.canonical().as_ref().map(Url::as_str), *wanted, "{body}");
        }
    }
}

#[test]
fn a_url_that_is_also_canonical_is_still_followed() {
    let page = page("<link rel=canonical href=/a><a href=/a rel=nofollow>a</a><link rel=alternate href=/a>");
    assert_eq!(urls(&page.links()), ["https://site.example/a"]);
    for links in [page.links_where(|_| true), page.links_with_text(|_| true)] {
        assert_eq!((links.len(), links[0].kind, links[0].nofollow), (1, LinkKind::Anchor, true));
    }
}

#[test]
fn metas_say_what_the_page_asks_of_crawlers() {
    let cases: &[(&str, bool, bool)] = &[
        ("<meta name=robots content=noindex>", true, false),
        ("<META CONTENT='NoFollow,\tnoodp' NAME=' Robots'>", false, true),
        ("<meta name=robots content=none>", true, true),
        ("<meta name=robots content='n&#111;ne'>", true, true),
        ("<meta name=robots content=index><meta name=opilio content=nofollow>", false, true),
        ("<meta name=opilio content=noindex><meta name=robots content=nofollow>", true, true),
        ("<meta name=googlebot content=none><meta name=description content='none'>", false, false),
        ("<meta name=robots><meta content=none><meta name=viewport content=width>", false, false),
        ("<meta property=x content='a<b>c' name=robots><meta name=robots content='>, none'>", true, true),
        ("<body><p>late<meta name=robots content=nofollow></p>", false, true),
        ("<!-- <meta name=robots content=none> -->", false, false),
        ("<template><meta name=robots content=none></template>", false, false),
        ("<script>'<meta name=robots content=none>'</script>", false, false),
    ];
    for (body, noindex, nofollow) in cases {
        let (streamed, parsed) = (page(body), page(body));
        parsed.css("html").unwrap();
        for document in [streamed, parsed] {
            let said = document.robots("Opilio/0.1");
            assert_eq!((said.noindex, said.nofollow), (*noindex, *nofollow), "{body}");
        }
    }
    let many = page(&"<meta name=x content=none>".repeat(10_000));
    assert_eq!(many.skim().robots.len(), 64);
}

#[test]
fn titles_are_decoded_collapsed_and_bounded() {
    let cases: &[(&str, Option<&str>)] = &[
        ("<title>\n A &amp;  B&nbsp;&#x2014; <b>c</b>\n</title>", Some("A & B — <b>c</b>")),
        ("<title></title><title> two </title>", Some("two")),
        ("<title>one</title><title>two</title>", Some("one")),
        ("<svg><title>drawing</title></svg><title>page</title>", Some("page")),
        ("<template><title>no</title></template><title>yes</title>", Some("yes")),
        ("<!-- <title>no</title> --><p>x", None),
        ("<title>never closed", Some("never closed")),
        ("", None),
    ];
    for (body, wanted) in cases {
        assert_eq!(page(body).title(), *wanted, "{body}");
        let parsed = page(body);
        parsed.css("p").unwrap();
        assert_eq!(parsed.title(), *wanted, "{body}");
    }
    let long = page(&format!("<title>{}</title>", "ä ".repeat(100_000)));
    let title = long.title().unwrap();
    assert!(title.len() <= TITLE_BYTES_MAX && title.len() > TITLE_BYTES_MAX - 4);
}

#[test]
fn other_types_than_markup_have_no_links() {
    for (content_type, count) in
        [("application/json", 0), ("text/plain", 0), ("application/xhtml+xml", 1), ("", 1)]
    {
        let body = Bytes::from_static(b"<title>t</title><a href=/x>");
        let document = Document::new(Url::parse(PAGE).unwrap(), Some(content_type), body);
        assert_eq!(document.links().len(), count, "{content_type}");
        assert_eq!(document.links_with_text(|_| true).len(), count, "{content_type}");
    }
}

#[test]
fn encodings_reach_links_and_titles() {
    let url = Url::parse(PAGE).unwrap();
    let utf16: Vec<u8> =
        "\u{FEFF}<title>ä</title><a href=/ö>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let page = Document::new(url.clone(), Some("text/html; charset=utf-8"), utf16.into());
    assert_eq!((page.title(), urls(&page.links())), (Some("ä"), vec!["https://site.example/%C3%B6"]));
    let sjis = Bytes::from_static(b"<title>\x83\x5C</title><a href='/\x83\x5C'>");
    let page = Document::new(url, Some("text/html; charset=shift_jis"), sjis);
    assert_eq!((page.title(), urls(&page.links())), (Some("ソ"), vec!["https://site.example/%E3%82%BD"]));
}

#[test]
fn selectors_find_text_and_attributes() {
    let page = page(
        "<body><h1> The <b>shop</b>\n</h1><ul id=list><li class=i data-n=1>one<li class=i>two <i>2</i></ul>\
         <p>own <b>not</b> words<script>var x</script></p><noscript>off</noscript>",
    );
    assert_eq!(page.css("h1").unwrap().text().as_deref(), Some("The shop"));
    assert_eq!(page.css(".i").unwrap().texts(), ["one", "two 2"]);
    assert_eq!(page.css(".i").unwrap().attr("data-n"), Some("1"));
    assert_eq!(page.css("li, ul").unwrap().attrs("class"), ["i", "i"]);
    assert!(page.css(".none").unwrap().is_empty());
    assert_eq!(page.css(".none").unwrap().text(), None);
    assert_eq!(page.css(":root").unwrap().first().unwrap().name(), "html");
    assert_eq!(page.css("script").unwrap().text().as_deref(), Some("var x"));
    assert_eq!(page.css("body").unwrap().text().unwrap().matches("off").count(), 0);

    let list = page.css("#list").unwrap().first().unwrap();
    assert_eq!(list.css("li:nth-child(2) > i").unwrap().text().as_deref(), Some("2"));
    assert_eq!(list.css(":scope > li").unwrap().iter().count(), 2);
    assert!(list.css("ul").unwrap().is_empty(), "only what is below");
    assert_eq!(list.css("i").unwrap().first().unwrap().html(), "<i>2</i>");

    let p = page.css("p").unwrap().first().unwrap();
    assert_eq!((p.own_text().as_str(), p.text().as_str()), ("own words", "own not words"));
    let names: Vec<_> = page.css("h1, p").unwrap().into_iter().map(|e| e.name()).collect();
    assert_eq!(names, ["h1", "p"]);
}

#[test]
fn links_of_selected_elements_follow_the_same_rules() {
    let page = page(
        "<base href=/b/><a class=p href=1#x>1</a><a href=2>2</a><p class=p>\
         <a class=p href=1></a><area class=p href=3><img class=p src=4><a class=p href='mailto:x@y'>",
    );
    assert_eq!(
        urls(&page.links_at(".p").unwrap()),
        ["https://site.example/b/1", "https://site.example/b/3", "https://site.example/b/4"]
    );
    assert_eq!(page.links_at("a[").unwrap_err().selector, "a[");
}

#[test]
fn links_come_with_their_text_on_request() {
    let page = page("<a href=/x><img></a><a href=/x> the <b>x</b><script>no</script></a><a href=/y></a>");
    let links = page.links_with_text(LinkKind::is_followed);
    let texts: Vec<_> = links.iter().map(|link| link.text.as_deref()).collect();
    assert_eq!(texts, [Some("the x"), Some("")]);
    assert!(page.links().iter().all(|link| link.text.is_none()));
}

#[test]
fn json_is_read_or_the_reason_named() {
    let json = |content_type, body: &'static [u8]| {
        let url = Url::parse("https://user:secret@site.example/api").unwrap();
        Document::new(url, content_type, Bytes::from_static(body)).json::<Vec<String>>()
    };
    assert_eq!(json(None, "[\"ä\"]".as_bytes()).unwrap(), ["ä"]);
    assert_eq!(json(Some("application/json"), b"\xEF\xBB\xBF[\"a\"]").unwrap(), ["a"]);
    assert_eq!(json(Some("application/json; charset=latin1"), b"[\"\xE4\"]").unwrap(), ["ä"]);
    let error = json(None, b"[1]").unwrap_err();
    assert!(error.to_string().contains("site.example/api") && !error.to_string().contains("secret"));
    assert!(json(None, "[".repeat(1_000_000).leak().as_bytes()).is_err());
}

#[test]
fn nothing_is_read_before_it_is_asked_for() {
    let page = page("<title>x</title>");
    assert!(format!("{page:?}").contains("body_bytes: 16"));
    assert_eq!(page.text().as_ptr(), page.body().as_ptr(), "not copied");
}

#[test]
fn too_many_links_are_cut_and_said() {
    let body: String = (0..LINKS_MAX + 5).map(|n| format!("<a href=/{n}></a>")).collect();
    let (streamed, parsed) = (page(&body), page(&body));
    parsed.css("p").unwrap();
    for page in [&streamed, &parsed] {
        assert_eq!((page.skim().links.len(), page.skim().cut), (LINKS_MAX, Some(Cut::Links)));
        assert_eq!(page.links().len(), LINKS_MAX);
        assert_eq!(page.cut().unwrap().to_string(), "it has more than 20000 links");
    }
    assert_eq!(page(&body).cut(), None, "nobody has asked");
}

#[test]
fn long_links_are_left_out() {
    let body = format!("<a href='/{}'><a href=/b>", "x".repeat(LINK_BYTES_MAX));
    for links in both(&body) {
        assert_eq!(urls(&links), ["https://site.example/b"]);
    }
    let huge = format!("<a href='{}'><a href=/b>", "&amp;".repeat(1_000_000));
    for links in both(&huge) {
        assert_eq!(urls(&links), ["https://site.example/b"]);
    }
}

#[test]
fn deep_markup_overflows_no_stack_and_ends_soon() {
    // The thread has a small stack, as threads of other libraries may have.
    let run = || {
        for tag in ["div", "b", "table", "a", "svg", "template", "select"] {
            let body = format!(
                "<title>t</title><a href=/first></a>{}<a href=/last>",
                format!("<{tag}>").repeat(200_000)
            );
            let page = page(&body);
            assert_eq!(page.title(), Some("t"), "{tag}");
            let links = page.links();
            assert_eq!(links[0].url.path(), "/first", "{tag}");
            let all = page.css("*").unwrap();
            assert!(!all.text().unwrap().contains('<'), "{tag}");
            assert!(all.first().unwrap().html().len() > 100, "{tag}");
            let deep = page.css("section div, section b").unwrap();
            assert!(deep.is_empty());
            assert_eq!(page.links_with_text(|_| true)[0].url.path(), "/first", "{tag}");
        }
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn deep_markup_hides_no_link_from_the_pass() {
    let page = page(&format!("{}<a href=/last>", "<div>".repeat(200_000)));
    assert!(page.dom_is_cut());
    assert_eq!(urls(&page.links()), ["https://site.example/last"], "although the DOM is there");
    assert_eq!(page.skim().cut, None);
}

/// Each of these tags was once searched for its end up to the end of the page.
#[test]
fn tags_of_meta_that_never_end_are_read_soon() {
    for tag in ["<meta ", "<meta x=' ", "<meta name=robots "] {
        let page = page(&format!("<a href=/first></a>{}", tag.repeat(200_000)));
        assert_eq!(urls(&page.links()), ["https://site.example/first"], "{tag}");
    }
    let page = page("<meta x=\"<meta \"><meta name=robots x='<meta' content=nofollow>");
    assert!(page.robots("Opilio").nofollow);
}

/// HTML in SVG makes the page be read from its tree, whose limits then hold.
#[test]
fn unusual_pages_are_read_in_limited_time_and_memory() {
    const UNUSUAL: &str = "<title>t</title><a href=/first></a><svg><p></p></svg>";
    let attributes: String = (0..1_000_000).map(|n| format!("a{n} ")).collect();
    for (body, cut) in [
        ("<div>".repeat(200_000), Some(Cut::Memory)),
        ("<p>x</p>".repeat(300_000), Some(Cut::Memory)),
        (format!("<a {attributes} href=/y>"), Some(Cut::Memory)),
        (format!("<a href='{}'>", "&amp;".repeat(1_000_000)), None),
        (format!("<p>{}", "&notit;".repeat(300_000)), None),
        ("<svg><g>".repeat(300_000), Some(Cut::Memory)),
        ("<template>".repeat(200_000), Some(Cut::Memory)),
        ("<noscript>".repeat(200_000), Some(Cut::Memory)),
    ] {
        let page = page(&format!("{UNUSUAL}{body}<a href=/last>"));
        assert_eq!((page.title(), page.links()[0].url.path()), (Some("t"), "/first"), "{}", &body[..20]);
        assert_eq!(page.skim().cut, cut, "{}", &body[..20]);
        assert_eq!(page.cut(), cut, "{}", &body[..20]);
    }
}

#[test]
fn cloned_formatting_elements_do_not_fill_the_memory() {
    let fonts: String = (0..400).map(|n| format!("<font id={n}>")).collect();
    let page = page(&format!("<p>{fonts}{}", "<p>x".repeat(200_000)));
    assert!(page.dom_is_cut());
    assert!(page.css("font").unwrap().iter().count() < 1_000_000);
}

#[test]
fn a_tag_with_a_million_attributes_is_cut() {
    let attributes: String = (0..1_000_000).map(|n| format!("a{n} ")).collect();
    let page = page(&format!("<p>x</p><a {attributes} href=/y>"));
    assert!(page.dom_is_cut());
    assert_eq!(page.css("p").unwrap().text().as_deref(), Some("x"));
}

#[test]
fn long_scripts_texts_and_images_do_not_cut_the_dom() {
    let words = "word and word ".repeat(50_000);
    for long in [
        format!("<script>{words}</script>"),
        format!("<p>{words}</p>"),
        format!("<textarea>{words}</textarea>"),
        format!("<img src='data:image/png;base64,{}'>", "abcd".repeat(500_000)),
    ] {
        let page = page(&format!("{long}<h1>end</h1>"));
        assert_eq!(page.css("h1").unwrap().text().as_deref(), Some("end"));
    }
}

#[test]
fn an_endless_tag_or_comment_loses_nothing_before_it() {
    for tail in ["<!--", "<a href='", "<title>", "<p "] {
        let page = page(&format!("<a href=/x></a>{tail}{}", "y ".repeat(5_000_000)));
        assert_eq!(urls(&page.links()), ["https://site.example/x"], "{tail}");
    }
}

/// Generates pieces of markup that the pass over the text and the DOM read in the same way. They contain no tables,
/// selects or misnested links, since the DOM would move the content of these.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c ./?#&;=:\\\\]{0,8}".prop_map(|href| format!("<a href=\"{href}\" rel=x>t</a>")),
        "[a-c/]{0,4}".prop_map(|href| format!("<base href='{href}'>")),
        "(&amp;|&lt;|&copy|&#x41;|&#0;|é|\u{0}|\n){0,4}".prop_map(|href| format!("<area href='{href}'>")),
        "[a-z <>&;é]{0,6}".prop_map(|title| format!("<title>x{title}</title>")),
        "[a-z <>]{0,6}".prop_map(|comment| format!("<!--{comment}<a href=/c>-->")),
        "[a-z <>]{0,6}".prop_map(|code| format!("<script>{code}<a href=/s></script>")),
        Just("<template><a href=/t></template>".to_owned()),
        Just("<div><p>text</p>".to_owned()),
        Just("</div>".to_owned()),
        Just("<iframe src=/f><a href=/i></iframe>".to_owned()),
        "(no(ne|follow)|<|>|&#110;|\"|,){0,4}"
            .prop_map(|content| format!("<meta name=robots content='{content}'>")),
        Just("<link rel=canonical href=/c><link rel=next href=n>".to_owned()),
        Just("<svg><a href=/v></a></svg>".to_owned()),
        "[a-z é&;]{0,6}",
        "[0-9 ;,url='/.]{0,12}".prop_map(|at| format!("<meta http-equiv=refresh content=\"{at}\">")),
        "[a-c /,(12x]{0,12}".prop_map(|set| format!("<img src=/i srcset=\"{set}\"><source srcset='{set}'>")),
        "[a-z <>]{0,6}".prop_map(|inside| format!("<noscript>{inside}<b><a href=/n></b></noscript>")),
        Just("<link rel=prev href=p><link rel='alternate x' href=l>".to_owned()),
        Just("<p class='\"' title=\"'>\"><a href='/q'>q</a>".to_owned()),
    ]
}

proptest! {
    #[test]
    fn the_pass_and_the_dom_agree(parts in proptest::collection::vec(fragment(), 0..12)) {
        let body = parts.concat();
        let [streamed, parsed] = both(&body);
        prop_assert_eq!(streamed, parsed);
        let dom = page(&body);
        dom.css("p").unwrap();
        let streamed = page(&body);
        prop_assert_eq!((streamed.title(), &streamed.skim().base_href), (dom.title(), &dom.skim().base_href));
        prop_assert_eq!(&streamed.skim().robots, &dom.skim().robots);
    }

    #[test]
    fn any_bytes_give_sound_links(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        content_type in prop_oneof![Just(None), "text/html; *(charset=(utf-8|utf-16|shift_jis|x))?".prop_map(Some)],
    ) {
        let mut bytes = bytes;
        bytes.splice(0..0, format!("{}\n", content_type.unwrap_or_default()).into_bytes());
        fuzz::links(&bytes);
    }

    #[test]
    fn any_bytes_are_sound_as_xml(
        parts in proptest::collection::vec(
            prop_oneof![
                "<[a-c:]{1,3}( xml:base='[a-z/:]{0,6}')?/?>",
                "</?(rss|channel|item|link|title|html|p|a)>",
                "<a href='\\PC{0,8}'/>",
                "<!(DOCTYPE|\\[CDATA\\[|--|ENTITY)? ?\\PC{0,8}",
                "(\\]\\]>|-->|\\?>|>|\\]|&[a-z#0-9]{0,5};?)",
                "\\PC{0,8}",
            ],
            0..30,
        ),
    ) {
        fuzz::xml(parts.concat().as_bytes());
        fuzz::xml(format!("<rss>{}</rss>", parts.concat()).as_bytes());
    }

    #[test]
    fn any_content_type_is_read(
        types in "((text|application|\\*|unknown)?/?(html|xml|plain|pdf)?[;, ]{0,2}(charset|x)?=?\"?[a-z0-9\\-\\\\]{0,8}\"?){0,3}",
        body in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        fuzz::media(&[types.as_bytes(), b"\n<a href=/x>", &body].concat());
        fuzz::media(&[types.as_bytes(), b"\n", &body].concat());
    }

    #[test]
    fn any_links_give_sound_links(hrefs in proptest::collection::vec("\\PC{0,20}|[a-z:/?#@\\\\. \t\n]{0,20}", 0..20)) {
        let body: String = hrefs.iter().map(|href| format!("<a href='{href}'></a>")).collect();
        for links in both(&body) {
            fuzz::assert_are_sound(&links);
        }
    }
}
