//! Tests that signals stop a crawl whose builder was told to stop on signals. The crawl runs in a process of its
//! own.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use opilio_core::{HostPolicy, per_second};
use opilio_engine::{Crawler, Found, Page, ParseError, Request, Spider};
use opilio_fetch::{ScriptedAnswer, ScriptedTransport, Transport, TransportRequest};

/// A spider with more pages than any test waits for.
struct Endless;

impl Spider for Endless {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        (0..100_000).map(|n| Request::get(format!("http://a.example/{n}"), ())).collect()
    }

    fn parse(&self, _: &Page<()>, _: &mut Found<Self>) -> Result<(), ParseError> {
        println!("a page");
        Ok(())
    }
}

/// Runs the crawl in the child process. As a test of the parent process it does nothing.
#[test]
fn the_crawl_that_is_stopped() {
    let Ok(answers_after) = std::env::var(CHILD) else { return };
    let answers_after = Duration::from_millis(answers_after.parse().unwrap());
    let transport = move || -> Rc<dyn Transport> {
        Rc::new(ScriptedTransport::new(move |_, ask: &TransportRequest| {
            // The first page is quick, so that the parent process sees soon that the crawl runs.
            let quick = ask.url.path() == "/0";
            ScriptedAnswer::page("").after(if quick { Duration::ZERO } else { answers_after })
        }))
    };
    let crawler = Crawler::new(Endless).no_robots().transport(transport);
    let crawler = crawler.host(HostPolicy::new().rate(per_second(20)).in_flight(4)).stop_on_signals();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let report = runtime.block_on(crawler.run()).unwrap();
    println!("ended {:?} {}", report.stopped, report.balances());
    // After the crawl, a signal has the effect that is the system's default.
    loop {
        std::thread::park();
    }
}

fn start(answers_after_ms: u64) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_crawl_that_is_stopped", "--nocapture"])
        .env(CHILD, answers_after_ms.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_signal_stops_gently_and_after_the_crawl_does_what_it_did_before() {
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let (mut child, mut lines) = start(20);
        lines.find(|line| line.contains("a page")).unwrap();
        signal(&child, name);
        assert_eq!(lines.find(|line| line.contains("ended")).unwrap(), "ended Signal true");
        signal(&child, name);
        assert_eq!(child.wait().unwrap().signal(), Some(number));
    }
}

#[test]
fn a_second_signal_gives_up_what_is_under_way() {
    // No request that is in flight ends before the test does.
    let (mut child, mut lines) = start(3_600_000);
    lines.find(|line| line.contains("a page")).unwrap();
    let began = std::time::Instant::now();
    // The crawl checks for signals five times a second, and counts two signals between two checks as one.
    signal(&child, "INT");
    std::thread::sleep(Duration::from_secs(1));
    signal(&child, "INT");
    assert_eq!(lines.find(|line| line.contains("ended")).unwrap(), "ended Signal true");
    assert!(began.elapsed() < Duration::from_secs(6), "a drain would have taken 7 s");
    child.kill().unwrap();
    child.wait().unwrap();
}

const CHILD: &str = "OPILIO_TEST_CHILD";
