//! Tests of a spider on a scripted web: pages, several hosts, robots.txt, faults, kills, and the messages of
//! assertions.
#![allow(clippy::unwrap_used, reason = "tests")]

use opilio_testkit::prelude::*;

/// Follows all links, and writes the title of every page.
struct Titles;

impl Spider for Titles {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![Request::get("https://shop.example/", ())]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(page.title().unwrap_or_default().to_owned());
        found.follow_links(page, ());
        Ok(())
    }
}

/// Adds pages that form a chain: each links to the next.
fn row(web: Web, count: usize) -> Web {
    let path = |n: usize| if n.is_multiple_of(count) { "/".to_owned() } else { format!("/{n}") };
    (0..count).fold(web, |web, n| {
        let next = path(n + 1);
        web.page(&path(n), format!("<title>page {n}</title><a href={next}>next</a>"))
    })
}

fn panics(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(test).unwrap_err();
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap()
}

#[test]
fn paths_are_written_as_in_the_page_or_as_in_the_request() {
    let web = Web::new()
        .page(
            "/",
            "<title>home</title><a href='/lämpe?größe=1'>a</a><a href='/a b/../c'>b</a><a href='/x//y'>c</a>",
        )
        .page("/lämpe?größe=1", "<title>lamp</title>")
        .page("/a b/../c", "<title>c</title>")
        .page("https://shop.example/x//y", "<title>y</title>");
    let run = crawl(Titles).on(web).run();
    run.assert_finished();
    run.assert_items(["home", "lamp", "c", "y"]);
    for target in [
        "/lämpe?größe=1",
        "/l%C3%A4mpe?gr%C3%B6%C3%9Fe=1",
        "/c",
        "/a b/../c",
        "https://shop.example/lämpe?größe=1",
    ] {
        run.log.assert_requested_once(target);
    }
}

#[test]
fn hosts_robots_redirects_and_json_are_what_the_web_says() {
    let web = Web::new()
        .robots("User-agent: *\nDisallow: /private\nCrawl-delay: 5\n")
        .page(
            "/",
            "<title>home</title><a href=/private>x</a><a href=/old>y</a><a href=https://b.example/>z</a>",
        )
        .answer("/old", 301, [("location", "/new")], "")
        .page("/new", "<title>new</title><a href=https://nowhere.example/>nowhere</a>")
        .page("https://b.example/", "<title>other</title>")
        .site_at("https://b.example", HostConfig::new().site(Site::Empty).latency(Duration::from_secs(3)));
    let run = crawl(Titles).on(web).with(|crawler| crawler.scope(Scope::new().follow(Follow::All))).run();
    run.assert_items(["home", "new", "other"]);
    run.log.assert_polite();
    run.log.assert_not_requested("/private");
    run.log.assert_requested_once("https://b.example/");
    let reasons: Vec<_> = run.report.failures.iter().map(|failure| failure.reason).collect();
    assert_eq!(reasons, [Reason::Robots, Reason::Dns]);
    assert_eq!(run.log.host("b.example").served(), 1);
    // The crawl delay lies between four requests: robots.txt, home, old page, new page.
    assert!(run.took >= Duration::from_secs(15) && run.took < Duration::from_secs(60), "{:?}", run.took);
}

#[test]
fn two_runs_of_a_test_are_the_same() {
    let run = || {
        let rules = HostConfig::new().site(Site::Empty).limit(Limit::per_minute(10)).errors(500, 0.2);
        crawl(Titles).on(row(Web::new(), 40).site(rules)).run()
    };
    let (first, second) = (run(), run());
    assert_eq!((first.took, &first.items), (second.took, &second.items));
    assert_eq!(first.log.home(), second.log.home());
    assert!(first.log.home().refused() > 0);
    first.log.assert_polite();
}

#[test]
fn every_fault_of_a_site_reaches_the_crawl_as_it_would_over_a_wire() {
    let faults = [
        (Fault::Reset, Reason::Reset),
        (Fault::ResetMidBody, Reason::Reset),
        (Fault::Truncated, Reason::Reset),
        (Fault::Silence, Reason::Timeout),
        (Fault::Status(500), Reason::Http5xx),
        (Fault::Unreachable, Reason::Connect),
    ];
    for (fault, reason) in faults {
        let rules = HostConfig::new().site(Site::Empty).fault(Trigger::Path("/1".into()), fault);
        let run = crawl(Titles).on(row(Web::new(), 2).site(rules)).run();
        assert_eq!(run.items, ["page 0"], "{fault:?}");
        assert_eq!(run.report.reasons, [(reason, 1)].into(), "{fault:?}");
        run.log.assert_polite();
    }
    let slow = Fault::Drip { chunk: 4, every: Duration::from_millis(100) };
    let rules = HostConfig::new().site(Site::Empty).fault(Trigger::Path("/1".into()), slow);
    let run = crawl(Titles).on(row(Web::new(), 2).site(rules)).run();
    assert_eq!(run.items, ["page 0", "page 1"]);
    assert_eq!(run.log.home().counts().abandoned, 0);
}

#[test]
fn a_crawl_that_is_killed_again_and_again_writes_every_page_once() {
    let web = row(Web::new(), 30);
    let crawl = crawl(Titles)
        .on(web)
        .killed_after(3)
        .killed_after(9)
        .killed_after(10)
        .killed_at(Duration::from_secs(20));
    let run = crawl.resumed_after(Duration::from_secs(7)).run();
    run.assert_finished();
    run.assert_items((0..30).map(|n| format!("page {n}")));
    run.log.assert_polite();
    assert_eq!(run.report.pages, 30);
    assert!(run.took >= Duration::from_secs(4 * 7 + 29), "{:?}", run.took);
}

#[test]
fn a_crawl_without_an_end_and_one_that_ends_too_early_are_said() {
    let endless = || Web::new().written(|path| Some(format!("<title>x</title><a href={path}x>{path}</a>")));
    let words = panics(move || drop(crawl(Titles).on(endless()).max_requests(50).run()));
    assert!(words.contains("sent 50 requests and had more to send"), "{words}");
    assert!(words.contains("GET https://shop.example/xxxx"), "{words}");
    let words = panics(|| drop(crawl(Titles).on(row(Web::new(), 2)).killed_after(9).run()));
    assert!(words.contains("over before kill 1 (Requests(9))"), "{words}");
}

#[test]
fn impolite_crawls_are_said_with_what_they_did() {
    let words = |run: &TestRun| {
        let log = run.log.clone();
        panics(move || log.assert_polite())
    };
    // The server bans a client as soon as it has refused one request, and the crawl's default rate is above
    // its limit.
    let rules = HostConfig::new().site(Site::Empty).limit(Limit::per_minute(2)).ban_at(1);
    let run = crawl(Titles).on(row(Web::new(), 9).site(rules)).run();
    assert!(words(&run).contains("shop.example banned the crawl"), "{}", words(&run));
}

#[test]
fn what_was_not_requested_is_said_with_what_comes_closest() {
    let run = crawl(Titles).on(row(Web::new(), 3)).run();
    let log = run.log.clone();
    let words = panics(move || log.assert_requested("/2?page=1"));
    assert!(words.starts_with("/2?page=1 was not requested; of 4 requests these come closest:\n"), "{words}");
    assert!(words.contains("\n  GET https://shop.example/2 at 3.015 s, answered by 200\n"), "{words}");
}

#[test]
fn the_wall_clock_of_a_test_is_its_webs() {
    struct Dates;
    impl Spider for Dates {
        type Item = String;
        type Step = ();
        fn seeds(&self) -> Vec<Request<()>> {
            vec![Request::get("http://a.example/", ()), Request::get("http://a.example/2", ())]
        }
        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            found.item(page.header("date").unwrap_or_default().to_owned());
            Ok(())
        }
    }
    let rules =
        HostConfig::new().site(Site::Blank).limit(Limit::per_minute(2)).refusal(429, RefusalForm::HttpDate);
    let run = crawl(Dates).on(Web::new().site(rules)).killed_at(Duration::from_secs(30)).run();
    run.assert_items(["Thu, 01 Jan 2026 00:00:01 GMT", "Thu, 01 Jan 2026 00:01:00 GMT"]);
    run.log.assert_polite();
}

#[test]
fn items_are_compared_with_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("titles.json");
    std::fs::write(&path, r#"["page 1", "page 0", "page 7"]"#).unwrap();
    let run = crawl(Titles).on(row(Web::new(), 2)).run();
    let words = panics(|| run.assert_snapshot(&path));
    assert!(
        words.contains("titles.json:\n- missing: \"page 7\"\naccept them: OPILIO_ACCEPT=1 cargo test"),
        "{words}"
    );
    assert!(words.ends_with("-p opilio-testkit items_are_compared_with_a_snapshot"), "{words}");
    std::fs::write(&path, r#"["page 1", "page 0"]"#).unwrap();
    run.assert_snapshot(&path);
}

#[test]
fn a_test_within_a_runtime_is_told_what_to_write() {
    let words = panics(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { drop(crawl(Titles).on(row(Web::new(), 2)).run()) });
    });
    assert!(words.contains("write #[test] fn instead of #[tokio::test] async fn"), "{words}");
}
