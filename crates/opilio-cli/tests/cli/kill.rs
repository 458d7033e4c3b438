//! Tests of `--state`: even if a crawl is killed at any moment and resumed, every page is written exactly once. Some
//! run for `opilio crawl` and for a program that is built on `opilio::main`.
//!
//! By default the tests use few kills and few pages. `cargo xtask kill` sets
//! `OPILIO_KILLS=20 OPILIO_KILL_PAGES=3000` for many; `OPILIO_KILL_SEED` sets other moments for the kills.

#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "the full form is run for its figures")]

use std::collections::{BTreeMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opilio_sandbox::{Fault, HostConfig, Limit, RefusalForm, Sandbox, Trigger};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program;
use crate::support::{Run, assert_balanced, finish, opilio, signal, until};

/// The program that crawls.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// The command `opilio crawl`.
    Binary,
    /// A program that is built on `opilio::main`: see the module `program`.
    Program,
}

const BOTH: [Who; 2] = [Who::Binary, Who::Program];

/// A crawl with a state directory, an output file and a report file, which is started several times.
struct Kept {
    who: Who,
    dir: TempDir,
    seed: String,
    flags: Vec<String>,
}

impl Kept {
    fn new(shop: &Sandbox, flags: &[&str]) -> Self {
        Self::by(Who::Binary, shop, flags)
    }

    fn by(who: Who, shop: &Sandbox, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { who, dir: tempfile::tempdir().unwrap(), seed: shop.base(0), flags }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn begin(&self) -> Child {
        let mut args = vec!["--allow-private".to_owned(), "--min-backoff=20ms".into(), "--resume".into()];
        args.push(self.seed.clone());
        args.extend_from_slice(&self.flags);
        for (flag, file) in [("--state", "state"), ("--output", "pages.jsonl"), ("--report", "report.json")] {
            args.extend([flag.to_owned(), self.path(file).display().to_string()]);
        }
        let mut command = opilio();
        match self.who {
            Who::Binary => command.arg("crawl").args(args),
            Who::Program => {
                command = program::program();
                let args: Vec<String> = ["run".to_owned()].into_iter().chain(args).collect();
                command.env(program::ARGS, args.join("\n"))
            }
        };
        command.spawn().unwrap()
    }

    fn run(&self) -> Run {
        finish(self.begin())
    }

    /// Returns the URLs in the output, and checks that each occurs only once.
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

/// Returns a shop of about this many pages.
fn shop(pages: u32) -> Sandbox {
    Sandbox::builder()
        .host(HostConfig::new().products(pages * 9 / 10).latency(Duration::from_millis(20)))
        .start()
        .unwrap()
}

/// Returns the URLs that a crawl of the same shop finds if it is not killed.
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

/// Random numbers from a seed (splitmix64).
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
    for who in BOTH {
        let (pages, kills) = (number("OPILIO_KILL_PAGES", 400), number("OPILIO_KILLS", 5));
        let mut random = Random(u64::from(number("OPILIO_KILL_SEED", 108)));
        let expected = undisturbed(pages);
        let shop = shop(pages);
        // The program reads the price by a struct, and the binary by a flag.
        let (field, css) = match who {
            Who::Binary => ("page.price", Some("--css=price=p.price")),
            Who::Program => ("Priced.price", None),
        };
        let flags: Vec<&str> = ["--rate=300/s", "--in-flight=8"].into_iter().chain(css).collect();
        let kept = Kept::by(who, &shop, &flags);
        // Each run is killed when this many more requests have arrived at the shop, and then after some more
        // milliseconds.
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
        let products = u64::from(pages * 9 / 10);
        let coverage = json!({"filled": products, "empty": expected.len() as u64 - products, "defaulted": 0, "unreadable": 0});
        assert_eq!(report["coverage"][field], coverage, "each page counts once");
        let log = shop.log(0);
        let again: usize =
            log.served_twice().iter().filter(|(path, _)| path != "/robots.txt").map(|(_, n)| n - 1).sum();
        println!("{kills} kills, {} pages, {again} fetched again, {under_way} under way", expected.len());
        assert!(again <= under_way, "{again} pages were fetched again, {under_way} were under way");
        let requests = report["requests"].as_u64().unwrap();
        assert!(requests >= report["pages"].as_u64().unwrap(), "{report}");
        assert!(requests <= log.arrivals(), "{requests} of {} requests", log.arrivals());
    }
}

/// Returns the number of requests whose page may not be settled at the time of the kill: they were not answered
/// yet, or answered so shortly before that their page was not written and settled.
fn unsettled(shop: &Sandbox, killed: Duration) -> usize {
    let settling = Duration::from_millis(100);
    let log = shop.log(0);
    let arrivals = log.entries().iter();
    arrivals.filter(|arrival| arrival.left.is_none_or(|left| left + settling > killed)).count()
}

#[test]
fn a_crawl_that_is_stopped_gently_again_and_again_fetches_nothing_twice() {
    for who in BOTH {
        let expected = undisturbed(200);
        let shop = shop(200);
        let kept = Kept::by(who, &shop, &["--rate=300/s", "--in-flight=8"]);
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
        elsewhere.error().contains("it writes to ") && elsewhere.error().contains("pages.jsonl, and not to ")
    );
    let lost = crawl(&["--resume"], &kept.path("not-mounted"), &output);
    assert_eq!(lost.code, 2);
    assert!(lost.error().contains("is not empty, and a new crawl would empty it"), "{}", lost.stderr);
    let no_state = finish(opilio().args(["crawl", "--resume", &kept.seed]).spawn().unwrap());
    assert_eq!(no_state.code, 2);
    assert!(no_state.error().contains("--state"), "{}", no_state.stderr);
    assert_eq!(kept.pages(), pages, "whatever was refused has touched nothing");

    let longer =
        Kept { who: kept.who, flags: vec!["--rate=5/s".into()], dir: kept.dir, seed: kept.seed.clone() };
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
        shorter.error().contains("bytes were committed, but the output has only 3"),
        "{}",
        shorter.stderr
    );
}

#[test]
fn a_wait_that_a_server_stated_outlives_a_kill() {
    for who in BOTH {
        let limit = Limit::sliding(5, Duration::from_secs(60));
        let host = HostConfig::new().products(8).limit(limit).refusal(429, RefusalForm::Fixed(4));
        let shop = Sandbox::builder().host(host).start().unwrap();
        let kept = Kept::by(who, &shop, &["--rate=100/s", "--max-pages=6", "--no-robots"]);
        let mut child = kept.begin();
        until(|| shop.log(0).refused() == 1);
        // In this time the crawl receives the answer, which states a wait of four seconds.
        std::thread::sleep(Duration::from_millis(700));
        assert!(child.try_wait().unwrap().is_none(), "it waits");
        signal(&child, "KILL");
        finish(child);
        let arrivals = shop.log(0).arrivals();
        let child = kept.begin();
        until(|| shop.log(0).arrivals() > arrivals);
        signal(&child, "KILL");
        finish(child);
        let log = shop.log(0);
        assert_eq!(log.arrivals_while_closed(), 0, "{:?}", log.closings());
        assert!(shop.elapsed() > Duration::from_secs(4));
    }
}

#[test]
fn a_drain_ends_in_time_with_every_connection_stalled_and_loses_nothing() {
    for who in BOTH {
        let stall = Fault::Slow(Duration::from_secs(600));
        let host = HostConfig::new().products(8).fault(Trigger::PathTimes("/deals".into(), 1), stall);
        let shop = Sandbox::builder().host(host).start().unwrap();
        let kept = Kept::by(who, &shop, &["--rate=2000/s", "--in-flight=4", "--timeout=60s"]);
        let child = kept.begin();
        until(|| {
            shop.log(0).served() >= 10
                && shop.log(0).entries().iter().any(|arrival| &*arrival.path == "/deals")
        });
        let began = std::time::Instant::now();
        signal(&child, "TERM");
        let run = finish(child);
        assert_eq!(run.code, 143, "{}", run.stderr);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(kept.report()["left"].as_u64().unwrap() >= 1);
        assert_eq!(kept.run().code, 0);
        assert!(kept.pages().contains(&shop.url(0, "/deals")));
        assert_eq!(kept.report()["stopped"], "finished");
    }
}

#[test]
fn a_second_signal_stops_at_once_and_loses_nothing() {
    for who in BOTH {
        let expected = undisturbed(100);
        let shop = shop(100);
        let kept = Kept::by(who, &shop, &["--rate=100/s", "--in-flight=4"]);
        let child = kept.begin();
        until(|| shop.log(0).arrivals() >= 30);
        signal(&child, "INT");
        std::thread::sleep(Duration::from_millis(5));
        signal(&child, "TERM");
        let run = finish(child);
        assert!([130, 143].contains(&run.code), "{}", run.stderr);
        assert_eq!(kept.run().code, 0);
        assert_eq!(paths(&kept.pages(), &shop), expected);
    }
}

#[test]
fn an_output_that_closes_early_forgets_no_manners() {
    let shop = shop(10);
    let kept = Kept::new(&shop, &[]);
    let run = |resume: &[&str], stdout: Stdio| {
        let mut command = opilio();
        command.args(["crawl", "--allow-private", "--rate=30/m", "--max-pages=1", &kept.seed]).args(resume);
        finish(command.arg("--state").arg(kept.path("state")).stdout(stdout).spawn().unwrap())
    };
    // The reader is closed before the first row is written.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(run(&[], writer.into()).code, 0);
    let asked = shop.log(0).arrivals();
    assert!(asked > 0);
    let last = shop.elapsed();
    assert_eq!(run(&["--resume"], Stdio::null()).code, 0);
    let next = shop.log(0).entries()[usize::try_from(asked).unwrap()].at;
    assert!(next >= last + Duration::from_millis(1_900), "asked at {next:?}, after {last:?}");
}

/// Returns the journal file that the store writes to: the one with the highest number.
fn journal(state: &Path) -> PathBuf {
    let files = std::fs::read_dir(state.join("frontier")).unwrap().map(|entry| entry.unwrap().path());
    let number = |path: &Path| path.file_stem()?.to_str()?.parse::<u64>().ok();
    let journals = files.filter(|path| path.extension().is_some_and(|end| end == "jnl"));
    journals.max_by_key(|path| number(path)).unwrap()
}

/// Returns the length of a file without the zeros at its end. A journal is allocated in advance and filled with
/// zeros.
fn filled(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

#[test]
fn a_cut_tail_is_recovered_and_said() {
    let expected = undisturbed(100);
    let shop = shop(100);
    // With this setting nothing is synced to disk before the end, so the end of the journal can be lost in a power
    // cut.
    let kept = Kept::new(&shop, &["--rate=200/s", "--in-flight=4", "--durability=process"]);
    let child = kept.begin();
    until(|| shop.log(0).arrivals() >= 50);
    signal(&child, "KILL");
    finish(child);
    let journal = journal(&kept.path("state"));
    let filled = filled(&journal);
    OpenOptions::new().write(true).open(&journal).unwrap().set_len(filled - 3).unwrap();
    let run = kept.run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("is incomplete and is dropped"), "{}", run.stderr);
    assert_eq!(paths(&kept.pages(), &shop), expected);
}

#[test]
fn flipped_bytes_are_named_and_nothing_begins_anew() {
    let shop = shop(100);
    let kept = Kept::new(&shop, &["--rate=2000/s", "--in-flight=4", "--max-pages=50"]);
    assert_eq!(kept.run().code, 0);
    let (pages, arrivals) = (kept.pages(), shop.log(0).arrivals());
    let journal = journal(&kept.path("state"));
    let mut bytes = std::fs::read(&journal).unwrap();
    let middle = usize::try_from(filled(&journal) / 2).unwrap();
    for byte in &mut bytes[middle..middle + 8] {
        *byte ^= 0x55;
    }
    std::fs::write(&journal, bytes).unwrap();
    for attempt in 1..=2 {
        let run = kept.run();
        assert_eq!(run.code, 1, "attempt {attempt}: {}", run.stderr);
        assert!(run.error().contains("it is damaged"), "attempt {attempt}: {}", run.stderr);
    }
    assert_eq!((kept.pages(), shop.log(0).arrivals()), (pages, arrivals), "nothing was touched");
}

/// A small file system, if the user who runs the tests may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_ends_the_crawl_and_with_space_it_goes_on() {
    let expected = undisturbed(300);
    let shop = shop(300);
    let kept = Kept::new(&shop, &["--rate=300/s", "--in-flight=8"]);
    let state = kept.path("state");
    let Some(_disk) = SmallDisk::mount(&state, "32m") else {
        #[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
        return eprintln!("skipped: a small disk can be mounted by root alone");
    };
    let child = kept.begin();
    until(|| shop.log(0).arrivals() >= 60);
    let ballast = state.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 1 << 10]).is_ok() {}
    let full = finish(child);
    assert_eq!(full.code, 1, "{}", full.stderr);
    assert!(
        full.stderr.contains("nothing is lost") && full.stderr.contains("--resume goes on"),
        "{}",
        full.stderr
    );
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
    // The space of a file is freed only after the file is closed.
    drop(file);
    std::fs::remove_file(ballast).unwrap();
    let run = kept.run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(paths(&kept.pages(), &shop), expected);
}

#[test]
fn a_disk_without_room_for_a_state_is_a_clear_error() {
    let shop = shop(20);
    let kept = Kept::new(&shop, &["--rate=2000/s"]);
    // For the program, a limit on the size of files has the same effect as a full disk.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_opilio")]);
    shell.args(["crawl", "--allow-private", &kept.seed, "--state"]).arg(kept.path("state"));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let full = finish(shell.spawn().unwrap());
    assert_eq!(full.code, 1, "{}", full.stderr);
    assert!(full.error().contains("File too large"), "{}", full.stderr);
    assert_eq!(shop.log(0).arrivals(), 0);
    let run = kept.run();
    assert_eq!((run.code, kept.report()["stopped"].as_str()), (0, Some("finished")), "{}", run.stderr);
}

#[test]
fn failures_are_listed_and_tried_again() {
    let broken = |times| Trigger::PathTimes("/deals".into(), times);
    let host = HostConfig::new().products(8).fault(broken(1), Fault::Status(404));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let mut kept = Kept::new(&shop, &["--rate=2000/s"]);
    let list = |state: &Path| finish(opilio().arg("failed").arg("--state").arg(state).spawn().unwrap());
    let none = list(&kept.path("state"));
    assert_eq!(none.code, 2);
    assert!(none.error().contains("no crawl was started there"), "{}", none.stderr);
    let first = kept.run();
    assert_eq!(first.code, 0);
    assert!(first.stderr.contains("--resume --retry-failed tries them again"), "{}", first.stderr);
    let failed = list(&kept.path("state"));
    let deals = shop.url(0, "/deals");
    assert_eq!(failed.code, 0, "{}", failed.stderr);
    let seed = format!("{}/", shop.base(0));
    let gone = json!({"url": deals, "reason": "http_4xx", "attempts": 1, "status": 404, "referrer": seed});
    assert_eq!(failed.items(), [gone]);
    assert_eq!(kept.run().code, 0);
    assert!(!kept.pages().contains(&deals), "nobody asked");
    kept.flags.push("--retry-failed".into());
    assert_eq!(kept.run().code, 0);
    assert!(kept.pages().contains(&deals));
    assert_eq!(list(&kept.path("state")).stdout, "");
    assert_eq!(kept.report()["failures"], json!([]));
}

#[test]
fn old_pages_are_fetched_again() {
    let shop = shop(20);
    let mut kept = Kept::new(&shop, &["--rate=2000/s", "--history"]);
    assert_eq!(kept.run().code, 0);
    let (pages, arrivals) = (kept.pages().len(), shop.log(0).arrivals());
    kept.flags = vec!["--rate=2000/s".into(), "--refresh=1h".into()];
    assert_eq!(kept.run().code, 0);
    assert_eq!(shop.log(0).arrivals(), arrivals, "none is an hour old");
    kept.flags = vec!["--rate=2000/s".into(), "--refresh=1ms".into()];
    assert_eq!(kept.run().code, 0);
    let report = kept.report();
    assert_eq!((&report["pages"], &report["left"]), (&json!(pages), &json!(0)));
    let text = std::fs::read_to_string(kept.path("pages.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 2 * pages, "a line for each time");
}
