//! Tests of the cache with real requests: some answers are reused, some are fetched again, some are never stored.

use std::path::Path;
use std::time::Duration;

use http::{HeaderValue, header};
use opilio_core::Outcome;

use super::server::{Act, Server, answer};
use super::{fetcher, get};
use crate::{Cache, FetchRequest, Fetched, Fetcher, Incoming, Middleware, Purpose};

fn cached(dir: &Path) -> Fetcher {
    fetcher().cache(Cache::open(dir).unwrap())
}

/// Starts a server that gives these answers one after the other, each answer on a connection of its own.
async fn server(answers: &[(&str, &str, &str)]) -> Server {
    let acts = answers.iter().map(|(status, fields, body)| {
        let fields = format!("{fields}Connection: close\r\nContent-Length: {}\r\n", body.len());
        vec![Act::Read, answer(status, &fields, body)]
    });
    Server::start(acts.collect()).await
}

/// A middleware that recognises a captcha and declares it a refusal.
struct Captcha;

impl Middleware for Captcha {
    fn on_response(&self, answer: &mut Incoming<'_>) {
        if answer.body().starts_with(b"captcha") {
            answer.refuse(None);
        }
    }
}

fn body(fetched: &Fetched) -> &str {
    assert!(matches!(fetched.outcome, Outcome::Answered(200)), "{fetched:?}");
    std::str::from_utf8(&fetched.body).unwrap()
}

#[tokio::test]
async fn what_is_fresh_is_read_again_and_nothing_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = "Cache-Control: max-age=60\r\nSet-Cookie: sid=s3cret\r\nX-A: 1\r\n";
    let server = server(&[("200 OK", fresh, "one"), ("200 OK", fresh, "two")]).await;
    let url = server.url("/a");
    assert_eq!(body(&get(&cached(dir.path()), &url).await), "one");
    // Another fetcher reads the same cache, as another run of the crawl would.
    let again = get(&cached(dir.path()), &url).await;
    assert_eq!(body(&again), "one");
    let head = again.head.unwrap();
    assert_eq!((&head.headers["x-a"], head.url.as_str()), (&HeaderValue::from_static("1"), &*url));
    assert_eq!(server.requests().len(), 1);
    assert!(cached(dir.path()).cached(&FetchRequest::get(url.parse().unwrap())).await.is_some());
    let found = std::process::Command::new("grep").args(["-r", "s3cret"]).arg(dir.path()).output().unwrap();
    assert!(found.stdout.is_empty(), "secrets do not lie about");
}

#[tokio::test]
async fn what_is_stale_is_asked_for_and_may_have_stayed() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&[
        ("200 OK", "ETag: \"v1\"\r\nX-Age: 0\r\nCache-Control: no-cache\r\n", "one"),
        ("304 Not Modified", "ETag: \"v1\"\r\nX-Age: 1\r\n", ""),
        ("200 OK", "ETag: \"v2\"\r\nCache-Control: no-cache\r\n", "two"),
        ("503 Down", "", ""),
    ])
    .await;
    let (fetcher, url) = (cached(dir.path()), server.url("/"));
    assert_eq!(body(&get(&fetcher, &url).await), "one");
    assert!(fetcher.cached(&FetchRequest::get(url.parse().unwrap())).await.is_none());
    let same = get(&fetcher, &url).await;
    assert_eq!(
        (body(&same), &same.head.as_ref().unwrap().headers["x-age"]),
        ("one", &HeaderValue::from_static("1"))
    );
    assert!(server.requests()[1].contains("if-none-match: \"v1\""), "{}", server.requests()[1]);
    assert_eq!(body(&get(&fetcher, &url).await), "two");
    assert_eq!(get(&fetcher, &url).await.outcome, Outcome::Answered(503));
}

#[tokio::test]
async fn what_says_nothing_is_kept_as_long_as_we_say() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&[
        ("200 OK", "", "one"),
        ("200 OK", "Cache-Control: no-store\r\n", "two"),
        ("404 No", "", ""),
    ])
    .await;
    let (strict, url) = (cached(dir.path()), server.url("/"));
    assert_eq!(body(&get(&strict, &url).await), "one");
    let long = || fetcher().cache(Cache::open(dir.path()).unwrap().fresh_for(Duration::from_secs(60)));
    assert_eq!(body(&get(&strict, &url).await), "two");
    assert_eq!(body(&get(&long(), &url).await), "one", "no-store was not kept");
    assert_eq!(get(&long(), &server.url("/missing")).await.outcome, Outcome::Answered(404));
    assert_eq!(get(&long(), &server.url("/missing")).await.outcome, Outcome::Answered(404));
    assert_eq!(server.requests().len(), 4, "failures are not kept");
}

#[tokio::test]
async fn what_is_no_page_to_the_crawl_is_neither_kept_nor_read() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = "Cache-Control: max-age=60\r\n";
    let server = server(&[
        ("202 Later", fresh, "one"),
        ("202 Later", fresh, "two"),
        ("202 Later", fresh, "three"),
        ("202 Later", fresh, "four"),
        ("200 OK", fresh, "captcha"),
        ("200 OK", fresh, "page"),
    ])
    .await;
    let order = || FetchRequest::get(server.url("/").parse().unwrap());
    let named = || [202].into_iter().collect();
    let fetcher = cached(dir.path());
    // An answer is stored if its status is not named in the request, and is not read if its status is named.
    assert_eq!(fetcher.fetch(order()).await.outcome, Outcome::Answered(202));
    for outcome in [Outcome::Refused(202), Outcome::Answered(202)] {
        let order = match outcome {
            Outcome::Refused(_) => FetchRequest { slow_down: named(), ..order() },
            _ => FetchRequest { retried: named(), ..order() },
        };
        assert!(fetcher.cached(&order).await.is_none());
        assert_eq!(fetcher.fetch(order).await.outcome, outcome);
    }
    let other = FetchRequest::get(server.url("/other").parse().unwrap());
    fetcher.fetch(FetchRequest { retried: named(), ..other.clone() }).await;
    assert!(fetcher.cached(&other).await.is_none(), "not kept");
    let refusing = fetcher.clone().middleware(vec![std::sync::Arc::new(Captcha)]);
    assert_eq!(refusing.fetch(other.clone()).await.outcome, Outcome::Refused(200));
    assert_eq!(body(&refusing.fetch(other).await), "page");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn users_logins_languages_and_methods_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n";
    let server = server(&[("200 OK", fresh, "page")]).await;
    let fetcher = cached(dir.path());
    let order = || FetchRequest::get(server.url("/").parse().unwrap());
    let mut count = 0;
    let mut sends = async |order: FetchRequest| {
        fetcher.fetch(order).await;
        let sent = server.requests().len() - count;
        count += sent;
        sent == 1
    };
    assert!(sends(order()).await);
    assert!(!sends(order()).await);
    let session = || FetchRequest { session: Some("alice".into()), ..order() };
    assert!(sends(session()).await);
    assert!(!sends(session()).await);
    for (name, value) in [
        (header::AUTHORIZATION, "Bearer t"),
        (header::IF_NONE_MATCH, "\"v\""),
        (header::ACCEPT_LANGUAGE, "de"),
    ] {
        let mut order = order();
        order.headers.insert(name.clone(), HeaderValue::from_static(value));
        assert!(sends(order).await, "{name}");
    }
    assert!(sends(FetchRequest::new(http::Method::POST, order().url)).await);
}

#[tokio::test]
async fn redirects_are_kept_and_damage_is_as_good_as_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let moved = ("301 Moved", "Location: /b\r\nCache-Control: max-age=60\r\n", "");
    let server = server(&[moved]).await;
    let (fetcher, url) = (cached(dir.path()), server.url("/a"));
    for _ in 0..2 {
        let fetched = get(&fetcher, &url).await;
        assert_eq!(fetched.outcome, Outcome::Redirected(301));
        assert_eq!(fetched.location.unwrap().as_str(), server.url("/b"));
    }
    assert_eq!(server.requests().len(), 1);
    let file = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap() != "unfinished")
        .flat_map(|path| std::fs::read_dir(path).unwrap())
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut n = 1;
    for cut in [0, 5, 20, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        n += 1;
        assert_eq!(get(&fetcher, &url).await.outcome, Outcome::Redirected(301));
        assert_eq!(server.requests().len(), n, "cut at {cut}");
    }
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&file, flipped).unwrap();
    get(&fetcher, &url).await;
    assert_eq!(server.requests().len(), n + 1);
}

#[tokio::test]
async fn for_as_long_as_we_say_redirects_and_rules_are_read_again_too() {
    let dir = tempfile::tempdir().unwrap();
    let long =
        || fetcher().cache(Cache::open(dir.path()).unwrap().fresh_for(Duration::from_secs(7 * 86_400)));
    let server = server(&[
        ("302 Found", "Location: /b\r\nCache-Control: no-store\r\n", ""),
        ("307 Off", "Location: /b\r\n", ""),
        ("200 OK", "", "User-agent: *"),
        ("200 OK", "", "as a page"),
        ("404 No", "", ""),
        ("302 Found", "Location: /\r\nSet-Cookie: a=1\r\n", ""),
        ("200 OK", "", "with the cookie"),
        ("302 Found", "Location: /b\r\nRetry-After: 1\r\n", ""),
    ])
    .await;
    let order = |path: &str, purpose| FetchRequest {
        purpose,
        ..FetchRequest::get(server.url(path).parse().unwrap())
    };
    let (page, rules) = (Purpose::Page, Purpose::Robots);
    for _ in 0..2 {
        assert_eq!(long().fetch(order("/302", page)).await.outcome, Outcome::Redirected(302));
        assert_eq!(long().fetch(order("/307", page)).await.outcome, Outcome::Redirected(307));
        assert_eq!(body(&long().fetch(order("/robots.txt", rules)).await), "User-agent: *");
        assert_eq!(body(&long().fetch(order("/robots.txt", page)).await), "as a page");
        let none = long().fetch(order("/none/robots.txt", rules)).await;
        assert_eq!(none.outcome, Outcome::Answered(404), "to have none is an answer");
    }
    assert_eq!(server.requests().len(), 5);
    // Tests a page behind a redirect that leads back to the same URL: the redirect in the cache must not be used as
    // the page.
    let wall = || order("/wall", page);
    assert_eq!(long().fetch(wall()).await.outcome, Outcome::Redirected(302));
    assert!(long().cached(&wall()).await.is_none());
    assert_eq!(body(&long().fetch(wall()).await), "with the cookie");
    let read = long().fetch(wall()).await;
    assert!(read.cached && body(&read) == "with the cookie");
    assert_eq!(server.requests().len(), 7);
    // An answer with a wait is not stored either.
    long().fetch(order("/wait", page)).await;
    assert!(long().cached(&order("/wait", page)).await.is_none());
    assert!(!long().fetch(FetchRequest { came_back: true, ..order("/302", page) }).await.cached);
    // A robots.txt is fetched again after a day, but pages are not.
    let day = |n: i64| {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
        long().wall_clock_ms(move || now + n * 86_400_000)
    };
    let before = server.requests().len();
    day(2).fetch(order("/robots.txt", page)).await;
    assert_eq!(server.requests().len(), before);
    day(2).fetch(order("/robots.txt", rules)).await;
    assert_eq!(server.requests().len(), before + 1);
}
