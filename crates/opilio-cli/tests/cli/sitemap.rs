//! Tests of `opilio sitemap`, which prints the entries of sitemaps in all formats, one on each line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{finish, opilio, run, run_with_input};

fn entries(file: &[u8]) -> Vec<Value> {
    let run = run_with_input(&["sitemap", "-"], file);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    run.items()
}

fn url(loc: &str) -> Value {
    json!({"loc": loc, "lastmod": null, "changefreq": null, "priority": null, "kind": "url"})
}

const SITEMAP: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url>
  <loc> https://a.example/?x=1&amp;y=2 </loc><lastmod>2026-01-02</lastmod>
  <changefreq>daily</changefreq><priority>0.5</priority>
</url></urlset>"#;

#[test]
fn an_entry_is_one_object_with_the_fields_of_the_contract() {
    let expected = json!({
        "loc": "https://a.example/?x=1&y=2", "lastmod": "2026-01-02", "changefreq": "daily", "priority": 0.5,
        "kind": "url",
    });
    for file in [SITEMAP.as_bytes().to_vec(), gzip(SITEMAP.as_bytes())] {
        assert_eq!(entries(&file), std::slice::from_ref(&expected), "gzip is seen from the bytes");
    }
}

#[test]
fn what_a_file_is_is_seen_from_its_bytes() {
    let index = "<sitemapindex><sitemap><loc>https://a.example/1.xml.gz</loc></sitemap></sitemapindex>";
    assert_eq!(entries(index.as_bytes())[0]["kind"], "sitemap");
    let list = "https://a.example/1\nno url\n\nhttp://a.example/2\n";
    assert_eq!(entries(list.as_bytes()), [url("https://a.example/1"), url("http://a.example/2")]);
    let rss = "<rss><channel><link>https://a.example/</link><item><link>https://a.example/1</link>\
        <pubDate>Fri, 02 Jan 2026 00:00:00 GMT</pubDate></item></channel></rss>";
    let rss = entries(rss.as_bytes());
    assert_eq!((rss.len(), &rss[0]["lastmod"]), (1, &json!("Fri, 02 Jan 2026 00:00:00 GMT")));
    let atom = r#"<feed><entry><link href="https://a.example/1"/><updated>2026-01-02T00:00:00Z</updated></entry></feed>"#;
    assert_eq!(entries(atom.as_bytes())[0]["lastmod"], "2026-01-02T00:00:00Z");
}

#[test]
fn a_broken_sitemap_gives_what_stands_before_and_says_so() {
    let entry = "<url><loc>https://a.example/1</loc></url>";
    for (file, part) in [
        (format!("<urlset>{entry}<url><loc>https://a.example/2"), "ends within an element"),
        (format!("<urlset>{entry}</sitemap>"), "XML at byte"),
        (format!("<urlset>{entry}<url/><url>x</url></urlset>"), "2 entries of the sitemap have no address"),
    ] {
        let run = run_with_input(&["sitemap", "-"], file.as_bytes());
        assert_eq!((run.code, run.items()), (1, vec![url("https://a.example/1")]), "{file}");
        assert!(run.error().contains(part), "{file}: {}", run.stderr);
    }
    let cut = gzip(SITEMAP.as_bytes());
    assert_eq!(run_with_input(&["sitemap", "-"], &cut[..cut.len() / 2]).code, 1);
    for (file, part) in [
        ("<!doctype html><html></html>", "this file is not a sitemap"),
        ("", "an empty file"),
        ("hello", "without a URL"),
    ] {
        let run = run_with_input(&["sitemap", "-"], file.as_bytes());
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{file}");
        assert!(run.error().contains(part), "{file}: {}", run.stderr);
    }
    let run = run(&["sitemap", "/no/such/sitemap.xml"]);
    assert_eq!(run.code, 2);
    assert!(run.error().contains("open /no/such/sitemap.xml"), "{}", run.stderr);
}

#[test]
fn entries_come_while_the_file_is_still_being_written() {
    let mut child = opilio().args(["sitemap", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdin.write_all(b"<urlset>").unwrap();
    // These bytes are more than the buffers in between can hold, but their result fits into the pipe that the test
    // reads.
    let entry = "<url><loc>https://a.example/x</loc></url>".repeat(400);
    stdin.write_all(entry.as_bytes()).unwrap();
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("https://a.example/x"), "{line}");
    stdin.write_all(b"</urlset>").unwrap();
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 399);
    assert_eq!(finish(child).code, 0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn entries_are_read_however_they_are_written() {
    let file = "\u{feff}\u{feff}<URLSET><URL><LOC>https://a.example/1</LOC><url><loc>https://a.example/2</loc>\
        <loc>https://a.example/3</loc></url><url>https://a.example/4</url></URLSET>";
    let run = run_with_input(&["sitemap", "-"], file.as_bytes());
    assert_eq!((run.code, &*run.stderr), (0, ""));
    assert_eq!(run.items(), [1, 2, 3, 4].map(|n| url(&format!("https://a.example/{n}"))));
}
