//! Tests of the coverage of fields: each page that ends counts once, whatever happens before.

use std::collections::BTreeMap;
use std::time::Duration;

use opilio_export::JsonLines;
use opilio_extract::Extract;
use opilio_fetch::ScriptedAnswer;
use tempfile::TempDir;

use super::linked::site;
use super::state::kill;
use super::{crawler_of, run};
use crate::{
    CrawlError, CrawlReport, Crawler, FieldCounts, Found, Page, ParseError, Request, ShortfallReason, Spider,
};

#[derive(Extract)]
struct Product {
    #[css("h1")]
    name: String,
    #[css(".price")]
    price: Option<u32>,
    #[css(".stock", default)]
    stock: u32,
}

/// A spider that reads a product from each of a number of pages on three hosts.
struct Shop(usize);

impl Spider for Shop {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        let url = |n| format!("http://{}.example/{n}", ["a", "b", "c"][n % 3]);
        (0..self.0).map(|n| Request::get(url(n), ())).collect()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let Product { name, price, stock } = page.extract()?;
        assert!(!page.requested_url().ends_with("/7"), "a bug of the spider");
        found.item(format!("{name} {price:?} {stock}"));
        Ok(())
    }
}

/// A shop in which every third product has no price, every fifth no name, and none has a stock. The eighth page is
/// large, so that another thread parses it.
fn shop(url: &str) -> ScriptedAnswer {
    let n: usize = url.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap();
    let name = if n % 5 == 4 { String::new() } else { format!("<h1>{n}</h1>") };
    let price = if n % 3 == 2 { "" } else { "<b class=price>9</b>" };
    let rest = if n == 8 { " ".repeat(300_000) } else { String::new() };
    ScriptedAnswer::page(format!("{name}{price}{rest}")).after(Duration::from_millis(20))
}

fn crawler(dir: &TempDir) -> Crawler<Shop> {
    let output = JsonLines::create(dir.path().join("out.jsonl")).unwrap();
    crawler_of(Shop(30)).export(output).state(dir.path().join("state")).resume().transport(site(shop))
}

/// Returns the counts of each field, in the order filled, empty, defaulted, unreadable.
fn counts(report: &CrawlReport) -> BTreeMap<&str, [u64; 4]> {
    let of = |counts: &FieldCounts| [counts.filled, counts.empty, counts.defaulted, counts.unreadable];
    report.coverage.iter().map(|(name, counts)| (name.as_str(), of(counts))).collect()
}

/// What the shop has: 30 pages, of which 24 have a name and 20 a price.
fn expected() -> BTreeMap<&'static str, [u64; 4]> {
    BTreeMap::from([
        ("Product.name", [24, 6, 0, 0]),
        ("Product.price", [20, 10, 0, 0]),
        ("Product.stock", [0, 0, 30, 0]),
    ])
}

#[test]
fn the_coverage_of_a_crawl_that_is_killed_at_any_moment_adds_up() {
    let mut random = fastrand::Rng::with_seed(13);
    let mut kills = 0;
    for round in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        // The first round is not killed.
        while round > 0 && kill(crawler(&dir), Duration::from_micros(random.u64(1..3_000_000))).is_some() {
            kills += 1;
            assert!(kills < 1_000, "it comes no further");
        }
        let (report, _, _) = run(crawler(&dir));
        let report = report.unwrap();
        assert_eq!((report.pages, report.failed(), report.items), (23, 7, 23), "{report}");
        assert_eq!(counts(&report), expected(), "round {round}");
    }
    assert!(kills > 5, "{kills}");
}

#[test]
fn attempts_that_fail_and_pages_that_are_aliases_do_not_count() {
    let flaky = |url: &str| match url.ends_with("/1") {
        true => ScriptedAnswer::status(500),
        false => shop(url),
    };
    let dir = tempfile::tempdir().unwrap();
    let (report, _, _) = run(crawler(&dir).transport(site(flaky)));
    let mut rest = expected();
    rest.insert("Product.name", [23, 6, 0, 0]);
    rest.insert("Product.price", [19, 10, 0, 0]);
    rest.insert("Product.stock", [0, 0, 29, 0]);
    assert_eq!(counts(&report.unwrap()), rest);

    let same = |_: &str| ScriptedAnswer::page("<h1>Lamp</h1>");
    let (report, _, _) = run(crawler_of(Shop(5)).merge_duplicates().transport(site(same)));
    let report = report.unwrap();
    assert_eq!((report.pages, report.aliases), (3, 2), "one page for each host");
    assert_eq!(counts(&report)["Product.name"], [3, 0, 0, 0]);
}

#[test]
fn failures_that_are_tried_again_count_as_they_end_at_last() {
    let dir = tempfile::tempdir().unwrap();
    let (report, _, _) = run(crawler(&dir).expect_filled("name", 0.9));
    let report = report.unwrap();
    let shortfall = &report.shortfalls[0];
    assert_eq!((shortfall.why, shortfall.filled, shortfall.total), (ShortfallReason::Less, 24, 30));
    assert!(
        report.to_string().contains("name was filled in 80 % (24 of 30), and 90 % are expected"),
        "{report}"
    );

    let repaired = |url: &str| ScriptedAnswer::page(format!("<h1>{url}</h1><b class=price>on request</b>"));
    let (report, _, _) =
        run(crawler(&dir).retry_failed().transport(site(repaired)).expect_filled("name", 1.0));
    let report = report.unwrap();
    // The price of two of the seven failures was not there, and is not readable now.
    assert_eq!(counts(&report)["Product.name"], [30, 0, 0, 0]);
    assert_eq!(counts(&report)["Product.price"].iter().sum::<u64>(), 30);
    assert_eq!(counts(&report)["Product.price"][3], 7);
    assert!(report.shortfalls.is_empty(), "{report}");
}

#[test]
fn a_crawl_that_is_refreshed_counts_its_pages_as_they_are_now() {
    let dir = tempfile::tempdir().unwrap();
    let whole = |url: &str| ScriptedAnswer::page(format!("<h1>{url}</h1><b class=price>9</b>"));
    run(crawler(&dir).history().transport(site(whole))).0.unwrap();
    let hour = Duration::from_secs(3_600);
    let (report, _, _) = run(crawler(&dir).refresh(hour).expect_filled("price", 0.9).transport(site(whole)));
    let report = report.unwrap();
    assert_eq!(
        counts(&report)["Product.price"][0],
        30,
        "no page is an hour old, so the earlier run is judged"
    );
    assert!(report.shortfalls.is_empty(), "{report}");

    let silent = |url: &str| ScriptedAnswer::page(format!("<h1>{url}</h1><b class=amount>9</b>"));
    let silent = crawler(&dir).refresh(Duration::ZERO).expect_filled("price", 0.1).transport(site(silent));
    let report = run(silent).0.unwrap();
    assert_eq!(counts(&report)["Product.price"], [0, 29, 0, 0], "one page had failed and is not refreshed");
    assert_eq!(report.shortfalls.len(), 1, "{report}");
}

#[test]
fn a_resumed_crawl_judges_all_runs_and_names_what_is_no_field() {
    let dir = tempfile::tempdir().unwrap();
    let (report, _, _) = run(crawler(&dir).max_pages(5));
    assert!(report.unwrap().shortfalls.is_empty());
    let expecting = crawler(&dir)
        .expect_filled("Product.price", 0.66)
        .expect_filled("price", 0.67)
        .expect_filled("prize", 0.5);
    let (report, _, _) = run(expecting);
    let report = report.unwrap();
    let missed: Vec<String> = report.shortfalls.iter().map(ToString::to_string).collect();
    assert_eq!(
        missed,
        [
            "price was filled in 66.6 % (20 of 30), and 67 % are expected",
            "prize is not a field of this crawl, whose fields are Product.name, Product.price, Product.stock",
        ]
    );
    let json = serde_json::to_value(&report).unwrap();
    let price = serde_json::json!({"filled": 20, "empty": 10, "defaulted": 0, "unreadable": 0});
    assert_eq!(json["coverage"]["Product.price"], price);
    let missed =
        serde_json::json!({"field": "price", "wanted": 0.67, "filled": 20, "total": 30, "why": "less"});
    assert_eq!(json["shortfalls"][0], missed);

    // A run that has nothing to do judges the runs before it.
    let (report, _, _) = run(crawler(&dir).expect_filled("price", 0.67));
    let report = report.unwrap();
    assert!(report.nothing_left && report.shortfalls.len() == 1, "{report}");
}

#[test]
fn a_share_that_is_none_is_refused_before_the_crawl() {
    for share in [98.0, -0.1, f64::NAN] {
        let (report, _, arrivals) = run(crawler_of(Shop(1)).expect_filled("price", share));
        assert!(matches!(report, Err(CrawlError::Expectation { .. })) && arrivals.is_empty());
    }
}
