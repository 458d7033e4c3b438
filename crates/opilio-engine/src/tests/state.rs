//! Tests of crawls with a state directory, in virtual time. To simulate a kill, a test drops the crawl: nothing
//! that is still to be done is done.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::{HostPolicy, Reason, Timestamp, per_minute, per_second};
use opilio_export::{Csv, Encoder, Export, ExportError, JsonLines, Sink};
use opilio_fetch::{AddressPolicy, ScriptedAnswer, ScriptedTransport, Transport, TransportRequest};
use opilio_frontier::{DiskFrontier, DiskOptions, Frontier};
use opilio_spider::run_history;
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::{ARRIVALS, List, crawler, page, refused, run, urls, web};
use crate::{CrawlError, CrawlReport, Crawler, Found, Page, ParseError, Request, Spider, Stopped};

/// A crawl that keeps its state in a directory from run to run.
struct Kept {
    dir: TempDir,
    urls: Vec<String>,
}

impl Kept {
    fn new(urls: impl IntoIterator<Item = String>) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), urls: urls.into_iter().collect() }
    }

    fn crawler(&self) -> Crawler<List> {
        let output = JsonLines::create(self.output()).unwrap();
        crawler(List(self.urls.clone())).export(output).state(self.dir.path().join("state")).resume()
    }

    fn output(&self) -> std::path::PathBuf {
        self.dir.path().join("out.jsonl")
    }

    fn rows(&self) -> Vec<String> {
        rows(&self.output())
    }

    /// Moves the saved clock of the crawl forward by this time.
    fn pass(&self, time: Duration) {
        let (dir, options) = (self.dir.path().join("state"), DiskOptions::default());
        let mut store = DiskFrontier::open_any(&dir, options).unwrap();
        if let Some(last) = run_history::last_run(&store).unwrap() {
            let now = Timestamp::from_micros(last.now_micros) + time;
            run_history::note_run(&mut store, now, last.totals, last.state);
        }
        store.checkpoint().unwrap();
    }
}

fn rows(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows: Vec<String> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows.sort();
    rows
}

/// Drops a crawl after this time, and returns the requests that had arrived. Returns `None` if the crawl ended
/// earlier.
pub(super) fn kill<S: Spider>(crawler: Crawler<S>, after: Duration) -> Option<Vec<(Duration, String)>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    ARRIVALS.with(|arrivals| arrivals.borrow_mut().clear());
    let local = LocalSet::new();
    let ended = local.block_on(&runtime, async { tokio::time::timeout(after, crawler.run_here()).await });
    drop(local);
    ended.err().map(|_| ARRIVALS.with(|arrivals| arrivals.borrow().clone()))
}

#[test]
fn a_crawl_that_is_killed_at_any_moment_writes_every_page_once() {
    let hosts = ["a.example", "b.example", "c.example"];
    let mut expected: Vec<String> = hosts.iter().flat_map(|host| urls(host, 12)).collect();
    expected.sort();
    let mut random = fastrand::Rng::with_seed(108);
    for _ in 0..5 {
        let kept = Kept::new(expected.clone());
        let (mut arrivals, mut kills) = (0, 0);
        while let Some(arrived) = kill(
            kept.crawler().transport(web(|_, _, _| page())),
            Duration::from_micros(random.u64(1..3_000_000)),
        ) {
            arrivals += arrived.len();
            kills += 1;
            assert!(kills < 1_000, "it comes no further");
        }
        assert_eq!(kept.rows(), expected);
        let (report, _, none) = run(kept.crawler().transport(web(|_, _, _| page())));
        let report = report.unwrap();
        assert!(report.balances() && none.is_empty(), "all is done: {none:?}");
        assert_eq!((report.pages, report.items, report.stopped), (36, 36, Stopped::Finished));
        assert!(report.requests >= 36, "{}", report.requests);
        assert!(arrivals <= 36 + kills * 12, "{arrivals} arrivals for 36 pages and {kills} kills");
    }
}

#[test]
fn rows_of_csv_are_written_once_below_one_header_whatever_is_killed_when() {
    let mut expected: Vec<String> =
        ["a.example", "b.example"].iter().flat_map(|host| urls(host, 9)).collect();
    expected.sort();
    let mut random = fastrand::Rng::with_seed(109);
    let kept = Kept::new(expected.clone());
    let path = kept.dir.path().join("out.csv");
    let begin = || {
        let output = Csv::create(&path).unwrap();
        let crawler =
            crawler(List(kept.urls.clone())).export(output).state(kept.dir.path().join("csv")).resume();
        crawler.transport(web(|_, _, _| page()))
    };
    let mut kills = 0;
    while kill(begin(), Duration::from_micros(random.u64(1..2_000_000))).is_some() {
        kills += 1;
        assert!(kills < 1_000, "it comes no further");
    }
    assert!(kills > 1, "{kills}");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut rows: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(rows.remove(0), "value");
    rows.sort_unstable();
    assert_eq!(rows, expected);
}

/// The spider [`List`], after the fields of its item were renamed.
struct Renamed(Vec<String>);

impl Spider for Renamed {
    type Item = BTreeMap<&'static str, String>;
    type Step = ();

    fn name(&self) -> &str {
        std::any::type_name::<List>()
    }

    fn seeds(&self) -> Vec<Request<()>> {
        List(self.0.clone()).seeds()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(BTreeMap::from([("title", page.requested_url().to_owned())]));
        Ok(())
    }
}

#[test]
fn a_csv_that_holds_other_items_is_refused_before_the_rest_is_fetched() {
    let kept = Kept::new(urls("a.example", 40));
    let (path, state) = (kept.dir.path().join("out.csv"), kept.dir.path().join("csv"));
    let output = || Csv::create(&path).unwrap();
    let begun = || {
        let crawler = crawler(List(kept.urls.clone())).export(output()).state(&state).resume();
        crawler.transport(web(|_, _, _| page()))
    };
    assert_eq!(run(begun().max_pages(10)).0.unwrap().pages, 10);
    let before = std::fs::read(&path).unwrap();

    let other = Crawler::new(Renamed(kept.urls.clone()))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
        .export(output())
        .state(&state)
        .resume()
        .transport(web(|_, _, _| page()));
    let (ended, _, arrivals) = run(other);
    let error = ended.unwrap_err();
    let words = format!("{error:?}");
    assert!(matches!(error, CrawlError::Export(ExportError::OtherColumns { .. })), "{words}");
    assert!(words.contains("value") && words.contains("title"), "{words}");
    assert!(arrivals.len() <= 2, "{arrivals:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let report = run(begun()).0.unwrap();
    assert_eq!((report.pages, report.failed(), report.left), (40, 0, 0));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 41);
}

#[test]
fn a_stated_wait_outlives_a_kill() {
    let kept = Kept::new(urls("held.example", 5));
    let transport = web(|_, nth, _| if nth == 2 { refused(60) } else { page() });
    let first = kill(kept.crawler().transport(transport), Duration::from_secs(10)).unwrap();
    assert_eq!(first.len(), 2, "{first:?}");
    let (report, took, arrivals) = run(kept.crawler().transport(web(|_, _, _| page())));
    assert_eq!((report.unwrap().pages, kept.rows().len()), (5, 5));
    // The clock continues from the time that was saved last, which is between the first refusal and the kill.
    let first = arrivals[0].0;
    assert!(first >= Duration::from_secs(49) && first <= Duration::from_secs(61), "{arrivals:?}");
    assert!(took < Duration::from_secs(64), "{took:?}");
}

#[test]
fn after_a_kill_a_host_counts_as_just_fetched() {
    let kept = Kept::new(urls("slow.example", 2));
    let policy = || HostPolicy::new().rate(per_minute(1));
    let first = kill(kept.crawler().host(policy()).transport(web(|_, _, _| page())), Duration::from_secs(1));
    assert_eq!(first.unwrap().len(), 1);
    let (_, _, arrivals) = run(kept.crawler().host(policy()).transport(web(|_, _, _| page())));
    assert!(arrivals[0].0 >= Duration::from_secs(60), "{arrivals:?}");
}

#[test]
fn after_an_abort_a_host_counts_as_just_fetched() {
    let kept = Kept::new(urls("slow.example", 2));
    let begun = slow(&kept).transport(web(|_, _, _| page()));
    // Commands come from other threads, so this run takes real time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let crawl = begun.start().unwrap();
        let handle = crawl.handle();
        while handle.progress().requests == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        handle.abort();
        crawl.await.unwrap()
    });
    assert_eq!((report.requests, report.stopped), (1, Stopped::Interrupted));
    assert_waits_a_minute(slow(&kept));
}

#[test]
fn after_a_drain_that_gave_up_a_host_counts_as_just_fetched() {
    let kept = Kept::new(urls("slow.example", 2));
    let stalls = || web(|_, _, _| page().after(Duration::from_secs(3_600)));
    let (report, took, arrivals) = run(slow(&kept).max_duration(Duration::from_secs(1)).transport(stalls()));
    assert_eq!((report.unwrap().left, arrivals.len()), (2, 1));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_waits_a_minute(slow(&kept));
}

#[test]
fn after_a_sink_that_failed_a_host_counts_as_just_fetched() {
    let kept = Kept::new(urls("slow.example", 2));
    let full =
        Full(Export::<String>::into_sink(Box::new(JsonLines::create(kept.output()).unwrap())).unwrap());
    let begun = crawler(List(kept.urls.clone())).export(full).state(kept.dir.path().join("state"));
    let begun = begun.host(HostPolicy::new().rate(per_minute(1)));
    let (report, _, arrivals) = run(begun.transport(web(|_, _, _| page())));
    assert!(matches!(report, Err(CrawlError::Export(_))), "{report:?}");
    assert_eq!(arrivals.len(), 1);
    assert_waits_a_minute(slow(&kept));
}

#[test]
fn a_host_that_sleeps_through_the_run_after_a_kill_counts_as_just_fetched_in_the_next() {
    let kept = Kept::new(urls("a.example", 2).chain(urls("b.example", 2)));
    let begun = slow(&kept).transport(web(|_, _, _| page()));
    assert_eq!(kill(begun, Duration::from_secs(1)).unwrap().len(), 2);
    // One of the two hosts does not become live in this run, which ends normally.
    let short = slow(&kept).live_hosts(1).max_duration(Duration::from_secs(1));
    let (report, _, arrivals) = run(short.transport(web(|_, _, _| page())));
    assert_eq!((report.unwrap().stopped, arrivals.len()), (Stopped::MaxDuration, 0));
    let (report, _, arrivals) = run(slow(&kept).transport(web(|_, _, _| page())));
    assert_eq!(report.unwrap().pages, 4);
    assert!(arrivals[0].0 >= Duration::from_secs(58), "{arrivals:?}");
}

/// Returns a crawl that sends each host one request a minute.
fn slow(kept: &Kept) -> Crawler<List> {
    kept.crawler().host(HostPolicy::new().rate(per_minute(1)))
}

/// Resumes a crawl that cannot know when its host was requested last, and checks that it waits a minute.
fn assert_waits_a_minute(crawler: Crawler<List>) {
    let (report, _, arrivals) = run(crawler.transport(web(|_, _, _| page())));
    assert_eq!(report.unwrap().pages, 2);
    assert!(arrivals[0].0 >= Duration::from_secs(60), "{arrivals:?}");
}

/// A file output on a disk that is full.
struct Full(Box<dyn Sink>);

impl Sink for Full {
    fn name(&self) -> Arc<str> {
        self.0.name()
    }
    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        self.0.begin(position)
    }
    fn append(&mut self, _: &[u8]) -> Result<u64, ExportError> {
        Err(ExportError::Closed { sink: self.name() })
    }
    fn flush(&mut self) -> Result<u64, ExportError> {
        self.0.flush()
    }
    fn sync(&mut self) -> Result<u64, ExportError> {
        self.0.sync()
    }
}

impl Export<String> for Full {
    fn encoder(&self) -> Box<dyn Encoder<String>> {
        JsonLines::to_writer(std::io::sink()).encoder()
    }
    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
        Ok(self)
    }
}

#[test]
fn a_host_remembers_its_budget_and_its_rules_when_it_sleeps() {
    let kept = Kept::new(urls("shop.example", 6));
    let crawler = |pages| {
        let output = JsonLines::create(kept.output()).unwrap();
        let spider = List(kept.urls.clone());
        Crawler::new(spider)
            .host(HostPolicy::new().rate(per_minute(6)))
            .addresses(opilio_fetch::AddressPolicy::allow_all())
            .export(output)
            .state(kept.dir.path().join("state"))
            .resume()
            .max_pages(pages)
            .transport(web(|_, _, _| page()))
    };
    let mut last = Duration::MAX;
    let mut asked = 0;
    let mut requests = 0;
    for pages in [2, 4, 6] {
        let (report, took, arrivals) = run(crawler(pages));
        let report = report.unwrap();
        assert_eq!(report.pages, pages, "{report:?}");
        asked += arrivals.iter().filter(|(_, url)| url.ends_with("/robots.txt")).count();
        requests += arrivals.len() as u64;
        assert_eq!(report.requests, requests, "all runs together");
        if last < Duration::MAX {
            // The time between the last request of one run and the first request of the next, not counting the time
            // between the runs.
            let gap = last + arrivals[0].0;
            assert!(gap >= Duration::from_secs(10), "{gap:?}");
        }
        last = took - arrivals.last().unwrap().0;
    }
    assert_eq!(asked, 1, "the rules were kept");
}

#[test]
fn what_a_closed_host_kept_is_tried_again_when_its_time_is_over() {
    let kept = Kept::new(urls("day.example", 4));
    let asks_for_a_day = || web(|_, nth, _| if nth == 2 { refused(86_400) } else { page() });
    let (report, _, _) = run(kept.crawler().transport(asks_for_a_day()));
    let report = report.unwrap();
    assert_eq!((report.pages, report.reasons[&Reason::HostClosed]), (1, 3));

    // The host is still closed: no request is sent, and no attempt is used up.
    let (report, _, arrivals) = run(kept.crawler().transport(web(|_, _, _| page())));
    let report = report.unwrap();
    assert!(arrivals.is_empty() && report.balances(), "{arrivals:?}");
    assert_eq!((report.pages, report.reasons[&Reason::HostClosed]), (1, 3));

    // A day passes, according to the crawl's saved clock.
    kept.pass(Duration::from_secs(86_400));
    let (report, _, arrivals) = run(kept.crawler().transport(web(|_, _, _| page())));
    let report = report.unwrap();
    assert!(report.balances() && report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!((report.pages, arrivals.len(), kept.rows().len()), (4, 3, 4));
}

#[test]
fn failures_are_tried_again_when_asked() {
    let kept = Kept::new(urls("moody.example", 3));
    let broken = || web(|_, _, _| ScriptedAnswer::status(404).after(Duration::from_millis(20)));
    let (report, _, _) = run(kept.crawler().transport(broken()));
    assert_eq!(report.unwrap().failures.len(), 3);
    let (report, _, arrivals) = run(kept.crawler().transport(web(|_, _, _| page())));
    assert_eq!((report.unwrap().failures.len(), arrivals.len()), (3, 0), "nobody asked");
    let (report, _, _) = run(kept.crawler().retry_failed().transport(web(|_, _, _| page())));
    let report = report.unwrap();
    assert!(report.balances() && report.failures.is_empty());
    assert_eq!((report.pages, kept.rows().len()), (3, 3));
}

#[test]
fn old_pages_are_asked_for_again_and_what_changed_is_known() {
    let kept = Kept::new(urls("news.example", 3));
    let crawler = || {
        let output = JsonLines::create(kept.output()).unwrap();
        Crawler::new(Changes(kept.urls.clone()))
            .host(HostPolicy::new().rate(per_second(2)))
            .addresses(opilio_fetch::AddressPolicy::allow_all())
            .no_robots()
            .export(output)
            .state(kept.dir.path().join("state"))
            .resume()
    };
    // The answers of the three pages: the first has an ETag, the second has no validator, and the third changes.
    let web = |third: &'static str| {
        move || -> Rc<dyn Transport> {
            Rc::new(ScriptedTransport::new(move |_, ask: &TransportRequest| {
                let tag = http::HeaderValue::from_static("\"v1\"");
                match ask.url.path() {
                    "/0" if ask.headers.get(http::header::IF_NONE_MATCH) == Some(&tag) => {
                        ScriptedAnswer::status(304)
                    }
                    "/0" => ScriptedAnswer::page("one").header(http::header::ETAG, tag),
                    "/1" => ScriptedAnswer::page("two"),
                    _ => ScriptedAnswer::page(third),
                }
            }))
        }
    };
    let (report, _) = run_any(crawler().history().transport(web("three")));
    assert_eq!(report.pages, 3);
    let (report, _) = run_any(crawler().refresh(Duration::from_secs(3_600)).transport(web("changed")));
    assert_eq!((report.pages, kept.rows().len()), (3, 3), "none is an hour old");
    kept.pass(Duration::from_secs(3_600));
    let (report, _) = run_any(crawler().refresh(Duration::from_secs(3_600)).transport(web("changed")));
    assert!(report.balances());
    assert_eq!((report.pages, report.left), (3, 0));
    let news = |n, unchanged| format!("http://news.example/{n} {unchanged}");
    let mut expected: Vec<String> = (0..3).map(|n| news(n, false)).collect();
    expected.extend([news(0, true), news(1, true), news(2, false)]);
    expected.sort();
    assert_eq!(kept.rows(), expected);
    // The next requests contain the validators that the last answers had.
    kept.pass(Duration::from_secs(3_600));
    run_any(crawler().refresh(Duration::from_secs(3_600)).transport(web("changed")));
    expected.extend([news(0, true), news(1, true), news(2, true)]);
    expected.sort();
    assert_eq!(kept.rows(), expected);
}

/// A spider that records which pages have changed since the last run.
struct Changes(Vec<String>);

impl Spider for Changes {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        self.0.iter().map(|url| Request::get(&**url, ())).collect()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(format!("{} {}", page.requested_url(), page.is_unchanged()));
        Ok(())
    }
}

/// Runs a crawl of any spider in virtual time.
fn run_any<S: Spider>(crawler: Crawler<S>) -> (CrawlReport, Duration) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async move {
        let began = tokio::time::Instant::now();
        (crawler.run_here().await.unwrap(), began.elapsed())
    })
}
