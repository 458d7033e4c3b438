//! `cargo xtask flat`: measures the memory of a crawl whose sink is slow.
//!
//! The crawl reads a generated site with more pages than the crawl fetches, and its sink (the code that writes the
//! rows) sleeps for every row. The number of fetched pages must not be much higher than the number of written rows.
//! In every crawl, memory grows for known URLs and for data that the store gathers before it writes. Therefore the
//! same crawl with a fast sink runs first, in a process of its own, and the difference is the cost of the slow sink.
//! For both crawls, the growth of memory in the second half is reported in bytes per page: near zero means that
//! memory does not grow.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use opilio::export::{Encoder, Export, ExportError, JsonEncoder, Sink};
use opilio::fetch::{ScriptedAnswer, ScriptedTransport, TransportRequest};
use opilio::prelude::*;

/// A spider for a generated site on which every page links to two other pages.
struct Tree;

impl Spider for Tree {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![Request::get("http://flat.example/0", ())]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(page.requested_url().to_owned());
        found.follow_links(page, ());
        Ok(())
    }
}

/// A sink that sleeps after each row.
struct SlowSink {
    file: File,
    at: u64,
    each: Duration,
    rows: Arc<AtomicU64>,
}

impl Sink for SlowSink {
    fn name(&self) -> Arc<str> {
        "slow".into()
    }

    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        self.at = position;
        Ok(())
    }

    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        for row in rows.split_inclusive(|byte| *byte == b'\n') {
            std::thread::sleep(self.each);
            self.file.write_all(row).map_err(|error| ExportError::of_write(&"slow".into(), error))?;
            self.rows.fetch_add(1, Ordering::Relaxed);
        }
        self.at += rows.len() as u64;
        Ok(self.at)
    }

    fn flush(&mut self) -> Result<u64, ExportError> {
        Ok(self.at)
    }

    fn sync(&mut self) -> Result<u64, ExportError> {
        self.flush()
    }
}

impl Export<String> for SlowSink {
    fn encoder(&self) -> Box<dyn Encoder<String>> {
        Box::new(JsonEncoder)
    }

    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
        Ok(self)
    }
}

/// Crawls `--pages N` pages (10,000 by default) with a delay of `--delay TIME-IN-MS` (10 by default) for each row.
/// `--state DIR` stores the crawl in a directory. `--memory-limit MIB` sets the memory limit of the crawl, so that
/// its bounded buffers are full early.
///
/// # Errors
/// When the slow sink costs memory, when the second half needs far more memory than the first, or when far more pages
/// are fetched than rows are written.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut pages, mut delay, mut state, mut limit) = (10_000_u64, 10, None, None);
    let mut is_control = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--pages" => pages = value()?.parse().context("--pages")?,
            "--delay" => delay = value()?.parse().context("--delay")?,
            "--state" => state = Some(PathBuf::from(value()?)),
            "--memory-limit" => limit = Some(value()?.parse::<u64>().context("--memory-limit")? << 20),
            "--control" => is_control = true,
            other => bail!("flat knows no {other}"),
        }
    }
    let control = if is_control { None } else { Some(control(pages, state.as_ref(), limit)?) };
    if is_control {
        delay = 0;
    }
    let rows = Arc::new(AtomicU64::new(0));
    let fetched = Arc::new(AtomicU64::new(0));
    let sink = SlowSink {
        file: File::create("/dev/null").context("cannot open /dev/null")?,
        at: 0,
        each: Duration::from_millis(delay),
        rows: rows.clone(),
    };
    let counts = fetched.clone();
    let mut crawler = Crawler::new(Tree)
        .host(HostPolicy::new().rate(opilio::per_second(1_000_000)).in_flight(32))
        .no_robots()
        .export(sink)
        .max_pages(pages)
        .transport(move || {
            let counts = counts.clone();
            Rc::new(ScriptedTransport::new(move |_, ask: &TransportRequest| {
                counts.fetch_add(1, Ordering::Relaxed);
                page(ask.url.path())
            }))
        });
    if let Some(dir) = state {
        crawler = crawler.state(dir);
    }
    if let Some(bytes) = limit {
        crawler = crawler.memory_limit(bytes);
    }
    let halves = watch(crawler, pages, &rows, &fetched)?;
    let Some(control) = control else {
        println!("{} {}", halves.first, halves.second);
        return Ok(());
    };
    println!("{}\nwith a sink that takes no time: {}", halves.verdict(pages), control.verdict(pages));
    let (first, second) =
        (halves.first.saturating_sub(control.first), halves.second.saturating_sub(control.second));
    println!(
        "the slow sink costs {:.1} MiB in the first half and {:.1} MiB in the second",
        mib(first),
        mib(second)
    );
    ensure!(first <= control.allowed() && second <= control.allowed(), "the slow sink costs memory");
    ensure!(halves.grown() <= halves.first / 10 + (16 << 20), "memory grew");
    Ok(())
}

/// Runs the same crawl with a sink that does not sleep, in a separate process. Returns the memory that the crawl used
/// in each half.
fn control(pages: u64, state: Option<&PathBuf>, limit: Option<u64>) -> Result<Halves> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["flat", "--control", "--pages", &pages.to_string()]);
    let dir = state.map(|dir| dir.with_extension("control"));
    if let Some(dir) = &dir {
        command.arg("--state").arg(dir);
    }
    if let Some(limit) = limit {
        command.args(["--memory-limit", &(limit >> 20).to_string()]);
    }
    let output = command.output().context("cannot run the crawl to compare with")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().last().and_then(|line| line.split_once(' '));
    let (first, second) = figures.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    if let Some(dir) = dir {
        std::fs::remove_dir_all(dir).context("cannot remove the state of the crawl to compare with")?;
    }
    Ok(Halves { first: first.parse()?, second: second.parse()? })
}

fn page(path: &str) -> ScriptedAnswer {
    let n: u64 = path.trim_start_matches('/').parse().unwrap_or(0);
    let (left, right) = (2 * n + 1, 2 * n + 2);
    let text = "All work and no play makes a dull page. ".repeat(100);
    ScriptedAnswer::page(format!(
        "<title>{n}</title><p>{text}</p><a href=/{left}>left</a> <a href=/{right}>right</a>"
    ))
}

/// Runs the crawl, and measures the memory of this process while rows are written.
fn watch(crawler: Crawler<Tree>, pages: u64, rows: &AtomicU64, fetched: &AtomicU64) -> Result<Halves> {
    let began = Instant::now();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        anyhow::Ok(runtime.block_on(crawler.run())?)
    });
    let (mut next, mut halves, mut ahead_most) = (1, Halves::default(), 0);
    while !thread.is_finished() {
        std::thread::sleep(Duration::from_millis(50));
        let (written, now) = (rows.load(Ordering::Relaxed), rss_bytes()?);
        ahead_most = ahead_most.max(fetched.load(Ordering::Relaxed).saturating_sub(written));
        halves.see(written as f64 / pages as f64, now);
        if written * 20 >= pages * next {
            println!("{written:>8} rows  {:>8.1?}  {:>6.1} MiB", began.elapsed(), mib(now));
            next = written * 20 / pages + 1;
        }
    }
    let report = thread.join().map_err(|_| anyhow::anyhow!("the crawl panicked"))??;
    println!(
        "{} pages, {} rows; fetched at most {ahead_most} pages ahead of the sink (allowed: {AHEAD_MAX})",
        report.pages,
        rows.load(Ordering::Relaxed),
    );
    ensure!(report.pages == pages, "{} of {pages} pages", report.pages);
    ensure!(ahead_most <= AHEAD_MAX, "the crawl ran away from its sink");
    Ok(halves)
}

/// The highest memory of the process, in bytes, in each half of a crawl.
#[derive(Default)]
struct Halves {
    first: u64,
    second: u64,
}

impl Halves {
    fn see(&mut self, part: f64, rss_bytes: u64) {
        let half = if part < 0.5 { &mut self.first } else { &mut self.second };
        *half = rss_bytes.max(*half);
    }

    fn grown(&self) -> u64 {
        self.second.saturating_sub(self.first)
    }

    fn allowed(&self) -> u64 {
        self.first / GROWN_PART + SLACK
    }

    fn are_flat(&self) -> bool {
        self.grown() <= self.allowed()
    }

    fn verdict(&self, pages: u64) -> String {
        format!(
            "resident at most {:.1} MiB in the first half and {:.1} MiB in the second: {:.1} MiB more, {} bytes a \
             page (allowed: {:.1} MiB): {}",
            mib(self.first),
            mib(self.second),
            mib(self.grown()),
            self.grown() / (pages / 2).max(1),
            mib(self.allowed()),
            if self.are_flat() { "flat" } else { "not flat" }
        )
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Returns the resident memory of this process in bytes. Works only on Linux.
fn rss_bytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").context("cannot read /proc/self/statm")?;
    let pages = text.split_whitespace().nth(1).context("no resident pages in /proc/self/statm")?;
    Ok(pages.parse::<u64>().context("/proc/self/statm")? * 4_096)
}

/// Limits how much more memory the second half may need than the first: by a twentieth of the first half's memory and
/// by `SLACK` bytes. Some growth is normal, because allocators are not exact.
const GROWN_PART: u64 = 20;
const SLACK: u64 = 1 << 20;
/// The most pages that may be fetched but not yet written by the slow sink.
const AHEAD_MAX: u64 = 1_000;
