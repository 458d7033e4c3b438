//! Tests of `opilio links`, `opilio extract` and `opilio url`, which read documents and URLs and print lines.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Run, finish, opilio, run};

/// Runs one of these tools on a document, which is passed on stdin.
fn on_stdin(args: &[&str], document: &[u8]) -> Run {
    let mut child = opilio().args(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(document).unwrap();
    finish(child)
}

fn links(document: &str) -> Vec<Value> {
    let run = on_stdin(&["links", "-", "--base", "https://site.example/dir/page?x#f"], document.as_bytes());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{document}");
    run.items()
}

fn extract(args: &[&str], document: &[u8]) -> Vec<Value> {
    let run = on_stdin(&[&["extract", "-", "--base", "https://site.example/"], args].concat(), document);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}");
    run.items()
}

#[test]
fn links_are_lines_with_the_fields_of_the_contract() {
    let document = "<base href=/b/><a href='x#y' rel='noopener nofollow'> An <b>x</b>\n</a><a href=x>again</a>\
                    <area href=//other.example/?q&amp;r><a href='mailto:a@b'>mail</a><!-- <a href=/no> -->\
                    <script>'<a href=/no>'</script><template><a href=/no></template><a href='\\\\h.example\\p'>";
    assert_eq!(
        links(document),
        [
            json!({"url": "https://site.example/b/x", "text": "An x", "rel": "noopener nofollow", "nofollow": false, "kind": "a"}),
            json!({"url": "https://other.example/?q&r", "text": "", "rel": null, "nofollow": false, "kind": "area"}),
            json!({"url": "https://h.example/p", "text": "", "rel": null, "nofollow": false, "kind": "a"}),
        ]
    );
}

#[test]
fn links_ask_not_to_be_followed_one_by_one_or_for_the_page() {
    let nofollow = |document: &str| links(document)[0]["nofollow"].clone();
    for rel in ["nofollow", "UGC", "external sponsored"] {
        assert_eq!(nofollow(&format!("<a href=/x rel='{rel}'>")), json!(true), "{rel}");
    }
    assert_eq!(nofollow("<a href=/x rel=noopener>"), json!(false));
    assert_eq!(nofollow("<meta name=robots content='noindex, nofollow'><a href=/x>"), json!(true));
    assert_eq!(nofollow("<meta name=Opilio content=none><a href=/x>"), json!(true));
    assert_eq!(nofollow("<meta name=otherbot content=none><a href=/x>"), json!(false));
}

#[test]
fn extract_prints_texts_and_attributes_as_strings() {
    let document = b"<ul><li class=i data-n='a&amp;b'> one\n <i>1</i><li class=i>two<script>no</script></ul>";
    assert_eq!(extract(&["--css", ".i"], document), ["one 1", "two"]);
    assert_eq!(extract(&["--css", "li", "--attr", "data-n"], document), ["a&b"]);
    assert_eq!(extract(&["--css", "h1"], document), [] as [&str; 0]);
    let sjis = b"<p>\x83\x5C";
    assert_eq!(
        extract(&["--css", "p", "--content-type", "text/html; charset=shift_jis"], sjis),
        ["\u{30BD}"]
    );
    assert_eq!(
        extract(&["--css", "p"], b"<p>\x1b[2J\xE2\x80\xA8</p>"),
        ["\u{1b}[2J"],
        "escaped, on one line"
    );
}

#[test]
fn documents_come_from_files_too_and_what_is_wrong_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page.html");
    std::fs::write(&path, "<a href=/x>x</a>").unwrap();
    let file = path.to_str().unwrap();
    let missing = dir.path().join("missing");
    let missing = missing.to_str().unwrap();
    let base = "--base=http://a.example/";
    assert_eq!(run(&["links", file, base]).items()[0]["url"], "http://a.example/x");
    for (args, parts) in [
        (&["links", missing, base][..], &[missing, "No such file"][..]),
        (&["links", dir.path().to_str().unwrap(), base], &["directory"]),
        (&["links", file, "--base", "a.example"], &["--base", "no scheme"]),
        (&["links", file, "--base", "file:///x"], &["--base", "neither http nor https"]),
        (&["links", file], &["--base"]),
        (&["links", base], &["FILE"]),
        (&["extract", file, base, "--css", "a["], &["`a[`"]),
        (&["extract", file, base, "--css", "h1::text"], &["write `h1`, whose text is read"]),
        (&["extract", file, base, "--css", "a::attr(href)"], &["as in --css 'a' --attr href"]),
        (&["extract", file, base, "--css", "p:contains('x')"], &["write `p`", "cannot ask for text"]),
        (&["extract", file, base, "--css", "//a/@href"], &["it is XPath"]),
        (&["extract", file, base], &["--css"]),
        (&["url", "canonicalize"], &["URL"]),
    ] {
        let run = run(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
        parts.iter().for_each(|part| assert!(run.error().contains(part), "{args:?}: {}", run.stderr));
    }
}

#[test]
fn canonicalize_prints_the_dedup_key_of_each_url() {
    let table = [
        ("HTTP://Example.COM:80/a/../b#top", "http://example.com/b"),
        ("https://user:pw@b\u{fc}cher.example.:443/?b=2&a=&a=1", "https://xn--bcher-kva.example/?a=&a=1&b=2"),
        ("http://example.com/x;jsessionid=1A53?PHPSESSID=q&b=2&a=1", "http://example.com/x?a=1&b=2"),
        (
            "http://example.com/%7euser/%2fx%c3%a9?utm_source=x",
            "http://example.com/~user/%2Fx%C3%A9?utm_source=x",
        ),
    ];
    let urls: Vec<&str> = table.iter().map(|(url, _)| *url).collect();
    let answer = run(&[&["url", "canonicalize"], &urls[..]].concat());
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert_eq!(answer.stdout.lines().collect::<Vec<_>>(), table.map(|(_, key)| key));
    let stripped = run(&[
        "url",
        "canonicalize",
        "--strip-tracking",
        "http://a.example/?b&gclid=1&a",
        "http://a.example/?fbclid=1",
    ]);
    assert_eq!(stripped.stdout, "http://a.example/?a&b\nhttp://a.example/\n");
    let kept =
        run(&["url", "canonicalize", "--keep-session-ids", "http://a.example/x;jsessionid=1?PHPSESSID=2"]);
    assert_eq!(kept.stdout, "http://a.example/x;jsessionid=1?PHPSESSID=2\n");
}

#[test]
fn canonicalize_names_what_is_no_url_and_goes_on() {
    let bad =
        ["", "example.com", "http://", "ftp://a/", "javascript:alert(1)", "http://a:99999/", "http://[::1"];
    let answer = run(&[&["url", "canonicalize"], &bad[..], &["http://a.example"]].concat());
    assert_eq!((answer.code, answer.stderr.as_str()), (1, ""));
    let lines: Vec<_> = answer.stdout.lines().collect();
    assert_eq!(lines.len(), bad.len() + 1);
    for (line, url) in lines.iter().zip(bad) {
        let (word, reason) = line.split_once('\t').unwrap();
        assert!(word == "error" && !reason.is_empty() && !reason.contains('\t'), "{url}: {line}");
    }
    assert_eq!(lines[bad.len()], "http://a.example/");
}
