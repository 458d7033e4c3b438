//! The scanner against complete parsers.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::compare::{assert_same_skim, assert_same_tree, read_here};
use super::quick;
use super::tokens::with_line_feeds;
use crate::link::Reach;
use crate::pass;
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
    ] {
        let (_, here) = read_here(page, &[], true);
        assert_eq!(here, with_line_feeds(page).len(), "{page:?}");
        assert_same_tree(page, &[]);
    }
}

#[test]
fn unusual_markup_is_read_by_html5ever() {
    for page in [
        "x<a href=\"1>",
        "x</>y",
        "x</p class=a>",
        "x<a =b>",
        "x<a b\"c>",
        "x<a b=>",
        "x<!-->y-->",
        "x<!--a--!>y-->",
        "x<!-- never closed",
        "x<svg><![CDATA[<b>]]></svg>",
        "x<script><!--<script></script>--></script>y",
        "x<p",
        "x</",
        "x<p\0>",
        "x\0y",
        "x<p.q>",
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
            "<body class=b>", "<html lang=en>", "</body>", "</html>", "<noscript>", "</noscript>", "<iframe>", "</iframe>",
            "<!-- c -->", "<!DOCTYPE html>", "<?xml?>", "<![endif]>", "<image>", "<nobr>", "<button>", "<h1>", "<h2>",
        ]).prop_map(str::to_owned),
        3 => "[a-z ]{1,6}",
        2 => prop::sample::select(vec![
            "<", ">", "&", "&amp;", "&lt", "&#x41;", "&notit;", "\"", "'", "=", "/", "<!--", "-->", "--!>", "</", "<!",
            "<![CDATA[", "]]>", "\0", "\r", "\r\n", "<A HREF=x&amp;y Y>", "<p a=1 a=2>", "<p a = '&copy=1' / b>", "<x-y:z>",
            "</SCRIPT>", "<plaintext>", "\u{feff}", "é", "<p/", "<a b='", "<p a=b/c>", "<!doctype", "<script", "<xmp>",
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
    fn quick_finds_what_the_pass_finds(page in markup()) {
        assert_same_skim(&page);
    }

    #[test]
    fn quick_finds_in_any_text_what_the_pass_finds(page in "[<>/!a-cA-C&;=\\'\" \n\r\t\\-?é]{0,60}") {
        assert_same_skim(&page);
    }
}

/// lol_html opens SVG at `<svg/>`, too, and does not close it at a `</svg>` inside a label.
#[test]
fn quick_closes_svg_where_html5ever_does() {
    for page in ["<svg/><style><a href=1></style>", "<svg><title></svg></title><style><a href=1></style>"] {
        let quick = quick::skim(page, Reach::Pages).unwrap();
        assert_ne!(quick, pass::stream(page, Reach::Pages), "{page}");
        assert_same_skim(page);
    }
}

#[test]
fn common_pages_are_skimmed_without_a_stack() {
    let page = "<!DOCTYPE html><html><head><meta charset=utf-8><title>Tea &amp; <b>cups</title><base href=/b/>\
        <link rel=canonical href='/c?a=1&amp;b=2'><meta name=robots content='noindex, nofollow'>\
        <script>document.write('<a href=/no>')</script><style>a > b {}</style></head><body>\
        <svg viewBox='0 0 1 1'><title>Icon</title><path d='M0 0'/><use xlink:href=#x /></svg>\
        <A HREF=/x rel='nofollow me' href=/second>x</A><area href=\"y\"><iframe src=z><a href=/no></iframe>\
        <textarea><a href=/no></textarea><noscript><a href=/n>n</a></noscript><!-- <a href=/no> -->\
        <img src=i.png srcset='j.png 2x'></body></html>";
    let quick = quick::skim(page, Reach::Images).unwrap();
    assert_eq!(quick, pass::stream(page, Reach::Images));
    assert_eq!(quick.title.as_deref(), Some("Tea & <b>cups"));
    let links: Vec<_> = quick.links.iter().map(|link| link.href.as_str()).collect();
    assert_eq!(links, ["/c?a=1&b=2", "/x", "y", "z", "/n", "i.png", "j.png"]);
    assert_eq!(quick::skim(&page.replace('\n', "\r\n"), Reach::Images), Some(quick));
    for unusual in
        ["<template><a href=x></template>", "<svg><a href=x></svg>", "<math><a href=x></math>", "<a href='x"]
    {
        assert_eq!(quick::skim(unusual, Reach::Pages), None, "{unusual}");
    }
}
