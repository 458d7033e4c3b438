//! Tests in which each actor panics once: the crawl soon ends with an error that names the actor, and a resumed crawl
//! fetches the remaining pages.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::{HostPolicy, per_second};
use opilio_export::{Encoder, Export, ExportError, JsonLines, Sink};
use opilio_fetch::{ScriptedAnswer, ScriptedTransport, Transport};

use super::{List, crawler, page, run, urls, web};
use crate::{CrawlError, CrawlReport, Crawler, Stopped};

const ACTORS: [&str; 5] = ["fetcher pool", "spider runner", "shard", "supervisor", "scheduler"];

fn kept(dir: &Path) -> Crawler<List> {
    let hosts = ["a.example", "b.example", "c.example"];
    crawler(List(hosts.iter().flat_map(|host| urls(host, 100)).collect()))
        .host(HostPolicy::new().rate(per_second(100)).in_flight(8))
        .export(JsonLines::create(dir.join("out.jsonl")).unwrap())
        .state(dir.join("state"))
        .resume()
        .transport(web(|_, _, _| page()))
}

/// Runs a crawl on its own threads. Returns the result and how long the crawl took.
fn run_on_threads(crawler: Crawler<List>) -> (Result<CrawlReport, CrawlError>, Duration) {
    let began = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), crawler.run()).await });
    (ended.unwrap(), began.elapsed())
}

fn died(ended: Result<CrawlReport, CrawlError>) -> &'static str {
    match ended {
        Err(CrawlError::Died { name }) => name,
        other => panic!("{other:?}"),
    }
}

/// Resumes a crawl. Checks that the remaining pages are fetched and that the output has each page once.
fn expect_the_rest(dir: &Path, what: &str) {
    let (report, ..) = run(kept(dir));
    let report = report.unwrap();
    assert_eq!((report.pages, report.left, report.stopped), (300, 0, Stopped::Finished), "{what}");
    assert!(report.balances(), "{what}");
    let text = std::fs::read_to_string(dir.join("out.jsonl")).unwrap();
    let mut rows: Vec<&str> = text.lines().collect();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!((rows.len(), text.lines().count()), (300, 300), "{what}: each page once");
}

#[test]
fn an_actor_that_panics_ends_the_crawl_with_its_name_and_loses_nothing() {
    for name in ACTORS {
        let dir = tempfile::tempdir().unwrap();
        let (ended, took, _) = run(kept(dir.path()).fault(name, Duration::from_millis(300)));
        assert_eq!(died(ended), name);
        assert!(took < Duration::from_secs(10), "{name}: {took:?}");
        expect_the_rest(dir.path(), name);
    }
}

#[test]
fn so_does_one_on_a_thread_of_its_own() {
    for name in ACTORS {
        let dir = tempfile::tempdir().unwrap();
        let (ended, took) = run_on_threads(kept(dir.path()).fault(name, Duration::from_millis(300)));
        assert_eq!(died(ended), name);
        assert!(took < Duration::from_secs(10), "{name}: {took:?}");
        expect_the_rest(dir.path(), name);
    }
}

/// A file output whose sink panics after some rows.
struct Panics {
    file: Box<dyn Sink>,
    takes: usize,
}

impl Sink for Panics {
    fn name(&self) -> Arc<str> {
        self.file.name()
    }
    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        self.file.begin(position)
    }
    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        self.takes = self.takes.checked_sub(1).unwrap();
        self.file.append(rows)
    }
    fn flush(&mut self) -> Result<u64, ExportError> {
        self.file.flush()
    }
    fn sync(&mut self) -> Result<u64, ExportError> {
        self.file.sync()
    }
}

impl Export<String> for Panics {
    fn encoder(&self) -> Box<dyn Encoder<String>> {
        JsonLines::to_writer(std::io::sink()).encoder()
    }
    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
        Ok(self)
    }
}

#[test]
fn a_sink_that_panics_ends_the_crawl_with_the_exporters_name_and_loses_nothing() {
    for threads in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let file = JsonLines::create(dir.path().join("out.jsonl")).unwrap();
        let file = Export::<String>::into_sink(Box::new(file)).unwrap();
        let list =
            List(["a.example", "b.example", "c.example"].iter().flat_map(|host| urls(host, 100)).collect());
        let crawler = crawler(list)
            .host(HostPolicy::new().rate(per_second(100)).in_flight(8))
            .export(Panics { file, takes: 3 })
            .state(dir.path().join("state"))
            .resume()
            .transport(web(|_, _, _| page()));
        let (ended, took) = if threads {
            run_on_threads(crawler)
        } else {
            let (ended, took, _) = run(crawler);
            (ended, took)
        };
        assert_eq!(died(ended), "exporter");
        assert!(took < Duration::from_secs(10), "{took:?}");
        expect_the_rest(dir.path(), "a sink");
    }
}

#[test]
fn a_transport_that_panics_at_one_url_costs_that_url() {
    let make = || -> std::rc::Rc<dyn Transport> {
        std::rc::Rc::new(ScriptedTransport::new(
            |_, ask: &opilio_fetch::TransportRequest| -> ScriptedAnswer {
                assert!(!ask.url.path().ends_with("/7"), "this one panics");
                page()
            },
        ))
    };
    let (report, took, _) = run(crawler(List(urls("a.example", 20).collect())).transport(make));
    let report = report.unwrap();
    assert_eq!((report.pages, report.failed(), report.left), (19, 1, 0));
    assert!(report.failures[0].url.ends_with("/7"), "{report:?}");
    assert!(report.balances());
    assert!(took < Duration::from_secs(120), "{took:?}");
}
