//! Tests of crawls that are resumed with other settings than those of their first run.

use std::time::Duration;

use opilio_core::{HostPolicy, per_second};
use opilio_fetch::ScriptedAnswer;
use tempfile::TempDir;

use super::linked::{Links, links, quick, site};
use super::run;
use crate::{CrawlReport, Crawler, Follow, Scope};

/// Answers for a shop with five good pages and five broken ones, all linked from one page.
fn shop(url: &str) -> ScriptedAnswer {
    if url == "http://shop.example/" {
        links(["good", "bad"].iter().flat_map(|kind| (0..5).map(move |n| format!("/{kind}/{n}"))))
    } else {
        links([])
    }
}

/// Begins a crawl of the shop. It finds all URLs, but fetches only the first page.
fn begun(dir: &TempDir) {
    let (report, _, _) =
        run(quick(Links(&["http://shop.example/"])).max_pages(1).state(dir.path()).transport(site(shop)));
    assert_eq!(report.unwrap().left, 10);
}

fn resumed(dir: &TempDir, scope: Scope) -> (CrawlReport, Vec<String>) {
    let crawler = quick(Links(&["http://shop.example/"])).state(dir.path()).resume();
    let (report, _, arrivals) = run(crawler.scope(scope).transport(site(shop)));
    let report = report.unwrap();
    assert!(report.balances(), "{report:?}");
    (report, arrivals.into_iter().map(|(_, url)| url).collect())
}

#[test]
fn what_is_queued_and_out_of_the_new_scope_is_filtered_and_not_asked_for() {
    let scopes = [
        (Scope::new().exclude("*/bad/*").unwrap(), "scope_pattern", 5),
        (Scope::new().include("*/good/*").unwrap(), "scope_pattern", 5),
        (Scope::new().max_url_bytes(25), "url_too_long", 5),
        (Scope::new().max_depth(0), "max_depth", 10),
        (Scope::new().follow(Follow::None), "scope_host", 10),
    ];
    for (scope, why, filtered) in scopes {
        let dir = tempfile::tempdir().unwrap();
        begun(&dir);
        let (report, arrivals) = resumed(&dir, scope.clone());
        assert_eq!(report.filtered.get(why), Some(&filtered), "{why} {:?}", report.filtered);
        assert_eq!((report.pages, report.left), (11 - filtered, 0), "{why}");
        assert_eq!(arrivals.len() as u64, 10 - filtered, "{why} {arrivals:?}");
        // The run after this one has nothing to do.
        let (report, arrivals) = resumed(&dir, scope);
        assert_eq!((report.filtered[why], report.pages, arrivals.len()), (filtered, 11 - filtered, 0));
    }
}

#[test]
fn a_run_that_ends_before_it_has_judged_all_leaves_the_rest_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    begun(&dir);
    let narrow = || Scope::new().follow(Follow::None);
    let crawler = quick(Links(&["http://shop.example/"])).state(dir.path()).resume().max_pages(1);
    let (report, _, arrivals) = run(crawler.scope(narrow()).transport(site(shop)));
    assert!(report.unwrap().balances() && arrivals.is_empty());
    let (report, arrivals) = resumed(&dir, narrow());
    assert_eq!((report.left, report.filtered["scope_host"], arrivals.len()), (0, 10, 0));
}

#[test]
fn hosts_that_are_not_followed_any_more_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let web = |url: &str| match url {
        "http://shop.example/" => links(["http://other.example/1".to_owned(), "/2".to_owned()]),
        _ => links([]),
    };
    let crawler = || quick(Links(&["http://shop.example/"])).state(dir.path()).transport(site(web));
    let all = Scope::new().follow(Follow::All);
    let (report, _, _) = run(crawler().scope(all).max_pages(1));
    assert_eq!(report.unwrap().left, 2);
    let (report, _, arrivals) = run(crawler().resume());
    let report = report.unwrap();
    assert!(report.balances(), "{report:?}");
    assert_eq!((report.pages, report.filtered["scope_host"]), (2, 1));
    assert!(arrivals.iter().all(|(_, url)| url.starts_with("http://shop.example/")), "{arrivals:?}");
}

#[test]
fn the_target_of_a_redirect_is_judged_too_and_ends_its_origin() {
    let dir = tempfile::tempdir().unwrap();
    let web = |url: &str| match url {
        "http://shop.example/old" => {
            ScriptedAnswer::status(301).header(http::header::LOCATION, "/bad/1".parse().unwrap())
        }
        _ => links([]),
    };
    let crawler = || {
        quick(Links(&["http://shop.example/old", "http://shop.example/new"]))
            .host(HostPolicy::new().rate(per_second(1)))
            .state(dir.path())
            .resume()
            .transport(site(web))
    };
    let (report, _, arrivals) = run(crawler().max_duration(Duration::from_millis(500)));
    assert_eq!((report.unwrap().left, arrivals.len()), (2, 1));
    let (report, _, arrivals) = run(crawler().scope(Scope::new().exclude("*/bad/*").unwrap()));
    let report = report.unwrap();
    assert!(report.balances(), "{report:?}");
    assert_eq!((report.pages, report.filtered["scope_pattern"], report.left), (1, 1, 0));
    assert_eq!(arrivals.len(), 1, "{arrivals:?}");
}

fn redirect(to: &str) -> ScriptedAnswer {
    ScriptedAnswer::status(301).header(http::header::LOCATION, to.parse().unwrap())
}

/// Answers for a shop that has moved to another domain, and that also links to a third domain.
fn moved(url: &str) -> ScriptedAnswer {
    match url {
        "http://old.example/" => redirect("http://new.example/"),
        "http://new.example/" => links(["/1".to_owned(), "http://other.example/2".to_owned()]),
        _ => links([]),
    }
}

#[test]
fn the_host_that_a_seed_led_to_stays_in_whatever_is_followed_later() {
    for (later, filtered) in
        [(Follow::SameHost, 1), (Follow::SameDomain, 1), (Follow::None, 2), (Follow::All, 0)]
    {
        let dir = tempfile::tempdir().unwrap();
        let crawler =
            || quick(Links(&["http://old.example/"])).state(dir.path()).resume().transport(site(moved));
        let (report, _, _) = run(crawler().scope(Scope::new().follow(Follow::All)).max_pages(1));
        assert_eq!(report.unwrap().left, 2);
        let (report, _, _) = run(crawler().scope(Scope::new().follow(later)));
        let report = report.unwrap();
        assert!(report.balances() && report.left == 0, "{report:?}");
        let refused = report.filtered.get("scope_host").copied().unwrap_or_default();
        assert_eq!((report.pages, refused), (3 - filtered, filtered), "{later:?}");
    }
}

#[test]
fn where_a_seed_leads_to_is_fetched_by_a_later_run_and_where_a_link_does_is_judged() {
    let wait = |answer: ScriptedAnswer| answer.header(http::header::RETRY_AFTER, "5".parse().unwrap());
    let web = move |url: &str| match url {
        "http://seed.example/" => wait(redirect("http://new.example/")),
        "http://shop.example/" => links(["/out".to_owned()]),
        "http://shop.example/out" => wait(redirect("http://elsewhere.example/")),
        _ => links([]),
    };
    for later in [Follow::SameHost, Follow::SameDomain, Follow::None] {
        let dir = tempfile::tempdir().unwrap();
        let crawler = || {
            quick(Links(&["http://seed.example/", "http://shop.example/"]))
                .state(dir.path())
                .resume()
                .transport(site(web))
        };
        let all = Scope::new().follow(Follow::All);
        let (report, _, first) = run(crawler().scope(all).max_duration(Duration::from_secs(1)));
        assert_eq!((report.unwrap().left, first.len()), (2, 3), "{first:?}");
        let (report, _, arrivals) = run(crawler().scope(Scope::new().follow(later)));
        let report = report.unwrap();
        assert!(report.balances() && report.left == 0, "{report:?}");
        assert_eq!((report.pages, report.filtered["scope_host"]), (2, 1), "{later:?}");
        assert_eq!(arrivals.len(), 1, "{arrivals:?}");
        assert_eq!(arrivals[0].1, "http://new.example/");
    }
}

#[test]
fn what_waits_for_a_url_that_is_kept_out_now_fails_as_what_leads_there() {
    let dir = tempfile::tempdir().unwrap();
    let web = |url: &str| match url {
        "http://shop.example/1" => redirect("http://shop.example/bad/1"),
        "http://shop.example/2" => redirect("http://shop.example/1"),
        "http://shop.example/" => links(["/1", "/2", "/bad/1"].map(str::to_owned)),
        _ => links([]),
    };
    let crawler = || {
        quick(Links(&["http://shop.example/"]))
            .host(HostPolicy::new().rate(per_second(1)))
            .state(dir.path())
            .resume()
            .transport(site(web))
    };
    let (report, _, arrivals) = run(crawler().max_duration(Duration::from_millis(2_500)));
    assert_eq!((report.unwrap().left, arrivals.len()), (3, 3));
    let (report, _, arrivals) = run(crawler().scope(Scope::new().exclude("*/bad/*").unwrap()));
    let report = report.unwrap();
    assert!(report.balances() && report.left == 0 && arrivals.is_empty(), "{report:?} {arrivals:?}");
    let out_of_scope = report.reasons.get(&opilio_core::Reason::OutOfScope);
    assert_eq!((report.filtered["scope_pattern"], out_of_scope), (1, Some(&2)), "{report:?}");
    // The failed URLs are requested again, now with a scope that contains them.
    let (report, _, _) = run(crawler().retry_failed());
    let report = report.unwrap();
    assert!(report.balances() && report.failures.is_empty(), "{report:?}");
    assert_eq!((report.pages, report.aliases, report.left), (2, 1, 0));
}

/// Returns a crawl of a site with a list of pages. The test decides whether the site works.
fn listed(dir: &TempDir) -> Crawler<Links> {
    quick(Links(&["http://shop.example/1", "http://shop.example/2", "http://shop.example/3"]))
        .state(dir.path())
        .resume()
}

#[test]
fn a_site_that_was_down_for_a_whole_run_is_asked_again_when_told_to() {
    use opilio_core::Fault;
    use opilio_fetch::Phase;
    let downs = [
        ScriptedAnswer::fault(Phase::Connect, Fault::Connect),
        ScriptedAnswer::fault(Phase::Connect, Fault::Timeout),
        ScriptedAnswer::status(503),
    ];
    for down in downs {
        let dir = tempfile::tempdir().unwrap();
        let transport = site({
            let down = down.clone();
            move |_| down.clone()
        });
        let (report, _, arrivals) = run(listed(&dir).transport(transport));
        let report = report.unwrap();
        assert!(report.failed() == 3 && !arrivals.is_empty(), "{report:?}");

        // Without that setting, the crawl sends no request before the hour is over.
        let (report, _, arrivals) = run(listed(&dir).transport(site(|_| links([]))));
        assert_eq!((report.unwrap().pages, arrivals.len()), (0, 0), "{down:?}");

        let (report, took, arrivals) =
            run(listed(&dir).retry_failed().transport(site(|_| links([]).after(Duration::from_secs(1)))));
        let report = report.unwrap();
        assert!(report.balances() && report.failures.is_empty(), "{report:?}");
        assert_eq!((report.pages, arrivals.len()), (3, 3), "{arrivals:?}");
        assert!(took < Duration::from_secs(90), "{took:?}");
    }
}

#[test]
fn one_probe_finds_out_whether_a_site_is_well_again() {
    use opilio_core::Fault;
    use opilio_fetch::Phase;
    let dir = tempfile::tempdir().unwrap();
    let down = || site(|_| ScriptedAnswer::fault(Phase::Connect, Fault::Connect));
    run(listed(&dir).transport(down())).0.unwrap();
    let (report, _, arrivals) = run(listed(&dir).retry_failed().transport(down()));
    let report = report.unwrap();
    assert!(report.balances() && report.failed() == 3, "{report:?}");
    let early = arrivals.iter().filter(|(at, _)| *at < arrivals[0].0 + Duration::from_millis(500));
    assert_eq!(early.count(), 1, "{arrivals:?}");
    assert!(arrivals.len() <= 10, "{arrivals:?}");
}

#[test]
fn a_wait_that_a_host_stated_is_kept_whoever_asks() {
    let dir = tempfile::tempdir().unwrap();
    let asks_for_a_day =
        || site(|_| ScriptedAnswer::status(503).header(http::header::RETRY_AFTER, "86400".parse().unwrap()));
    let (report, _, arrivals) = run(listed(&dir).transport(asks_for_a_day()));
    assert!(report.unwrap().failed() == 3 && !arrivals.is_empty());
    let (report, _, arrivals) = run(listed(&dir).retry_failed().transport(site(|_| links([]))));
    let report = report.unwrap();
    assert!(report.balances() && arrivals.is_empty(), "{arrivals:?}");
    assert_eq!((report.pages, report.failed()), (0, 3));
}

#[test]
fn the_last_wait_that_was_stated_before_strikes_put_a_host_aside_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let asks_for_a_while =
        || site(|_| ScriptedAnswer::status(503).header(http::header::RETRY_AFTER, "1000".parse().unwrap()));
    let (report, _, _) = run(listed(&dir).transport(asks_for_a_while()));
    assert_eq!(report.unwrap().failed(), 3);
    let (report, _, arrivals) = run(listed(&dir).retry_failed().transport(site(|_| links([]))));
    assert_eq!((report.unwrap().pages, arrivals.len()), (3, 3));
    assert!(arrivals[0].0 >= Duration::from_secs(950), "{arrivals:?}");
}
