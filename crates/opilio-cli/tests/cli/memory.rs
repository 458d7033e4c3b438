//! Tests of `--memory-limit`: a crawl that needs more memory than the limit ends soon and in order, and loses
//! nothing.

use std::fmt::Write as _;
use std::path::Path;

use opilio_sandbox::{HostConfig, Sandbox};
use serde_json::Value;

use crate::support::{FAST, Run, assert_balanced, run};

/// Runs a crawl that stores its state, output and report in this folder.
fn crawl(dir: &Path, args: &[&str]) -> (Run, Value) {
    let file = |name: &str| dir.join(name).display().to_string();
    let (state, output, report) = (file("state"), file("out.jsonl"), file("report.json"));
    let kept = ["--state", &state, "--resume", "--output", &output, "--report", &report, "--no-robots"];
    let run = run(&[&["crawl"], &FAST[..], &kept, args].concat());
    let text = std::fs::read_to_string(report).unwrap();
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no report: {}", run.stderr));
    assert_balanced(&report);
    (run, report)
}

/// Returns the URLs in the output. A URL that was written twice is in the list twice.
fn written(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("out.jsonl")).unwrap();
    let url = |line: &str| serde_json::from_str::<Value>(line).unwrap()["url"].as_str().unwrap().to_owned();
    let mut urls: Vec<_> = text.lines().map(url).collect();
    urls.sort();
    urls
}

#[test]
fn a_crawl_that_does_not_fit_says_so_and_goes_on_with_more() {
    let paths: Vec<_> = (0..100).map(|n| format!("/{n}")).collect();
    let host = paths.iter().fold(HostConfig::new(), |host, path| host.page(path, "text/html", "a"));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut seeds: Vec<_> = paths.iter().map(|path| shop.url(0, path)).collect();
    seeds.sort();
    let mut list = seeds.join("\n");
    // The list of these URLs stays in memory and is alone larger than the limit. URLs of this length are too long
    // to be fetched.
    let long = "a".repeat(2_083);
    for n in 0..9_000 {
        write!(list, "\n{}", shop.url(0, &format!("/not/{n}/{long}"))).unwrap();
    }
    let urls = dir.path().join("seeds.txt");
    std::fs::write(&urls, list).unwrap();
    let args = ["--urls", urls.to_str().unwrap(), "--follow=none"];

    let (run, report) = crawl(dir.path(), &[&args[..], &["--memory-limit=16MiB"]].concat());
    assert_eq!((run.code, &report["stopped"]), (1, &"memory_limit".into()), "{}", run.stderr);
    assert_eq!((shop.log(0).arrivals(), &report["pages"]), (0, &0.into()), "nothing is asked for");
    assert!(run.stderr.contains("memory is very close to its limit"), "{}", run.stderr);
    let last = run.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: stopped by --memory-limit, and nothing is lost"), "{last}");

    let (run, report) = crawl(dir.path(), &args);
    assert_eq!((run.code, &report["stopped"]), (0, &"finished".into()), "{}", run.stderr);
    assert_eq!(written(dir.path()), seeds, "each once");
}

#[test]
fn however_tight_the_limit_every_page_is_written_once() {
    let filler = "All work and no play makes a dull page. ".repeat(25_000);
    let mut host = HostConfig::new();
    let links: String = (0..24).map(|n| format!("<a href=/{n}>{n}</a>")).collect();
    for n in 0..24 {
        host = host.page(format!("/{n}"), "text/html", format!("<title>{n}</title>{links}<p>{filler}"));
    }
    let shop = Sandbox::builder().host(host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let seed = shop.url(0, "/0");
    let mut expected: Vec<_> = (0..24).map(|n| shop.url(0, &format!("/{n}"))).collect();
    expected.sort();
    for limit in ["20MiB", "32MiB", "64MiB", "1GiB"] {
        let (run, report) = crawl(dir.path(), &[&seed, "--memory-limit", limit]);
        // The allocator decides how much memory a page takes. So a run may end before all pages are fetched.
        match (run.code, report["stopped"].as_str().unwrap()) {
            (0, "finished") => assert_eq!(report["pages"], 24),
            (1, "memory_limit") => assert_ne!(limit, "1GiB", "{}", run.stderr),
            other => panic!("{other:?}: {}", run.stderr),
        }
        assert_eq!(written(dir.path()).len() as u64, report["pages"].as_u64().unwrap());
    }
    assert_eq!(written(dir.path()), expected);
}
