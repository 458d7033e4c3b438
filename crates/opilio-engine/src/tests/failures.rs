//! Tests of the facts that are reported about a failed URL: the attempts, the last answer, and the page that links
//! to the URL.

use std::rc::Rc;

use opilio_core::{Fault, Reason, RetryPolicy};
use opilio_fetch::{Phase, ScriptedAnswer, ScriptedTransport, Transport, TransportRequest};
use tokio::time::Instant;

use super::{List, crawler, run, urls, web};
use crate::{
    CrawlReport, Crawler, Failure, FailureRecord, Found, Page, ParseError, Request, SitemapEntry, Spider,
};

#[test]
fn no_failure_of_a_connection_is_without_words() {
    let faults = [
        (Phase::Connect, Fault::Connect, Reason::Connect),
        (Phase::Resolve, Fault::NoSuchName, Reason::Dns),
        (Phase::Resolve, Fault::Dns, Reason::Dns),
        (Phase::Tls, Fault::Certificate, Reason::Tls),
        (Phase::Tls, Fault::Tls, Reason::Tls),
        (Phase::Connect, Fault::Timeout, Reason::Timeout),
        (Phase::Resolve, Fault::BlockedAddress, Reason::BlockedAddress),
    ];
    for (phase, fault, reason) in faults {
        for retries in [0, 2] {
            for robots in [false, true] {
                // If `robots` is true, the pages wait for robots.txt. The fetch of robots.txt fails, so no page is
                // requested.
                let list = Crawler::new(List(urls("a.example", 3).collect()));
                let list = if robots { list } else { list.no_robots() };
                let list = list.retry(RetryPolicy::default().retries(retries));
                let report = run(list.transport(web(move |_, _, _| ScriptedAnswer::fault(phase, fault))));
                let report = report.0.unwrap();
                assert_eq!(report.failures.len(), 3, "{report:?}");
                for failure in &report.failures {
                    let words = failure.error.as_deref().unwrap_or_default();
                    assert!(words.contains("GET http://a.example/"), "{fault:?} {robots} {failure:?}");
                    assert!([reason, Reason::HostClosed].contains(&failure.reason), "{failure:?}");
                }
                assert!(report.to_string().contains(&format!("; {} ended as ", report.failures[0].url)));
            }
        }
    }
}

/// A shop whose pages contain links to broken pages.
struct Shop(&'static str);

impl Spider for Shop {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![
            Request::get("http://a.example/list?page=1", ()),
            Request::sitemap("http://a.example/map.txt", ()),
        ]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        match (page.url().path(), self.0) {
            ("/panics", "words") => panic!("as asked by a test"),
            ("/panics", name) => panic!("as asked by {name}"),
            ("/fails", _) => return Err(ParseError::new("no price")),
            _ => {}
        }
        found.follow_links(page, ());
        Ok(())
    }

    fn lists(&self, entry: &SitemapEntry) -> bool {
        assert!(self.0 != "sitemap", "no entry, as asked: {}", entry.loc);
        true
    }

    fn failed(&self, failure: &Failure<()>, found: &mut Found<Self>) {
        found.item(format!("{} from {:?}", failure.url(), failure.referrer()));
    }
}

fn shop(of: &'static str) -> Crawler<Shop> {
    let transport: fn() -> Rc<dyn Transport> = || {
        Rc::new(ScriptedTransport::new(|_: Instant, ask: &TransportRequest| match ask.url.as_str() {
            "http://a.example/list?page=1" => {
                ScriptedAnswer::page("<a href=/gone>1</a><a href=//b.example/gone>2</a><a href=/moved>3</a>")
            }
            "http://a.example/map.txt" => {
                ScriptedAnswer::page("http://a.example/panics\nhttp://a.example/fails")
                    .header(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"))
            }
            "http://a.example/moved" => ScriptedAnswer::status(301)
                .header(http::header::LOCATION, http::HeaderValue::from_static("http://b.example/nowhere")),
            "http://a.example/panics" | "http://a.example/fails" => ScriptedAnswer::page(""),
            _ => ScriptedAnswer::status(404),
        }))
    };
    let scope = crate::Scope::new().follow(crate::Follow::All);
    Crawler::new(Shop(of)).no_robots().scope(scope).transport(transport)
}

fn failures(report: &CrawlReport) -> Vec<(&str, Reason, Option<&str>, Option<&str>)> {
    let mut failures: Vec<_> = report
        .failures
        .iter()
        .map(|FailureRecord { url, reason, error, referrer, .. }| {
            (url.strip_prefix("http://").unwrap(), *reason, error.as_deref(), referrer.as_deref())
        })
        .collect();
    failures.sort_unstable_by_key(|failure| failure.0);
    failures
}

#[test]
fn a_failure_says_where_it_was_found_in_both_stores() {
    let dir = tempfile::tempdir().unwrap();
    for kept in [false, true] {
        let crawl = if kept { shop("names").state(dir.path()) } else { shop("words") };
        let report = run(crawl).0.unwrap();
        let (list, map) = (Some("http://a.example/list?page=1"), Some("http://a.example/map.txt"));
        let said = if kept { "it panicked: as asked by names" } else { "it panicked: as asked by a test" };
        let expected = [
            ("a.example/fails", Reason::ParseError, Some("no price"), map),
            ("a.example/gone", Reason::Http4xx, None, list),
            ("a.example/moved", Reason::Http4xx, None, list),
            ("a.example/panics", Reason::ParsePanic, Some(said), map),
            ("b.example/gone", Reason::Http4xx, None, list),
        ];
        assert_eq!(failures(&report), expected);
        let gone = report.failures.iter().find(|failure| failure.url.ends_with("a.example/gone")).unwrap();
        let words = "http://a.example/gone ended as http_4xx with status 404, linked from http://a.example/list?page=1";
        assert_eq!(gone.to_string(), words);
    }
}

#[test]
fn a_panic_over_a_sitemap_keeps_its_words() {
    let report = run(shop("sitemap")).0.unwrap();
    let map = report.failures.iter().find(|failure| failure.url.ends_with("map.txt")).unwrap();
    assert_eq!((map.reason, map.referrer.as_deref()), (Reason::ParsePanic, None));
    assert!(map.error.as_deref().unwrap().contains("no entry, as asked: http://a.example/panics"), "{map:?}");
}

#[test]
fn a_spider_hears_where_a_failed_url_was_found() {
    let (output, collected) = opilio_export::Collect::new();
    run(shop("words").export(output)).0.unwrap();
    let rows = collected.items::<String>().unwrap();
    let expected = r#"http://a.example/moved from Some("http://a.example/list?page=1")"#;
    assert!(rows.iter().any(|row| row == expected), "{rows:?}");
}

#[test]
fn a_bad_seed_is_said_once_with_what_to_write() {
    let (error, _, _) = run(crawler(List(vec!["shop.example/a".into()])));
    let words = format!("{:?}", error.unwrap_err());
    assert_eq!(
        words,
        r#"a seed cannot be used: "shop.example/a" is not a URL: it has no scheme: write http:// or https:// in front"#
    );
}
