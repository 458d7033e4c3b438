//! Tests of messages about facts that the user would not notice otherwise: where the output went, that there was
//! nothing to do, that no request was sent.

use std::path::Path;

use opilio_export::{Collect, JsonLines};

use super::{List, crawler, page, run, urls, web};
use crate::{CrawlError, CrawlReport, Crawler, Found, Page, ParseError, Request, Scope, Spider};

fn one() -> List {
    List(urls("a.example", 1).collect())
}

#[test]
fn two_outputs_into_one_file_are_refused_whatever_it_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    std::fs::write(&path, "an earlier crawl's\n").unwrap();
    let mut spellings = vec![path.clone(), dir.path().join(".").join("out.jsonl")];
    #[cfg(unix)]
    {
        let (soft, hard) = (dir.path().join("soft"), dir.path().join("hard"));
        std::os::unix::fs::symlink(&path, &soft).unwrap();
        std::fs::hard_link(&path, &hard).unwrap();
        spellings.extend([soft, hard]);
    }
    for other in spellings {
        let outputs = crawler(one()).export(JsonLines::create(&path).unwrap());
        let outputs = outputs.export(JsonLines::create(&other).unwrap());
        let (error, _, arrivals) = run(outputs.transport(web(|_, _, _| page())));
        let error = error.unwrap_err();
        assert!(matches!(error, CrawlError::SameOutput { .. }), "{error:?}");
        assert!(error.to_string().contains("out.jsonl"), "{error}");
        assert!(arrivals.is_empty() && std::fs::read_to_string(&path).unwrap().starts_with("an earlier"));
    }
    let outputs = crawler(one()).export(JsonLines::create(dir.path().join("a")).unwrap());
    let outputs = outputs.export(JsonLines::create(dir.path().join("b")).unwrap());
    let report = run(outputs.transport(web(|_, _, _| page()))).0.unwrap();
    assert!(report.to_string().contains("1 item to each of "), "{report}");
    for name in ["a", "b"] {
        assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), "\"http://a.example/0\"\n");
    }
}

#[test]
fn items_that_no_output_takes_are_said_in_the_report() {
    let report = run(crawler(one()).transport(web(|_, _, _| page()))).0.unwrap();
    assert!(report.to_string().contains("1 item that no output takes"), "{report}");
    let (output, _) = Collect::new();
    let report = run(crawler(one()).export(output).transport(web(|_, _, _| page()))).0.unwrap();
    assert!(
        report.to_string().starts_with("1 page, 0 aliases, 0 failures, 1 item to memory in "),
        "{report}"
    );
}

#[test]
fn a_seed_is_wanted_by_being_named_and_patterns_judge_its_links() {
    struct Links;
    impl Spider for Links {
        type Item = String;
        type Step = ();
        fn seeds(&self) -> Vec<Request<()>> {
            vec![Request::get("http://a.example/start", ())]
        }
        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            found.follow_links(page, ());
            Ok(())
        }
    }
    let html = "<a href=/products/1>1</a><a href=/other>2</a><a href=/start?page=2>3</a>";
    let scopes = [
        (Scope::new().include("*/products/*").unwrap(), 2, 2),
        (Scope::new().exclude("*/start*").unwrap(), 3, 1),
    ];
    for (scope, pages, filtered) in scopes {
        let crawl = Crawler::new(Links).no_robots().scope(scope);
        let answer = move |_: &str, _: usize, _| opilio_fetch::ScriptedAnswer::page(html);
        let report = run(crawl.transport(web(answer))).0.unwrap();
        assert_eq!((report.pages, report.filtered["scope_pattern"]), (pages, filtered));
        assert_eq!(report.why_no_request(), None);
    }
}

#[test]
fn a_crawl_without_a_request_says_why() {
    let report = |urls: Vec<String>, scope: Scope| {
        let crawl = crawler(List(urls)).scope(scope);
        run(crawl.transport(web(|_, _, _| page()))).0.unwrap()
    };
    let long = format!("http://a.example/{}", "x".repeat(3_000));
    let why = |report: &CrawlReport| report.why_no_request().unwrap();
    assert_eq!(why(&report(Vec::new(), Scope::new())), "there are no seeds");
    assert_eq!(why(&report(vec![long], Scope::new())), "all seeds were filtered (1 url_too_long)");
    assert_eq!(report(urls("a.example", 1).collect(), Scope::new()).why_no_request(), None);
}

/// A spider that reads a list of URLs. Its items have the given layout (`item_layout`).
struct Fields(Vec<String>, &'static str);

impl Spider for Fields {
    type Item = String;
    type Step = ();
    fn name(&self) -> &str {
        "fields"
    }
    fn item_layout(&self) -> String {
        self.1.to_owned()
    }
    fn seeds(&self) -> Vec<Request<()>> {
        List(self.0.clone()).seeds()
    }
    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(page.requested_url().to_owned());
        Ok(())
    }
}

fn kept(dir: &Path, pages: usize, fields: &'static str) -> Crawler<Fields> {
    let output = JsonLines::create(dir.join("out.jsonl")).unwrap();
    let crawl = Crawler::new(Fields(urls("a.example", pages).collect(), fields)).no_robots().export(output);
    crawl.state(dir.join("state")).resume().transport(web(|_, _, _| page()))
}

#[test]
fn a_finished_crawl_that_is_resumed_says_that_nothing_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let first = run(kept(dir.path(), 2, "")).0.unwrap();
    assert!(!first.nothing_left && first.finished_before.is_none());
    for _ in 0..2 {
        let again = run(kept(dir.path(), 2, "")).0.unwrap();
        assert!(again.nothing_left && again.pages == 2, "{again:?}");
        let text = again.to_string();
        assert!(
            text.starts_with("nothing was left to do (finished on ")
                && text.contains(" GMT); all runs: 2 pages")
        );
        assert_eq!(again.why_no_request(), None);
    }
    let more = run(kept(dir.path(), 3, "")).0.unwrap();
    assert_eq!((more.nothing_left, more.pages), (false, 3));
    assert!(more.to_string().starts_with("3 pages"), "{more}");
}

#[test]
fn a_crawl_whose_items_consist_of_something_else_is_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    run(kept(dir.path(), 2, "name and price")).0.unwrap();
    let (error, _, arrivals) = run(kept(dir.path(), 4, "name and weight"));
    let error = error.unwrap_err();
    assert!(matches!(error, CrawlError::OtherItems { .. }) && arrivals.is_empty());
    assert!(error.to_string().contains("name and price, and not of name and weight"), "{error}");
    assert_eq!(run(kept(dir.path(), 4, "name and price")).0.unwrap().pages, 4);
}

#[test]
fn progress_counts_the_items_of_all_runs() {
    let dir = tempfile::tempdir().unwrap();
    run(kept(dir.path(), 2, "")).0.unwrap();
    // Only a crawl on its own threads returns a handle, so this test takes real time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (report, progress) = runtime.block_on(async {
        let crawl = kept(dir.path(), 3, "").max_pages(10).start().unwrap();
        let handle = crawl.handle();
        (crawl.await.unwrap(), handle.progress())
    });
    assert_eq!((report.items, progress.items, progress.pages_max), (3, 3, Some(10)));
}
