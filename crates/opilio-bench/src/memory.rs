//! `cargo xtask bench memory`: measures the memory of one queued URL, one host and one request, of which a crawl
//! holds thousands.
//!
//! For each kind of thing, one process holds few of them and another process holds many. The difference in memory is
//! divided by the difference in number. Allocators round sizes up and keep freed memory; this is included, because it
//! is part of the cost.

use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use opilio::core::Timestamp;
use opilio::fetch::{ScriptedAnswer, ScriptedTransport, TransportRequest};
use opilio::frontier::{Admission, DiskFrontier, DiskOptions, Frontier, MemoryFrontier, StoreOwner};
use opilio::prelude::*;

use crate::args::Args;
use crate::harness::SiteProcess;
use crate::measure;
use crate::micro;
use crate::site::{SitePlan, url};

/// The kinds of things that are measured: the name, a description, and the numbers that the two processes hold.
const HELD: &[(&str, &str, usize, usize)] = &[
    ("queued-memory", "queued URL, memory store", 200_000, 1_200_000),
    ("queued-disk", "queued URL, store on disk", 200_000, 1_200_000),
    ("live", "live host that waits for its next start: its robots.txt rules, one waiting URL", 2_000, 22_000),
    ("dormant", "host whose only page has ended: its saved state, its rules, the known URL", 2_000, 22_000),
    (
        "in-flight",
        "request in flight with its connection and its host, each at a host of its own",
        100,
        1_100,
    ),
];

/// Measures each kind of thing, and prints the memory of one.
///
/// # Errors
/// When a process fails.
pub(crate) fn run(args: &[String]) -> Result<()> {
    ensure!(args.is_empty(), "bench memory takes no arguments");
    println!("| what | bytes of memory each | bytes on disk each | from | to |\n|---|---|---|---|---|");
    for (what, about, few, many) in HELD {
        let ((few_bytes, few_disk), (many_bytes, many_disk)) = (held(what, *few)?, held(what, *many)?);
        let each =
            |few_bytes: u64, many_bytes: u64| (many_bytes as f64 - few_bytes as f64) / (many - few) as f64;
        let disk = each(few_disk, many_disk);
        let disk = if disk > 0.0 { format!("{disk:.0}") } else { String::new() };
        println!("| {about} | {:.0} | {disk} | {few} | {many} |", each(few_bytes, many_bytes));
    }
    Ok(())
}

/// `cargo xtask bench idle`: holds hosts that wait for an hour, and prints the share of a core that the crawl uses
/// meanwhile, and its memory.
///
/// # Errors
/// When the arguments are wrong, or the hosts are not there in time.
pub(crate) fn idle(args: &[String]) -> Result<()> {
    let (mut hosts, mut seconds) = (100_000, 30);
    let mut args = Args::new(args);
    while let Some(name) = args.name() {
        match name {
            "--hosts" => hosts = args.value()?,
            "--seconds" => seconds = args.value()?,
            other => bail!("bench idle has no argument {other}"),
        }
    }
    let (crawler, answered) = waiting(hosts);
    let _crawl = crawler.start()?;
    wait_until(hosts, || answered.load(Ordering::Relaxed))?;
    let (start, cpu) = (Instant::now(), measure::own_cpu());
    std::thread::sleep(Duration::from_secs(seconds));
    let (wall, cpu) = (start.elapsed(), measure::own_cpu().saturating_sub(cpu));
    let share = 100.0 * cpu.as_secs_f64() / wall.as_secs_f64();
    let memory = measure::own_memory()? / (1024 * 1024);
    println!("{hosts} live hosts that wait: {share:.2} % of a core over {seconds} s, {memory} MiB");
    // The crawl would go on for an hour.
    std::process::exit(0)
}

/// Runs a process that holds `n` things of the kind `what`. Returns the bytes that it has in memory and on disk.
fn held(what: &str, n: usize) -> Result<(u64, u64)> {
    let plan = SitePlan { latency_ms: 600_000, ..SitePlan::new(n, 1) };
    let site = if what == "in-flight" { Some(SiteProcess::start(plan)?) } else { None };
    let port = site.as_ref().map_or(0, |site| site.port);
    let output = Command::new(std::env::current_exe().context("cannot find this program")?)
        .args(["bench-hold", "--what", what, "--n", &n.to_string(), "--port", &port.to_string()])
        .output()
        .context("cannot start a process that holds something")?;
    ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let (memory, disk) = said.trim().split_once(' ').context("the process printed no figures")?;
    Ok((memory.parse()?, disk.parse()?))
}

/// Holds `n` things in this process, and prints the bytes that the process has in memory and on disk.
///
/// # Errors
/// When this process cannot hold that many things.
pub(crate) fn hold(args: &[String]) -> Result<()> {
    let (mut what, mut n, mut port) = ("", 0, 0);
    let mut args = Args::new(args);
    while let Some(name) = args.name() {
        match name {
            "--what" => what = args.text()?,
            "--n" => n = args.value()?,
            "--port" => port = args.value()?,
            other => bail!("bench-hold has no argument {other}"),
        }
    }
    measure::raise_descriptors();
    match what {
        "queued-memory" => queued(&mut MemoryFrontier::new(), n, None),
        "queued-disk" => {
            let dir = tempfile::tempdir().context("cannot make a directory for the store")?;
            let owner = StoreOwner { spider: "bench".to_owned(), version: 1 };
            let store = &mut DiskFrontier::create(dir.path(), DiskOptions::default(), owner)?;
            queued(store, n, Some(dir.path()))
        }
        "live" => live(n),
        "dormant" => dormant(n),
        "in-flight" => in_flight(n, port),
        other => bail!("bench-hold cannot hold {other}"),
    }
}

fn tell(disk_bytes: u64) -> Result<()> {
    println!("{} {disk_bytes}", measure::own_memory()?);
    Ok(())
}

/// Puts `n` URLs of about 75 bytes into a store, a hundred URLs for each host.
fn queued(store: &mut dyn Frontier, n: usize, dir: Option<&Path>) -> Result<()> {
    for page in 0..n / LINKS {
        let url = |link| {
            format!("http://www.shop-{page:06}.example/products/category-{page:04}/item-{link:010}.html")
        };
        let record = |link| micro::record(&url(link), (page * LINKS + link) as u64);
        let batch = (0..LINKS).map(|link| record(link).map(Admission::Queue)).collect::<Result<Vec<_>>>()?;
        store.admit(batch)?;
    }
    store.checkpoint()?;
    ensure!(store.hosts_ready(Timestamp::EPOCH, 1)?.len() == 1, "nothing is queued");
    tell(dir.map_or(Ok(0), bytes_below)?)
}

fn bytes_below(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).context("cannot read the store's directory")? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// A spider that only has seeds: it takes no links and no items from their pages.
struct SeedList(Vec<String>);

impl Spider for SeedList {
    type Item = ();
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        self.0.iter().map(|url| Request::get(&**url, ())).collect()
    }

    fn parse(&self, _: &Page<()>, _: &mut Found<Self>) -> Result<(), ParseError> {
        Ok(())
    }
}

fn live(n: usize) -> Result<()> {
    let (crawler, answered) = waiting(n);
    hold_until(crawler, n, || answered.load(Ordering::Relaxed))
}

/// Returns a crawl of `n` hosts in memory, and a counter of its answers. Each host fetches its robots.txt, and then
/// waits an hour before it requests its first page.
fn waiting(n: usize) -> (Crawler<SeedList>, Arc<AtomicUsize>) {
    let urls = (0..n).map(|n| format!("http://www.shop-{n:06}.example/page"));
    let (crawler, answered) = scripted(urls.collect());
    (crawler.host(HostPolicy::new().rate(per_hour(1))).live_hosts(n as u32), answered)
}

/// Holds `n` passivated hosts: the state of each was saved, and the host was removed from memory. Only few hosts are
/// in memory at a time, and each has one page. One slow host prevents the crawl from ending.
fn dormant(n: usize) -> Result<()> {
    let urls = (0..n).map(|n| format!("http://www.shop-{n:06}.example/page"));
    let (crawler, answered) = scripted(urls.chain([String::from("http://slow.example/page")]).collect());
    let crawler = crawler
        .host(HostPolicy::new().rate(per_second(1_000)).linger(Duration::from_millis(1)))
        .host_named("slow.example", HostPolicy::new().rate(per_hour(1)))
        .live_hosts(64);
    hold_until(crawler, 2 * n + 1, || answered.load(Ordering::Relaxed))
}

/// Returns a crawl of these URLs on a simulated web, and a counter of the answers that the crawl got so far.
fn scripted(urls: Vec<String>) -> (Crawler<SeedList>, Arc<AtomicUsize>) {
    let answered = Arc::new(AtomicUsize::new(0));
    let counter = answered.clone();
    let crawler = Crawler::new(SeedList(urls)).transport(move || {
        let counter = counter.clone();
        Rc::new(ScriptedTransport::new(move |_, ask: &TransportRequest| {
            counter.fetch_add(1, Ordering::Relaxed);
            match ask.url.path() {
                "/robots.txt" => {
                    ScriptedAnswer::page("User-agent: *\nDisallow: /private/\nDisallow: /tmp/\n")
                }
                _ => ScriptedAnswer::page("<title>a page</title>"),
            }
        }))
    });
    (crawler, answered)
}

/// Holds `n` requests that were sent and wait for their answers.
fn in_flight(n: usize, port: u16) -> Result<()> {
    let crawler = Crawler::new(SeedList((0..n).map(|n| url(port, n, 0)).collect()))
        .host(HostPolicy::new().rate(per_second(1_000_000)))
        .total_in_flight(n as u32)
        .addresses(AddressPolicy::allow_all());
    let crawl = crawler.start()?;
    let handle = crawl.handle();
    tell_when(n, || handle.progress().in_flight as usize)
}

fn hold_until(crawler: Crawler<SeedList>, n: usize, held: impl Fn() -> usize) -> Result<()> {
    let _crawl = crawler.start()?;
    tell_when(n, held)
}

/// Prints the memory once `n` things are held, and ends the process at once, because its crawl would go on waiting for
/// answers.
fn tell_when(n: usize, held: impl Fn() -> usize) -> Result<()> {
    wait_until(n, held)?;
    tell(0)?;
    std::process::exit(0);
}

/// Checks ten times a second whether `n` things are held, for at most a minute and a half, and another minute for each
/// hundred thousand things.
fn wait_until(n: usize, held: impl Fn() -> usize) -> Result<()> {
    for _ in 0..900 + n / 1_000 * 6 {
        std::thread::sleep(Duration::from_millis(100));
        if held() >= n {
            // Waits until the crawl has processed its last answers.
            std::thread::sleep(Duration::from_secs(1));
            return Ok(());
        }
    }
    bail!("only {} of {n} are held in time", held())
}

const LINKS: usize = 100;
