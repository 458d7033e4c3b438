//! Tests of cookies, sessions, logins and conditional requests, with a scripted web in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};
use opilio_core::{Fault, HostPolicy, Reason, Validators, per_second};
use opilio_export::{Collect, FileStore};
use opilio_fetch::{
    Incoming, Middleware, Phase, ScriptedAnswer, ScriptedTransport, Transport, TransportRequest,
};
use tokio::time::Instant;

use crate::{CrawlReport, Crawler, Found, HostSettings, Page, ParseError, Request, Session, Spider};

/// A function that a test's spider calls with each page.
type Read = fn(&Page<u8>, &mut Found<Script>) -> Result<(), ParseError>;

struct Script {
    seeds: Vec<Request<u8>>,
    read: Read,
}

impl Spider for Script {
    type Item = String;
    type Step = u8;

    fn seeds(&self) -> Vec<Request<u8>> {
        self.seeds.clone()
    }

    fn parse(&self, page: &Page<u8>, found: &mut Found<Self>) -> Result<(), ParseError> {
        (self.read)(page, found)
    }
}

fn crawler(seeds: Vec<Request<u8>>, read: Read) -> Crawler<Script> {
    Crawler::new(Script { seeds, read }).no_robots().host(HostPolicy::new().rate(per_second(100)))
}

/// Runs a crawl over a web. Returns the report, the items, and each request as `METHOD url header…`. Only the header
/// fields that these tests check are included.
fn run(
    crawler: Crawler<Script>,
    web: impl Fn(&TransportRequest) -> ScriptedAnswer + Send + Sync + 'static,
) -> (CrawlReport, Vec<String>, Vec<String>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (log, web) = (asked.clone(), Arc::new(web));
    let transport = move || {
        let (log, web) = (log.clone(), web.clone());
        Rc::new(ScriptedTransport::new(move |_: Instant, ask: &TransportRequest| {
            let mut line = format!("{} {}", ask.method, ask.url);
            for name in ["cookie", "authorization", "if-none-match", "x-who"] {
                if let Some(value) = ask.headers.get(name) {
                    line.push_str(&format!(" {name}={}", value.to_str().unwrap()));
                }
            }
            log.lock().unwrap().push(line);
            web(ask)
        })) as Rc<dyn Transport>
    };
    let (output, collected) = Collect::new();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let report = runtime.block_on(crawler.export(output).transport(transport).run_here()).unwrap();
    assert!(report.balances());
    let asked = asked.lock().unwrap().clone();
    (report, collected.items().unwrap(), asked)
}

fn with(answer: ScriptedAnswer, name: HeaderName, value: &str) -> ScriptedAnswer {
    answer.header(name, HeaderValue::from_str(value).unwrap())
}

fn redirect(status: u16, to: &str) -> ScriptedAnswer {
    with(ScriptedAnswer::status(status), header::LOCATION, to)
}

fn title(page: &Page<u8>, found: &mut Found<Script>) -> Result<(), ParseError> {
    let session = page.session().map(|session| format!("{session}: ")).unwrap_or_default();
    found.item(format!("{session}{}", page.title().unwrap_or_default()));
    found.follow_links(page, *page.step());
    Ok(())
}

/// Answers for a shop with a login form, a session cookie, and a page for members.
fn members(ask: &TransportRequest) -> ScriptedAnswer {
    let cookie = ask.headers.get(header::COOKIE).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let user = cookie.split("sid=").nth(1).unwrap_or_default().to_owned();
    match (ask.method.as_str(), ask.url.path()) {
        ("GET", "/login") => with(
            ScriptedAnswer::page(
                "<form method=post action=/in><input type=hidden name=csrf value=t0k><input name=user></form>",
            ),
            header::SET_COOKIE,
            "pre=1; Path=/",
        ),
        ("POST", "/in") => {
            let body = String::from_utf8(ask.body.clone().unwrap().to_vec()).unwrap();
            let user = body.strip_prefix("csrf=t0k&user=").unwrap();
            assert!(cookie.contains("pre=1"), "{cookie}");
            with(redirect(303, "/home"), header::SET_COOKIE, &format!("sid={user}; HttpOnly; Path=/"))
        }
        _ if user.is_empty() => redirect(302, "/login"),
        ("GET", "/home") => ScriptedAnswer::page(format!("<title>home of {user}</title><a href=/orders>")),
        ("GET", "/orders") => ScriptedAnswer::page(format!("<title>orders of {user}</title>")),
        other => panic!("{other:?}"),
    }
}

fn log_in(page: &Page<u8>, found: &mut Found<Script>) -> Result<(), ParseError> {
    if *page.step() != 0 {
        return title(page, found);
    }
    let mut form = page.form("form")?;
    form.set("user", page.session().unwrap_or("nobody"));
    found.request(Request::submit(&form, 1));
    Ok(())
}

#[test]
fn a_login_form_leads_to_the_pages_of_members() {
    let crawler = crawler(vec![Request::get("http://a.example/login", 0)], log_in);
    let (report, items, asked) = run(crawler, members);
    assert_eq!(items, ["home of nobody", "orders of nobody"]);
    assert_eq!(report.pages, 3, "{report:?}");
    assert!(asked.contains(&"GET http://a.example/home cookie=pre=1; sid=nobody".to_owned()), "{asked:?}");
}

#[test]
fn two_sessions_are_two_people_and_what_they_find_is_theirs() {
    let seeds = ["alice", "bob"].map(|who| Request::get("http://a.example/login", 0).session(who));
    let alice = Session::new().header("x-who", "A").unwrap();
    let crawler = crawler(seeds.into(), log_in).session("alice", alice);
    let (report, mut items, asked) = run(crawler, members);
    items.sort();
    assert_eq!(
        items,
        ["alice: home of alice", "alice: orders of alice", "bob: home of bob", "bob: orders of bob"]
    );
    // Each session fetches login, home and orders: the pages of one session do not count as known in the other.
    assert_eq!((report.pages, report.aliases, report.failures.len()), (6, 0, 0), "{report:?}");
    let with = |part: &str| asked.iter().filter(|line| line.contains(part)).count();
    assert_eq!((with("x-who=A"), with("sid=alice"), with("sid=bob")), (4, 2, 2), "{asked:?}");
    assert!(asked.iter().all(|line| line.contains("x-who=A") || !line.contains("sid=alice")), "{asked:?}");
}

#[test]
fn without_cookies_nothing_is_sent_back() {
    let seeds = || vec![Request::get("http://a.example/1", 0), Request::get("http://a.example/2", 0)];
    let web =
        |_: &TransportRequest| with(ScriptedAnswer::page("<title>x</title>"), header::SET_COOKIE, "a=1");
    let (_, _, asked) = run(crawler(seeds(), title), web);
    assert_eq!(asked, ["GET http://a.example/1", "GET http://a.example/2 cookie=a=1"]);
    let (_, _, asked) = run(crawler(seeds(), title).no_cookies(), web);
    assert_eq!(asked, ["GET http://a.example/1", "GET http://a.example/2"]);
}

#[test]
fn a_page_that_comes_back_to_itself_with_a_cookie_is_read() {
    let seeds = vec![Request::get("http://a.example/direct", 0), Request::get("http://a.example/round", 0)];
    let wall = |ask: &TransportRequest| {
        let has_cookie = ask.headers.contains_key(header::COOKIE);
        match ask.url.path() {
            "/direct" if !has_cookie => {
                with(redirect(302, "/direct"), header::SET_COOKIE, "ok=1; Path=/direct")
            }
            "/round" if !has_cookie => redirect(302, "/check"),
            "/check" => with(redirect(302, "/round"), header::SET_COOKIE, "ok=1; Path=/round"),
            path => ScriptedAnswer::page(format!("<title>{path}</title>")),
        }
    };
    let (report, mut items, _) = run(crawler(seeds.clone(), title), wall);
    items.sort();
    assert_eq!(items, ["/direct", "/round"], "{report:?}");
    // A crawl that does not keep cookies would be redirected for ever.
    let (report, _, asked) = run(crawler(seeds, title).no_cookies(), wall);
    assert_eq!(report.reasons.get(&Reason::RedirectLoop), Some(&2));
    assert!(asked.len() <= 6, "{asked:?}");
}

#[test]
fn logins_stay_with_their_origin() {
    let seeds = vec![
        Request::get("http://me:p%40ss@a.example/", 0),
        Request::get("http://b.example/", 0),
        Request::get("http://c.example/", 0).session("alice"),
    ];
    let web = |ask: &TransportRequest| match (ask.url.host_str().unwrap(), ask.url.path()) {
        ("a.example", "/") => ScriptedAnswer::page(
            "<a href=/next>n</a><a href=http://x:y@b.example/link>l</a><a href=/away>a</a>",
        ),
        ("a.example", "/away") => redirect(302, "http://b.example/target"),
        _ => ScriptedAnswer::page("<title>x</title>"),
    };
    let bearer = HostSettings::from(HostPolicy::new().rate(per_second(100))).bearer("t0k").unwrap();
    let session = Session::new().basic("http://c.example", "alice", "pw").unwrap();
    let crawler = crawler(seeds, title).host_named("c.example", bearer).session("alice", session);
    let (report, _, mut asked) = run(crawler, web);
    asked.sort();
    // The first login is `me` with the password `p@ss`, the second `alice` with `pw`.
    assert_eq!(
        asked,
        [
            "GET http://a.example/ authorization=Basic bWU6cEBzcw==",
            "GET http://a.example/away authorization=Basic bWU6cEBzcw==",
            "GET http://a.example/next authorization=Basic bWU6cEBzcw==",
            "GET http://b.example/",
            "GET http://b.example/link",
            "GET http://b.example/target",
            "GET http://c.example/ authorization=Basic YWxpY2U6cHc=",
        ]
    );
    assert_eq!(report.pages, 6, "{report:?}");
}

#[test]
fn secrets_are_in_no_report_and_no_error() {
    let seeds = vec![Request::get("http://me:s3cret@a.example/", 0), Request::get("http://me:s3cret@[", 0)];
    let error = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(crawler(seeds.clone(), title).run_here())
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    let (report, items, _) = run(
        crawler(vec![seeds[0].clone()], |page, found| {
            found.item(format!("{} {:?}", page.requested_url(), page));
            Ok(())
        }),
        |ask| if ask.url.path() == "/" { ScriptedAnswer::page("x") } else { ScriptedAnswer::status(404) },
    );
    assert_eq!(report.pages, 1);
    assert!(!items[0].contains("s3cret") && !items[0].contains("czNjcmV0"), "{}", items[0]);
    let (report, _, _) = run(crawler(vec![seeds[0].clone()], title), |_| ScriptedAnswer::status(404));
    assert!(!format!("{report:?}").contains("s3cret"), "{report:?}");
    assert_eq!(report.failures[0].url, "http://a.example/");
}

#[test]
fn what_has_not_changed_reaches_parse_as_such() {
    let known = Validators { etag: Some("\"v1\"".into()), ..Validators::default() };
    let seeds = ["/same", "/moved", "/new"]
        .map(|path| Request::get(format!("http://a.example{path}"), 0).unless_unchanged(&known));
    let crawler = crawler(seeds.into(), |page, found| {
        found.item(format!("{} {} {:?}", page.requested_url(), page.is_not_modified(), page.etag()));
        Ok(())
    });
    let web = |ask: &TransportRequest| match ask.url.path() {
        "/same" => with(ScriptedAnswer::status(304), header::ETAG, "\"v1\""),
        "/moved" => redirect(301, "/target"),
        _ => with(ScriptedAnswer::page("<title>x</title>"), header::ETAG, "\"v2\""),
    };
    let (_, mut items, asked) = run(crawler, web);
    items.sort();
    assert_eq!(
        items,
        [
            "http://a.example/moved false Some(\"\\\"v2\\\"\")",
            "http://a.example/new false Some(\"\\\"v2\\\"\")",
            "http://a.example/same true Some(\"\\\"v1\\\"\")",
        ]
    );
    // A validator (such as an ETag) belongs to one URL, so the target of a redirect is requested without it.
    assert!(asked.contains(&"GET http://a.example/target".to_owned()), "{asked:?}");
    assert!(asked.contains(&"GET http://a.example/same if-none-match=\"v1\"".to_owned()), "{asked:?}");
}

#[test]
fn middleware_may_hold_a_host_and_its_panic_costs_one_page() {
    struct SoftBlock(Mutex<u32>);
    impl Middleware for SoftBlock {
        fn on_response(&self, answer: &mut Incoming<'_>) {
            assert!(answer.url().path() != "/bomb", "as asked by a test");
            let mut seen = self.0.lock().unwrap();
            *seen += 1;
            if *seen == 2 {
                answer.refuse(Some(Duration::from_secs(90)));
            }
        }
    }
    let seeds = ["/1", "/2", "/bomb", "/3"].map(|path| Request::get(format!("http://a.example{path}"), 0));
    let crawler = crawler(seeds.into(), title).middleware(SoftBlock(Mutex::new(0)));
    let (report, _, asked) = run(crawler, |_| ScriptedAnswer::page("<title>x</title>"));
    assert_eq!((report.pages, report.refusals), (3, 1), "{report:?}");
    assert_eq!(report.reasons.get(&Reason::MiddlewarePanic), Some(&1));
    assert!(report.elapsed >= Duration::from_secs(90), "{report:?}");
    assert_eq!(asked.len(), 5);
}

#[cfg(feature = "cache")]
#[test]
fn what_is_in_the_cache_costs_no_request_and_no_budget() {
    let dir = tempfile::tempdir().unwrap();
    let seeds: Vec<_> = (0..50).map(|n| Request::get(format!("http://a.example/{n}"), 0)).collect();
    let once = || {
        let slow = HostPolicy::new().rate(opilio_core::per_minute(60));
        let crawler =
            crawler(seeds.clone(), title).host(slow).cache(opilio_fetch::Cache::open(dir.path()).unwrap());
        run(crawler, |ask| {
            let page = match ask.url.path() {
                "/7" => redirect(301, "/seven"),
                path => ScriptedAnswer::page(format!("<title>{path}</title>")),
            };
            with(page, header::CACHE_CONTROL, "max-age=3600")
        })
    };
    let before = crate::prepared::records_read();
    let (first, mut items, asked) = once();
    assert_eq!((first.pages, first.cached, asked.len()), (50, 0, 51));
    assert_eq!(crate::prepared::records_read() - before, 51, "for the cache and for the gate");
    assert!(first.elapsed >= Duration::from_secs(49), "{first:?}");
    let (second, mut again, asked) = once();
    assert_eq!((second.pages, second.cached, second.requests, asked.len()), (50, 51, 0, 0), "{second:?}");
    assert!(second.elapsed < Duration::from_secs(5), "{second:?}");
    items.sort();
    again.sort();
    assert_eq!(items, again);
}

#[test]
fn files_are_there_before_their_page_and_without_them_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let seeds =
        || ["/a", "/b", "/same"].map(|path| Request::get(format!("http://a.example{path}"), 0)).to_vec();
    let keep: Read = |page, found| {
        let hash = found.file(page);
        assert_eq!(hash, page.body_hash());
        found.item(hash.path());
        Ok(())
    };
    let web = |ask: &TransportRequest| match ask.url.path() {
        "/b" => ScriptedAnswer::page("b"),
        _ => ScriptedAnswer::page("a"),
    };
    let store = FileStore::open(dir.path()).unwrap();
    let (report, mut items, _) = run(crawler(seeds(), keep).files(store.clone()), web);
    assert_eq!((report.pages, items.len()), (3, 3));
    for path in &items {
        let bytes = std::fs::read(dir.path().join(path)).unwrap();
        assert_eq!(opilio_export::ContentHash::of(&bytes).path(), *path);
    }
    items.sort();
    items.dedup();
    assert_eq!(items.len(), 2, "the same content is one file");

    // If the directory for a file cannot be created, the page of that file fails and has no items.
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    std::fs::write(dir.path().join(&opilio_export::ContentHash::of(b"a").path()[..2]), "in the way").unwrap();
    let (report, items, _) = run(crawler(seeds(), keep).files(store), web);
    assert_eq!((report.pages, items.len()), (1, 1), "{report:?}");
    assert_eq!(report.reasons.get(&Reason::NotStored), Some(&2));

    let (report, items, _) = run(crawler(seeds(), keep), web);
    assert_eq!((report.pages, items.len()), (0, 0));
    assert_eq!(report.reasons.get(&Reason::NotStored), Some(&3));
}

#[test]
fn a_dead_proxy_is_not_the_hosts_fault_and_not_asked_for_ever() {
    let seeds: Vec<_> = (0..3).map(|n| Request::get(format!("http://a.example/{n}"), 0)).collect();
    let dead = |_: &TransportRequest| ScriptedAnswer::fault(Phase::Connect, Fault::Proxy);
    for with_robots in [false, true] {
        let crawler = Crawler::new(Script { seeds: seeds.clone(), read: title });
        let crawler = if with_robots { crawler } else { crawler.no_robots() };
        let (report, _, asked) = run(crawler, dead);
        assert_eq!(report.reasons.get(&Reason::Proxy), Some(&3), "{report:?}");
        assert!(report.elapsed < Duration::from_secs(60), "{report:?}");
        assert!(asked.len() <= 3 * 4, "{}", asked.len());
        assert!(report.failures.iter().all(|failure| failure.error.is_some()), "{report:?}");
    }
    // Once the proxy works again, all pages are fetched.
    let asked = Mutex::new(0);
    let mends = move |_: &TransportRequest| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if *asked <= 5 {
            ScriptedAnswer::fault(Phase::Connect, Fault::Proxy)
        } else {
            ScriptedAnswer::page("x")
        }
    };
    let (report, _, _) = run(crawler(seeds.clone(), title), mends);
    assert_eq!((report.pages, report.retries), (3, 5), "{report:?}");
}

#[test]
fn a_dead_proxy_is_tried_as_often_as_the_retries_say() {
    use opilio_core::RetryPolicy;
    let dead = |_: &TransportRequest| ScriptedAnswer::fault(Phase::Connect, Fault::Proxy);
    for retries in [0, 1, 3] {
        for method in ["GET", "POST"] {
            let seeds = vec![Request::get("http://a.example/1", 0).method(method)];
            let crawler = Crawler::new(Script { seeds, read: title });
            let crawler = crawler.retry(RetryPolicy::default().retries(retries));
            let (report, _, asked) = run(crawler.no_robots(), dead);
            assert_eq!(report.reasons.get(&Reason::Proxy), Some(&1), "{report:?}");
            assert_eq!(asked.len(), usize::from(retries) + 1, "nothing has reached the host: {report:?}");
        }
        // The same is tested for robots.txt and all pages that wait for it.
        let seeds = (0..40).map(|n| Request::get(format!("http://a.example/{n}"), 0)).collect();
        let crawler = Crawler::new(Script { seeds, read: title });
        let (report, _, asked) = run(crawler.retry(RetryPolicy::default().retries(retries)), dead);
        assert_eq!(report.reasons.get(&Reason::Proxy), Some(&40), "{report:?}");
        assert!(report.elapsed < Duration::from_secs(60), "{report:?}");
        assert!(asked.len() <= usize::from(retries) + 1 + 40 / 16 + 1, "{}", asked.len());
    }
}
