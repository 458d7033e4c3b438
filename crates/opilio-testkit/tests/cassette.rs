//! Tests that record a crawl and replay it without a network: with the same rows, without secrets, in virtual
//! time.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use opilio_testkit::prelude::*;
use opilio_testkit::sandbox::Sandbox;
use opilio_testkit::{CassetteError, TestCrawlError, opilio};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Step {
    Listing,
    Product,
    Order,
}

/// Reads a shop, orders the first product, and requests some URLs that fail.
struct Shop {
    base: String,
}

impl Spider for Shop {
    type Item = json::Value;
    type Step = Step;

    fn seeds(&self) -> Vec<Request<Step>> {
        let url = |path: &str| format!("{}{path}", self.base);
        vec![
            Request::get(url("/products"), Step::Listing),
            Request::get(url("/go?to=/deals"), Step::Listing),
            Request::get(url("/gone"), Step::Product),
            Request::get(url("/broken"), Step::Product),
            Request::post(url("/orders"), Step::Order).form([("sku", "7"), ("password", "hush-form")]),
            Request::get(url("/session?api_key=hush-url"), Step::Order).session("alice"),
        ]
    }

    fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        match page.step() {
            Step::Listing => {
                found.follow(page, "a.product", Step::Product)?;
                found.follow(page, "a.next", Step::Listing)?;
            }
            Step::Product => {
                let name = page.css("h1.name")?.need()?.text();
                found.item(json!({ "name": name, "price": page.css(".price")?.text() }));
            }
            Step::Order => found.item(json!({ "order": page.text(), "session": page.session() })),
        }
        Ok(())
    }
}

fn shop(products: u32) -> HostConfig {
    let cookie = [("set-cookie", "sid=hush-cookie; Path=/; HttpOnly".to_owned())];
    HostConfig::new()
        .products(products)
        .answer("/session?api_key=hush-url", 200, cookie, "<p>for alice alone</p>")
        .fault(Trigger::Path("/broken".into()), Fault::ResetMidBody)
        .fault(Trigger::PathTimes("/products?page=2".into(), 1), Fault::Status(503))
}

fn fast(spider: Shop) -> TestCrawl<Shop> {
    let policy = HostPolicy::new().rate(per_second(1_000)).in_flight(4);
    crawl(spider).host(policy).with(|crawler| {
        let backoff = Backoff { min: Duration::from_millis(1), max: Duration::from_millis(5) };
        let policy = HostPolicy::new().rate(per_second(1_000)).in_flight(4).backoff(backoff);
        let login = opilio::HostSettings::from(policy).basic("me", "hush-header").unwrap();
        crawler.addresses(AddressPolicy::allow_all()).host(login)
    })
}

/// Returns the path of a cassette for this test alone.
fn place(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("cassettes/shop.warc")
}

#[test]
fn a_replay_gives_the_rows_of_its_recording_with_every_connect_refused_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let mut sandbox = Sandbox::builder().host(shop(45)).start().unwrap();
    let base = sandbox.base(0);
    let spider = || Shop { base: base.replace("//", "//me:hush-info@") };
    let recorded = fast(spider()).record(place(&dir)).unwrap();
    // The rows are 45 products, an order and a session; `/gone` and `/broken` fail.
    assert_eq!((recorded.items, recorded.failed()), (47, 2), "{recorded}");
    sandbox.stop();
    std::net::TcpStream::connect(sandbox.addr(0)).unwrap_err();

    let cassette = std::fs::read_to_string(place(&dir)).unwrap();
    assert!(!cassette.contains("hush"), "{}", cassette.lines().find(|line| line.contains("hush")).unwrap());
    assert!(!cassette.contains("bWU6aHVzaC1"), "no login in base64");
    assert!(cassette.contains("set-cookie: sid=left-out; Path=/; HttpOnly"));
    assert!(cassette.contains("\r\n\r\nsku=7&password=left-out\r\n"));
    assert!(cassette.contains("GET /robots.txt HTTP/1.1\r\n") && cassette.contains("<h1 class=\"name\">"));

    let replayed = fast(spider()).replaying(place(&dir)).run();
    assert_eq!(replayed.items.len(), 47);
    assert_eq!(replayed.report.reasons, recorded.reasons);
    replayed.log.assert_polite();
    replayed.log.assert_requested("/go?to=/deals");
    replayed.log.assert_nothing_sent_twice();
    let again = fast(spider()).replaying(place(&dir)).killed_after(20).run();
    again.assert_items(replayed.items);
}

#[test]
fn a_cassette_is_not_replaced_by_a_recording_without_a_page_and_its_path_is_opened_first() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().host(shop(1)).start().unwrap();
    let base = sandbox.base(0);
    let error = fast(Shop { base: base.clone() }).record(dir.path()).unwrap_err();
    assert!(
        matches!(error, TestCrawlError::Cassette(CassetteError::File { .. }))
            && sandbox.log(0).arrivals() == 0,
        "{error:?}"
    );
    fast(Shop { base: base.clone() }).record(place(&dir)).unwrap();
    let cassette = std::fs::read(place(&dir)).unwrap();
    drop(sandbox);
    let error = fast(Shop { base }).record(place(&dir)).unwrap_err();
    assert!(matches!(error, TestCrawlError::Cassette(CassetteError::NoPage { .. })), "{error:?}");
    assert_eq!(std::fs::read(place(&dir)).unwrap(), cassette);
}

#[test]
fn an_endless_crawl_is_not_recorded_without_end() {
    struct Calendar(String);
    impl Spider for Calendar {
        type Item = String;
        type Step = ();
        fn seeds(&self) -> Vec<Request<()>> {
            vec![Request::get(format!("{}/1", self.0), ())]
        }
        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            let day = page.url().path().trim_start_matches('/').parse::<u32>().unwrap();
            found.request(Request::get(format!("/{}", day + 1), ()));
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let site = Site::Written(PageWriter::new(|_| Some("a day".to_owned())));
    let sandbox = Sandbox::builder().host(HostConfig::new().site(site)).start().unwrap();
    let base = sandbox.base(0);
    let panic = std::panic::catch_unwind(|| {
        let crawl = crawl(Calendar(base)).host(HostPolicy::new().rate(per_second(1_000))).max_requests(20);
        // Without a limit, the crawl ends here, after more requests.
        let crawl = crawl.with(|crawler| crawler.addresses(AddressPolicy::allow_all()).max_pages(100));
        drop(crawl.record(place(&dir)));
    });
    let words = panic.unwrap_err().downcast_ref::<String>().cloned().unwrap();
    assert!(words.starts_with("the crawl sent 20 requests and had more to send"), "{words}");
    assert!(words.contains("The last ones:\n  GET http://127.0.0.1"), "{words}");
    assert_eq!((sandbox.log(0).arrivals(), place(&dir).exists()), (20, false));
}

#[test]
fn secrets_are_recorded_when_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().host(shop(1)).start().unwrap();
    let spider = || Shop { base: sandbox.base(0) };
    fast(spider()).keeping_secrets().record(place(&dir)).unwrap();
    let cassette = std::fs::read_to_string(place(&dir)).unwrap();
    for secret in ["hush-form", "hush-url", "sid=hush-cookie", "authorization: Basic bWU6aHVzaC1"] {
        assert!(cassette.contains(secret), "{secret}");
    }
    assert_eq!(fast(spider()).replaying(place(&dir)).run().items.len(), 3);
}

/// Returns the CPU time of this thread, so that other tests do not count; where the system does not tell it,
/// the time of day.
fn spent() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|stat| stat.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap_or_default(), Duration::from_nanos)
}

#[test]
fn two_hundred_pages_at_thirty_a_minute_are_replayed_in_under_two_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().host(HostConfig::new().products(200)).start().unwrap();
    let base = sandbox.base(0);
    fast(Shop { base: base.clone() }).record(place(&dir)).unwrap();
    drop(sandbox);
    let began = spent();
    let run = crawl(Shop { base }).host(HostPolicy::new().rate(per_minute(30))).replaying(place(&dir)).run();
    let took = spent() - began;
    assert!(run.report.pages >= 200 && run.took >= 400 * Duration::from_secs(1), "{}", run.report);
    run.log.assert_polite();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_request_that_is_not_recorded_fails_with_its_name() {
    struct Other(String);
    impl Spider for Other {
        type Item = String;
        type Step = ();
        fn seeds(&self) -> Vec<Request<()>> {
            let order = |sku: &str| Request::post(format!("{}/orders", self.0), ()).form([("sku", sku)]);
            let page = |path: &str| Request::get(format!("{}{path}", self.0), ());
            vec![order("8").session("bob"), page("/nowhere?page=3"), page("/products")]
        }
        fn parse(&self, _: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            found.item("page".to_owned());
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().host(shop(1)).start().unwrap();
    let base = sandbox.base(0);
    fast(Shop { base: base.clone() }).record(place(&dir)).unwrap();
    let run = crawl(Other(base.clone())).replaying(place(&dir)).try_run().unwrap();
    let said: Vec<_> = run.report.failures.iter().filter_map(|failure| failure.error.as_deref()).collect();
    assert_eq!((run.items.len(), said.len()), (1, 2), "{said:?}");
    let name = "a_request_that_is_not_recorded_fails_with_its_name";
    let command = format!("record it: OPILIO_RECORD=1 cargo test -p opilio-testkit {name}");
    let order = format!("POST {base}/orders with the body \"sku=8\" in the session bob is not in");
    let page = format!("GET {base}/nowhere?page=3 is not in");
    for words in [order, page] {
        assert!(said.iter().any(|said| said.contains(&words) && said.contains(&command)), "{said:?}");
    }
    let panic =
        std::panic::catch_unwind(|| drop(crawl(Other(base)).replaying(place(&dir)).run())).unwrap_err();
    let words = panic.downcast_ref::<String>().unwrap();
    assert!(words.starts_with("requests that the cassette has no answer to:\n  "), "{words}");
    assert!(words.ends_with(&command.replace("record it", "record them")), "{words}");
}

#[test]
fn a_cassette_that_is_not_there_or_none_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let panic = std::panic::catch_unwind(|| {
        drop(crawl(Shop { base: "http://a.example".into() }).replaying(place(&dir)).run());
    });
    let words = panic.unwrap_err().downcast_ref::<String>().cloned().unwrap();
    assert!(
        words.contains("there is no cassette at ") && words.contains("OPILIO_RECORD=1 cargo test"),
        "{words}"
    );
    let error = crawl(Shop { base: "http://a.example".into() }).replaying(place(&dir)).try_run().unwrap_err();
    let is_missing = matches!(error, TestCrawlError::Cassette(CassetteError::Missing { .. }));
    assert!(is_missing && error.to_string().contains("OPILIO_RECORD=1 cargo test"), "{error:?}");
    let error = fast(Shop { base: "no URL".into() }).record(place(&dir)).unwrap_err();
    assert!(matches!(error, TestCrawlError::Record { .. }), "{error:?}");
}

#[test]
fn files_of_wget_and_of_warcio_are_replayed() {
    struct Titles;
    impl Spider for Titles {
        type Item = String;
        type Step = ();
        fn seeds(&self) -> Vec<Request<()>> {
            vec![Request::get("http://127.0.0.1:8099/", ())]
        }
        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            found.item(page.title().unwrap_or_default().to_owned());
            found.follow_links(page, ());
            Ok(())
        }
    }
    // The tool that wrote the last one, like a browser, does not ask for robots.txt.
    for file in ["wget.warc", "warcio.warc.gz", "no-robots.warc"] {
        let run = crawl(Titles).replaying(format!("tests/foreign/{file}")).run();
        run.assert_finished();
        run.assert_items(["Lamps", "Glass bowl", "In pieces"]);
        run.log.assert_requested_once("/moved");
        run.log.assert_polite();
    }
}

#[test]
fn dates_of_a_replay_are_those_of_its_recording() {
    struct Dates;
    impl Spider for Dates {
        type Item = String;
        type Step = ();
        fn seeds(&self) -> Vec<Request<()>> {
            vec![Request::get("http://127.0.0.1:8099/", ())]
        }
        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            use opilio::extract::typed::PageAround as _;
            found.item(page.fetched_at().map(|at| at.to_string()).unwrap_or_default());
            Ok(())
        }
    }
    let run = crawl(Dates).replaying("tests/foreign/wget.warc").run();
    // The recording began at 10:09:12. Robots.txt is requested first, and the page a second later.
    assert_eq!(run.items, ["2026-11-30T10:09:13.005Z"]);
}

/// Reads the titles of two pages.
struct Two([String; 2]);
impl Spider for Two {
    type Item = String;
    type Step = ();
    fn seeds(&self) -> Vec<Request<()>> {
        self.0.iter().map(|url| Request::get(&**url, ())).collect()
    }
    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(page.title().unwrap_or_default().to_owned());
        Ok(())
    }
}

#[test]
fn failures_without_an_answer_are_recorded_and_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let closed = Sandbox::builder().host(HostConfig::new()).start().unwrap().url(0, "/");
    let silent = HostConfig::new().site(Site::Blank).fault(Trigger::Path("/silent".into()), Fault::Silence);
    let sandbox = Sandbox::builder().host(silent).start().unwrap();
    let urls = [closed, sandbox.url(0, "/silent")];
    let set = |crawl: TestCrawl<Two>| {
        let limits = Limits { timeout: Duration::from_secs(1), ..Limits::default() };
        let backoff = Backoff { min: Duration::from_millis(1), max: Duration::from_millis(5) };
        let policy = HostPolicy::new().rate(per_second(1_000)).backoff(backoff);
        crawl.host(policy).with(move |crawler| {
            let crawler = crawler.retry(RetryPolicy::default().retries(1)).limits(limits.clone());
            crawler.addresses(AddressPolicy::allow_all())
        })
    };
    let recorded = set(crawl(Two(urls.clone()))).record(place(&dir)).unwrap();
    assert_eq!(recorded.reasons, [(Reason::Connect, 1), (Reason::Timeout, 1)].into(), "{recorded}");
    let cassette = std::fs::read_to_string(place(&dir)).unwrap();
    for field in
        ["WARC-Type: metadata", "Opilio-Fault: Connect", "Opilio-Fault: Timeout", "Opilio-Phase: Head"]
    {
        assert!(cassette.contains(field), "{field}");
    }
    drop(sandbox);
    let replayed = set(crawl(Two(urls))).replaying(place(&dir)).run();
    assert_eq!(replayed.report.reasons, recorded.reasons);
}

/// Serves a blank robots.txt, and to every other request a head with chunks and half a page, and then nothing more.
fn half_a_page() -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for connection in listener.incoming() {
            let (mut connection, mut head) = (connection.unwrap(), [0; 4_096]);
            let read = connection.read(&mut head).unwrap();
            let answer = if head[..read].starts_with(b"GET /robots.txt") {
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n<h1>half \r\n"
            };
            connection.write_all(answer.as_bytes()).unwrap();
            open.push(connection);
        }
    });
    base
}

#[test]
fn a_body_that_is_not_there_by_the_deadline_is_replayed_as_late() {
    let dir = tempfile::tempdir().unwrap();
    let base = half_a_page();
    let set = |crawl: TestCrawl<Two>| {
        crawl.with(|crawler| {
            let limits = Limits { timeout: Duration::from_secs(1), ..Limits::default() };
            let crawler = crawler.retry(RetryPolicy::default().retries(0)).limits(limits);
            crawler.addresses(AddressPolicy::allow_all())
        })
    };
    let spider = || Two([format!("{base}/1"), format!("{base}/1")]);
    let recorded = set(crawl(spider())).record(place(&dir)).unwrap();
    assert_eq!((recorded.pages, &recorded.reasons), (0, &[(Reason::Timeout, 1)].into()), "{recorded}");
    let replayed = set(crawl(spider())).replaying(place(&dir)).run();
    assert_eq!((replayed.report.pages, replayed.report.reasons), (0, recorded.reasons));
}

/// Does nothing unless `a_variable_records_the_cassette_and_another_accepts_the_items` runs it as a child
/// process.
#[test]
fn a_test_with_a_cassette_and_a_snapshot() {
    let (Ok(base), Ok(dir)) = (std::env::var("TESTKIT_BASE"), std::env::var("TESTKIT_DIR")) else { return };
    let run = fast(Shop { base }).replaying(format!("{dir}/shop.warc")).run();
    run.assert_snapshot(format!("{dir}/shop.json"));
}

#[test]
fn a_variable_records_the_cassette_and_another_accepts_the_items() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().host(shop(2)).start().unwrap();
    let base = sandbox.base(0);
    let run = |variables: &[&str]| {
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "a_test_with_a_cassette_and_a_snapshot", "--nocapture"]);
        test.env("TESTKIT_BASE", &base).env("TESTKIT_DIR", dir.path());
        test.env_remove("OPILIO_RECORD").env_remove("OPILIO_ACCEPT");
        test.envs(variables.iter().map(|variable| (*variable, "1")));
        let output = test.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    };
    let words = run(&[]).unwrap_err();
    assert!(words.contains("record it: OPILIO_RECORD=1 cargo test -p opilio-testkit a_test_with"), "{words}");
    let words = run(&["OPILIO_RECORD"]).unwrap_err();
    assert!(words.contains("accept these 4 items: OPILIO_ACCEPT=1 cargo test"), "{words}");
    drop(sandbox);
    run(&["OPILIO_ACCEPT"]).unwrap();
    run(&[]).unwrap();
}
