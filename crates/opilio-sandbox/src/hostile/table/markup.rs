//! Pages that are sent correctly but are difficult to parse.

use super::super::act::{page, whole};
use super::super::{Ends, Trouble};
use super::acts;

pub(super) fn troubles() -> Vec<Trouble> {
    let html = |name: &str, does: &str, html: String| acts(name, does, Ends::Page, page(html));
    let mut all = vec![
        html("nested-tags", "200,000 tags in each other", "<div>".repeat(200_000)),
        html(
            "nested-and-closed",
            "100,000 tags in each other, and closed",
            "<b>".repeat(100_000) + &"</b>".repeat(100_000),
        ),
        html("nested-tables", "20,000 tables in each other", "<table><tr><td>".repeat(20_000)),
        html("nested-lists", "50,000 lists in each other", "<ul><li>".repeat(50_000)),
        html(
            "misnested",
            "formatting that closes in the wrong order",
            "<b><i><a><p>".repeat(5_000) + &"</b></i></a>".repeat(5_000),
        ),
        html("unclosed", "nothing is ever closed", "<p><a href=/x><b class='".repeat(20_000)),
        html(
            "open-script",
            "a script that never ends",
            format!("<script>{}", "<a href=/in-script>".repeat(100_000)),
        ),
        html(
            "open-textarea",
            "a textarea that never ends",
            format!("<textarea>{}", "</text".repeat(300_000)),
        ),
        html("many-attributes", "an element of 200,000 attributes", format!("<p {}>ok", attributes(200_000))),
        html(
            "large-srcset",
            "a picture in 100,000 sizes",
            format!("<img srcset=\"{}\">", "/p.png 1x, ".repeat(100_000)),
        ),
        html(
            "many-bases",
            "a thousand bases",
            "<base href=http://127.0.0.1/><base href='javascript:1'>".repeat(500),
        ),
        html(
            "many-refreshes",
            "20,000 refreshes",
            "<meta http-equiv=refresh content='0; url=/ok'>".repeat(20_000),
        ),
        html(
            "escape-codes",
            "a title that would clear a terminal",
            format!("<title>{CODES}</title><a href='/{CODES}'>x</a>"),
        ),
        html("odd-links", "links that are none", ODD_LINKS.concat()),
        acts("nul-bytes", "a megabyte of NUL", Ends::Page, page(vec![0; 1 << 20])),
        acts(
            "svg-and-math",
            "changes between languages 20,000 times",
            Ends::Page,
            page("<svg><desc><math><mi>".repeat(20_000)),
        ),
        acts(
            "xhtml",
            "XML that never closes",
            Ends::Page,
            whole("200 OK", "Content-Type: application/xhtml+xml\r\n", "<html><a>".repeat(50_000)),
        ),
    ];
    all.extend(large_pages());
    all
}

/// Returns troubles with pages so large that parsing them takes much memory.
fn large_pages() -> Vec<Trouble> {
    let large = |name: &str, does: &str, html: String| acts(name, does, Ends::Page, page(html)).large();
    vec![
        large(
            "large-link",
            "a link of two megabytes",
            format!("<a href=\"/{}\">ok</a>", "y".repeat(2 << 20)),
        ),
        large(
            "open-comment",
            "a comment of five megabytes that never ends",
            format!("<title>x</title><!--{}", "- ".repeat(2_500_000)),
        ),
        large("million-links", "a million links", links(1_000_000)),
        large("same-link", "half a million times the same link", "<a href=/ok>".repeat(500_000)),
        large(
            "large-attribute",
            "an attribute of ten megabytes",
            format!("<p title=\"{}\">ok", "y".repeat(10 << 20)),
        ),
        large(
            "large-title",
            "a title of five megabytes",
            format!("<title>{}</title>ok", "y".repeat(5 << 20)),
        ),
        large(
            "entities",
            "a million entities, half of them none",
            "&amp;&#x110000;&#0;&nosuch;".repeat(250_000),
        ),
    ]
}

fn links(count: usize) -> String {
    let mut html = String::with_capacity(count * 15);
    for n in 0..count {
        html += "<a href=~";
        html += &n.to_string();
        html += ">";
    }
    html
}

fn attributes(count: usize) -> String {
    (0..count).map(|n| format!("a{n}=1 ")).collect()
}

/// Terminal control codes: clear the screen, set the window's title, move up a line, change the color, and
/// reverse the direction of text.
const CODES: &str = "\x1b[2J\x1b]0;owned\x07\r\x1b[1A\u{9b}31m\u{202e}gnp.exe";

const ODD_LINKS: [&str; 20] = [
    "<a href='javascript:alert(1)'>",
    "<a href='data:text/html,<a href=/in-data>'>",
    "<a href='file:///etc/passwd'>",
    "<a href='ftp://127.0.0.1/x'>",
    "<a href='mailto:a@b.test'>",
    "<a href='tel:+1'>",
    "<a href='http://'>",
    "<a href='http://['>",
    "<a href='http://[::1'>",
    "<a href='http://:80/'>",
    "<a href='http://a..b.test:99999/'>",
    "<a href='http://%00/'>",
    "<a href='http://xn--a/'>",
    "<a href='//'>",
    "<a href='\\\\\\\\'>",
    "<a href='http:////'>",
    "<a href>",
    "<a href='\u{0}\u{1}'>",
    "<a href='blob:http://127.0.0.1/x'>",
    "<a href='view-source:http://127.0.0.1/x'>",
];
