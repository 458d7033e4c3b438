//! Tests of how many hosts take turns for the slots. The web is scripted and the time virtual.

use super::*;

/// Crawls the pages of these hosts, whose rates bind nothing, with four requests in flight. Returns the arrivals.
fn crawl(hosts: &[(String, usize)]) -> Vec<(Duration, String)> {
    let pages: usize = hosts.iter().map(|(_, pages)| pages).sum();
    let spider = List(hosts.iter().flat_map(|(host, pages)| urls(host, *pages)).collect());
    let policy = HostPolicy::new().unlimited_rate().in_flight(1);
    let crawler = crawler(spider).host(policy).total_in_flight(4).transport(web(|_, _, _| page()));
    let (report, took, arrivals) = run(crawler);
    assert_eq!(report.unwrap().pages, pages as u64);
    let busy = Duration::from_millis(20) * u32::try_from(pages).unwrap() / 4;
    assert!(
        took < busy * 11 / 10 + Duration::from_secs(3),
        "no slot waits for a host: {took:?}, not {busy:?}"
    );
    arrivals
}

fn host_of(url: &str) -> &str {
    url.split('/').nth(2).unwrap()
}

#[test]
fn few_of_many_hosts_take_turns_at_a_time_so_that_each_keeps_its_connection() {
    let hosts: Vec<_> = (0..1_000).map(|n| (format!("{n}.example"), 3)).collect();
    let arrivals = crawl(&hosts);
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    let mut most = 0;
    for (_, url) in &arrivals {
        *left.entry(host_of(url)).or_insert(3) -= 1;
        most = most.max(left.values().filter(|left| **left > 0).count());
    }
    assert!(most < 150, "{most} hosts of 1,000 take turns");
}

#[test]
fn new_hosts_do_not_wait_until_large_hosts_are_done() {
    let large = (0..100).map(|n| (format!("large-{n}.example"), 100));
    let small = (0..100).map(|n| (format!("small-{n}.example"), 2));
    let arrivals = crawl(&large.chain(small).collect::<Vec<_>>());
    let last = arrivals.iter().rposition(|(_, url)| host_of(url).starts_with("small")).unwrap();
    assert!(
        last < arrivals.len() / 5,
        "the last page of a small host is number {last} of {}",
        arrivals.len()
    );
}
