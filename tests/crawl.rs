//! Black box: real crawls of the sandbox, checked by its arrival log.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use opilio::export::Collect;
use opilio::prelude::*;
use opilio::{Handle, Reason, Stopped};
use opilio_sandbox::{Fault, HostConfig, Limit, RefusalForm, Sandbox, Site, Trigger};

/// The facts of one fetched page.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
struct Seen {
    url: String,
    final_url: String,
    depth: u16,
}

/// Fetches a list of URLs, follows links if told to, and misbehaves on request.
struct Walker {
    seeds: Vec<Request<()>>,
    follow: bool,
}

impl Walker {
    fn list(urls: impl IntoIterator<Item = String>) -> Self {
        Self { seeds: urls.into_iter().map(|url| Request::get(url, ())).collect(), follow: false }
    }

    fn from(url: String) -> Self {
        Self { follow: true, ..Self::list([url]) }
    }
}

impl Spider for Walker {
    type Item = Seen;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        self.seeds.clone()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        if page.url().path().starts_with("/panic") {
            panic!("as asked");
        }
        if page.url().path().starts_with("/error") {
            found.item(Seen { url: "half".into(), final_url: String::new(), depth: 0 });
            return Err(ParseError::new("as asked"));
        }
        found.item(Seen {
            url: page.requested_url().to_owned(),
            final_url: page.url().to_string(),
            depth: page.depth(),
        });
        if self.follow {
            found.follow_links(page, ());
        }
        Ok(())
    }
}

/// A crawl of local servers: a high rate, no robots.txt, loopback allowed.
fn crawler(spider: Walker) -> Crawler<Walker> {
    Crawler::new(spider)
        .host(HostPolicy::new().unlimited_rate().in_flight(8))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
}

fn sandbox(host: HostConfig) -> Sandbox {
    Sandbox::builder().host(host).start().unwrap()
}

async fn run(crawler: Crawler<Walker>) -> (CrawlReport, Vec<Seen>) {
    let (collect, collected) = Collect::new();
    let report = crawler.export(collect).run().await.unwrap();
    assert!(report.balances(), "{report:?}");
    (report, collected.items().unwrap())
}

#[tokio::test]
async fn every_page_of_a_site_arrives_once() {
    let sandbox = sandbox(HostConfig::new());
    let (report, seen) = run(crawler(Walker::from(sandbox.base(0)))).await;
    let products = sandbox.catalog(0).unwrap().products().len();
    assert!(report.pages as usize > products, "{report:?}");
    assert_eq!(report.stopped, Stopped::Finished);
    assert_eq!(report.left, 0);
    assert_eq!(seen.len(), report.pages as usize);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let log = sandbox.log(0);
    assert!(log.served_twice().is_empty(), "{:?}", log.served_twice());
    assert!(log.max_in_flight() <= 8);
}

#[tokio::test]
async fn a_parse_that_panics_or_fails_costs_its_page_alone() {
    let host = HostConfig::new().site(Site::Blank);
    let sandbox = sandbox(host);
    let urls = ["/a", "/panic", "/error", "/b"].map(|path| sandbox.url(0, path));
    let (report, seen) = run(crawler(Walker::list(urls))).await;
    assert_eq!(report.pages, 2);
    let mut reasons: Vec<_> = report.failures.iter().map(|failure| failure.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["parse_error", "parse_panic"]);
    // No item of the failed page was written.
    assert!(seen.iter().all(|seen| seen.url != "half"));
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn a_redirect_is_reported_under_the_url_that_was_asked_for() {
    let sandbox = sandbox(HostConfig::new().site(Site::Blank));
    let there = sandbox.url(0, "/there");
    let (report, seen) = run(crawler(Walker::list([sandbox.url(0, "/go?to=/there&status=302")]))).await;
    assert_eq!((report.pages, report.aliases, report.admitted), (1, 0, 1));
    assert_eq!(seen[0].final_url, there);
    assert_eq!(seen[0].url, sandbox.url(0, "/go?to=/there&status=302"));
}

#[tokio::test]
async fn a_redirect_to_a_known_url_ends_as_an_alias_and_fetches_nothing_twice() {
    let sandbox = sandbox(HostConfig::new().site(Site::Blank));
    let urls = ["/there", "/go?to=/there&status=301", "/go?to=/there&status=302"];
    let one_at_a_time = HostPolicy::new().unlimited_rate();
    let spider = Walker::list(urls.map(|path| sandbox.url(0, path)));
    let (collect, collected) = Collect::new();
    let report = crawler(spider).host(one_at_a_time).export(collect).run().await.unwrap();
    assert_eq!((report.pages, report.aliases, report.admitted), (1, 2, 3));
    assert!(report.balances());
    let lines = collected.items::<serde_json::Value>().unwrap();
    let aliases = lines.iter().filter(|line| line["alias"] == true);
    assert_eq!(aliases.filter(|line| line["final_url"] == sandbox.url(0, "/there")).count(), 2, "{lines:?}");
    assert_eq!(lines.len(), 3);
    assert_eq!(sandbox.log(0).tries().get("/there"), Some(&1));
}

#[tokio::test]
async fn redirects_that_never_end_end() {
    let sandbox = sandbox(HostConfig::new().site(Site::Blank));
    let me = sandbox.url(0, "/go?to=/loop-back&status=302");
    let own = sandbox.url(0, "/self");
    // /go?to=X redirects to X; a URL that redirects to itself is a loop.
    let looped = format!("/go?to={}&status=302", "%2Fgo%3Fto%3D%252F&status=302");
    let (report, _) = run(crawler(Walker::list([me, own, sandbox.url(0, &looped)]))).await;
    assert_eq!(report.left, 0);
}

#[tokio::test]
async fn a_refusal_closes_the_whole_host_and_no_other() {
    let closed = HostConfig::new()
        .site(Site::Blank)
        .limit(Limit::sliding(5, Duration::from_secs(2)))
        .refusal(429, RefusalForm::Seconds);
    let open = HostConfig::new().site(Site::Blank);
    let sandbox = Sandbox::builder().host(closed).host(open).start().unwrap();
    let urls = (0..12).flat_map(|n| [0, 1].map(|host| sandbox.url(host, &format!("/{n}"))));
    let (report, _) = run(crawler(Walker::list(urls))).await;
    assert_eq!(report.pages, 24, "{report:?}");
    let log = sandbox.log(0);
    assert!(log.refused() >= 1);
    assert_eq!(log.arrivals_while_closed_grace(Duration::from_millis(20)), 0);
    assert!(sandbox.log(1).span() < Duration::from_secs(1), "{:?}", sandbox.log(1).span());
}

#[tokio::test]
async fn a_post_that_was_carried_out_is_never_sent_again() {
    let host = HostConfig::new().fault(Trigger::Share(1.0), Fault::Reset);
    let sandbox = sandbox(host);
    let order = Request::get(sandbox.url(0, "/orders"), ()).method("POST").body("item=1");
    let spider = Walker { seeds: vec![order], follow: false };
    let (report, _) = run(crawler(spider)).await;
    assert_eq!(report.failures[0].reason, Reason::Reset);
    assert_eq!(sandbox.with_host(0, |host| host.orders().values().copied().max()), Some(1));
}

#[tokio::test]
async fn the_page_limit_is_exact() {
    let sandbox = sandbox(HostConfig::new());
    let (report, seen) = run(crawler(Walker::from(sandbox.base(0))).max_pages(17)).await;
    assert_eq!(report.pages, 17);
    assert_eq!(seen.len(), 17);
    assert_eq!(report.stopped, Stopped::MaxPages);
    assert!(report.left > 0);
}

#[tokio::test]
async fn depth_is_hard() {
    let sandbox = sandbox(HostConfig::new());
    let (report, seen) = run(crawler(Walker::from(sandbox.base(0))).scope(Scope::new().max_depth(1))).await;
    assert!(seen.iter().all(|seen| seen.depth <= 1));
    assert!(report.filtered.get("max_depth").is_some_and(|count| *count > 0), "{:?}", report.filtered);
}

#[tokio::test]
async fn a_crawl_that_is_stopped_writes_what_it_has_and_says_what_is_left() {
    let sandbox = sandbox(HostConfig::new().latency(Duration::from_millis(20)));
    let (collect, collected) = Collect::new();
    let crawl = crawler(Walker::from(sandbox.base(0))).export(collect).start().unwrap();
    let handle: Handle = crawl.handle();
    tokio::spawn(async move {
        while handle.progress().pages < 5 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        handle.stop();
    });
    let report = crawl.await.unwrap();
    assert!(report.balances(), "{report:?}");
    assert_eq!(report.stopped, Stopped::Interrupted);
    assert!(report.left > 0);
    assert_eq!(collected.items::<Seen>().unwrap().len() as u64, report.pages);
}

#[tokio::test]
async fn one_host_written_in_many_ways_has_one_budget() {
    let sandbox = sandbox(HostConfig::new().site(Site::Blank));
    let port = sandbox.addr(0).port();
    let urls = [
        format!("http://127.0.0.1:{port}/1"),
        format!("http://user:pw@127.0.0.1:{port}/2"),
        format!("HTTP://127.1:{port}/3"),
        format!("http://0x7f000001:{port}/4"),
    ];
    let policy = HostPolicy::new().rate(per_second(10));
    let (report, _) = run(crawler(Walker::list(urls)).host(policy)).await;
    assert_eq!(report.pages, 4);
    let gap = sandbox.log(0).smallest_gap().unwrap();
    assert!(gap >= Duration::from_millis(95), "{gap:?}");
}

#[tokio::test]
async fn every_way_of_failing_has_its_word() {
    let broken = HostConfig::new()
        .site(Site::Blank)
        .fault(Trigger::Path("/reset".into()), Fault::Reset)
        .fault(Trigger::Path("/cut".into()), Fault::Truncated)
        .fault(Trigger::Path("/404".into()), Fault::Status(404))
        .fault(Trigger::Path("/500".into()), Fault::Status(500))
        .fault(Trigger::Path("/slow".into()), Fault::Slow(Duration::from_secs(30)));
    let sandbox = sandbox(broken);
    let good = (0..20).map(|n| format!("/good/{n}"));
    let bad = ["/reset", "/cut", "/404", "/500", "/slow"].map(String::from);
    let mut urls: Vec<String> = bad.into_iter().chain(good).map(|path| sandbox.url(0, &path)).collect();
    urls.push("http://127.0.0.9:1/nobody".into());
    let limits = Limits { timeout: Duration::from_millis(400), ..Limits::default() };
    let retry = RetryPolicy::default().retries(1);
    let backoff = Backoff { min: Duration::from_millis(20), max: Duration::from_millis(200) };
    let policy = HostPolicy::new().unlimited_rate().in_flight(8).backoff(backoff);
    let (report, _) = run(crawler(Walker::list(urls)).limits(limits).retry(retry).host(policy)).await;
    assert_eq!(report.pages, 20, "{report:?}");
    let reasons: BTreeMap<String, &str> = report
        .failures
        .iter()
        .map(|f| (f.url.rsplit('/').next().unwrap().to_owned(), f.reason.as_str()))
        .collect();
    let expected = [
        ("404", "http_4xx"),
        ("500", "http_5xx"),
        ("cut", "reset"),
        ("nobody", "connect"),
        ("reset", "reset"),
        ("slow", "timeout"),
    ];
    let expected: BTreeMap<String, &str> = expected.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn robots_txt_is_asked_first_and_obeyed() {
    let host = HostConfig::new().site(Site::Blank).page(
        "/robots.txt",
        "text/plain",
        "User-agent: *\nDisallow: /private\n",
    );
    let sandbox = sandbox(host);
    let urls = ["/private/1", "/public/1", "/private/2", "/public/2"].map(|path| sandbox.url(0, path));
    let crawler = Crawler::new(Walker::list(urls))
        .host(HostPolicy::new().unlimited_rate().in_flight(8))
        .addresses(AddressPolicy::allow_all());
    let (report, _) = run(crawler).await;
    assert_eq!(report.pages, 2);
    assert_eq!(report.reasons.get(&Reason::Robots), Some(&2));
    let log = sandbox.log(0);
    assert_eq!(&*log.entries()[0].path, "/robots.txt");
    assert_eq!(log.arrivals(), 3);
}

#[tokio::test]
async fn a_private_address_is_refused_unless_allowed() {
    let sandbox = sandbox(HostConfig::new());
    let crawler = Crawler::new(Walker::list([sandbox.base(0)])).no_robots();
    let (report, _) = run(crawler).await;
    assert_eq!(report.failures[0].reason, Reason::BlockedAddress);
    assert_eq!(sandbox.log(0).arrivals(), 0);
}
