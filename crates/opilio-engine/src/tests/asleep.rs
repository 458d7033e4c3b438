//! Tests of hosts that sleep: a host that has slept has all that it had before. The web is scripted and the time virtual.

use opilio_core::per_hour;

use super::orders::{errand, host, order, watch};
use super::robots::{site, text, times_of};
use super::*;
use crate::crawler::Handle;
use crate::message::OrderKind;
use crate::{OrderAnswer, PartSnapshot};

/// A crawl whose hosts wait a minute between two requests.
fn minutely(hosts: &[&str], pages: usize) -> Crawler<List> {
    let spider = List(hosts.iter().flat_map(|host| urls(host, pages)).collect());
    crawler(spider).host(HostPolicy::new().rate(per_hour(60)))
}

/// Returns how many hosts are live, and how many of them sleep.
async fn asleep(handle: &Handle) -> (usize, usize) {
    let parts = handle.snapshot().await.unwrap().parts.into_iter();
    let shards = parts.filter_map(|part| match part {
        PartSnapshot::Shard { live, asleep, .. } => Some((live, asleep)),
        _ => None,
    });
    shards.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

#[test]
fn it_keeps_its_pace_its_rules_and_its_counts() {
    let hosts = ["a.example", "b.example", "c.example"];
    let transport = site(|url, _| match url {
        url if url.ends_with("/robots.txt") => text("user-agent: *\ndisallow: /3\nsitemap: /map\n"),
        _ => page(),
    });
    let spider = List(hosts.iter().flat_map(|host| urls(host, 5)).collect());
    let crawler = Crawler::new(spider).host(HostPolicy::new().rate(per_hour(60))).seed(108);
    let (report, arrivals, shown) = watch(crawler.transport(transport), async |handle: Handle| {
        seconds(90).await;
        (asleep(&handle).await, handle.snapshot().await.unwrap())
    });
    let ((live, asleep), snapshot) = shown;
    assert_eq!((live, asleep), (3, 3));
    let words = serde_json::to_value(&snapshot.parts).unwrap();
    let mut shards = words.as_array().unwrap().iter().filter_map(|part| part.get("shard")?.get("hosts"));
    assert_eq!(shards.next().unwrap()[0]["wakes_in"][1], "Budget", "{words}");

    assert_eq!((report.pages, report.requests), (12, 15), "four pages and robots.txt of each host");
    assert_eq!(report.reasons, BTreeMap::from([(Reason::Robots, 3)]));
    for host in hosts {
        assert_eq!(times_of(&arrivals, &format!("//{host}/robots.txt")).len(), 1);
        let times = times_of(&arrivals, &format!("//{host}/"));
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(60)), "{times:?}");
        assert!(*times.last().unwrap() < Duration::from_secs(245), "it wakes in time: {times:?}");
    }
}

#[test]
fn it_keeps_its_hold_and_counts_as_held_and_orders_and_errands_reach_it() {
    let transport = web(|_, nth, _| if nth == 2 { refused(600) } else { page() });
    let crawler = minutely(&["a.example"], 4).transport(transport);
    let (report, arrivals, (held, answer, facts)) = watch(crawler, async |handle: Handle| {
        seconds(100).await;
        let held = (asleep(&handle).await, handle.progress().held, handle.progress().hosts);
        let answer = handle.hold(&host("a.example"), Duration::from_secs(900)).await;
        let errand = errand(&handle, "http://a.example/form").await;
        seconds(10).await;
        assert_eq!(asleep(&handle).await, (1, 1));
        (held, answer, errand.await.unwrap())
    });
    assert_eq!((held, answer), (((1, 1), 1, 1), Some(OrderAnswer::Obeyed)));
    assert_eq!(facts.outcome, opilio_core::Outcome::Answered(200));
    assert_eq!((report.pages, report.refusals, report.retries), (4, 1, 1));
    let times: Vec<_> = arrivals.iter().map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 6, "{arrivals:?}");
    assert!(times[2] >= Duration::from_secs(1_000), "{arrivals:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(60)), "{arrivals:?}");
}

#[test]
fn hosts_that_sleep_give_their_leases_back_when_the_crawl_is_stopped() {
    let names: Vec<String> = (0..600).map(|n| format!("{n}.example")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let crawler = minutely(&hosts, 3).live_hosts(600).transport(web(|_, _, _| page()));
    let (report, _, (counts, stopped_at)) = watch(crawler, async |handle: Handle| {
        seconds(30).await;
        let counts = asleep(&handle).await;
        handle.stop();
        (counts, Instant::now())
    });
    assert_eq!(counts, (600, 600));
    assert_eq!((report.pages, report.left), (600, 1_200));
    assert_eq!(report.stopped, Stopped::Interrupted);
    assert!(report.elapsed < Duration::from_secs(31), "{stopped_at:?} {:?}", report.elapsed);
}

#[test]
fn a_host_that_is_lost_while_it_sleeps_leaves_its_pages_to_the_crawl() {
    let crawler = minutely(&["a.example"], 4).transport(web(|_, _, _| page()));
    let (report, arrivals, answer) = watch(crawler, |handle| order(handle, OrderKind::Lose));
    assert_eq!((answer, report.pages, arrivals.len()), (OrderAnswer::Obeyed, 4, 4));
}
