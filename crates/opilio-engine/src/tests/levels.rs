//! Tests of limits of depth: every page within the limit is fetched, in whatever order the pages arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use opilio_core::{Fault, HostPolicy, Order, Reason, RetryPolicy, per_second};
use opilio_fetch::{Phase, ScriptedAnswer};
use opilio_frontier::HostCaps;

use super::linked::{Links, links, quick, site};
use super::{ARRIVALS, run};
use crate::{CrawlReport, Crawler, Follow, Scope};

/// Answers for a site with two ways from the seed to a page: a long way of three links and a short one of two. The
/// first answer on the short way is `spoilt`. The page links to a goal that is within three links of the seed only
/// by the short way.
fn two_ways(url: &str, spoilt: ScriptedAnswer) -> ScriptedAnswer {
    let to = |paths: &[&str]| links(paths.iter().map(|path| (*path).to_owned()));
    match url.strip_prefix("http://shop.example").unwrap_or(url) {
        "/" => to(&["/long/1", "/short"]),
        "/long/1" => to(&["/long/2"]),
        "/long/2" => to(&["/page"]),
        "/short" => {
            let before =
                ARRIVALS.with(|arrivals| arrivals.borrow().iter().filter(|(_, other)| other == url).count());
            if before == 1 { spoilt } else { to(&["/page"]) }
        }
        "/page" => to(&["/goal"]),
        _ => links([]),
    }
}

fn arrived(arrivals: &[(Duration, String)], path: &str) -> usize {
    arrivals.iter().filter(|(_, url)| url.ends_with(path)).count()
}

fn short() -> ScriptedAnswer {
    links(["/page".to_owned()])
}

fn ways_to_be_late() -> [ScriptedAnswer; 5] {
    [
        short().after(Duration::from_secs(20)),
        ScriptedAnswer::status(500),
        ScriptedAnswer::status(503).header(http::header::RETRY_AFTER, "30".parse().unwrap()),
        ScriptedAnswer::fault(Phase::Head, Fault::Reset),
        ScriptedAnswer::status(302).header(http::header::LOCATION, "/moved".parse().unwrap()),
    ]
}

fn web(spoilt: ScriptedAnswer) -> impl Fn(&str) -> ScriptedAnswer + Clone + Send + Sync {
    move |url| match url {
        "http://shop.example/moved" => short().after(Duration::from_secs(5)),
        _ => two_ways(url, spoilt.clone()),
    }
}

fn crawl(max: impl FnOnce(Crawler<Links>) -> Crawler<Links>, spoilt: &ScriptedAnswer) -> CrawlReport {
    let crawler = max(quick(Links(&["http://shop.example/"])));
    let (report, took, arrivals) = run(crawler.transport(site(web(spoilt.clone()))));
    let report = report.unwrap();
    assert!(report.balances() && report.left == 0, "{report:?}");
    assert!(took < Duration::from_secs(40), "{took:?}");
    assert_eq!(arrived(&arrivals, "/goal"), 1, "{spoilt:?} {arrivals:?}");
    report
}

#[test]
fn the_shorter_way_counts_whatever_arrives_first() {
    for spoilt in ways_to_be_late() {
        let by_scope = crawl(|crawler| crawler.scope(Scope::new().max_depth(3)), &spoilt);
        assert_eq!((by_scope.pages, by_scope.failed()), (6, 0), "{by_scope:?}");
        let caps = HostCaps { depth: Some(3), ..HostCaps::default() };
        let by_caps = crawl(|crawler| crawler.host_caps(caps), &spoilt);
        assert_eq!((by_caps.pages, by_caps.failed()), (6, 0), "{by_caps:?}");
    }
}

#[cfg(feature = "disk")]
#[test]
fn the_shorter_way_counts_in_a_state_directory_too() {
    for spoilt in ways_to_be_late() {
        let dir = tempfile::tempdir().unwrap();
        crawl(|crawler| crawler.scope(Scope::new().max_depth(3)).state(dir.path()), &spoilt);
        // The crawl is stopped before it has fetched everything, and then resumed.
        let dir = tempfile::tempdir().unwrap();
        let crawler = || {
            quick(Links(&["http://shop.example/"]))
                .scope(Scope::new().max_depth(3))
                .state(dir.path())
                .resume()
        };
        let (report, _, first) =
            run(crawler().max_duration(Duration::from_millis(100)).transport(site(web(spoilt.clone()))));
        assert!(report.unwrap().left > 0);
        let (report, _, second) = run(crawler().transport(site(web(spoilt.clone()))));
        assert!(report.unwrap().balances());
        assert_eq!(arrived(&[first, second].concat(), "/goal"), 1, "{spoilt:?}");
    }
}

#[test]
fn a_short_way_that_fails_for_good_holds_nobody_back() {
    let crawler = quick(Links(&["http://shop.example/"]))
        .scope(Scope::new().max_depth(3))
        .retry(RetryPolicy::default().retries(1));
    let web = |url: &str| match url {
        "http://shop.example/short" => ScriptedAnswer::status(500),
        _ => two_ways(url, links([])),
    };
    let (report, took, arrivals) = run(crawler.transport(site(web)));
    let report = report.unwrap();
    assert_eq!((report.pages, report.filtered["max_depth"]), (4, 1), "{report:?}");
    assert_eq!((report.reasons[&Reason::Http5xx], arrived(&arrivals, "/goal")), (1, 0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// The short way leads through another host, which is slow.
#[test]
fn a_way_by_another_host_counts_too() {
    let web = |url: &str| {
        let to = |url: &str| links([url.to_owned()]);
        match url {
            "http://shop.example/" => links(["/long/1".to_owned(), "http://other.example/short".to_owned()]),
            "http://other.example/short" => to("http://shop.example/page").after(Duration::from_secs(15)),
            _ => two_ways(url, links([])),
        }
    };
    let scope = Scope::new().max_depth(3).follow(Follow::All);
    let (report, took, arrivals) =
        run(quick(Links(&["http://shop.example/"])).scope(scope).transport(site(web)));
    assert_eq!((report.unwrap().pages, arrived(&arrivals, "/goal")), (6, 1));
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// A part of the short way is a slow redirect. When its answer arrives, its target is already known by the longer
/// way.
#[test]
fn a_shorter_way_by_a_redirect_counts_too() {
    let web = |url: &str| {
        let to = |url: &str| links([url.to_owned()]);
        match url.strip_prefix("http://shop.example").unwrap_or(url) {
            "/" => links(["/long".to_owned(), "/short".to_owned()]),
            "/long" => to("/page"),
            "/short" => ScriptedAnswer::status(302)
                .header(http::header::LOCATION, "/page".parse().unwrap())
                .after(Duration::from_secs(5)),
            "/page" => to("/next"),
            "/next" => to("/goal"),
            _ => links([]),
        }
    };
    let crawler = || quick(Links(&["http://shop.example/"])).scope(Scope::new().max_depth(3));
    let (report, _, arrivals) = run(crawler().transport(site(web)));
    let report = report.unwrap();
    assert_eq!((report.pages, report.aliases, arrived(&arrivals, "/goal")), (5, 1, 1), "{report:?}");
    #[cfg(feature = "disk")]
    {
        let dir = tempfile::tempdir().unwrap();
        let (report, _, _) = run(crawler().state(dir.path()).transport(site(web)));
        assert_eq!(report.unwrap().pages, 5);
    }
}

#[test]
fn a_slow_host_does_not_hold_up_the_others_for_long() {
    let web = |url: &str| match url {
        "http://slow.example/" => links((0..100).map(|n| format!("/{n}"))),
        "http://quick.example/" => links(["/1".to_owned()]),
        "http://quick.example/1" => links(["/2".to_owned()]),
        _ => links([]),
    };
    let crawler = quick(Links(&["http://slow.example/", "http://quick.example/"]))
        .host_named("slow.example", HostPolicy::new().rate(opilio_core::per_minute(6)))
        .scope(Scope::new().max_depth(5));
    let (report, _, arrivals) = run(crawler.transport(site(web)));
    assert_eq!(report.unwrap().pages, 104);
    let last = arrivals.iter().filter(|(_, url)| url.contains("quick")).map(|(at, _)| *at).max().unwrap();
    assert!(last < Duration::from_secs(130), "{last:?}");
}

#[test]
fn other_orders_are_kept_and_have_the_depth_of_the_first_way() {
    for order in [Order::DepthFirst, Order::BestFirst] {
        let crawler = quick(Links(&["http://shop.example/"])).order(order).scope(Scope::new().max_depth(3));
        let spoilt = short().after(Duration::from_secs(20));
        let (report, _, _) = run(crawler.transport(site(web(spoilt))));
        assert!(report.unwrap().balances());
    }
}

/// Crawls random sites with random delays and failures, and checks that the fetched pages are those that a
/// breadth-first search finds.
#[test]
fn exactly_what_is_within_the_depth_is_fetched() {
    const PAGES: usize = 150;
    const DEPTH: u16 = 4;
    let mut random = fastrand::Rng::with_seed(108);
    for _ in 0..20 {
        let edges: Vec<Vec<usize>> =
            (0..PAGES).map(|_| (0..random.usize(1..4)).map(|_| random.usize(0..PAGES)).collect()).collect();
        let late: Vec<u64> = (0..PAGES).map(|_| random.u64(0..4_000)).collect();
        let broken: Vec<bool> = (0..PAGES).map(|_| random.u8(0..10) == 0).collect();
        let mut depths = BTreeMap::from([(0, 0)]);
        let mut level = vec![0];
        for depth in 1..=DEPTH {
            let next: BTreeSet<usize> = level.iter().flat_map(|page| edges[*page].iter().copied()).collect();
            level = next.into_iter().filter(|page| !depths.contains_key(page)).collect();
            depths.extend(level.iter().map(|page| (*page, depth)));
        }
        let web = move |url: &str| {
            let n: usize = url.rsplit_once('/').unwrap().1.parse().unwrap();
            let met =
                ARRIVALS.with(|arrivals| arrivals.borrow().iter().filter(|(_, other)| other == url).count());
            if broken[n] && met == 1 {
                return ScriptedAnswer::status(500);
            }
            links(edges[n].iter().map(|to| format!("/{to}"))).after(Duration::from_millis(late[n]))
        };
        let crawler = quick(Links(&["http://shop.example/0"])).scope(Scope::new().max_depth(DEPTH));
        let (report, _, _) =
            run(crawler.host(HostPolicy::new().rate(per_second(50)).in_flight(8)).transport(site(web)));
        let report = report.unwrap();
        assert!(report.balances() && report.failures.is_empty(), "{report:?}");
        assert_eq!(report.pages, depths.len() as u64);
    }
}
