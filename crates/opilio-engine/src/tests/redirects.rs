//! Tests of how redirected URLs end: each is a page, an alias of a page, or a failure with a reason. The crawls run
//! in memory, with a state directory, and with a state directory and kills.

use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, HeaderValue};
use opilio_core::{Fault, HostPolicy, Reason, RetryPolicy, per_second};
use opilio_export::Collect;
use opilio_fetch::{AddressPolicy, Phase, ScriptedAnswer, ScriptedTransport, Transport, TransportRequest};
use tokio::time::Instant;

use crate::{CrawlReport, Crawler, Follow, Found, Page, ParseError, Request, Scope, Spider, Stopped};

/// A spider that fetches a list of URLs and all links of their pages, and records which URLs arrived and which
/// failed.
pub(super) struct Site(Vec<String>);

impl Spider for Site {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        self.0.iter().map(|url| Request::get(&**url, ())).collect()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let title = page.title().unwrap_or_default();
        found.item(format!("{} is {title}", page.requested_url()));
        found.follow_links(page, ());
        Ok(())
    }

    fn failed(&self, failure: &crate::Failure<()>, found: &mut Found<Self>) {
        found.item(format!("{} fails: {}", failure.url(), failure.reason()));
    }
}

type Web = fn(&TransportRequest) -> ScriptedAnswer;

fn with(answer: ScriptedAnswer, name: HeaderName, value: &str) -> ScriptedAnswer {
    answer.header(name, HeaderValue::from_str(value).unwrap())
}

pub(super) fn to(url: &str) -> ScriptedAnswer {
    with(ScriptedAnswer::status(302), LOCATION, url).after(Duration::from_millis(3))
}

pub(super) fn sets(answer: ScriptedAnswer, cookie: &str) -> ScriptedAnswer {
    with(answer, SET_COOKIE, &format!("{cookie}; Path=/"))
}

/// Returns a page whose title is its path.
pub(super) fn page(ask: &TransportRequest) -> ScriptedAnswer {
    ScriptedAnswer::page(format!("<title>{}</title>", ask.url.path())).after(Duration::from_millis(3))
}

pub(super) fn has(ask: &TransportRequest, cookie: &str) -> bool {
    let sent = ask.headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent.split("; ").any(|one| one == cookie)
}

pub(super) fn crawler(urls: &[String]) -> Crawler<Site> {
    Crawler::new(Site(urls.to_vec()))
        .host(HostPolicy::new().rate(per_second(20)).in_flight(2))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
        .retry(RetryPolicy::default().retries(1))
        .seed(108)
}

/// The result of a crawl: its report, its items in order, and its requests with their times.
pub(super) struct Ran {
    pub(super) report: CrawlReport,
    pub(super) items: Vec<String>,
    pub(super) asked: Vec<(Duration, String)>,
}

impl Ran {
    pub(super) fn failures(&self) -> Vec<(String, Reason)> {
        let mut all: Vec<_> =
            self.report.failures.iter().map(|failure| (failure.url.to_string(), failure.reason)).collect();
        all.sort();
        all
    }
}

fn transport(
    web: impl Fn(&TransportRequest) -> ScriptedAnswer + Clone + Send + Sync + 'static,
    log: Arc<Mutex<Vec<(Duration, String)>>>,
) -> impl Fn() -> Rc<dyn Transport> + Send + Sync {
    move || {
        let (web, log, start) = (web.clone(), log.clone(), Instant::now());
        Rc::new(ScriptedTransport::new(move |now: Instant, ask: &TransportRequest| {
            log.lock().unwrap().push((now - start, ask.url.to_string()));
            web(ask)
        }))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

pub(super) fn run(
    crawler: Crawler<Site>,
    web: impl Fn(&TransportRequest) -> ScriptedAnswer + Clone + Send + Sync + 'static,
) -> Ran {
    let (output, collected) = Collect::new();
    let mut ran = run_unwritten(crawler.export(output), web);
    // Output lines that describe an alias are not items, so they are left out.
    let rows = collected.items::<serde_json::Value>().unwrap().into_iter();
    ran.items = rows.filter_map(|row| row.as_str().map(str::to_owned)).collect();
    ran.items.sort();
    ran
}

/// Does the same as `run` for a crawl of several runs, whose output cannot be kept in memory.
fn run_unwritten(
    crawler: Crawler<Site>,
    web: impl Fn(&TransportRequest) -> ScriptedAnswer + Clone + Send + Sync + 'static,
) -> Ran {
    let log: Arc<Mutex<Vec<_>>> = Arc::default();
    let crawler = crawler.transport(transport(web, log.clone()));
    let hour = Duration::from_secs(3_600);
    let report = runtime().block_on(async { tokio::time::timeout(hour, crawler.run_here()).await });
    let report = report.expect("it ends").unwrap();
    assert!(report.balances(), "{report:?}");
    let asked = log.lock().unwrap().clone();
    Ran { report, items: Vec::new(), asked }
}

/// Runs a crawl that is killed (dropped) again and again after some time. Returns its report and the lines of the
/// file that it wrote.
#[cfg(feature = "disk")]
fn run_killed(urls: &[String], web: Web, dir: &Path, seed: u64) -> (CrawlReport, Vec<String>) {
    use opilio_export::JsonLines;
    let (state, output) = (dir.join("state"), dir.join("out.jsonl"));
    let mut random = fastrand::Rng::with_seed(seed);
    for kills in 0.. {
        assert!(kills < 500, "it comes no further");
        let output = JsonLines::create(&output).unwrap();
        let crawler = crawler(urls).state(&state).resume().export(output);
        let crawler = crawler.transport(transport(web, Arc::default()));
        let after = Duration::from_millis(random.u64(60..900) * (1 + kills / 8));
        let ended = runtime().block_on(async { tokio::time::timeout(after, crawler.run_here()).await });
        let Ok(report) = ended else { continue };
        let report = report.unwrap();
        assert!(report.balances() && report.stopped == Stopped::Finished, "{report:?}");
        let text = std::fs::read_to_string(dir.join("out.jsonl")).unwrap();
        let rows = text.lines().filter_map(|line| match serde_json::from_str(line).unwrap() {
            serde_json::Value::String(item) => Some(item),
            _ => None,
        });
        let mut items: Vec<String> = rows.collect();
        items.sort();
        return (report, items);
    }
    unreachable!("the loop ends by returning or by a panic")
}

/// The result that a crawl of these URLs must have, with every store and at whatever moments the crawl is killed.
#[derive(Default)]
struct Comes<'a> {
    pages: &'a [&'a str],
    aliases: u64,
    failures: &'a [(&'a str, Reason)],
}

fn comes_to(paths: &[&str], web: Web, expected: &Comes<'_>) -> Ran {
    let urls: Vec<_> = paths.iter().map(|path| absolute(path)).collect();
    let check = |report: &CrawlReport, items: &[String], how: &str| {
        let mut failures: Vec<_> =
            report.failures.iter().map(|failure| (failure.url.to_string(), failure.reason)).collect();
        failures.sort();
        let mut wanted: Vec<_> =
            expected.failures.iter().map(|(path, reason)| (absolute(path), *reason)).collect();
        wanted.sort();
        assert_eq!(failures, wanted, "{how}: {items:?}");
        let failed = wanted.iter().map(|(url, reason)| format!("{url} fails: {reason}"));
        let pages = expected.pages.iter().map(|page| {
            let (url, title) = page.split_once(" is ").unwrap_or((page, page));
            format!("{} is {title}", absolute(url))
        });
        let mut all: Vec<_> = pages.chain(failed).collect();
        all.sort();
        assert_eq!(items, all, "{how}: {report:?}");
        assert_eq!((report.pages, report.aliases), (expected.pages.len() as u64, expected.aliases), "{how}");
        assert_eq!((report.left, report.stopped), (0, Stopped::Finished), "{how}");
    };
    let ran = run(crawler(&urls), web);
    check(&ran.report, &ran.items, "in memory");
    let mut reversed = urls.clone();
    reversed.reverse();
    let back = run(crawler(&reversed), web);
    check(&back.report, &back.items, "in memory, the last one first");
    #[cfg(feature = "disk")]
    {
        let dir = tempfile::tempdir().unwrap();
        let stored = run(crawler(&urls).state(dir.path().join("state")), web);
        check(&stored.report, &stored.items, "in a directory");
        for seed in 0..4 {
            let dir = tempfile::tempdir().unwrap();
            let (report, items) = run_killed(&urls, web, dir.path(), seed);
            check(&report, &items, "over kills");
        }
    }
    ran
}

pub(super) fn absolute(path: &str) -> String {
    if path.contains("://") { path.to_owned() } else { format!("http://a.example{path}") }
}

#[test]
fn seeds_that_lead_to_each_other_are_a_loop_each() {
    let web: Web = |ask| match ask.url.path() {
        "/a" => to("/b"),
        "/b" => to("/a"),
        _ => page(ask),
    };
    let (a, b) = (("/a", Reason::RedirectLoop), ("/b", Reason::RedirectLoop));
    let ran = comes_to(&["/a", "/b"], web, &Comes { pages: &[], aliases: 0, failures: &[a, b] });
    assert_eq!(ran.asked.len(), 2, "{:?}", ran.asked);
}

/// Answers for a redirect chain `/0` → `/1` → … → `/11` → `/3`, which ends in a circle. Every third URL is on
/// another host.
fn long_ring(ask: &TransportRequest) -> ScriptedAnswer {
    let Ok(n) = ask.url.path()[1..].parse::<u32>() else { return page(ask) };
    to(&ring_url(if n == 11 { 3 } else { n + 1 }))
}

fn ring_url(n: u32) -> String {
    format!("http://{}.example/{n}", ["a", "b", "c"][n as usize % 3])
}

#[test]
fn a_ring_across_hosts_is_a_loop_for_each_of_its_urls_and_for_what_leads_into_it() {
    let urls: Vec<_> = (0..12).map(ring_url).collect();
    let mut order: Vec<_> = urls.iter().map(|url| &**url).collect();
    let failures: Vec<_> = order.iter().map(|url| (*url, Reason::RedirectLoop)).collect();
    let comes = Comes { pages: &[], aliases: 0, failures: &failures };
    let ran = comes_to(&order, long_ring, &comes);
    assert_eq!(ran.asked.len(), 12, "each is asked once: {:?}", ran.asked);
    fastrand::Rng::with_seed(3).shuffle(&mut order);
    comes_to(&order, long_ring, &comes);
}

#[test]
fn a_ring_among_links_is_found_as_one_among_seeds() {
    let web: Web = |ask| match ask.url.path() {
        "/" => ScriptedAnswer::page("<title>/</title><a href=/p><a href=/q><a href=/r><a href=/x>"),
        "/p" => to("/q"),
        "/q" => to("/r"),
        "/r" => to("/p"),
        "/x" => to("/q"),
        _ => page(ask),
    };
    let failures = ["/p", "/q", "/r", "/x"].map(|path| (path, Reason::RedirectLoop));
    comes_to(&["/"], web, &Comes { pages: &["/"], aliases: 0, failures: &failures });
}

#[test]
fn what_leads_to_a_failure_fails_with_its_reason_whenever_it_is_met() {
    for (status, reason) in
        [(500, Reason::Http5xx), (503, Reason::Http5xx), (404, Reason::Http4xx), (501, Reason::Http5xx)]
    {
        let web = move |ask: &TransportRequest| match ask.url.path() {
            "/a" | "/b" | "/c" => to("/t"),
            "/d" => to("/c"),
            "/t" => ScriptedAnswer::status(status),
            _ => page(ask),
        };
        for paths in [["/a", "/b", "/c", "/d", "/e"], ["/d", "/e", "/c", "/b", "/a"]] {
            let urls: Vec<_> = paths.iter().map(|path| absolute(path)).collect();
            let ran = run(crawler(&urls), web);
            let failed = ["/a", "/b", "/c", "/d"].map(|path| (absolute(path), reason));
            assert_eq!(ran.failures(), failed, "{status}");
            assert_eq!((ran.report.pages, ran.report.aliases), (1, 0), "{status}");
            let asked = ran.asked.iter().filter(|(_, url)| url.ends_with("/t")).count();
            let attempts = if matches!(status, 500 | 503) { 2 } else { 1 };
            assert!(asked <= attempts + 1, "{status}: {asked}");
        }
    }
}

#[test]
fn a_failure_is_told_over_kills_and_by_the_store_on_disk_too() {
    let web: Web = |ask| match ask.url.path() {
        "/a" | "/b" => to("/t"),
        "/t" => ScriptedAnswer::status(500),
        "/gone" => ScriptedAnswer::status(404),
        "/old" => to("/gone"),
        "/reset" => ScriptedAnswer::fault(Phase::Head, Fault::Reset),
        "/r" => to("http://b.example/reset"),
        "/slow" => ScriptedAnswer::fault(Phase::Head, Fault::Timeout),
        "/s" => to("http://c.example/slow"),
        _ => page(ask),
    };
    // Each failure is on a separate host: the number of broken pages that a host may have between two kills is not
    // tested here.
    let failures = [
        ("/a", Reason::Http5xx),
        ("/b", Reason::Http5xx),
        ("/gone", Reason::Http4xx),
        ("/old", Reason::Http4xx),
        ("/r", Reason::Reset),
        ("http://b.example/reset", Reason::Reset),
        ("/s", Reason::Timeout),
        ("http://c.example/slow", Reason::Timeout),
    ];
    let paths = [
        "/a",
        "/b",
        "/gone",
        "/old",
        "http://b.example/reset",
        "/r",
        "http://c.example/slow",
        "/s",
        "/fine",
        "/page",
    ];
    comes_to(&paths, web, &Comes { pages: &["/fine", "/page"], aliases: 0, failures: &failures });
}

#[test]
fn an_alias_stands_for_a_page_whichever_of_them_comes_first() {
    let web: Web = |ask| match ask.url.path() {
        "/a" | "/b" | "/c" => to("/t"),
        "/d" => to("/c"),
        _ => page(ask),
    };
    let ran = comes_to(
        &["/t", "/a", "/b", "/c", "/d"],
        web,
        &Comes { pages: &["/t"], aliases: 4, ..Comes::default() },
    );
    assert_eq!(ran.asked.len(), 5, "{:?}", ran.asked);
}

#[test]
fn what_robots_or_the_scope_forbids_fails_for_each_that_leads_there() {
    let web = |ask: &TransportRequest| match ask.url.path() {
        "/robots.txt" => ScriptedAnswer::page("User-agent: *\nDisallow: /t\n"),
        "/a" | "/b" => to("/t"),
        "/c" | "/d" => to("/private/x"),
        _ => page(ask),
    };
    let urls = ["/a", "/b", "/c", "/d"].map(absolute);
    let scope = Scope::new().exclude("*/private/*").unwrap();
    let crawler = Crawler::new(Site(urls.to_vec())).addresses(AddressPolicy::allow_all()).scope(scope);
    let ran = run(crawler.host(HostPolicy::new().rate(per_second(20))), web);
    let reasons = [Reason::Robots, Reason::Robots, Reason::OutOfScope, Reason::OutOfScope];
    let expected: Vec<_> = urls.into_iter().zip(reasons).collect();
    assert_eq!(ran.failures(), expected);
    assert_eq!(ran.report.aliases, 0);
}

/// Answers for a site whose pages all redirect to `/consent`, which sets a cookie and redirects to the page that
/// was requested last.
fn consent(ask: &TransportRequest) -> ScriptedAnswer {
    let path = ask.url.path();
    let cookies = ask.headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let back = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("back=")).unwrap_or("/p0");
    match path {
        "/consent" => sets(to(back), "ok=1"),
        _ if !has(ask, "ok=1") => sets(to("/consent"), &format!("back={path}")),
        _ => page(ask),
    }
}

#[test]
fn all_pages_behind_a_consent_wall_arrive() {
    let paths: Vec<_> = (0..12).map(|n| format!("/p{n}")).collect();
    let paths: Vec<_> = paths.iter().map(|path| &**path).collect();
    let ran = comes_to(&paths, consent, &Comes { pages: &paths, ..Comes::default() });
    assert!(ran.asked.len() <= 3 * 12 + 1, "{:?}", ran.asked);
}

#[test]
fn a_wall_whose_way_back_is_named_in_its_url_or_is_the_start_page_lets_all_pages_through() {
    let named: Web = |ask| match ask.url.path() {
        "/consent" => sets(to(&ask.url.query_pairs().next().unwrap().1), "ok=1"),
        path if !has(ask, "ok=1") => to(&format!("/consent?back={path}")),
        _ => page(ask),
    };
    let home: Web = |ask| match ask.url.path() {
        "/consent" => sets(to("/"), "ok=1"),
        _ if !has(ask, "ok=1") => to("/consent"),
        _ => page(ask),
    };
    for web in [named, home] {
        let all = ["/", "/1", "/2", "/3", "/4", "/5"];
        comes_to(&all, web, &Comes { pages: &all, ..Comes::default() });
    }
}

/// Answers for a site whose login sets the necessary cookie two redirects later, on the way back from another host.
fn single_sign_on(ask: &TransportRequest) -> ScriptedAnswer {
    match (ask.url.host_str().unwrap_or_default(), ask.url.path()) {
        ("sso.example", _) => sets(to("http://a.example/set"), "known=1"),
        (_, "/set") => sets(to("/"), "ok=1"),
        _ if !has(ask, "ok=1") => to("http://sso.example/"),
        _ => page(ask),
    }
}

#[test]
fn a_wall_on_another_host_lets_all_pages_through() {
    let all = ["/", "/1", "/2", "/3", "/4", "/5"];
    comes_to(&all, single_sign_on, &Comes { pages: &all, ..Comes::default() });
}

#[test]
fn a_wall_is_passed_in_each_session_by_itself() {
    struct Members;
    impl Spider for Members {
        type Item = String;
        type Step = ();
        fn seeds(&self) -> Vec<Request<()>> {
            let of = |who: &'static str| (0..5).map(move |n| (who, n));
            of("ann")
                .chain(of("bob"))
                .map(|(who, n)| Request::get(format!("http://a.example/{n}"), ()).session(who))
                .collect()
        }
        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            found.item(format!("{} {}", page.session().unwrap_or_default(), page.requested_url()));
            Ok(())
        }
    }
    let (output, collected) = Collect::new();
    let crawler = Crawler::new(Members)
        .host(HostPolicy::new().rate(per_second(20)).in_flight(4))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
        .export(output)
        .transport(transport(consent, Arc::default()));
    let report = runtime().block_on(crawler.run_here()).unwrap();
    assert_eq!((report.pages, report.aliases, report.failures.len()), (10, 0, 0), "{report:?}");
    assert_eq!(collected.items::<String>().unwrap().len(), 10);
}

#[test]
fn a_wall_that_never_opens_ends_and_who_keeps_no_cookies_is_told_of_a_loop() {
    // This site always redirects to the login page, whatever cookies are sent.
    let web: Web = |ask| match ask.url.path() {
        "/login" => sets(to("/home"), "visit=1"),
        "/home" => page(ask),
        _ => to("/login"),
    };
    let urls: Vec<_> = (0..6).map(|n| absolute(&format!("/{n}"))).collect();
    let ran = run(crawler(&urls), web);
    // The redirects of the first URL lead through the whole chain, and it becomes the page. The other URLs are its
    // aliases.
    assert_eq!((ran.report.pages, ran.report.aliases), (1, 5), "{:?}", ran.items);
    assert!(ran.asked.len() <= 6 * 4 + 2, "{:?}", ran.asked);
    let ran = run(crawler(&urls).no_cookies(), consent);
    assert_eq!(ran.report.pages, 0);
    assert!(!ran.report.failures.is_empty());
    assert!(ran.failures().iter().all(|(_, reason)| *reason == Reason::RedirectLoop), "{:?}", ran.failures());
    assert_eq!(ran.report.failures.len(), 6, "none is an alias of nothing");
}

#[test]
fn a_cookie_on_the_way_to_a_known_page_costs_one_more_round_and_no_second() {
    // This site sets a cookie with every redirect.
    let web: Web = |ask| match ask.url.path() {
        "/home" => page(ask),
        "/hop" => sets(to("/home"), "visit=1"),
        path if path.starts_with("/direct") => sets(to("/home"), "visit=1"),
        path => sets(to(&format!("/hop?{}", &path[1..])), "visit=1"),
    };
    let paths = ["/home", "/direct1", "/direct2", "/a", "/b"];
    let ran = comes_to(&paths, web, &Comes { pages: &["/home"], aliases: 4, ..Comes::default() });
    let asked = |path: &str| ran.asked.iter().filter(|(_, url)| url.ends_with(path)).count();
    assert_eq!((asked("/home"), asked("/direct1"), asked("/direct2")), (1, 1, 1), "{:?}", ran.asked);
    assert_eq!((asked("/a"), asked("/hop?a"), asked("/b"), asked("/hop?b")), (2, 2, 2, 2), "{:?}", ran.asked);
}

#[test]
fn a_chain_in_which_any_hop_sets_a_cookie_may_come_back() {
    // The cookie is set by the first, the middle or the last of three redirects.
    for which in ["/a", "/b", "/c"] {
        let web = move |ask: &TransportRequest| {
            let path = ask.url.path();
            let next = match path {
                "/a" if has(ask, "ok=1") => return page(ask),
                "/a" => "/b",
                "/b" => "/c",
                _ => "/a",
            };
            if path == which { sets(to(next), "ok=1") } else { to(next) }
        };
        let ran = run(crawler(&[absolute("/a")]), web);
        assert_eq!(ran.items, ["http://a.example/a is /a"], "{which}");
        let ran = run(crawler(&[absolute("/a")]).no_cookies(), web);
        assert_eq!(ran.failures(), [(absolute("/a"), Reason::RedirectLoop)], "{which}");
    }
}

#[test]
fn a_page_may_lead_to_itself_as_often_as_it_sets_cookies_up_to_the_limit() {
    let web = |ask: &TransportRequest| {
        let turns = ask.headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or("n=0");
        let turns: u32 = turns.strip_prefix("n=").and_then(|turns| turns.parse().ok()).unwrap_or_default();
        match (ask.url.path(), turns) {
            ("/four", 4) => page(ask),
            ("/plain", _) => to("/plain"),
            _ => with(to(ask.url.path()), SET_COOKIE, &format!("n={}; Path={}", turns + 1, ask.url.path())),
        }
    };
    let urls = ["/four", "/ever", "/plain"].map(absolute);
    let ran = run(crawler(&urls), web);
    assert_eq!(ran.report.pages, 1);
    let expected = [(urls[1].clone(), Reason::TooManyRedirects), (urls[2].clone(), Reason::RedirectLoop)];
    assert_eq!(ran.failures(), expected);
    let ran = run(crawler(&urls[..1]).max_redirects(3), web);
    assert_eq!(ran.failures(), [(urls[0].clone(), Reason::TooManyRedirects)]);
}

/// Answers for a shop that has moved to another host: every old page redirects to the same path on the new host.
fn moved(ask: &TransportRequest) -> ScriptedAnswer {
    match (ask.url.scheme(), ask.url.host_str().unwrap_or_default(), ask.url.path()) {
        ("https", "www.shop.example", "/") => {
            ScriptedAnswer::page("<title>/</title><a href=/1><a href=/2><a href=http://other.example/>")
        }
        ("https", "www.shop.example", _) => page(ask),
        (_, "shop.example" | "www.shop.example", path) => to(&format!("https://www.shop.example{path}")),
        _ => page(ask),
    }
}

#[test]
fn a_seeds_redirect_takes_its_scope_along() {
    let seed = || [String::from("http://shop.example/")];
    let ran = run(crawler(&seed()), moved);
    let pages =
        ["http://shop.example/ is /", "https://www.shop.example/1 is /1", "https://www.shop.example/2 is /2"];
    assert_eq!(ran.items, pages);
    assert_eq!(ran.report.filtered.get("scope_host"), Some(&1), "another site's is not");
    let ran = run(crawler(&seed()).scope(Scope::new().follow(Follow::None)), moved);
    assert_eq!(ran.items, pages[..1]);
    let ran = run(crawler(&seed()).scope(Scope::new().follow(Follow::SameDomain)), moved);
    assert_eq!(ran.report.pages, 3);
    // An exclusion that the user has set still applies.
    let ran = run(crawler(&seed()).scope(Scope::new().exclude("*//www.*").unwrap()), moved);
    assert_eq!(ran.failures(), [(seed()[0].clone(), Reason::OutOfScope)]);
}

#[test]
fn a_sitemap_that_has_moved_lists_pages_of_where_it_is_now() {
    struct Listed;
    impl Spider for Listed {
        type Item = String;
        type Step = ();
        fn seeds(&self) -> Vec<Request<()>> {
            vec![Request::sitemap("http://shop.example/sitemap.xml", ())]
        }
        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            found.item(page.requested_url().to_owned());
            Ok(())
        }
    }
    let web = |ask: &TransportRequest| match (ask.url.host_str().unwrap_or_default(), ask.url.path()) {
        ("shop.example", path) => to(&format!("https://www.shop.example{path}")),
        (_, "/sitemap.xml") => ScriptedAnswer::page(
            "<urlset><url><loc>https://www.shop.example/1</loc></url>\
             <url><loc>https://other.example/2</loc></url></urlset>",
        ),
        _ => page(ask),
    };
    let (output, collected) = Collect::new();
    let crawler = Crawler::new(Listed).addresses(AddressPolicy::allow_all()).no_robots().export(output);
    let report = runtime().block_on(crawler.transport(transport(web, Arc::default())).run_here()).unwrap();
    assert_eq!(collected.items::<String>().unwrap(), ["https://www.shop.example/1"], "{report:?}");
    assert_eq!(report.filtered.get("scope_host"), Some(&1));
}

#[test]
fn a_links_redirect_takes_no_scope_along() {
    let web = |ask: &TransportRequest| match (ask.url.host_str().unwrap_or_default(), ask.url.path()) {
        ("a.example", "/") => ScriptedAnswer::page("<title>/</title><a href=/out>"),
        ("a.example", "/out") => to("http://elsewhere.example/"),
        _ => page(ask),
    };
    let ran = run(crawler(&[absolute("/")]), web);
    assert_eq!(ran.failures(), [(absolute("/out"), Reason::OutOfScope)]);
    assert_eq!(ran.report.pages, 1);
}

#[cfg(feature = "disk")]
#[test]
fn a_scope_that_grew_is_that_of_the_next_run_too() {
    let seed = [String::from("http://shop.example/")];
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let first = run_unwritten(crawler(&seed).state(&state).max_pages(1), moved);
    assert_eq!(first.report.pages, 1);
    let second = run_unwritten(crawler(&seed).state(&state).resume(), moved);
    assert_eq!((second.report.pages, second.report.failures.len()), (3, 0));
    for seed_of_kills in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let (report, items) = run_killed(&seed, moved, dir.path(), seed_of_kills);
        assert_eq!((report.pages, items.len()), (3, 3), "{report:?}");
    }
}

#[test]
fn a_redirect_that_states_a_wait_is_followed_after_it() {
    for (from, target) in [("/", "/t"), ("/", "http://b.example/t")] {
        for status in [301, 302, 303, 307, 308] {
            let web = move |ask: &TransportRequest| match ask.url.path() {
                "/" => {
                    let answer = with(ScriptedAnswer::status(status), LOCATION, target);
                    with(answer, RETRY_AFTER, "2")
                }
                _ => page(ask),
            };
            let ran = run(crawler(&[absolute(from)]), web);
            assert_eq!(ran.items, ["http://a.example/ is /t"]);
            let waited = ran.asked[1].0 - ran.asked[0].0;
            assert!(
                waited >= Duration::from_secs(2) && waited < Duration::from_millis(2_300),
                "{status} to {target}: {waited:?}"
            );
        }
    }
}

#[test]
fn a_redirect_that_states_a_wait_beyond_any_patience_is_not_followed_early() {
    let web = |ask: &TransportRequest| match ask.url.path() {
        "/" => with(to("/t"), RETRY_AFTER, "86400"),
        _ => page(ask),
    };
    let ran = run(crawler(&[absolute("/")]), web);
    assert_eq!(ran.failures(), [(absolute("/"), Reason::HostClosed)]);
    assert_eq!(ran.asked.len(), 1);
}

#[test]
fn what_waits_for_a_known_url_is_left_where_a_crawl_stops_early() {
    // `/t` is the last URL in the queue, and the crawl ends before it is requested.
    let web = |ask: &TransportRequest| match ask.url.path() {
        "/a" | "/b" => to("/t"),
        "/t" => page(ask).after(Duration::from_secs(25)),
        _ => page(ask),
    };
    let urls = ["/a", "/b", "/1", "/t"].map(absolute);
    let ran = run(crawler(&urls).max_duration(Duration::from_secs(2)), web);
    let report = ran.report;
    assert_eq!((report.pages, report.aliases, report.failures.len()), (1, 0, 0), "{report:?}");
    assert_eq!(report.left, 3);
}

#[cfg(feature = "disk")]
#[test]
fn what_waited_is_ended_by_a_later_run_and_tried_again_with_its_target() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let urls = ["/a", "/b", "/1", "/t"].map(absolute);
    let slow = |ask: &TransportRequest| match ask.url.path() {
        "/a" | "/b" => to("/t"),
        "/t" => page(ask).after(Duration::from_secs(25)),
        _ => page(ask),
    };
    run_unwritten(crawler(&urls).state(&state).max_duration(Duration::from_secs(2)), slow);
    let broken = |ask: &TransportRequest| match ask.url.path() {
        "/a" | "/b" => to("/t"),
        "/t" => ScriptedAnswer::status(500),
        _ => page(ask),
    };
    let ran = run_unwritten(crawler(&urls).state(&state).resume(), broken);
    let failed = ["/a", "/b", "/t"].map(|path| (absolute(path), Reason::Http5xx));
    assert_eq!(ran.failures(), failed);
    assert!(ran.asked.iter().all(|(_, url)| url.ends_with("/t")), "only that one: {:?}", ran.asked);
    let well = |ask: &TransportRequest| match ask.url.path() {
        "/a" | "/b" => to("/t"),
        _ => page(ask),
    };
    let ran = run_unwritten(crawler(&urls).state(&state).resume().retry_failed(), well);
    assert_eq!(
        (ran.report.pages, ran.report.aliases, ran.report.failures.len()),
        (2, 2, 0),
        "{:?}",
        ran.report
    );
    assert_eq!(ran.asked.iter().filter(|(_, url)| url.ends_with("/t")).count(), 1, "{:?}", ran.asked);
}
