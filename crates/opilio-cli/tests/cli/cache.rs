//! Tests of `--cache-for`: a cached answer is not requested again.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::support::crawl;

/// Starts a server whose answers a closure makes: from the path and the cookie of a request to the status, the
/// header lines and the page.
fn server(
    answer: impl Fn(&str, Option<&str>) -> (u16, String, String) + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (answer, log) = (answer.clone(), log.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
                let Some(path) = head.split(' ').nth(1) else { return };
                log.lock().unwrap().push(path.to_owned());
                let cookie = head.lines().find_map(|line| {
                    line.split_once(": ")
                        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
                        .map(|(_, value)| value)
                });
                let (status, fields, page) = answer(path, cookie);
                let text = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n{fields}\r\n{page}",
                    page.len()
                );
                let _ = reader.into_inner().write_all(text.as_bytes());
            });
        }
    });
    (base, seen)
}

fn page(text: &str) -> (u16, String, String) {
    (200, String::new(), text.to_owned())
}

fn to(status: u16, location: &str) -> (u16, String, String) {
    (status, format!("location: {location}\r\n"), String::new())
}

#[test]
fn a_second_crawl_makes_no_request_redirects_and_robots_included() {
    let site = |path: &str, _: Option<&str>| match path {
        "/robots.txt" => page("User-agent: *\nDisallow: /private\nSitemap: /sitemap.txt\n"),
        "/sitemap.txt" => page(""),
        "/" => {
            page("<a href=/a>a</a><a href=/c>c</a><a href=/e>e</a><a href=/private/x>x</a><a href=/b>b</a>")
        }
        "/a" => to(302, "/b"),
        "/c" => to(301, "/d"),
        "/e" => to(307, "/f"),
        "/f" => to(308, "/g"),
        _ => page("page"),
    };
    for spoilt in [None, Some(404), Some(302)] {
        let (base, seen) = server(move |path, cookie| match (path, spoilt) {
            ("/robots.txt", Some(404)) => (404, String::new(), String::new()),
            ("/robots.txt", Some(_)) => to(302, "/rules.txt"),
            ("/rules.txt", _) => site("/robots.txt", None),
            _ => site(path, cookie),
        });
        let dir = tempfile::tempdir().unwrap();
        let args = [&*base, "--sitemaps", "--cache", dir.path().to_str().unwrap(), "--cache-for", "1d"];
        let (run, first) = crawl(&args);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let asked = std::mem::take(&mut *seen.lock().unwrap());
        assert!(asked.len() >= 8 && first["requests"].as_u64().unwrap() == asked.len() as u64, "{asked:?}");
        let (run, second) = crawl(&args);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(*seen.lock().unwrap(), [""; 0], "{second}");
        for same in ["pages", "aliases", "reasons", "filtered"] {
            assert_eq!(first[same], second[same], "{same}");
        }
        assert_eq!(second["requests"], 0, "{second}");
    }
}

#[test]
fn a_wall_of_cookies_is_passed_with_a_cache_and_not_met_again() {
    let (base, seen) = server(|path, cookie| match (path, cookie) {
        ("/robots.txt", _) => (404, String::new(), String::new()),
        (_, None) if !path.starts_with("/consent") => to(302, &format!("/consent?to={path}")),
        ("/", _) => page("<a href=/1>1</a><a href=/2>2</a>"),
        _ => match path.split_once("to=") {
            Some((_, back)) => (302, format!("location: {back}\r\nset-cookie: ok=1\r\n"), String::new()),
            None => page("page"),
        },
    });
    let dir = tempfile::tempdir().unwrap();
    let args = [&*base, "--cache", dir.path().to_str().unwrap(), "--cache-for", "1d"];
    let (run, first) = crawl(&args);
    assert_eq!((run.code, &first["pages"]), (0, &3.into()), "{} {first}", run.stderr);
    seen.lock().unwrap().clear();
    let (run, second) = crawl(&args);
    assert_eq!((run.code, &second["pages"]), (0, &3.into()), "{} {second}", run.stderr);
    assert_eq!(*seen.lock().unwrap(), [""; 0], "{second}");
}
