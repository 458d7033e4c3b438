//! Tests of how redirected URLs end: as pages, as aliases of pages, or as failures with a reason.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{FAST, Run, assert_balanced, crawl, run};

/// A request as the server receives it: its path, and its cookies.
struct Asked<'a> {
    path: &'a str,
    cookies: &'a str,
}

/// A server whose answers a closure makes. It records which requests arrived.
struct Server {
    base: String,
    log: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Server {
    fn start(answer: impl Fn(&Asked<'_>) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let log: Arc<Mutex<Vec<_>>> = Arc::default();
        let seen = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
                let path = head.split(' ').nth(1).unwrap_or_default();
                let fields = head.lines().filter_map(|line| line.split_once(": "));
                let cookies =
                    fields.filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).map(|(_, value)| value);
                let cookies = cookies.collect::<Vec<_>>().join("; ");
                seen.lock().unwrap().push((Instant::now(), path.to_owned()));
                let answer = match path {
                    "/robots.txt" => status(404, ""),
                    _ => answer(&Asked { path, cookies: &cookies }),
                };
                let _ = reader.into_inner().write_all(answer.as_bytes());
            }
        });
        Self { base, log }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the requested paths, in the order of the requests.
    fn asked(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().map(|(_, path)| path.clone()).filter(|path| path != "/robots.txt").collect()
    }

    /// Returns the time at which a path was first requested.
    fn first(&self, path: &str) -> Instant {
        self.log.lock().unwrap().iter().find(|(_, asked)| asked == path).unwrap().0
    }
}

fn status(status: u16, fields: &str) -> String {
    format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n{fields}\r\n")
}

fn to(target: &str) -> String {
    status(302, &format!("location: {target}\r\n"))
}

fn page(title: &str, links: &[&str]) -> String {
    let links: String = links.iter().map(|to| format!("<a href={to}>x</a>")).collect();
    let body = format!("<title>{title}</title>{links}");
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// Returns the URL and the reason of each failure in a report.
fn failures(report: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = report["failures"].as_array().unwrap().iter();
    all.map(|failure| (text(&failure["url"]), text(&failure["reason"]))).collect()
}

fn titles(run: &Run) -> Vec<String> {
    let items = run.items();
    let mut titles: Vec<_> =
        items.iter().filter_map(|item| item["title"].as_str()).map(str::to_owned).collect();
    titles.sort();
    titles
}

#[test]
fn seeds_in_a_ring_fail_as_a_loop_and_the_command_says_so() {
    for length in [2, 3, 7] {
        let server = Server::start(move |asked| {
            let n: usize = asked.path[1..].parse().unwrap();
            to(&format!("/{}", (n + 1) % length))
        });
        let urls: Vec<_> = (0..length).map(|n| server.url(&format!("/{n}"))).collect();
        let (run, report) = crawl(&urls.iter().map(|url| &**url).collect::<Vec<_>>());
        assert_eq!((run.code, &report["aliases"]), (1, &json!(0)), "{}", run.stderr);
        assert_eq!(report["reasons"], json!({"redirect_loop": length}));
        assert!(run.items().is_empty(), "{}", run.stdout);
        assert!(run.stderr.contains("redirect_loop"), "{}", run.stderr);
        assert_eq!(server.asked().len(), length);
    }
}

#[test]
fn what_leads_to_a_failure_fails_as_it_does() {
    for (code, reason) in [(500, "http_5xx"), (404, "http_4xx"), (410, "http_4xx")] {
        let server = Server::start(move |asked| match asked.path {
            "/" => page("start", &["/a", "/b", "/ok", "/fine"]),
            "/a" | "/b" => to("/t"),
            "/ok" => to("/fine"),
            "/t" => status(code, ""),
            path => page(path, &[]),
        });
        let (run, report) = crawl(&[&server.url("/"), "--retries", "1"]);
        let failed = ["/a", "/b"].map(|path| (server.url(path), reason.to_owned()));
        assert_eq!(failures(&report), BTreeMap::from(failed), "{code}");
        assert_eq!(run.code, 0, "{}", run.stderr);
        let aliases: Vec<_> = run.items().into_iter().filter(|item| item["alias"] == json!(true)).collect();
        let alias = json!({"url": server.url("/ok"), "final_url": server.url("/fine"), "alias": true});
        assert_eq!(aliases, [alias]);
        assert_eq!(report["pages"], json!(2));
    }
}

/// Answers for a site that redirects every page to `/consent` until the client has been there. `/consent` redirects
/// back to the page that was requested last.
fn consent(asked: &Asked<'_>) -> String {
    let cookie = |name: &str| asked.cookies.split("; ").find_map(|cookie| cookie.strip_prefix(name));
    match asked.path {
        "/consent" => {
            let back = cookie("back=").unwrap_or("/");
            status(302, &format!("location: {back}\r\nset-cookie: ok=1; Path=/\r\n"))
        }
        path if cookie("ok=").is_none() => {
            status(302, &format!("location: /consent\r\nset-cookie: back={path}; Path=/\r\n"))
        }
        "/" => page("/", &["/6", "/7"]),
        path => page(path, &[]),
    }
}

#[test]
fn every_page_behind_a_consent_wall_arrives() {
    let server = Server::start(consent);
    let urls: Vec<_> = ["/", "/1", "/2", "/3", "/4", "/5"].map(|path| server.url(path)).into();
    let urls: Vec<_> = urls.iter().map(|url| &**url).collect();
    let (run, report) = crawl(&urls);
    assert_eq!(titles(&run), ["/", "/1", "/2", "/3", "/4", "/5", "/6", "/7"], "{report}");
    assert_eq!((run.code, &report["aliases"]), (0, &json!(0)));
    // A crawl without cookies does not get past the consent page, and the report says so.
    let server = Server::start(consent);
    let urls: Vec<_> = ["/", "/1", "/2"].map(|path| server.url(path)).into();
    let (run, report) = crawl(&[&urls[0], &urls[1], &urls[2], "--no-cookies"]);
    assert_eq!((run.code, &report["pages"], &report["aliases"]), (1, &json!(0), &json!(0)));
    assert_eq!(report["reasons"], json!({"redirect_loop": 3}));
}

/// Starts the old and the new host of a shop that has moved. Every page of the old host redirects to the new host.
fn old_and_new() -> (Server, Server) {
    let new = Server::start(|asked| match asked.path {
        "/" => page("start", &["/1", "/2", "http://127.0.0.1:9/elsewhere"]),
        path => page(path, &[]),
    });
    let base = new.base.clone();
    let old = Server::start(move |asked| status(301, &format!("location: {base}{}\r\n", asked.path)));
    (old, new)
}

#[test]
fn a_seed_that_has_moved_to_another_host_is_crawled_there() {
    let (old, new) = old_and_new();
    let (run, report) = crawl(&[&old.url("/")]);
    assert_eq!(titles(&run), ["/1", "/2", "start"], "{}", run.stderr);
    let start = run.items().into_iter().find(|item| item["title"] == "start").unwrap();
    assert_eq!((&start["url"], &start["final_url"]), (&json!(old.url("/")), &json!(new.url("/"))));
    assert_eq!((&report["filtered"], &report["failures"]), (&json!({"scope_host": 1}), &json!([])));

    let (old, new) = old_and_new();
    let (run, _) = crawl(&[&old.url("/"), "--follow", "none"]);
    assert_eq!(titles(&run), ["start"], "{}", run.stderr);
    assert_eq!((old.asked().len(), new.asked().len()), (1, 1));
}

#[test]
fn a_crawl_that_goes_on_later_still_knows_where_its_seed_has_moved() {
    let (old, _new) = old_and_new();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (state, output, report) = (path("state"), path("pages.jsonl"), path("report.json"));
    let seed = old.url("/");
    let args = ["--state", &state, "--output", &output, "--report", &report, &seed];
    let first = run(&[&["crawl", "--max-pages", "1"], &FAST[..], &args].concat());
    assert_eq!(first.code, 0, "{}", first.stderr);
    let second = run(&[&["crawl", "--resume"], &FAST[..], &args].concat());
    assert_eq!(second.code, 0, "{}", second.stderr);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    assert_balanced(&report);
    assert_eq!((&report["pages"], &report["left"]), (&json!(3), &json!(0)), "{report}");
    assert_eq!(std::fs::read_to_string(&output).unwrap().lines().count(), 3);
}

#[test]
fn a_redirect_that_asks_for_a_wait_is_followed_after_it() {
    let other = Server::start(|_| page("other", &[]));
    let base = other.base.clone();
    let server = Server::start(move |asked| match asked.path {
        "/here" => status(302, "location: /there\r\nretry-after: 1\r\n"),
        "/away" => status(307, &format!("location: {base}/\r\nretry-after: 1\r\n")),
        path => page(path, &[]),
    });
    let (run, _) = crawl(&[&server.url("/here"), &server.url("/away")]);
    assert_eq!(titles(&run), ["/there", "other"], "{}", run.stderr);
    let second = Duration::from_millis(950);
    assert!(server.first("/there") - server.first("/here") >= second);
    assert!(other.first("/") - server.first("/away") >= second);
}
