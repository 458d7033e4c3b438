//! Tests of signals: after the first, requests in flight end and the report is written; the second ends the crawl
//! at once.

#![cfg(unix)]

use std::process::Child;
use std::time::{Duration, Instant};

use opilio_sandbox::{Fault, HostConfig, Sandbox, Trigger};
use serde_json::Value;

use crate::support::{FAST, assert_balanced, finish, finish_unread, opilio, signal, until};

/// Starts a crawl that writes its report into the folder. Returns the running process.
fn begin(shop: &Sandbox, dir: &tempfile::TempDir, path: &str) -> Child {
    let report = dir.path().join("report.json");
    let mut command = opilio();
    command.arg("crawl").args(FAST).arg("--no-robots").arg(shop.url(0, path));
    command.arg("--report").arg(report).spawn().unwrap()
}

fn report(dir: &tempfile::TempDir) -> Value {
    let text = std::fs::read_to_string(dir.path().join("report.json")).unwrap();
    let report = serde_json::from_str(&text).unwrap();
    assert_balanced(&report);
    report
}

#[test]
fn a_signal_drains_the_crawl_and_the_report_says_so() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let host = HostConfig::new().latency(Duration::from_millis(150));
        let shop = Sandbox::builder().host(host).start().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let child = begin(&shop, &dir, "/products");
        until(|| shop.log(0).served() >= 5);
        signal(&child, name);
        let run = finish(child);
        assert_eq!(run.code, code, "{}", run.stderr);
        assert!(run.stderr.contains("stopped by a signal"), "{}", run.stderr);
        let report = report(&dir);
        assert_eq!(report["stopped"], "interrupted");
        assert!(report["left"].as_u64().unwrap() > 0);
        assert_eq!(run.items().len() as u64, report["pages"].as_u64().unwrap());
        assert_eq!(shop.log(0).counts().abandoned, 0, "what was under way has ended");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let stall = Fault::Slow(Duration::from_secs(60));
    let host = HostConfig::new().fault(Trigger::Path("/deals".into()), stall);
    let shop = Sandbox::builder().host(host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let child = begin(&shop, &dir, "/deals");
    until(|| shop.log(0).arrivals() == 1);
    let began = Instant::now();
    signal(&child, "INT");
    // Two equal signals that arrive together count as one. So the second is sent only after the first was received.
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "INT");
    assert_eq!(finish(child).code, 130);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_reader_that_reads_nothing_keeps_nobody_from_stopping() {
    let filler = "All work and no play makes a dull page. ".repeat(1_000);
    let links: String = (0..400).map(|n| format!("<a href=/{n}>{n}</a>")).collect();
    let host = (0..400).fold(HostConfig::new(), |host, n| {
        host.page(format!("/{n}"), "text/html", format!("<title>{n}</title>{links}<p>{filler}"))
    });
    let shop = Sandbox::builder().host(host).start().unwrap();
    let mut command = opilio();
    command.arg("crawl").args(FAST).args(["--no-robots", "--css=text=p"]).arg(shop.url(0, "/0"));
    // A pipe holds 64 KiB, which is two lines here. Nothing is read from the pipe before the crawl ends.
    let child = command.spawn().unwrap();
    until(|| shop.log(0).served() >= 20);
    let began = Instant::now();
    signal(&child, "TERM");
    let run = finish_unread(child);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(run.code, 143, "{}", run.stderr);
    assert!(
        run.stderr.contains("the output did not take its rows in time: the pages of these rows are not done, and a resumed crawl fetches them again"),
        "{}",
        run.stderr
    );
    let whole = run.stdout.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok());
    assert!(whole.count() < 20, "it was not read");
}
