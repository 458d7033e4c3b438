//! The scanner against html5ever.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::compare::{assert_same_skim, assert_same_tree, read_here};
use super::quick;
use super::tokens::with_line_feeds;
use crate::link::Reach;
use proptest::prelude::*;

#[test]
fn common_markup_is_read_here_to_its_end() {
    for page in [
        "",
        "<!DOCTYPE html><html lang=en><head><title>A &amp; B</title></head><body><p>x</p></body></html>",
        "<!doctype HTML PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">\n<br/>",
        "<?xml version='1.0'?><!-- a -- b --><![endif]><!--[if IE]><p><![endif]-->",
        "<script>if (a < b && '</p>') {}</script><style>a > b {}</style><textarea>\n<b>&lt;</textarea>",
        "<script><!--\nx\n//--></script><p>",
        "<A HREF='/x?a=1&b=2' class=\"a b\" Data-X = 1 checked>A</A >",
        "<input disabled value=/x/><img src=a.png alt=\"\"/>",
        "a < b > c &copy; &notit; <",
        "<p>one\r\ntwo\rthree<pre>\n\nx</pre>",
        "<plaintext><b>x</b>",
        "<a href=\"1\" HREF='2'>",
        "\u{feff}<p>\u{feff}é</p>",
        "<title>never closed <b>",
        "<noscript><p>x</p></noscript><iframe><p></iframe><xmp><b></xmp>",
        "x<a href=\"1>",
        "x<a href=1",
        "x<p/",
        "x</>y</3>z</",
        "x</p class=a/>y</br a=b><p>",
        "x<a =b = c =>y",
        "x<a b\"c '<d>y",
        "x<a b=><i b= >y",
        "x<me@site.example>y<p.q>z<é></é>",
        "x<!-->y--><!--->z--><!----!>",
        "x<!--a--!>y--><!--a---!><!--!><!--!-->",
        "x<!-- never closed",
        "x<!-- never closed -",
        "x<!-- never closed --!",
        "x<!",
        "x<?",
        "x<script><!--<script></script>--></script>y",
        "x<script><!--><script></script>y",
        "x<script><!-- <script </script/ </script>--></script>y",
        "x<script><!-- <script> --></script>y",
    ] {
        let (_, here) = read_here(page, &[], true);
        assert_eq!(here, with_line_feeds(page).len(), "{page:?}");
        assert_same_tree(page, &[]);
    }
}

#[test]
fn unusual_markup_is_read_by_html5ever() {
    let attributes: String = (0..65).map(|n| format!(" a{n}")).collect();
    for page in [
        &format!("x<p{attributes}>y"),
        "x<svg><![CDATA[<b>]]></svg>",
        "x<![CDATA[<b>]]>",
        "x<!doctype html",
        "x<p\0>",
        "x\0y",
    ] {
        let (_, here) = read_here(page, &[], true);
        assert!(here < page.len(), "{page:?}");
        assert_same_tree(page, &[]);
    }
}

/// Markup from pieces that meet the branches of both tokenizers.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "<p>", "</p>", "<a href='/x'>", "</a>", "<b>", "</b>", "<i class=a>", "</i>", "<div id=\"x\">", "</div>",
            "<table>", "<tr>", "<td>", "</td>", "</table>", "<ul>", "<li>", "<br/>", "<title>", "</title>", "<textarea>",
            "</textarea>", "<script>", "</script>", "<style>", "</style >", "<svg>", "</svg>", "<math>", "<mi>",
            "<select>", "<option>", "<template>", "</template>", "<pre>", "\n", "<form>", "<frameset>", "<head>",
            "<g>", "</g>", "<desc>", "</desc>", "<foreignObject>", "</foreignObject>", "<a xlink:href=/y rel=me>", "<svg/>",
            "<a href='/z'/>", "<font>", "<font size=1>", "</mi>", "<mo>", "</math>", "<mrow>", "<annotation-xml>", "</br>",
            "<base href=/b>", "<meta name=robots content=none>", "<link rel=next href=/n>", "<img src=/i srcset='/j 2x'>",
            "<body class=b>", "<html lang=en>", "</body>", "</html>", "<noscript>", "</noscript>", "<iframe>", "</iframe>",
            "<!-- c -->", "<!DOCTYPE html>", "<?xml?>", "<![endif]>", "<image>", "<nobr>", "<button>", "<h1>", "<h2>",
        ]).prop_map(str::to_owned),
        3 => "[a-z ]{1,6}",
        2 => prop::sample::select(vec![
            "<", ">", "&", "&amp;", "&lt", "&#x41;", "&notit;", "\"", "'", "=", "/", "<!--", "-->", "--!>", "</", "<!",
            "<![CDATA[", "]]>", "\0", "\r", "\r\n", "<A HREF=x&amp;y Y>", "<p a=1 a=2>", "<p a = '&copy=1' / b>", "<x-y:z>",
            "</SCRIPT>", "<plaintext>", "\u{feff}", "é", "<p/", "<a b='", "<p a=b/c>", "<!doctype", "<script", "<xmp>",
            "</p class=a>", "</>", "</3>", "<p =b>", "<p a\"b<c>", "<a href=>", "<p.q>", "<!-->", "<!--->", "<!--a--!>",
            "<p a='1'b=2>", "<a href='/\0'>",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_tree_is_html5evers(page in markup(), steps in prop::collection::vec(1_u8..20, 0..8)) {
        assert_same_tree(&page, &steps);
    }

    #[test]
    fn the_tree_of_any_text_is_html5evers(page in "[<>/!a-cA-C&;='\" \n\r\t\\-?\\[\\]#\0é]{0,60}") {
        assert_same_tree(&page, &[]);
    }

    #[test]
    fn quick_finds_what_html5ever_finds(page in markup()) {
        assert_same_skim(&page);
    }

    #[test]
    fn quick_finds_in_any_text_what_html5ever_finds(page in "[<>/!a-cA-C&;=\\'\" \n\r\t\\-?é]{0,60}") {
        assert_same_skim(&page);
    }
}

#[test]
fn common_pages_are_skimmed_without_a_tree() {
    let page = "<!DOCTYPE html><html><head><meta charset=utf-8><title>Tea &amp; <b>cups</title><base href=/b/>\
        <link rel=canonical href='/c?a=1&amp;b=2'><meta name=robots content='noindex, nofollow'>\
        <script>document.write('<a href=/no>')</script><style>a > b {}</style></head><body>\
        <svg viewBox='0 0 1 1'><title>Icon</title><path d='M0 0'/><use xlink:href=#x /></svg>\
        <A HREF=/x rel='nofollow me' href=/second>x</A><area href=\"y\"><iframe src=z><a href=/no></iframe>\
        <textarea><a href=/no></textarea><noscript><a href=/n>n</a></noscript><!-- <a href=/no> -->\
        <img src=i.png srcset='j.png 2x'></body></html>";
    let quick = quick::skim(page, Reach::Images).unwrap();
    assert_eq!(quick.title.as_deref(), Some("Tea & <b>cups"));
    let links: Vec<_> = quick.links.iter().map(|link| link.href.as_str()).collect();
    assert_eq!(links, ["/c?a=1&b=2", "/x", "y", "z", "/n", "i.png", "j.png"]);
    assert_eq!(quick::skim(&page.replace('\n', "\r\n"), Reach::Images), Some(quick));
    assert_same_skim(page);
}

#[test]
fn templates_svg_and_mathml_are_skimmed_without_a_tree() {
    for (page, wanted) in [
        (
            "<template><a href=/a><base href=/b><title>x</title><meta name=robots content=none></template>",
            &[][..],
        ),
        ("<template><template></template><a href=/a></template></template><a href=/b>", &["/b"]),
        ("<template><svg><a href=/a></svg><script></template></script></template><a href=/b>", &["/b"]),
        (
            "<svg><style>a > b {}</style><image href=/i /><a xlink:href=/a>x</a></svg><a href=/b>",
            &["/a", "/b"],
        ),
        ("<svg><style><a href=/a></style></svg>", &["/a"]),
        ("<svg><style><![CDATA[<a href=/a>]]></style></svg>", &[]),
        ("<svg><g><g></svg><a href=/b>", &["/b"]),
        ("<svg/><style><a href=/a></style><a href=/b>", &["/b"]),
        ("<svg><title></svg></title><a href=/b>", &["/b"]),
        ("<svg><script/><a href=/a></svg>", &["/a"]),
        ("<math><mi>x</mi><mo>=</mo><title>m</title><a href=/a></a></math><a href=/b>", &["/a", "/b"]),
        ("<math><mi></math><style><a href=/a></style><a href=/b>", &["/b"]),
        ("<a href='/\0'><p\0 href=/a>", &["/\u{FFFD}"]),
        ("<![CDATA[<a href=/a>]]><a href=/b>", &["/b"]),
        ("<a href=/a><a href='/b", &["/a"]),
        ("<link rel='n&#101;xt' href=/a><link rel='n&#101;' href=/b>", &["/a"]),
    ] {
        let quick = quick::skim(page, Reach::Pages).unwrap();
        let links: Vec<_> = quick.links.iter().map(|link| link.href.as_str()).collect();
        assert_eq!(links, wanted, "{page}");
        assert_eq!((quick.title, quick.base_href, quick.robots.len()), (None, None, 0), "{page}");
        assert_same_skim(page);
    }
}

#[test]
fn html_in_svg_and_mathml_needs_a_tree() {
    for unusual in [
        "<svg><foreignObject><p><a href=x></foreignObject></svg>",
        "<svg><title><a href=x></title></svg>",
        "<svg><p><a href=x>",
        "<svg></div>",
        "<math><mi><a href=x></mi></math>",
    ] {
        assert_eq!(quick::skim(unusual, Reach::Pages), None, "{unusual}");
    }
}
