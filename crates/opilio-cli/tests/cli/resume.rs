//! Tests of `--resume`: with other flags than in the first run, and after a site did not answer for some time.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use opilio_sandbox::{HostConfig, Limit, RefusalForm, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::crawl;

/// Returns a shop whose first page links to good pages and to broken ones.
fn shop() -> Sandbox {
    let paths: Vec<String> =
        ["good", "bad"].iter().flat_map(|kind| (0..5).map(move |n| format!("/{kind}/{n}"))).collect();
    let links: String = paths.iter().map(|path| format!("<a href={path}>x</a>")).collect();
    let mut host = HostConfig::new().page("/", "text/html", links);
    for path in &paths {
        host = host.page(path, "text/html", "page");
    }
    Sandbox::builder().host(host).start().unwrap()
}

fn resumed(dir: &TempDir, seed: &str, flags: &[&str]) -> (crate::support::Run, Value) {
    let (state, output) = (dir.path().join("state"), dir.path().join("pages.jsonl"));
    let kept = [seed, "--resume", "--state", state.to_str().unwrap(), "--output", output.to_str().unwrap()];
    crawl(&[&kept[..], flags].concat())
}

#[test]
fn queued_urls_that_the_new_flags_keep_out_are_filtered_and_counted() {
    for (flags, why, filtered) in [
        (&["--exclude", "*/bad/*"][..], "scope_pattern", 5),
        (&["--include", "*/good/*"], "scope_pattern", 5),
        (&["--max-depth", "0"], "max_depth", 10),
        (&["--follow", "none"], "scope_host", 10),
    ] {
        let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
        let (run, report) = resumed(&dir, &shop.base(0), &["--no-robots", "--max-pages", "1"]);
        assert_eq!((run.code, &report["left"]), (0, &10.into()), "{}", run.stderr);
        let (run, report) = resumed(&dir, &shop.base(0), &[&["--no-robots"], flags].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(report["filtered"], serde_json::json!({ why: filtered }), "{flags:?}");
        assert_eq!((&report["pages"], &report["left"]), (&(11 - filtered).into(), &0.into()), "{report}");
        assert_eq!(shop.log(0).arrivals(), 11 - filtered, "{flags:?}");
    }
}

#[test]
fn a_site_that_was_down_is_asked_again_when_told_to() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (seed, dir) = (format!("http://127.0.0.1:{port}/"), tempfile::tempdir().unwrap());
    let (run, report) = resumed(&dir, &seed, &[]);
    assert_eq!((run.code, &report["pages"]), (1, &0.into()), "{}", run.stderr);
    assert!(run.stderr.contains("--retry-failed"), "{}", run.stderr);

    let host = HostConfig::new().page("/", "text/html", "well again");
    let shop = Sandbox::builder().port(port).host(host).start().unwrap();
    let (run, report) = resumed(&dir, &seed, &[]);
    assert_eq!((shop.log(0).arrivals(), &report["pages"]), (0, &0.into()), "{}", run.stderr);
    let (run, report) = resumed(&dir, &seed, &["--retry-failed"]);
    assert_eq!((run.code, &report["pages"]), (0, &1.into()), "{} {report}", run.stderr);
    assert_eq!((&report["failures"], &report["left"]), (&serde_json::json!([]), &0.into()));
}

#[test]
fn a_stated_wait_is_kept_and_said() {
    let host = HostConfig::new()
        .page("/", "text/html", "<a href=/2>2</a>")
        .page("/2", "text/html", "page")
        .limit(Limit::bucket(1, Duration::from_secs(3_600), 1))
        .refusal(429, RefusalForm::Fixed(86_400));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (run, report) = resumed(&dir, &shop.base(0), &["--no-robots"]);
    assert_eq!((&report["pages"], shop.log(0).arrivals()), (&1.into(), 2), "{}", run.stderr);
    let (run, report) = resumed(&dir, &shop.base(0), &["--no-robots", "--retry-failed"]);
    assert_eq!(shop.log(0).arrivals(), 2, "{report}");
    assert_eq!(report["reasons"], serde_json::json!({ "host_closed": 1 }));
    assert!(run.stderr.contains("asked for a wait that is not over"), "{}", run.stderr);
}

/// Returns the address of a site whose login page sets a cookie. All other pages require this cookie.
fn members() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
            let (status, fields, page) = if head.starts_with("GET /login ") {
                ("200 OK", "set-cookie: sid=s3cret; Path=/\r\n", "<a href=/1>1</a><a href=/2>2</a>")
            } else if head.contains("sid=s3cret") {
                ("200 OK", "", "page")
            } else {
                ("403 Forbidden", "", "")
            };
            let text = format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n{fields}\r\n{page}",
                page.len()
            );
            let _ = reader.into_inner().write_all(text.as_bytes());
        }
    });
    base
}

#[test]
fn a_crawl_stopped_in_the_middle_of_a_login_goes_on_logged_in() {
    let seed = format!("{}/login", members());
    let begin = |flags: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let (run, report) = resumed(&dir, &seed, &[&["--no-robots", "--max-pages", "1"], flags].concat());
        assert_eq!((run.code, &report["left"]), (0, &2.into()), "{}", run.stderr);
        dir
    };
    let dir = begin(&[]);
    let file = dir.path().join("state").join("cookies");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let (run, report) = resumed(&dir, &seed, &["--no-robots"]);
    assert_eq!((run.code, &report["pages"]), (0, &3.into()), "{} {report}", run.stderr);
    assert!(!run.stderr.contains("s3cret"));

    let dir = begin(&["--no-cookies"]);
    assert!(!dir.path().join("state").join("cookies").exists());
    let (_, report) = resumed(&dir, &seed, &["--no-robots"]);
    assert_eq!(report["reasons"], serde_json::json!({ "http_4xx": 2 }), "they were never kept");

    // If a power cut has truncated the cookie file, a warning says so, and only the login is lost.
    let dir = begin(&[]);
    let file = dir.path().join("state").join("cookies");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 9]).unwrap();
    let (run, report) = resumed(&dir, &seed, &["--no-robots"]);
    assert_eq!((&report["pages"], &report["left"]), (&1.into(), &0.into()), "{report}");
    assert!(run.stderr.contains("cannot read the cookies of earlier runs"), "{}", run.stderr);
}
