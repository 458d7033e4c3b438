//! Runs the crawls of a workload one after another, in several rounds. Checks each crawl: every page of its site must
//! be requested exactly once, and for every page exactly one row must be written, with the right value of that page's
//! field.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::args::Args;
use crate::measure::{self, ChildOutput, ProcessUsage};
use crate::site::{self, SitePlan, Stats};
use crate::workload::{self, Allocator, BenchCase, STATE, STREAMED, Who, Workload};
use crate::{instructions, memory, picture, report, spacing};

/// The options of a benchmark run, from the command line.
struct Wish {
    small: bool,
    only: Vec<String>,
    rounds: usize,
    allocators: Vec<Allocator>,
    peers: Vec<(String, String)>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
}

/// The cost of one crawl, and the requests that its site received.
#[derive(Clone)]
pub(crate) struct Run {
    /// The time and memory of the crawler's process, as the operating system reports them.
    pub(crate) usage: ProcessUsage,
    /// The requests that the site counted.
    pub(crate) stats: Stats,
}

/// A workload, and the measured runs of each of its cases.
pub(crate) struct WorkloadRuns {
    /// The workload that ran.
    pub(crate) workload: Workload,
    /// The runs, by case (outer index) and by round (inner index).
    pub(crate) runs: Vec<Vec<Run>>,
}

/// Runs the benchmark with the arguments of `cargo xtask bench`.
///
/// # Errors
/// When a crawl fails, or does not fetch every page exactly once. With `--small` also when a crawl costs far more
/// than the crawl that it is compared with.
pub fn run(args: &[String]) -> Result<()> {
    match args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("memory", rest)) => return memory::run(rest),
        Some(("spacing", rest)) => return spacing::run(rest),
        Some(("idle", rest)) => return memory::idle(rest),
        Some(("instructions", rest)) => return instructions::run(rest),
        _ => {}
    }
    let Some(wish) = Wish::read(args)? else { return Ok(()) };
    let mut workloads = workload::all(wish.small, &wish.allocators, &wish.peers);
    if !wish.only.is_empty() {
        for name in &wish.only {
            ensure!(workloads.iter().any(|it| it.name == name), "no workload {name}; --list tells them");
        }
        workloads.retain(|workload| wish.only.iter().any(|name| workload.name == name));
    }
    if wish.allocators.contains(&Allocator::Mimalloc) {
        build_with_mimalloc()?;
    }
    let mut measured = Vec::new();
    for workload in workloads {
        println!("\n## {}: {}\n", workload.name, workload.about);
        let done = rounds(workload, wish.rounds)?;
        println!("{}", report::table(&done));
        measured.push(done);
    }
    if let Some(path) = &wish.json {
        std::fs::write(path, report::json(&measured)?).context("cannot write the figures")?;
    }
    if let Some(path) = &wish.svg {
        std::fs::write(path, picture::draw(&measured)).context("cannot write the picture")?;
    }
    if wish.small { report::check(&measured) } else { Ok(()) }
}

impl Wish {
    fn read(args: &[String]) -> Result<Option<Self>> {
        let mut wish = Self {
            small: false,
            only: Vec::new(),
            rounds: 0,
            allocators: vec![Allocator::System],
            peers: Vec::new(),
            json: None,
            svg: None,
        };
        let mut args = Args::new(args);
        while let Some(name) = args.name() {
            match name {
                "--small" => wish.small = true,
                "--mimalloc" => wish.allocators = vec![Allocator::System, Allocator::Mimalloc],
                "--only" => wish.only.extend(args.text()?.split(',').map(str::to_owned)),
                "--rounds" => wish.rounds = args.value()?,
                "--json" => wish.json = Some(args.text()?.into()),
                "--svg" => wish.svg = Some(args.text()?.into()),
                "--peer" => {
                    let (name, command) = args.text()?.split_once('=').context("--peer is NAME=COMMAND")?;
                    wish.peers.push((name.to_owned(), command.to_owned()));
                }
                "--list" => {
                    for workload in workload::all(false, &wish.allocators, &[]) {
                        println!("{:12} {}", workload.name, workload.about);
                    }
                    return Ok(None);
                }
                other => bail!("bench has no argument {other}\n\n{HELP}"),
            }
        }
        if wish.rounds == 0 {
            wish.rounds = if wish.small { 3 } else { 5 };
        }
        Ok(Some(wish))
    }
}

/// Builds the program `xtask` with the allocator mimalloc, in the directory of this program.
fn build_with_mimalloc() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["build", "--release", "--package", "xtask", "--features", "mimalloc", "--bin", WITH_MIMALLOC];
    let status = Command::new(cargo).args(args).status().context("cannot run cargo")?;
    ensure!(status.success(), "the program with mimalloc does not build");
    Ok(())
}

/// Runs all cases of a workload one after another, as often as there are rounds.
fn rounds(workload: Workload, rounds: usize) -> Result<WorkloadRuns> {
    let work = tempfile::tempdir().context("cannot make a directory for the crawls")?;
    let mut sites: HashMap<SitePlan, SiteProcess> = HashMap::new();
    let mut runs = vec![Vec::with_capacity(rounds); workload.cases.len()];
    for _ in 0..rounds {
        for (case, runs) in workload.cases.iter().zip(&mut runs) {
            let site = match sites.entry(case.site) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(SiteProcess::start(case.site)?)
                }
            };
            let run = crawl(case, site, work.path()).with_context(|| format!("cannot run {}", case.name))?;
            eprintln!("{}", report::line(case, &run));
            runs.push(run);
        }
    }
    Ok(WorkloadRuns { workload, runs })
}

fn crawl(case: &BenchCase, site: &mut SiteProcess, work: &Path) -> Result<Run> {
    let out = work.join("rows.jsonl");
    let _ = std::fs::remove_file(&out);
    let mut command = command(case, site, &out, work)?;
    site.ask("reset")?;
    let output = if case.who.streams() { ChildOutput::Throttled(&out, SLOW_BYTES) } else { ChildOutput::Own };
    let usage = measure::run(command.current_dir(work), output, PATIENCE)?;
    let stats: Stats = serde_json::from_str(&site.ask("stats")?).context("cannot read what the site says")?;
    let all = case.site.all();
    ensure!(
        stats.distinct == all && stats.duplicates == 0 && stats.not_found == 0,
        "{} of {all} pages were requested, {} requests were repeated, and {} were for missing pages",
        stats.distinct,
        stats.duplicates,
        stats.not_found
    );
    if case.who.writes() {
        check_rows(&out, case.site)?;
    }
    Ok(Run { usage, stats })
}

/// Returns the command that runs a case. The rows of the case go to the file `out`.
fn command(case: &BenchCase, site: &SiteProcess, out: &Path, work: &Path) -> Result<Command> {
    let seed = site::url(site.port, 0, 0);
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = match case.allocator {
        Allocator::System => Command::new(program),
        Allocator::Mimalloc => Command::new(program.with_file_name(WITH_MIMALLOC)),
    };
    match &case.who {
        Who::List(mode) => {
            command.args(["bench-floor", "--mode", mode, "--list"]).arg(list(site, work)?);
            command.arg("--out").arg(out);
        }
        Who::Crawl(mode) => {
            command.args(["bench-floor", "--mode", mode, "--seed", &seed, "--out"]).arg(out);
        }
        Who::Opilio(args) => {
            command.args(["bench-spider", "--seed", &seed, "--out"]);
            if case.who.streams() {
                command.arg("-")
            } else {
                command.arg(out)
            };
            for arg in args.iter().filter(|arg| **arg != STREAMED) {
                command.arg(arg);
                if *arg == STATE {
                    command.arg(fresh_directory(work)?);
                }
            }
        }
        Who::Peer(line) => {
            let values = [("{seed}", seed), ("{out}", text(out)), ("{list}", text(&list(site, work)?))];
            let line = values.iter().fold(line.clone(), |line, (name, value)| line.replace(name, value));
            let mut words = line.split_whitespace();
            command = Command::new(words.next().context("a peer needs a command")?);
            command.args(words);
        }
    }
    Ok(command)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn fresh_directory(work: &Path) -> Result<PathBuf> {
    let dir = work.join("state");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).context("cannot remove the last run's state")?;
    }
    Ok(dir)
}

/// Writes a file with every URL of the site, in an order in which the hosts alternate. Returns the path of the file.
fn list(site: &SiteProcess, work: &Path) -> Result<PathBuf> {
    let path = work.join(format!("list-{}", site.port));
    if !path.exists() {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        for page in 0..site.plan.pages {
            for host in 0..site.plan.hosts {
                writeln!(file, "{}", site::url(site.port, host, page))?;
            }
        }
        file.flush()?;
    }
    Ok(path)
}

/// The row that a crawler writes for each page. It has a value of the page's field only if the crawler reads the
/// field.
#[derive(Deserialize)]
struct WrittenRow {
    url: String,
    title: String,
    sku: Option<String>,
}

/// Checks that each page has exactly one row, and that the row is correct. Reads line by line, because the memory of
/// this process is a lower bound for the memory that the system reports for its child processes.
pub(crate) fn check_rows(path: &Path, plan: SitePlan) -> Result<()> {
    let mut met = vec![false; plan.all()];
    for line in BufReader::new(std::fs::File::open(path).context("cannot open the rows")?).lines() {
        let line = line.context("cannot read the rows")?;
        let row: WrittenRow =
            serde_json::from_str(&line).with_context(|| format!("cannot read the row {line}"))?;
        let place = site::locate(&row.url).filter(|(host, page)| *host < plan.hosts && *page < plan.pages);
        let (host, page) = place.with_context(|| format!("this row is of no page of the site: {line}"))?;
        let is_right = !row.title.is_empty() && row.sku.is_none_or(|sku| sku == site::sku(host, page));
        ensure!(is_right, "this row is wrong: {line}");
        ensure!(!std::mem::replace(&mut met[host * plan.pages + page], true), "two rows of one page: {line}");
    }
    let rows = met.iter().filter(|met| **met).count();
    ensure!(rows == plan.all(), "{rows} rows of {} pages", plan.all());
    Ok(())
}

/// A site that runs as a child process. Dropping this value ends the process.
pub(crate) struct SiteProcess {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    plan: SitePlan,
    /// The port on which the site listens, on every loopback address.
    pub(crate) port: u16,
}

impl SiteProcess {
    /// Starts the process of a site.
    ///
    /// # Errors
    /// When the process cannot be started, or does not print its port.
    pub(crate) fn start(plan: SitePlan) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(program)
            .arg("bench-site")
            .args(plan.to_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a site")?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("the site has no standard output")?;
        let mut site = Self { child, input, output: BufReader::new(output), plan, port: 0 };
        site.port = site.line()?.parse().context("cannot read the site's port")?;
        Ok(site)
    }

    /// Sends a command (one word) to the process of the site, and returns the line that the process answers.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn ask(&mut self, word: &str) -> Result<String> {
        let input = self.input.as_mut().context("the site has ended")?;
        writeln!(input, "{word}").context("cannot ask the site")?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("cannot read the site's answer")?;
        ensure!(line.ends_with('\n'), "the site's process has ended");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for SiteProcess {
    fn drop(&mut self) {
        // The process of the site ends when its standard input is closed.
        self.input = None;
        let _ = self.child.wait();
    }
}

const HELP: &str = "\
cargo xtask bench [--small] [--only NAME,...] [--rounds N] [--mimalloc] [--peer NAME=COMMAND]... [--json FILE] [--svg FILE]
cargo xtask bench --list
cargo xtask bench memory
cargo xtask bench idle [--hosts N] [--seconds N]
cargo xtask bench spacing [--hosts N] [--per-minute N] [--seconds N]
cargo xtask bench instructions [NAME...]

--small     little sites; fails when a ratio is far off
--mimalloc  floors and Opilio once more, with that allocator
--peer      another crawler; its command line may say {seed}, {out} (rows to write: url, title, sku) and {list}";

/// The name of the program that is built with mimalloc as its allocator.
const WITH_MIMALLOC: &str = "xtask-mimalloc";
/// The longest time of a crawl. A crawl that takes longer is taken to be stuck, and the benchmark fails.
const PATIENCE: Duration = Duration::from_secs(900);
/// The number of bytes that the slow reader of a crawl's output reads in a second: about a thousand rows.
const SLOW_BYTES: u64 = 100_000;
