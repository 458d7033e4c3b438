//! Tests of how pages are parsed and where their links lead. The server sends exactly the bytes that a test gives
//! it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{FAST, Run, crawl, finish, opilio, run};

/// A page of the server: its path, the header lines of its answer, and its body.
type Page<'a> = (&'a str, &'a [u8], &'a [u8]);

/// Starts a server that has only these pages. Returns its address and the list of requested paths.
fn server(pages: &[Page<'_>]) -> (String, Arc<Mutex<Vec<String>>>) {
    let pages: Arc<Vec<(String, Vec<u8>)>> = Arc::new(
        pages
            .iter()
            .map(|(path, fields, body)| {
                let redirects = fields.to_ascii_lowercase().starts_with(b"location");
                let head = format!(
                    "HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: {}\r\n",
                    if redirects { "301 X" } else { "200 OK" },
                    body.len()
                );
                ((*path).to_owned(), [head.as_bytes(), fields, b"\r\n", body].concat())
            })
            .collect(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (pages, log) = (pages.clone(), log.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
                let Some(path) = head.split(' ').nth(1) else { return };
                log.lock().unwrap().push(path.to_owned());
                let missing = b"HTTP/1.1 404 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let answer =
                    pages.iter().find(|(name, _)| name == path).map_or(&missing[..], |(_, bytes)| bytes);
                let _ = reader.into_inner().write_all(answer);
            });
        }
    });
    (base, seen)
}

/// Returns the paths that a crawl from `/` requests, in alphabetical order, without robots.txt.
fn visited(pages: &[Page<'_>]) -> Vec<String> {
    let (base, seen) = server(pages);
    crawl(&[&format!("{base}/"), "--retries=0"]);
    let mut seen = seen.lock().unwrap().clone();
    seen.retain(|path| path != "/robots.txt");
    seen.sort_unstable();
    seen
}

fn on_stdin(args: &[&str], document: &[u8]) -> Run {
    let mut child = opilio().args(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(document).unwrap();
    finish(child)
}

#[test]
fn the_entries_of_a_feed_are_crawled_and_its_fields_are_read() {
    let feed = b"<?xml version='1.0'?><rss version='2.0'><channel><title><![CDATA[A & B]]></title><link>/</link>\
        <item><title>One</title><link>/1</link></item><item><title>Two</title><link>\n/2\n</link></item></channel></rss>";
    for kind in ["application/rss+xml", "text/xml", "application/xml; charset=utf-8", "text/html"] {
        let (base, seen) = server(&[("/feed", format!("content-type: {kind}\r\n").as_bytes(), feed)]);
        let seed = format!("{base}/feed");
        let (run, _) =
            crawl(&[&seed, "--retries=0", "--css", "titles[all]=item > title", "--css", "link=item > link"]);
        let items = run.items();
        assert_eq!(items[0]["title"], "A & B", "{kind}");
        assert_eq!(items[0]["titles"], json!(["One", "Two"]), "{kind}");
        assert_eq!((&items[0]["link"], &items[0]["links"]), (&json!("/1"), &json!(2)), "{kind}");
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        assert_eq!(seen, ["/1", "/2", "/feed", "/robots.txt"], "{kind}");
    }
}

#[test]
fn xhtml_keeps_its_links_and_broken_xml_is_said() {
    let xhtml = b"content-type: application/xhtml+xml\r\n";
    let whole =
        b"<html xmlns='http://www.w3.org/1999/xhtml'><title/><script src='a.js'/><a href='/x'/></html>";
    assert_eq!(visited(&[("/", xhtml, whole)]), ["/", "/x"]);
    let broken = b"<html xmlns='http://www.w3.org/1999/xhtml'><p>one<br><a href='/x'>x</a></html>";
    let (base, seen) = server(&[("/", xhtml, broken)]);
    let run = run(&[&["crawl", &base], &FAST[..], &["--retries=0"]].concat());
    assert!(seen.lock().unwrap().contains(&"/x".to_owned()));
    assert!(run.stderr.contains("broken XML") && run.stderr.contains("read as HTML"), "{}", run.stderr);
}

#[test]
fn a_type_that_means_nothing_loses_no_page_and_binary_is_no_page() {
    let html = b"<!DOCTYPE html><a href=/x>x</a>";
    for fields in [
        "content-type: html\r\n",
        "content-type: charset=utf-8\r\n",
        "content-type: */*\r\n",
        "content-type: text\r\n",
        "",
    ] {
        assert_eq!(visited(&[("/", fields.as_bytes(), html)]), ["/", "/x"], "{fields}");
        for begin in [&b"%PDF-1.4\n"[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"PK\x03\x04"] {
            let binary = [begin, html].concat();
            assert_eq!(visited(&[("/", fields.as_bytes(), &binary)]), ["/"], "{fields} {begin:?}");
        }
    }
}

#[test]
fn bytes_above_ascii_in_a_type_change_nothing() {
    for (fields, body, path) in [
        (
            &b"content-type: text/html; charset=windows-1250; name=\xcf.htm\r\n"[..],
            &b"<a href=/\x9e>"[..],
            Some("/%C5%BE"),
        ),
        (b"content-type: text/html; name=\"\xe9\"; charset=koi8-r\r\n", b"<a href=/\xc1>", Some("/%D0%B0")),
        (b"content-type: application/pdf; name=\"\xe9.pdf\"\r\n", b"<a href=/x>", None),
        (b"content-type: image/png; name=\xe9\r\n", b"<a href=/x>", None),
    ] {
        let wanted: Vec<&str> = ["/"].into_iter().chain(path).collect();
        assert_eq!(visited(&[("/", fields, body)]), wanted, "{}", String::from_utf8_lossy(fields));
    }
}

#[test]
fn queries_slashes_and_empty_queries_are_those_of_browsers() {
    let cyrillic = b"content-type: text/html; charset=windows-1251\r\n";
    assert_eq!(visited(&[("/", cyrillic, b"<a href='/s?q=\xf7'>")]), ["/", "/s?q=%F7"]);
    let html = b"content-type: text/html\r\n";
    assert_eq!(
        visited(&[(
            "/",
            html,
            b"<a href='/p'>1</a><a href='/p?'>2</a><a href='/p?#x'>3</a><a href='/p?&'>4</a>"
        )]),
        ["/", "/p"]
    );
    assert_eq!(visited(&[("/", html, b"<a href='/a #x'>1</a>")]), ["/", "/a%20"]);
    // This redirect leads to another host, with three slashes in front of the host's name.
    let (target, seen) = server(&[("/x", html, b"x")]);
    let location = format!("location: ///{}/x\r\n", &target["http://".len()..]);
    let (base, _) = server(&[("/", location.as_bytes(), b"")]);
    let (run, _) = crawl(&[&base]);
    assert_eq!(run.items()[0]["final_url"], format!("{target}/x"));
    assert!(seen.lock().unwrap().contains(&"/x".to_owned()));
}

#[test]
fn extract_and_links_read_xml_and_say_what_is_broken() {
    let base = "--base=https://site.example/";
    let feed = b"<rss><channel><item><title>One</title><link>/1</link><dc:creator>A</dc:creator></item></channel></rss>";
    let lines = |args: &[&str], document: &[u8]| {
        let run = on_stdin(args, document);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}");
        run.items()
    };
    for kind in [
        &["--content-type=text/xml"][..],
        &["--content-type=application/rss+xml"],
        &["--content-type=html"],
        &[],
    ] {
        let with = |args: &[&'static str]| [args, &["-", base], kind].concat();
        assert_eq!(lines(&with(&["extract", "--css=item > link"]), feed), ["/1"], "{kind:?}");
        assert_eq!(lines(&with(&["extract", "--css=dc\\:creator"]), feed), ["A"], "{kind:?}");
        let entry = json!({"url": "https://site.example/1", "text": "One", "rel": null, "nofollow": false, "kind": "entry"});
        assert_eq!(lines(&with(&["links"]), feed), [entry], "{kind:?}");
    }
    let page = b"words <p>High  Street<br>Leeds</p>";
    assert_eq!(lines(&["extract", "-", base, "--css=p"], page), ["High Street Leeds"]);
    assert_eq!(lines(&["extract", "-", base, "--css=p", "--raw"], page), ["High  StreetLeeds"]);
    for command in [&["extract", "--css=a"][..], &["links"]] {
        let args = [command, &["-", base, "--content-type=text/xml"]].concat();
        let broken = on_stdin(&args, b"<html><br><a href='/x'>x</a></html>");
        assert_eq!((broken.code, broken.items().len()), (0, 1));
        assert!(
            broken.stderr.contains("broken XML") && broken.stderr.lines().count() == 1,
            "{}",
            broken.stderr
        );
    }
    let binary: Vec<Value> = lines(&["links", "-", base], b"%PDF-1.4 <a href=/x>");
    assert!(binary.is_empty());
}
