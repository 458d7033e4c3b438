//! Tests of the benchmark itself: the site has the described pages, and a crawl that misses or repeats a page is
//! detected.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use opilio::extract::Document;
use url::Url;

use crate::harness::{Run, WorkloadRuns, check_rows};
use crate::measure::ProcessUsage;
use crate::report::{check, json, median, table};
use crate::site::{Pages, SitePlan, Stats, locate, sku, url};
use crate::spacing::Punctuality;
use crate::workload::{self, Allocator};

fn document(pages: &Pages, (host, page): (usize, usize)) -> Document {
    let url = Url::parse(&url(8_080, host, page)).unwrap();
    Document::new(url, Some("text/html; charset=utf-8"), pages.write(host, page).into())
}

fn targets(document: &Document) -> Vec<(usize, usize)> {
    let links = document.css("a[href]").unwrap();
    let hrefs = links.iter().filter_map(|link| link.attr("href"));
    hrefs.filter_map(|href| locate(document.resolve(href)?.as_str())).collect()
}

#[test]
fn every_page_of_a_site_is_reached_from_its_seed() {
    let plan = SitePlan { bytes: 4_000, ..SitePlan::new(9, 32) };
    let pages = Pages::new(plan, 8_080);
    let (mut met, mut queue) = (BTreeSet::from([(0, 0)]), vec![(0, 0)]);
    while let Some(place) = queue.pop() {
        for target in targets(&document(&pages, place)) {
            assert!(target.0 < plan.hosts && target.1 < plan.pages, "{target:?} is no page");
            if met.insert(target) {
                queue.push(target);
            }
        }
    }
    assert_eq!(met.len(), plan.all());
}

#[test]
fn a_page_has_its_size_its_links_and_its_field() {
    let plan = SitePlan::new(200, 100);
    let pages = Pages::new(plan, 8_080);
    for place in [(0, 0), (0, 99), (17, 1), (199, 42)] {
        let page = document(&pages, place);
        assert!((19_000..21_000).contains(&page.body().len()), "{} bytes", page.body().len());
        assert_eq!(targets(&page).len(), plan.links + 1, "and one to its own middle");
        assert_eq!(page.css(".product-info .sku").unwrap().text().unwrap(), sku(place.0, place.1));
        let elements = page.css("*").unwrap().iter().count();
        assert!((300..380).contains(&elements), "{elements} elements");
    }
}

#[test]
fn pages_are_the_same_every_time_and_differ_from_each_other() {
    let plan = SitePlan::new(2, 10);
    let (one, other) = (Pages::new(plan, 8_080), Pages::new(plan, 8_080));
    assert_eq!(one.write(1, 3), other.write(1, 3));
    assert_ne!(one.write(1, 3), one.write(1, 4));
    assert_ne!(one.write(1, 3), one.write(0, 3));
}

#[test]
fn a_url_is_located_at_its_page_only() {
    for place in [(0, 0), (3, 1), (300, 99_999)] {
        assert_eq!(locate(&url(8_080, place.0, place.1)), Some(place));
    }
    for other in ["http://127.0.0.1:8080/shelf-9/entry-1.html", "http://127.0.0.1:8080/style.css", "x"] {
        assert_eq!(locate(other), None, "{other}");
    }
}

#[test]
fn rows_that_are_missing_wrong_or_there_twice_are_found() {
    let row =
        |page, sku: &str| format!("{{\"url\":\"{}\",\"title\":\"t\",\"sku\":\"{sku}\"}}\n", url(1, 0, page));
    let check = |rows: &[String]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(rows.concat().as_bytes()).unwrap();
        check_rows(file.path(), SitePlan::new(1, 2)).map_err(|error| error.to_string())
    };
    let (first, second) = (row(0, "K0-0"), row(1, "K0-1"));
    check(&[first.clone(), second.clone()]).unwrap();
    assert!(check(std::slice::from_ref(&first)).unwrap_err().contains("1 rows of 2"));
    assert!(check(&[first.clone(), first.clone(), second]).unwrap_err().contains("two rows"));
    assert!(check(&[first, row(1, "K0-0")]).unwrap_err().contains("wrong"));
    assert!(check(&[row(7, "K0-7")]).unwrap_err().contains("no page of the site"));
}

#[test]
fn every_case_stands_beside_an_earlier_one_of_its_workload() {
    for small in [false, true] {
        for workload in workload::all(small, &[Allocator::System, Allocator::Mimalloc], &[]) {
            let cases = workload.cases.iter().enumerate();
            let compared = cases.filter(|(_, case)| case.beside.is_some()).count();
            assert!(compared > 0, "{} compares nothing", workload.name);
            for (n, case) in workload.cases.iter().enumerate() {
                assert!(case.beside.is_none_or(|beside| beside < n), "{}: {}", workload.name, case.name);
            }
        }
    }
}

#[test]
fn every_operation_can_be_done_twice() {
    for operation in crate::micro::ALL {
        let mut step = operation.prepare().unwrap();
        step();
        step();
    }
}

#[test]
fn lateness_is_counted_from_the_earliest_request_of_a_schedule() {
    // Turns are 201 ms apart. The third request is 5 ms late, and the first one 1 ms.
    let host = vec![1_000, 201_000, 407_000, 603_000];
    let it = Punctuality::of(&[host], 300);
    assert_eq!(it.late, [0, 0, 1_000, 5_000]);
    // A request that is later than a start may be begins a new schedule.
    let it = Punctuality::of(&[vec![0, 201_000, 602_000, 803_000]], 300);
    assert_eq!(it.late, [0, 0, 0, 200_000]);
}

#[test]
fn a_budget_is_counted_in_the_intervals_between_requests() {
    let even = |n: u64, step: u64| (0..n).map(|n| n * step).collect::<Vec<_>>();
    let it = Punctuality::of(&[even(301, 200_000), even(151, 400_000)], 300);
    assert!((it.used - 75.0).abs() < 1e-9 && (it.used_least - 50.0).abs() < 1e-9);
    assert_eq!(it.most, 300, "a minute does not contain its end");
}

#[test]
fn a_median_is_the_middle_or_between_the_two_that_are() {
    assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
    assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < 1e-9);
}

/// Returns the first workload with invented runs: one row for each round, with the CPU milliseconds per page of each
/// crawl.
fn measured(rounds: &[[u64; 4]]) -> WorkloadRuns {
    let workload = workload::all(true, &[Allocator::System], &[]).swap_remove(0);
    let pages = workload.cases[0].site.all() as u64;
    let run = |ms: u64| Run {
        usage: ProcessUsage {
            wall: Duration::from_secs(1),
            cpu: Duration::from_millis(ms * pages),
            peak_bytes: 1 << 20,
        },
        stats: Stats::default(),
    };
    let runs = (0..4).map(|case| rounds.iter().map(|round| run(round[case])).collect()).collect();
    WorkloadRuns { workload, runs }
}

#[test]
fn a_crawl_is_compared_to_its_floor_of_the_same_round() {
    // In the second round, the machine is ten times slower than in the others.
    let it = measured(&[[10, 11, 30, 45], [100, 120, 300, 450], [10, 13, 30, 45]]);
    assert_eq!((it.ratio(0), it.ratio(2)), (None, None));
    assert!((it.ratio(1).unwrap() - 1.2).abs() < 1e-9);
    assert!((it.ratio(3).unwrap() - 1.5).abs() < 1e-9);
    assert!(table(&it).contains("1.20 × floor, links"));
    let figures: serde_json::Value = serde_json::from_str(&json(&[it]).unwrap()).unwrap();
    assert_eq!(figures["workloads"][0]["cases"][1]["beside"], "floor, links");
}

#[test]
fn a_ratio_that_is_far_off_fails_the_check_by_its_name() {
    check(&[measured(&[[10, 20, 30, 40]])]).unwrap();
    let error = check(&[measured(&[[10, 30, 30, 40]])]).unwrap_err().to_string();
    assert!(error.contains("one-host, Opilio, links: 3.00 ×") && !error.contains("DOM"), "{error}");
}
