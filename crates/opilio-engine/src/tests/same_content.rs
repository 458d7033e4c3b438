//! Tests of sites that show the same page under many URLs: how the crawl stops on endless sites, and how duplicates
//! become aliases.

use std::collections::BTreeMap;

use opilio_export::{Collect, JsonLines};
use opilio_fetch::ScriptedAnswer;
use serde_json::Value;

use super::linked::{Links, quick, site};
use super::{List, crawler, run};
use crate::{CrawlReport, Crawler, Follow, Found, Page, ParseError, Request, Scope, Spider, TrapRules};

fn report_of<S: Spider>(crawler: Crawler<S>) -> (CrawlReport, Vec<String>) {
    let (report, _, arrivals) = run(crawler);
    let report = report.unwrap();
    assert!(report.balances(), "{report:?}");
    (report, arrivals.into_iter().map(|(_, url)| url).collect())
}

/// Answers every URL with the same page, which has relative links.
fn not_found(_: &str) -> ScriptedAnswer {
    ScriptedAnswer::page(
        "<title>Not found</title><a href=help/contact.html>help</a><a href=news/>news</a><a href=/>home</a>",
    )
}

/// Returns how many links were filtered because they belong to an endless site of this kind.
fn trapped(report: &CrawlReport) -> u64 {
    report.filtered.get("trap_same_content").copied().unwrap_or(0)
}

#[test]
fn a_not_found_page_with_relative_links_ends_soon() {
    let seed = Links(&["http://shop.example/old/page.html"]);
    let (report, arrivals) = report_of(quick(seed).transport(site(not_found)).max_pages(300));
    assert!(report.pages <= 15 && report.left == 0, "{arrivals:?}");
    assert!(trapped(&report) > 0 && report.failed() == 0, "{:?}", report.filtered);
    assert!(arrivals.contains(&"http://shop.example/".to_owned()), "what every page leads to is fetched");
}

#[test]
fn each_host_has_its_own_count_and_a_crawl_may_want_other_bounds() {
    let seeds = || Links(&["http://a.example/x/", "http://b.example/x/"]);
    let (both, _) = report_of(quick(seeds()).transport(site(not_found)).max_pages(300));
    assert!((12..=30).contains(&both.pages), "{}", both.pages);
    let rules = |same_content_max| Scope::new().traps(TrapRules { same_content_max, ..TrapRules::default() });
    let pages =
        |max| report_of(quick(seeds()).transport(site(not_found)).scope(rules(max)).max_pages(300)).0.pages;
    assert!(pages(1) < both.pages && pages(20) > both.pages);
    let scope = Scope::new().traps(TrapRules::none());
    let (all, _) = report_of(quick(seeds()).transport(site(not_found)).scope(scope).max_pages(120));
    assert_eq!((all.pages, trapped(&all)), (120, 0));
}

#[test]
fn pages_that_only_look_alike_are_followed() {
    // Twenty pages with the same body and the same links, then pages that differ, then answers without markup.
    let same = |url: &str| {
        let path = url.strip_prefix("http://shop.example").unwrap();
        match path {
            "/" => ScriptedAnswer::page((0..20).map(|n| format!("<a href=/p/{n}>x</a>")).collect::<String>()),
            _ if path.starts_with("/p/") => ScriptedAnswer::page("<a href=/a>a</a><a href=/b>b</a>"),
            _ => ScriptedAnswer::page("end"),
        }
    };
    let (report, arrivals) = report_of(quick(Links(&["http://shop.example/"])).transport(site(same)));
    assert_eq!((report.pages, trapped(&report)), (23, 0), "{arrivals:?}");
    let differs = |url: &str| ScriptedAnswer::page(format!("<p>{url}</p><a href=../n{}/>on</a>", url.len()));
    let (report, _) =
        report_of(quick(Links(&["http://shop.example/a/"])).transport(site(differs)).max_pages(9));
    assert_eq!(trapped(&report), 0);
}

/// A shop whose pages all have the same body. The spider gets the data by the URL of the page.
struct Shell;

impl Spider for Shell {
    type Item = String;
    type Step = bool;

    fn seeds(&self) -> Vec<Request<bool>> {
        (0..20).map(|n| Request::get(format!("http://shop.example/p/{n}"), false)).collect()
    }

    fn parse(&self, page: &Page<bool>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let Some(id) = page.url().path().strip_prefix("/p/") else {
            found.item(page.url().path().to_owned());
            return Ok(());
        };
        found.request(Request::get(format!("/api/{id}"), true));
        found.request(Request::get(format!("http://api.example/{id}"), true));
        Ok(())
    }
}

#[test]
fn what_a_spider_asks_for_by_itself_is_no_link_of_a_page() {
    let (report, _) = report_of(
        quick(Shell)
            .transport(site(|_| ScriptedAnswer::page("<div id=root></div>")))
            .scope(Scope::new().follow(Follow::All)),
    );
    assert_eq!((report.pages, report.items, trapped(&report)), (60, 40, 0));
}

#[test]
fn a_resumed_crawl_ends_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut pages = 0;
    for pages_max in [1, 3, 7, 300, 300] {
        let crawler = quick(Links(&["http://shop.example/old/"])).transport(site(not_found));
        let (report, _) = report_of(crawler.state(dir.path()).resume().max_pages(pages_max));
        pages = report.pages;
    }
    assert!(pages < 40, "{pages}");
}

/// Answers with four versions of one article, which differ in white space or in session ids, and then with pages of
/// other content.
fn articles(url: &str) -> ScriptedAnswer {
    let id = url.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let id = &id[id.len() - 32..];
    match url.rsplit('/').next().unwrap() {
        "0" => ScriptedAnswer::page("<title>T</title>\n<p>one  text</p><a href='/x?PHPSESSID=1'>x</a>"),
        "1" => {
            ScriptedAnswer::page(format!("<title>T</title><p>one text</p><a href='/x?PHPSESSID={id}'>x</a>"))
        }
        "2" => ScriptedAnswer::page("<title>T</title> <p>one text</p><a href='/x'>x</a>"),
        "3" => ScriptedAnswer::page("<title>T</title><p>another text</p>"),
        _ => ScriptedAnswer::page(""),
    }
}

/// Crawls the articles. Returns the report, and for each URL of the output the URL of which it is an alias, if any.
fn lines(crawler: Crawler<List>) -> (CrawlReport, BTreeMap<String, Option<String>>) {
    let (output, collected) = Collect::new();
    let (report, _) = report_of(crawler.transport(site(articles)).export(output));
    let lines = collected.items::<Value>().unwrap().into_iter().map(|line| match line {
        Value::String(url) => (url, None),
        line => (line["url"].as_str().unwrap().to_owned(), line["final_url"].as_str().map(str::to_owned)),
    });
    (report, lines.collect())
}

fn list(host: &str) -> Vec<String> {
    (0..6).map(|n| format!("http://{host}/{n}")).collect()
}

#[test]
fn pages_of_equal_content_are_aliases_of_the_first() {
    let urls = [list("a.example"), list("b.example")].concat();
    let (report, lines) = lines(crawler(List(urls.clone())).merge_duplicates());
    assert_eq!((report.pages, report.aliases, report.items), (8, 4, 8), "{lines:?}");
    assert_eq!(lines.len(), 12);
    for host in ["a.example", "b.example"] {
        let first = format!("http://{host}/0");
        let of = |n: usize| lines[&format!("http://{host}/{n}")].as_deref();
        let merged = (0..4).filter(|n| of(*n).is_some()).count();
        assert_eq!((merged, of(3)), (2, None), "{lines:?}");
        assert!((0..3).filter_map(of).all(|url| url == first), "{lines:?}");
        assert_eq!((of(4), of(5)), (None, None), "nothing is equal to nothing");
    }
    let (report, _) = self::lines(crawler(List(urls)));
    assert_eq!((report.pages, report.aliases), (12, 0), "unless it is asked for");
}

#[test]
fn a_merging_crawl_that_is_resumed_says_each_url_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let urls = list("a.example");
    let mut aliases = 0;
    for pages_max in [1, 100, 100] {
        let output = JsonLines::create(&path).unwrap();
        let crawler = crawler(List(urls.clone())).merge_duplicates().export(output);
        let crawler = crawler.state(dir.path().join("state")).resume().max_pages(pages_max);
        aliases = report_of(crawler.transport(site(articles))).0.aliases;
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let said: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let url = |line: &Value| line.as_str().or(line["url"].as_str()).unwrap().to_owned();
    let mut said: Vec<String> = said.iter().map(url).collect();
    said.sort();
    assert_eq!(said, urls);
    // Contents are remembered only during a run. So a second run may write another page with the same content.
    assert!((1..=2).contains(&aliases), "{aliases}");
}

#[test]
fn names_and_contents_merge_together() {
    let answer = |url: &str| match url.rsplit('/').next().unwrap() {
        "0" => ScriptedAnswer::page("<link rel=canonical href=/c><p>a</p>"),
        "1" => ScriptedAnswer::page("<link rel=canonical href=/c><p>b</p>"),
        "2" => ScriptedAnswer::page("<p>d</p>"),
        _ => ScriptedAnswer::page("<p>d</p> \n"),
    };
    let urls: Vec<_> = list("a.example").into_iter().take(4).collect();
    let of = |crawler: Crawler<List>| {
        let (report, _) = report_of(crawler.transport(site(answer)));
        (report.pages, report.aliases)
    };
    assert_eq!(of(crawler(List(urls.clone()))), (4, 0));
    assert_eq!(of(crawler(List(urls.clone())).merge_canonical()), (3, 1));
    assert_eq!(of(crawler(List(urls.clone())).merge_duplicates()), (3, 1));
    assert_eq!(of(crawler(List(urls)).merge_canonical().merge_duplicates()), (2, 2));
}
