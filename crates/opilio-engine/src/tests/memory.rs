//! Tests of crawls with a memory limit, in virtual time. Each test sets how much memory the process seems to use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opilio_core::{HostPolicy, per_second};
use opilio_fetch::ScriptedAnswer;
use tokio::time::Instant;

use super::{List, crawler, page, run, urls, web};
use crate::{CrawlError, Crawler, Found, Page, ParseError, Request, Spider, Stopped};

const LIMIT: u64 = 1 << 30;

/// Returns a crawl with a memory limit. `percent` gives the used memory in percent of the limit, for each second of
/// the crawl.
fn limited(spider: List, percent: impl Fn(u64) -> u64 + Send + 'static) -> Crawler<List> {
    let start = std::cell::OnceCell::new();
    crawler(spider)
        .host(HostPolicy::new().rate(per_second(1_000)).in_flight(32))
        .memory_limit(LIMIT)
        .gauge(move || Some(LIMIT / 100 * percent(start.get_or_init(Instant::now).elapsed().as_secs())))
}

#[test]
fn a_crawl_near_its_limit_takes_less_and_loses_nothing() {
    let spider = List(urls("a.example", 1_000).collect());
    let crawler = limited(spider, |second| match second {
        0..10 => 30,
        10..20 => 90,
        20..22 => 110,
        _ => 30,
    });
    let (report, _, arrivals) =
        run(crawler.transport(web(|_, _, _| page().after(Duration::from_millis(980)))));
    let report = report.unwrap();
    assert_eq!((report.pages, report.stopped), (1_000, Stopped::Finished));
    let most = |seconds: std::ops::Range<u64>| {
        let count = |second| arrivals.iter().filter(|(at, _)| at.as_secs() == second).count();
        seconds.map(count).max().unwrap()
    };
    assert!(most(2..10) >= 30, "{}", most(2..10));
    // After the next measurement only an eighth of the 64 slots is used. Each page takes a second, so at most 8
    // pages arrive per second.
    assert!(most(12..20) <= 2 * 8, "{}", most(12..20));
    assert!(most(12..20) >= 8, "{}", most(12..20));
    assert_eq!(most(21..22), 0, "nothing starts at the limit");
    // When memory is free again, the crawl uses more slots with every second.
    assert!(most(28..36) >= 30, "{}", most(28..36));
    let slowed = report.slowed;
    assert!(slowed > Duration::from_secs(14) && slowed < Duration::from_secs(17), "{slowed:?}");
}

#[test]
fn a_crawl_waits_at_its_limit_for_whatever_is_under_way() {
    let spider = List(urls("a.example", 20).collect());
    let crawler = limited(spider, |second| if (1..20).contains(&second) { 200 } else { 10 });
    // The first fetches are in flight when the limit is reached. They take longer than the memory may stay at the
    // limit.
    let answer = |_: &str, nth, _| page().after(Duration::from_secs(if nth <= 5 { 18 } else { 1 }));
    let (report, took, _) = run(crawler.host(HostPolicy::new().rate(per_second(4))).transport(web(answer)));
    let report = report.unwrap();
    assert_eq!((report.pages, report.stopped), (20, Stopped::Finished));
    assert!(took < Duration::from_secs(120), "{took:?}");
}

#[test]
fn a_crawl_that_does_not_fit_asks_for_nothing_and_ends() {
    let spider = List(urls("a.example", 20).collect());
    let (report, took, arrivals) = run(limited(spider, |_| 101).transport(web(|_, _, _| page())));
    let report = report.unwrap();
    assert!(report.balances() && arrivals.is_empty(), "{arrivals:?}");
    assert_eq!((report.pages, report.left, report.stopped), (0, 20, Stopped::MemoryLimit));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn hosts_that_wait_for_memory_do_not_keep_a_crawl_from_ending() {
    let spider = List(urls("a.example", 200).collect());
    let outgrown = |second| if second < 2 { 50 } else { 120 };
    let answer = |_: &str, _, _| page().after(Duration::from_millis(500));
    let (report, took, arrivals) = run(limited(spider, outgrown)
        .host(HostPolicy::new().rate(per_second(4)).in_flight(8))
        .transport(web(answer)));
    let report = report.unwrap();
    assert!(report.balances() && report.left > 0);
    assert_eq!(report.stopped, Stopped::MemoryLimit);
    let last = arrivals.last().unwrap().0;
    // This allows time for using fewer slots step by step, for the pages in flight, and for waiting at the limit.
    // The drain is not cut short.
    assert!(took < last + Duration::from_secs(6), "{took:?} after {last:?}");
}

#[test]
fn a_crawl_goes_on_one_at_a_time_with_what_the_allocator_keeps() {
    let spider = List(urls("a.example", 100).collect());
    let crawler = limited(spider, |second| if second < 2 { 30 } else { 96 });
    let (report, _, arrivals) = run(crawler.transport(web(|_, _, _| page().after(Duration::from_secs(1)))));
    let report = report.unwrap();
    assert_eq!((report.pages, report.stopped), (100, Stopped::Finished));
    let late: Vec<_> = arrivals.iter().map(|(at, _)| *at).filter(|at| at.as_secs() > 2).collect();
    assert!(late.len() > 10, "{late:?}");
    for pair in late.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(990), "{pair:?}");
    }
}

/// Counts the pages that were answered and not yet parsed: the present number and the largest. Both are shared
/// between threads, since a slow `parse` runs on another thread.
#[derive(Default)]
struct Unread {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A spider that subtracts each page that it has parsed from the count of unread pages.
struct Reader(List, Arc<Unread>);

impl Spider for Reader {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        self.0.seeds()
    }

    fn parse(&self, _: &Page<()>, _: &mut Found<Self>) -> Result<(), ParseError> {
        self.1.now.fetch_sub(1, Ordering::AcqRel);
        Ok(())
    }
}

#[test]
fn pages_that_wait_to_be_parsed_are_bounded_however_fast_their_hosts_are() {
    let unread = Arc::new(Unread::default());
    let list = List((0..60).flat_map(|n| urls(&format!("h{n}.example"), 20).collect::<Vec<_>>()).collect());
    let spider = Reader(list, unread.clone());
    let counted = unread.clone();
    let answer = move |_: &str, _, _| {
        let now = counted.now.fetch_add(1, Ordering::AcqRel) + 1;
        counted.most.fetch_max(now, Ordering::AcqRel);
        ScriptedAnswer::page("<title>at once</title>")
    };
    let (report, ..) = run(Crawler::new(spider)
        .host(HostPolicy::new().unlimited_rate().in_flight(32))
        .no_robots()
        .total_in_flight(16)
        .transport(web(answer)));
    assert_eq!(report.unwrap().pages, 1_200);
    // In addition to the 64 pages that wait, other pages are in flight.
    let most = unread.most.load(Ordering::Acquire);
    assert!(most <= 64 + 16, "{most} at a time");
}

#[test]
fn memory_that_nobody_tells_can_have_no_limit() {
    let spider = List(urls("a.example", 1).collect());
    let (report, ..) = run(limited(spider, |_| 0).gauge(|| None).transport(web(|_, _, _| page())));
    assert!(matches!(report, Err(CrawlError::MemoryUnknown)));
}

#[cfg(feature = "disk")]
#[test]
fn a_crawl_that_outgrew_its_limit_goes_on_when_it_has_more() {
    use opilio_export::JsonLines;

    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out.jsonl");
    let kept = |grows: fn(u64) -> u64| {
        let spider = List(urls("a.example", 300).collect());
        let export = JsonLines::create(&output).unwrap();
        let crawler = limited(spider, grows).export(export).state(dir.path().join("state")).resume();
        let (report, took, _) =
            run(crawler.transport(web(|_, _, _| page().after(Duration::from_millis(500)))));
        (report.unwrap(), took)
    };
    let (first, took) = kept(|second| if second < 2 { 50 } else { 120 });
    // Hosts that wait for a slot do not delay the end of the crawl.
    assert!(took < Duration::from_secs(7), "{took:?}");
    assert!(first.balances());
    assert_eq!(first.stopped, Stopped::MemoryLimit);
    assert!(first.pages > 0 && first.left > 0, "{first:?}");
    let rows = || {
        let text = std::fs::read_to_string(&output).unwrap();
        let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    assert_eq!(rows().len() as u64, first.pages);
    let (second, _) = kept(|_| 50);
    assert_eq!((second.pages, second.left, second.stopped), (300, 0, Stopped::Finished));
    let mut expected: Vec<_> = urls("a.example", 300).map(|url| format!("{url:?}")).collect();
    expected.sort();
    assert_eq!(rows(), expected, "each once");
}
