//! `--state`: killed at any moment and resumed, a crawl writes every page exactly once.
//!
//! The small form runs with the others. `OPILIO_KILLS=20 OPILIO_KILL_PAGES=3000` is the full one
//! (`cargo xtask kill`), `OPILIO_KILL_SEED` picks other moments.

#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "the full form is run for its figures")]

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use opilio_sandbox::{HostConfig, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Run, assert_balanced, finish, opilio, signal, until};

/// A crawl with a state directory, an output and a report, which is started again and again.
struct Kept {
    dir: TempDir,
    seed: String,
    flags: Vec<String>,
}

impl Kept {
    fn new(shop: &Sandbox, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { dir: tempfile::tempdir().unwrap(), seed: shop.base(0), flags }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn begin(&self) -> Child {
        let mut command = opilio();
        command.args(["crawl", "--allow-private", "--min-backoff=20ms", "--resume", &self.seed]);
        command.args(&self.flags).arg("--state").arg(self.path("state"));
        command.arg("--output").arg(self.path("pages.jsonl")).arg("--report").arg(self.path("report.json"));
        command.spawn().unwrap()
    }

    fn run(&self) -> Run {
        finish(self.begin())
    }

    /// The URLs of the output, each of which is there once.
    fn pages(&self) -> HashSet<String> {
        let text = std::fs::read_to_string(self.path("pages.jsonl")).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last row is torn");
        let url =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["url"].as_str().unwrap().to_owned();
        let urls: Vec<String> = text.lines().map(url).collect();
        let once: HashSet<String> = urls.iter().cloned().collect();
        assert_eq!(once.len(), urls.len(), "a page was written twice");
        once
    }

    fn report(&self) -> Value {
        let text = std::fs::read_to_string(self.path("report.json")).unwrap();
        let report = serde_json::from_str(&text).unwrap();
        assert_balanced(&report);
        report
    }
}

/// A shop of about so many pages.
fn shop(pages: u32) -> Sandbox {
    Sandbox::builder()
        .host(HostConfig::new().products(pages * 9 / 10).latency(Duration::from_millis(20)))
        .start()
        .unwrap()
}

/// What an undisturbed crawl of the same shop finds.
fn undisturbed(pages: u32) -> HashSet<String> {
    let shop = shop(pages);
    let kept = Kept::new(&shop, &["--rate=2000/s", "--in-flight=8"]);
    assert_eq!(kept.run().code, 0);
    paths(&kept.pages(), &shop)
}

fn paths(urls: &HashSet<String>, shop: &Sandbox) -> HashSet<String> {
    let base = shop.base(0);
    urls.iter().map(|url| url.strip_prefix(base.trim_end_matches('/')).unwrap().to_owned()).collect()
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// Numbers that a seed gives (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n
    }
}

#[test]
fn a_crawl_that_is_killed_again_and_again_writes_every_page_once() {
    let (pages, kills) = (number("OPILIO_KILL_PAGES", 400), number("OPILIO_KILLS", 5));
    let mut random = Random(u64::from(number("OPILIO_KILL_SEED", 108)));
    let expected = undisturbed(pages);
    let shop = shop(pages);
    let kept = Kept::new(&shop, &["--rate=300/s", "--in-flight=8"]);
    // Each run is killed when the shop has seen some more arrivals, and then some milliseconds more.
    let share = expected.len() as u64 / u64::from(kills + 1);
    let mut under_way = 0;
    for kill in 0..kills {
        let goal = shop.log(0).arrivals() + 1 + random.below(2 * share).min(share + share / 2);
        let mut child = kept.begin();
        until(|| shop.log(0).arrivals() >= goal || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(random.below(20)));
        assert!(child.try_wait().unwrap().is_none(), "kill {kill} came too late: {:?}", finish(child));
        let at = shop.elapsed();
        signal(&child, "KILL");
        finish(child);
        under_way += unsettled(&shop, at);
    }
    let last = kept.run();
    assert_eq!(last.code, 0, "{}", last.stderr);
    assert_eq!(paths(&kept.pages(), &shop), expected, "every page, and each once");
    let report = kept.report();
    assert_eq!(report["pages"].as_u64().unwrap(), expected.len() as u64);
    assert_eq!((&report["stopped"], &report["left"]), (&"finished".into(), &0.into()));
    let log = shop.log(0);
    let again: usize =
        log.served_twice().iter().filter(|(path, _)| path != "/robots.txt").map(|(_, n)| n - 1).sum();
    println!("{kills} kills, {} pages, {again} fetched again, {under_way} under way", expected.len());
    assert!(again <= under_way, "{again} pages were fetched again, {under_way} were under way");
    let requests = report["requests"].as_u64().unwrap();
    assert!(requests >= report["pages"].as_u64().unwrap(), "{report}");
    assert!(requests <= log.arrivals(), "{requests} of {} requests", log.arrivals());
}

/// Requests that a kill found under way: not answered yet, or answered so shortly before that their
/// page could not have been written and settled.
fn unsettled(shop: &Sandbox, killed: Duration) -> usize {
    let settling = Duration::from_millis(100);
    let log = shop.log(0);
    let arrivals = log.entries().iter();
    arrivals.filter(|arrival| arrival.left.is_none_or(|left| left + settling > killed)).count()
}

#[test]
fn a_crawl_that_is_stopped_gently_again_and_again_fetches_nothing_twice() {
    let expected = undisturbed(200);
    let shop = shop(200);
    let kept = Kept::new(&shop, &["--rate=300/s", "--in-flight=8"]);
    let mut elapsed = 0;
    for stop in 1..=3 {
        let goal = shop.log(0).arrivals() + 40;
        let child = kept.begin();
        until(|| shop.log(0).arrivals() >= goal);
        signal(&child, "TERM");
        let run = finish(child);
        assert_eq!(run.code, 143, "stop {stop}: {}", run.stderr);
        let report = kept.report();
        assert_eq!(report["stopped"], "interrupted");
        assert!(report["left"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(kept.pages().len() as u64, report["pages"].as_u64().unwrap());
        assert!(report["elapsed_ms"].as_u64().unwrap() > elapsed, "the time of all runs");
        elapsed = report["elapsed_ms"].as_u64().unwrap();
    }
    assert_eq!(kept.run().code, 0);
    assert_eq!(paths(&kept.pages(), &shop), expected);
    let twice: BTreeMap<_, _> =
        shop.log(0).served_twice().into_iter().filter(|(path, _)| path != "/robots.txt").collect();
    assert_eq!(twice, BTreeMap::new());
    assert_eq!(kept.report()["requests"].as_u64().unwrap(), shop.log(0).arrivals(), "all runs together");
}

#[test]
fn limits_end_a_run_that_can_be_resumed() {
    let shop = shop(60);
    let mut kept = Kept::new(&shop, &["--rate=2000/s", "--in-flight=4", "--max-pages=7"]);
    assert_eq!(kept.run().code, 0);
    assert_eq!((kept.report()["stopped"].clone(), kept.pages().len()), ("max_pages".into(), 7));
    assert_eq!(kept.run().code, 0);
    assert_eq!(kept.pages().len(), 7, "the pages of all runs count");
    kept.flags = vec!["--rate=20/s".into(), "--max-duration=500ms".into()];
    assert_eq!(kept.run().code, 0);
    assert_eq!(kept.report()["stopped"], "max_duration");
    let so_far = kept.pages().len();
    kept.flags = vec!["--rate=2000/s".into(), "--in-flight=4".into()];
    assert_eq!(kept.run().code, 0);
    assert_eq!(kept.report()["stopped"], "finished");
    assert!(kept.pages().len() > so_far);
    assert_eq!(kept.pages(), undisturbed(60).iter().map(|path| shop.url(0, path)).collect());
}

#[test]
fn a_directory_that_is_not_this_crawls_is_refused() {
    let shop = shop(30);
    let kept = Kept::new(&shop, &["--rate=2000/s", "--max-pages=3"]);
    let first = kept.run();
    assert_eq!(first.code, 0);
    assert!(first.stderr.contains("to go on with: one begins"), "{}", first.stderr);
    let pages = kept.pages();
    let crawl = |args: &[&str], state: &Path, output: &Path| {
        let mut command = opilio();
        command.args(["crawl", "--allow-private", "--max-pages=3", "--quiet", &kept.seed]).args(args);
        finish(command.arg("--state").arg(state).arg("--output").arg(output).spawn().unwrap())
    };
    let (state, output) = (kept.path("state"), kept.path("pages.jsonl"));
    let anew = crawl(&[], &state, &output);
    assert_eq!(anew.code, 2);
    assert!(anew.error().contains("holds a crawl already: --resume goes on with it"), "{}", anew.stderr);
    let elsewhere = crawl(&["--resume"], &state, &kept.path("other.jsonl"));
    assert_eq!(elsewhere.code, 2);
    assert!(
        elsewhere.error().contains("it writes to ") && elsewhere.error().contains("pages.jsonl, not to ")
    );
    let no_state = finish(opilio().args(["crawl", "--resume", &kept.seed]).spawn().unwrap());
    assert_eq!(no_state.code, 2);
    assert!(no_state.error().contains("--state"), "{}", no_state.stderr);
    assert_eq!(kept.pages(), pages, "whatever was refused has touched nothing");

    let longer = Kept { flags: vec!["--rate=5/s".into()], dir: kept.dir, seed: kept.seed.clone() };
    let child = longer.begin();
    until(|| longer.path("state/lock").exists() && shop.log(0).arrivals() > 4);
    let second = longer.run();
    assert_eq!(second.code, 1);
    assert!(second.error().contains("another process uses it"), "{}", second.stderr);
    signal(&child, "KILL");
    finish(child);
    std::fs::write(longer.path("pages.jsonl"), "{}\n").unwrap();
    let shorter = longer.run();
    assert_eq!(shorter.code, 1);
    assert!(
        shorter.error().contains("bytes of it were committed, but only 3 are there"),
        "{}",
        shorter.stderr
    );
}
