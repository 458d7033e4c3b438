//! Tests of all actors together, with a scripted web in virtual time: a day passes in milliseconds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::{Fault, HostPolicy, Reason, per_minute, per_second};
use opilio_export::{Collect, Encoder, Export, ExportError, Sink};
use opilio_fetch::{AddressPolicy, Phase, ScriptedAnswer, ScriptedTransport, Transport, TransportRequest};
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::{CrawlError, CrawlReport, Crawler, Found, Page, ParseError, Request, Spider, Stopped};

mod asleep;
mod breadth;
#[cfg(feature = "disk")]
mod cookies;
#[cfg(feature = "disk")]
mod coverage;
#[cfg(feature = "disk")]
mod deaths;
#[cfg(feature = "disk")]
mod failures;
mod groups;
mod guessed;
#[cfg(feature = "disk")]
mod hanging;
mod levels;
mod linked;
mod memory;
mod orders;
mod patience;
mod read_once;
mod redirects;
#[cfg(feature = "disk")]
mod resumed;
mod robots;
#[cfg(feature = "disk")]
mod same_content;
#[cfg(feature = "disk")]
mod session_ids;
mod sinks;
mod sitemaps;
#[cfg(feature = "disk")]
mod state;
#[cfg(feature = "disk")]
mod steps;
mod walls;
#[cfg(feature = "disk")]
mod words;

/// A spider that fetches a list of URLs and records which pages arrived.
struct List(Vec<String>);

impl Spider for List {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        self.0.iter().map(|url| Request::get(&**url, ())).collect()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(page.requested_url().to_owned());
        Ok(())
    }
}

fn urls(host: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!("http://{host}/{n}"))
}

/// The requests that arrived at the scripted web: the time of each, and its URL.
type Arrivals = Rc<RefCell<Vec<(Duration, String)>>>;

thread_local! {
    static ARRIVALS: Arrivals = Rc::default();
}

/// Returns a web whose answers a closure makes from the URL, the number of the arrival at the URL's host, and the
/// time since the start.
fn web(
    answer: impl Fn(&str, usize, Duration) -> ScriptedAnswer + Send + Sync + 'static,
) -> impl Fn() -> Rc<dyn Transport> + Send + Sync {
    let answer = Arc::new(answer);
    move || {
        let answer = answer.clone();
        let start = Instant::now();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        Rc::new(ScriptedTransport::new(move |now: Instant, ask: &TransportRequest| {
            let host = ask.url.host_str().unwrap_or_default().to_owned();
            let count = counts.entry(host.clone()).or_insert(0);
            *count += 1;
            let at = now - start;
            ARRIVALS.with(|arrivals| arrivals.borrow_mut().push((at, ask.url.to_string())));
            answer(&host, *count, at)
        }))
    }
}

fn page() -> ScriptedAnswer {
    ScriptedAnswer::page("<title>page</title>").after(Duration::from_millis(20))
}

fn refused(seconds: u64) -> ScriptedAnswer {
    let value = http::HeaderValue::from_str(&seconds.to_string()).unwrap();
    ScriptedAnswer::status(429).header(http::header::RETRY_AFTER, value).after(Duration::from_millis(20))
}

fn crawler(spider: List) -> Crawler<List> {
    crawler_of(spider)
}

fn crawler_of<S: Spider>(spider: S) -> Crawler<S> {
    Crawler::new(spider)
        .host(HostPolicy::new().rate(per_second(2)).in_flight(4))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
        .seed(108)
}

/// Runs a crawl in virtual time. Returns the report, the virtual time that the crawl took, and the arrivals.
fn run<S: Spider>(
    crawler: Crawler<S>,
) -> (Result<CrawlReport, CrawlError>, Duration, Vec<(Duration, String)>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    ARRIVALS.with(|arrivals| arrivals.borrow_mut().clear());
    let local = LocalSet::new();
    let (report, took) = local.block_on(&runtime, async move {
        let began = Instant::now();
        (crawler.run_here().await, began.elapsed())
    });
    (report, took, ARRIVALS.with(|arrivals| arrivals.borrow().clone()))
}

#[test]
fn a_crawl_whose_only_hosts_are_held_ends_when_they_do_and_not_before() {
    let spider = List(urls("held.example", 3).collect());
    let transport = web(|_, nth, _| if nth == 2 { refused(1_800) } else { page() });
    let (report, took, arrivals) = run(crawler(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!((report.pages, report.stopped), (3, Stopped::Finished));
    assert!(took >= Duration::from_secs(1_800) && took < Duration::from_secs(1_810), "{took:?}");
    let held =
        arrivals.iter().filter(|(at, _)| *at > Duration::from_secs(2) && *at < Duration::from_secs(1_800));
    assert_eq!(held.count(), 0, "{arrivals:?}");
}

#[test]
fn a_host_that_asks_for_a_day_is_left_and_the_others_finish() {
    let hosts = ["a.example", "b.example", "c.example", "d.example", "e.example"];
    let spider = List(hosts.iter().flat_map(|host| urls(host, 200)).collect());
    let transport =
        web(|host, nth, _| if host == "c.example" && nth >= 10 { refused(86_400) } else { page() });
    let (report, took, arrivals) = run(crawler(spider).transport(transport));
    let report = report.unwrap();
    assert!(report.balances());
    assert_eq!(report.pages, 800 + 9);
    assert_eq!(
        report.reasons.get(&Reason::HostClosed).copied().unwrap_or(0)
            + report.reasons.get(&Reason::Http4xx).copied().unwrap_or(0),
        191,
        "{:?}",
        report.reasons
    );
    assert!(report.failures.iter().all(|failure| failure.url.starts_with("http://c.example/")));
    let knocks = arrivals.iter().filter(|(_, url)| url.contains("//c.example/")).count();
    assert!(knocks <= 9 + 4, "{knocks} arrivals at the closed host");
    // 200 URLs at two a second take 100 s. The host that is closed must not make this longer.
    assert!(took < Duration::from_secs(105), "{took:?}");
}

#[test]
fn a_host_that_asks_to_wait_for_a_lifetime_is_left() {
    for wait in ["Fri, 31 Dec 2099 23:59:59 GMT", "99999999999999999999"] {
        for status in [503, 429] {
            let spider = List(urls("a.example", 9).collect());
            let transport = web(move |_, nth, _| match nth {
                3 => ScriptedAnswer::status(status)
                    .header(http::header::RETRY_AFTER, http::HeaderValue::from_static(wait)),
                _ => page(),
            });
            let (report, took, arrivals) = run(crawler(spider).transport(transport));
            let report = report.unwrap();
            assert!(report.balances());
            assert_eq!((report.pages, report.failures.len()), (2, 7), "{status} {wait}");
            assert_eq!(report.reasons[&Reason::HostClosed], 7, "{:?}", report.reasons);
            let said: Vec<_> =
                report.failures.iter().filter_map(|failure| failure.error.as_deref()).collect();
            let [said] = said[..] else { panic!("one URL put its host aside: {said:?}") };
            assert!(said.contains("put its host aside"), "{said}");
            assert_eq!(arrivals.len(), 3, "{arrivals:?}");
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
    }
}

#[test]
fn stalls_on_64_hosts_leave_the_65th_its_share() {
    let stalled = (0..64).flat_map(|n| urls(&format!("stalled-{n}.example"), 20).collect::<Vec<_>>());
    let spider = List(stalled.chain(urls("well.example", 60)).collect());
    let transport = web(|host, _, _| match host {
        "well.example" => page(),
        _ => page().after(Duration::from_secs(3_600)),
    });
    let (report, _, arrivals) = run(crawler(spider).total_in_flight(64).transport(transport));
    let report = report.unwrap();
    assert!(report.balances());
    assert_eq!(report.pages, 60);
    let of_well = arrivals.iter().filter(|(_, url)| url.starts_with("http://well.example/"));
    let last = of_well.map(|(at, _)| *at).max().unwrap();
    // All hosts are new, so none is known to work: the healthy host gets its first slot at the first deadline of the
    // stalled hosts. From then on its 60 pages take 30 s, however long the others stall.
    assert!(last < Duration::from_secs(30 + 30 + 5), "{last:?}");
}

#[test]
fn starts_are_evenly_spaced_from_the_first_one_on() {
    let spider = List(urls("a.example", 60).collect());
    let policy = HostPolicy::new().rate(per_minute(60)).in_flight(8);
    let (report, took, arrivals) = run(crawler(spider).host(policy).transport(web(|_, _, _| page())));
    assert_eq!(report.unwrap().pages, 60);
    for pair in arrivals.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(990), "{pair:?}");
    }
    assert!(took < Duration::from_secs(61), "{took:?}");
}

#[test]
fn a_host_that_is_out_for_a_minute_loses_nothing() {
    let spider = List(urls("a.example", 300).collect());
    let out = Duration::from_secs(20)..Duration::from_secs(80);
    let transport = web(move |_, _, at| if out.contains(&at) { ScriptedAnswer::status(502) } else { page() });
    let (report, _, _) = run(crawler(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!(report.pages, 300, "{:?}", report.reasons);
}

#[test]
fn a_url_that_always_fails_among_good_ones_ends() {
    let spider = List(urls("a.example", 50).chain(["http://a.example/bad".into()]).collect());
    let transport: fn() -> Rc<dyn Transport> = || {
        Rc::new(ScriptedTransport::new(|_: Instant, ask: &TransportRequest| {
            if ask.url.path() == "/bad" { ScriptedAnswer::status(500) } else { page() }
        }))
    };
    let (report, _, _) = run(crawler(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!(report.pages, 50);
    assert_eq!(report.failures.len(), 1);
    assert_eq!((report.failures[0].reason, report.failures[0].attempts), (Reason::Http5xx, 4));
}

#[test]
fn the_time_limit_ends_a_crawl_gently() {
    let spider = List(urls("a.example", 1_000).collect());
    let crawler = crawler(spider).max_duration(Duration::from_secs(30)).transport(web(|_, _, _| page()));
    let (report, took, _) = run(crawler);
    let report = report.unwrap();
    assert_eq!(report.stopped, Stopped::MaxDuration);
    assert!(report.balances() && report.left > 900);
    assert!(took < Duration::from_secs(32), "{took:?}");
}

#[test]
fn a_sink_that_fails_ends_the_crawl_with_its_error() {
    struct Full;
    impl<T> Encoder<T> for Full {
        fn encode(&mut self, _: &T, out: &mut Vec<u8>) -> Result<(), ExportError> {
            out.push(b'x');
            Ok(())
        }
    }
    impl Sink for Full {
        fn name(&self) -> Arc<str> {
            "full".into()
        }
        fn begin(&mut self, _: u64) -> Result<(), ExportError> {
            Ok(())
        }
        fn append(&mut self, _: &[u8]) -> Result<u64, ExportError> {
            Err(ExportError::Closed { sink: "full".into() })
        }
        fn flush(&mut self) -> Result<u64, ExportError> {
            Ok(0)
        }
        fn sync(&mut self) -> Result<u64, ExportError> {
            Ok(0)
        }
    }
    impl<T> Export<T> for Full {
        fn encoder(&self) -> Box<dyn Encoder<T>> {
            Box::new(Full)
        }
        fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
            Ok(self)
        }
    }
    let spider = List(urls("a.example", 100).collect());
    let (report, _, _) = run(crawler(spider).export(Full).transport(web(|_, _, _| page())));
    assert!(matches!(report, Err(CrawlError::Export(_))), "{report:?}");
}

#[test]
fn a_host_that_is_put_aside_ends_all_its_urls_at_once() {
    let spider = List(urls("a.example", 5_000).collect());
    let (report, took, arrivals) = run(crawler(spider).transport(web(|_, _, _| refused(86_400))));
    let report = report.unwrap();
    assert_eq!(report.failures.len(), 5_000);
    assert!(arrivals.len() <= 4, "{arrivals:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_report_lists_the_first_failures_and_counts_them_all() {
    let spider = List(urls("a.example", 10_050).collect());
    let (report, ..) = run(crawler(spider).transport(web(|_, _, _| refused(86_400))));
    let report = report.unwrap();
    assert!(report.balances());
    assert_eq!((report.failures.len(), report.unlisted, report.failed()), (10_000, 50, 10_050));
}

#[test]
fn a_host_whose_rules_cannot_be_asked_says_why() {
    for (fault, reason) in
        [(Fault::Connect, Reason::Connect), (Fault::BlockedAddress, Reason::BlockedAddress)]
    {
        let spider = List(urls("a.example", 40).collect());
        let transport = web(move |_, _, _| ScriptedAnswer::fault(Phase::Connect, fault));
        let crawler = Crawler::new(spider).transport(transport);
        let (report, took, _) = run(crawler);
        let report = report.unwrap();
        assert_eq!(report.reasons, BTreeMap::from([(reason, 40)]));
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}

#[test]
fn more_hosts_than_may_be_live_take_turns() {
    let hosts: Vec<String> = (0..9).map(|n| format!("h{n}.example")).collect();
    let spider = List(hosts.iter().flat_map(|host| urls(host, 20)).collect());
    let (report, _, _) = run(crawler(spider).live_hosts(2).transport(web(|_, _, _| page())));
    assert_eq!(report.unwrap().pages, 180);
}

#[test]
fn a_server_that_insists_on_a_tracking_parameter_gets_it() {
    let spider = List(vec!["http://a.example/x?utm_source=mail".to_owned()]);
    // Without the parameter the server only redirects to the URL with the parameter.
    let transport = || -> Rc<dyn Transport> {
        Rc::new(ScriptedTransport::new(|_: Instant, ask: &TransportRequest| {
            ARRIVALS.with(|arrivals| arrivals.borrow_mut().push((Duration::ZERO, ask.url.to_string())));
            if ask.url.query().is_some() {
                return page();
            }
            ScriptedAnswer::status(302)
                .header(http::header::LOCATION, http::HeaderValue::from_static("/x?gclid=1"))
        }))
    };
    let (report, _, arrivals) = run(crawler(spider).transport(transport).strip_tracking());
    let report = report.unwrap();
    assert_eq!((report.pages, report.failures.len()), (1, 0), "{:?}", report.reasons);
    let urls: Vec<_> = arrivals.iter().map(|(_, url)| url.as_str()).collect();
    assert_eq!(urls, ["http://a.example/x", "http://a.example/x?gclid=1"]);
}

#[test]
fn a_redirect_to_another_spelling_of_its_own_url_is_followed() {
    let spider = List(vec!["http://a.example/?b=2&a=1".into(), "http://a.example/turn".into()]);
    let transport: fn() -> Rc<dyn Transport> = || {
        Rc::new(ScriptedTransport::new(|_: Instant, ask: &TransportRequest| {
            let to = match (ask.url.path(), ask.url.query()) {
                ("/", Some("b=2&a=1")) => "http://a.example/?a=1&b=2",
                ("/turn", _) => "http://a.example/turn",
                _ => return page(),
            };
            ScriptedAnswer::status(301).header(http::header::LOCATION, http::HeaderValue::from_static(to))
        }))
    };
    let (report, _, _) = run(crawler(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!(report.pages, 1, "{report:?}");
    assert_eq!(report.reasons.get(&Reason::RedirectLoop), Some(&1));
}

#[test]
fn an_item_whose_encoding_panics_costs_its_page_alone() {
    struct Bomb(bool);
    impl serde::Serialize for Bomb {
        fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
            assert!(!self.0, "as asked by a test");
            out.serialize_unit()
        }
    }
    struct Bombs;
    impl Spider for Bombs {
        type Item = Bomb;
        type Step = u8;
        fn seeds(&self) -> Vec<Request<u8>> {
            (0..6).map(|n| Request::get(format!("http://a.example/{n}"), n)).collect()
        }
        fn parse(&self, page: &Page<u8>, found: &mut Found<Self>) -> Result<(), ParseError> {
            found.item(Bomb(*page.step() == 3));
            found.request(Request::get("http://[", 0));
            found.request(Request::get("relative", 0));
            Ok(())
        }
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (collect, _) = Collect::new();
    let crawler = Crawler::new(Bombs).no_robots().export(collect).transport(web(|_, _, _| page()));
    let report = runtime.block_on(crawler.run_here()).unwrap();
    assert_eq!(report.reasons.get(&Reason::ParsePanic), Some(&1), "{report:?}");
    // All six seeds and the relative link are pages, except for the page whose `parse` panicked.
    assert_eq!(report.pages, 6);
    assert_eq!(report.filtered.get("bad_url"), Some(&1));
    assert!(report.balances());
}

#[test]
fn a_host_actor_that_dies_during_a_hold_comes_back_with_it() {
    let spider = List(urls("a.example", 20).collect());
    let transport = web(|_, nth, _| if nth == 5 { refused(600) } else { page() });
    crate::host::die_once_at(Duration::from_secs(300));
    let (collect, collected) = Collect::new();
    let (report, took, arrivals) = run(crawler(spider).export(collect).transport(transport));
    let report = report.unwrap();
    assert!(crate::host::has_died(), "the actor was to die in this test");
    assert_eq!(report.pages, 20, "{report:?}");
    assert_eq!(collected.items::<String>().unwrap().len(), 20);
    let held =
        arrivals.iter().filter(|(at, _)| *at > Duration::from_secs(4) && *at < Duration::from_secs(600));
    assert_eq!(held.count(), 0, "{arrivals:?}");
    assert!(took < Duration::from_secs(640), "{took:?}");
}
