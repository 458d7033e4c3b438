//! `--resume` with other flags than the first run's, and after a site was down.

use std::net::TcpListener;
use std::time::Duration;

use opilio_sandbox::{HostConfig, Limit, RefusalForm, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::crawl;

/// A first page that links to good pages and bad ones.
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
