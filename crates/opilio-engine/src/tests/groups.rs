//! Tests that the hosts of one registrable domain can share a budget, which is checked before a slot is granted.

use super::*;

/// Crawls these hosts, and returns the times at which their pages arrived.
fn arrivals(group_rate: Option<opilio_core::Rate>, hosts: &[&str]) -> Vec<Duration> {
    let spider = List(hosts.iter().flat_map(|host| urls(host, 10)).collect());
    let crawler = crawler(spider).transport(web(|_, _, _| page()));
    let (report, _, arrivals) = run(match group_rate {
        Some(rate) => crawler.group_rate(rate),
        None => crawler,
    });
    assert_eq!(report.unwrap().pages, 10 * hosts.len() as u64);
    arrivals.into_iter().map(|(at, _)| at).collect()
}

#[test]
fn hosts_of_a_group_share_its_budget_and_others_do_not() {
    let last = |arrivals: Vec<Duration>| arrivals.last().unwrap().as_secs_f64();
    let (one, two) =
        (["a.site.com", "b.site.com", "c.site.com"], ["a.site.com", "b.other.com", "c.third.com"]);
    // Each host has ten pages, at two requests a second.
    assert!((4.4..5.5).contains(&last(arrivals(None, &one))));
    let shared = arrivals(Some(per_second(2)), &one);
    for pair in shared.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(495), "{pair:?}");
    }
    assert!((14.4..15.5).contains(&last(shared)));
    assert!((4.4..5.5).contains(&last(arrivals(Some(per_second(2)), &two))));
}
