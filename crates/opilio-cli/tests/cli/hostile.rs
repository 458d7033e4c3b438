//! Tests of a crawl of hostile servers together with healthy ones: which pages arrive, how all other URLs end, and
//! how much time and memory this takes.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opilio_sandbox::hostile::{Ends, Hostile};
use opilio_sandbox::{HostConfig, Sandbox};
use serde_json::Value;
use url::Url;

use crate::support::{self, assert_balanced, opilio};

/// A process that has ended, with its output and its peak memory.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    report: Value,
    peak_kib: u64,
    took: Duration,
}

/// Makes these crawls run one at a time, since they load the machine and have deadlines.
static TURN: Mutex<()> = Mutex::new(());

/// Crawls all URLs. Of the private addresses, only the network of the hostile server is allowed.
fn crawl(hostile: &Hostile, args: &[&str]) -> Ended {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let (report, authority) = (dir.path().join("report.json"), dir.path().join("authority.pem"));
    std::fs::write(&authority, hostile.authority_pem()).unwrap();
    let mut command = opilio();
    command.env("SSL_CERT_FILE", &authority).arg("crawl").args(EVERYWHERE).args(args);
    command.arg(format!("--allow-private={}", Hostile::NETWORK)).arg("--report").arg(&report);
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let (stdout, stderr) = (bytes(child.stdout.take().unwrap()), bytes(child.stderr.take().unwrap()));
    let mut peak_kib = 0;
    let code = loop {
        peak_kib = peak_kib.max(high_water_kib(&child));
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if began.elapsed() > HANGS {
            child.kill().unwrap();
            panic!("the crawl does not end: {}", stderr.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let text = std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let report = serde_json::from_str(&text).unwrap();
    Ended { code, stdout, stderr, report, peak_kib, took: began.elapsed() }
}

#[test]
fn whatever_servers_do_healthy_pages_arrive_and_bad_urls_end_with_their_reason() {
    let hostile = Hostile::start().unwrap();
    assert!(hostile.troubles().len() >= 50);
    // Troubles with large pages have a test of their own, since they would take too long here.
    let (large, all): (Vec<_>, Vec<_>) = hostile.troubles().iter().partition(|trouble| trouble.is_large());
    let index = hostile.index();
    let mut args = vec![index.as_str(), "-vv", "--max-body=2MiB", "--timeout=8s", "--max-depth=40"];
    large.iter().for_each(|trouble| args.extend(["--exclude", trouble.url()]));
    let ended = crawl(&hostile, &args);

    let pages = pages_by_url(&ended);
    let failures = failures_by_url(&ended);
    let mut wrong = Vec::new();
    for url in hostile.healthy().iter().chain([&hostile.index()]) {
        if pages.get(url) != Some(&1) {
            wrong.push(format!("healthy {url}: {:?} times, {:?}", pages.get(url), failures.get(url)));
        }
    }
    for trouble in all {
        let both = [Some((trouble.url(), trouble.ends())), trouble.ok()];
        for (url, ends) in both.into_iter().flatten() {
            let url = as_reported(url);
            let got = (pages.get(&url).copied().unwrap_or(0), failures.get(&url).map(String::as_str));
            let right = match (ends, got) {
                (Ends::Page, got) => got == (1, None),
                (Ends::Failure(reasons), (0, Some(reason))) => reasons.contains(&reason),
                (Ends::Failure(reasons), (1, None)) => reasons.contains(&"page"),
                (Ends::Failure(_), _) => false,
                (Ends::Trap(most), _) => (1..=*most).contains(&pages_of(&pages, &url)),
            };
            if !right {
                let (name, does) = (trouble.name(), trouble.does());
                wrong.push(format!("{name} ({does}) at {url}: expected {ends:?}, got {got:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), ended.stderr.lines().last().unwrap_or_default());
    assert_eq!(hostile.trespasses(), 0, "connections to a private address");

    assert_ended_well(&ended);
}

#[test]
fn pages_that_are_large_in_every_way_are_read_in_bounded_memory() {
    let hostile = Hostile::builder().healthy_hosts(0).start().unwrap();
    let large: Vec<_> = hostile.troubles().iter().filter(|trouble| trouble.is_large()).collect();
    let mut args = vec!["--max-body=17MiB", "--timeout=60s", "--max-depth=0"];
    args.extend(large.iter().map(|trouble| trouble.url()));
    let ended = crawl(&hostile, &args);
    let (pages, failures) = (pages_by_url(&ended), failures_by_url(&ended));
    for trouble in &large {
        assert_eq!(pages.get(trouble.url()), Some(&1), "{}: {:?}", trouble.name(), failures);
    }
    let many = large.iter().find(|trouble| trouble.name() == "million-links").unwrap().url();
    let mut lines = ended.stderr.lines();
    assert!(
        lines.any(|line| line.contains(many) && line.contains("more than 20000 links")),
        "{}",
        ended.stderr
    );
    assert_ended_well(&ended);
}

/// Checks that the crawl ended by itself, that its counts balance, that its memory stayed within the limit, and
/// that no output contains a control code for the terminal.
fn assert_ended_well(ended: &Ended) {
    #[allow(clippy::print_stderr, reason = "figures for whoever asks with --nocapture")]
    {
        eprintln!("{:?}, {} MiB at the most, {}", ended.took, ended.peak_kib >> 10, ended.report["reasons"]);
    }
    assert_eq!((ended.code, ended.report["stopped"].as_str()), (Some(0), Some("finished")));
    assert_balanced(&ended.report);
    assert!(ended.peak_kib > 0 || !cfg!(target_os = "linux"), "nothing was measured");
    assert!(ended.peak_kib < 300 << 10, "{} MiB", ended.peak_kib >> 10);
    assert_harmless(ended);
}

#[test]
fn hosts_that_never_answer_for_their_robots_txt_hold_nobody_up() {
    // There are as many silent hosts as the crawl has slots.
    let hostile =
        Hostile::builder().no_troubles().silent_hosts(64).healthy_hosts(2).healthy_pages(10).start().unwrap();
    let ended = crawl(&hostile, &[&hostile.index(), "--timeout=2s"]);
    let (pages, failures) = (pages_by_url(&ended), failures_by_url(&ended));
    for url in hostile.healthy() {
        assert_eq!(pages.get(url), Some(&1), "{url}: {:?}", failures.get(url));
    }
    for url in hostile.silent() {
        assert_eq!(failures.get(url).map(String::as_str), Some("timeout"), "{url}");
    }
    assert_ended_well(&ended);
}

#[test]
fn credentials_in_urls_are_neither_kept_nor_told() {
    let link = "<a href=http://her:hush@127.0.0.2:1/in-link>x</a>";
    let page = format!("<title>A</title>{link}");
    let shop = Sandbox::builder().host(HostConfig::new().page("/a", "text/html", page)).start().unwrap();
    let seed = shop.url(0, "/a").replace("http://", "http://me:secret@");
    let (run, report) = support::crawl(&[&seed, "--follow=all", "--max-depth=1", "--retries=0", "-vv"]);
    assert_eq!(report["pages"], 1, "{}", run.stderr);
    let told = [run.stdout, run.stderr, report.to_string()].concat();
    assert!(told.contains("in-link"), "the link was tried");
    for secret in ["secret", "hush", "me:", "her:"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

/// Checks that no output, including the logs, contains a byte that could control a terminal.
fn assert_harmless(ended: &Ended) {
    for (name, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        let control = |c: char| c.is_control() && c != '\n';
        let line = text.lines().find(|line| line.chars().any(control));
        assert_eq!(line, None, "control characters on {name}");
    }
}

/// Returns how often each URL ended as a page.
fn pages_by_url(ended: &Ended) -> BTreeMap<String, usize> {
    let mut pages = BTreeMap::new();
    for line in ended.stdout.lines() {
        let item: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if item["alias"] != true {
            *pages.entry(item["url"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(pages.values().sum::<usize>() as u64, ended.report["pages"].as_u64().unwrap());
    pages
}

/// Returns a URL as reports spell it: normalised, without fragment and credentials.
fn as_reported(url: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    url.set_fragment(None);
    url.set_username("").unwrap();
    url.set_password(None).unwrap();
    url.to_string()
}

fn failures_by_url(ended: &Ended) -> HashMap<String, String> {
    let text = |failure: &Value, key: &str| failure[key].as_str().unwrap().to_owned();
    let failures = ended.report["failures"].as_array().unwrap();
    let by_url: HashMap<_, _> =
        failures.iter().map(|failure| (text(failure, "url"), text(failure, "reason"))).collect();
    assert_eq!(by_url.len(), failures.len(), "each URL ends once");
    by_url
}

/// Returns the number of pages of the URL's host, not counting its healthy page.
fn pages_of(pages: &BTreeMap<String, usize>, url: &str) -> u64 {
    let origin = Url::parse(url).unwrap().join("/").unwrap();
    let of_host = pages.iter().filter(|(url, _)| url.starts_with(origin.as_str()) && !url.ends_with("/ok"));
    of_host.map(|(_, times)| *times as u64).sum()
}

/// Returns the peak memory of a process in KiB, or 0 if the system does not say.
fn high_water_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn bytes(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    })
}

const EVERYWHERE: [&str; 12] = [
    "--follow",
    "all",
    "--rate",
    "2000/s",
    "--in-flight=4",
    "--min-backoff=1ms",
    "--retries=0",
    // This excludes the targets of the million links that one of the pages has.
    "--exclude",
    "*/~*",
    "--total-in-flight=64",
    "--user-agent",
    "opilio-tests/1.0 (+https://example.com/)",
];
const HANGS: Duration = Duration::from_secs(150);
