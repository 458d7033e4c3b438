//! Measures the cost of the stores at scale, compared with a bare loop over the database of the disk store.
//!
//! `cargo xtask frontier-bench [--urls N] [--hosts N]`, 10,000,000 and 100,000 by default.
//!
//! Times are the CPU time of all threads of a process. They include the threads that write and merge files, but not
//! the time in which the links are generated. Only the ratios of the times are meaningful: the bare loop and the disk
//! store run side by side, each in a process of its own, with the same batches. Before the disk store is opened
//! again, its process is killed (SIGKILL) in the middle of an admission.

#![allow(clippy::print_stdout, reason = "an example's output")]

mod bare;
mod measure;
mod store;
mod web;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use web::{BATCH, Web};

/// The most URLs that are leased to a host at once, as in the engine's scheduler.
const LEASED: usize = 16;
/// The number of hosts whose URLs one commit settles, as in the engine's scheduler.
const HOSTS_A_COMMIT: usize = 16;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["child", what, dir, urls, hosts] => child(what, Path::new(dir), urls.parse()?, hosts.parse()?),
        [] => run(10_000_000, 100_000),
        ["--urls", urls] => run(urls.parse()?, 100_000),
        ["--urls", urls, "--hosts", hosts] => run(urls.parse()?, hosts.parse()?),
        _ => Err("usage: [--urls N [--hosts N]]".into()),
    }
}

fn child(what: &str, dir: &Path, urls: usize, hosts: usize) -> Result<()> {
    let web = Web::of(hosts)?;
    let batches = urls / BATCH;
    match what {
        "bare" => bare::run(&web, batches, dir),
        "fill" => store::fill(&web, batches, dir),
        "reopen" => store::reopen(dir).map(drop),
        "cold" => store::cold(&web, batches, dir),
        "lease" => store::lease(dir),
        "memory" => store::memory(&web, batches),
        "idle" => store::idle(&web, dir),
        other => Err(format!("no {other}").into()),
    }
}

/// Prints the name and the value of a figure, so that the parent process can read them.
fn say(what: &str, figure: f64) {
    println!("{what} {figure}");
}

fn run(urls: usize, hosts: usize) -> Result<()> {
    let urls = urls / BATCH * BATCH;
    println!("{urls} URLs on {hosts} hosts, {BATCH} a batch");
    let dir = tempfile::tempdir()?;
    let at = |name: &str| dir.path().join(name);
    let tenth = start("fill", &at("tenth"), urls / 10, hosts)?.until("filled")?;
    drop(tenth);
    let small = start("reopen", &at("tenth"), urls / 10, hosts)?.listen()?;
    let bare = start("bare", &at("bare"), urls, hosts)?;
    let filled = start("fill", &at("disk"), urls, hosts)?.until("filled")?;
    let mut disk = filled.figures.clone();
    drop(filled);
    disk.extend(start("cold", &at("disk"), urls, hosts)?.listen()?);
    disk.extend(start("lease", &at("disk"), urls, hosts)?.listen()?);
    let bare = bare.listen()?;
    let memory = start("memory", &at("memory"), urls, hosts)?.listen()?;
    let idle = start("idle", &at("idle"), urls, 5 * hosts)?.listen()?;

    let n = urls as f64;
    let micros = |figures: &StoreFigures, what: &str, n: f64| figures[what] * 1e6 / n;
    println!("{:<28}{:>9}{:>9}{:>9}{:>8}", "\u{b5}s of CPU a URL", "bare", "disk", "memory", "ratio");
    let mut goals = Goals::default();
    for (name, what, most) in [
        ("admit, new", "new", Some(1.3)),
        ("lease + settle", "lease", Some(1.3)),
        ("admit, known", "known", None),
    ] {
        let of = |figures: &StoreFigures| {
            micros(
                figures,
                what,
                if what == "lease" { figures.get("leased").copied().unwrap_or(n) } else { n },
            )
        };
        let (bare, disk, memory) = (of(&bare), of(&disk), of(&memory));
        println!("{name:<28}{bare:>9.2}{disk:>9.2}{memory:>9.2}{:>8.2}", disk / bare);
        if let Some(most) = most {
            goals.add(&format!("{name}: ratio to the bare loop"), disk / bare, most);
        }
    }
    println!("{:<28}{:>9}{:>9.2}", "admit, known and cold", "", micros(&disk, "cold", n));
    goals.add("admit, known: \u{b5}s", micros(&disk, "known", n), 1.3);
    goals.add("bytes a URL on disk, journals included", disk["bytes"] / n, 60.0);
    goals.add("opening after a kill: s of CPU", disk["open"], 2.0);
    goals.add("the same at a tenth of the URLs", small["open"], 2.0);
    goals.add("first lease after opening: ms", disk["first"] * 1e3, 50.0);
    goals.add("the same at a tenth of the URLs", small["first"] * 1e3, 50.0);
    goals.add("peak resident while discovering: MiB", disk["peak"] / 1024.0, 512.0);
    goals.add("memory store: bytes a queued URL", memory["bytes"] / n, 120.0);
    println!(
        "resident after discovering: {:.0} MiB, {:.1} bytes a queued URL",
        disk["resident"] / 1024.0,
        disk["resident"] * 1024.0 / n
    );
    println!("an idle host takes {:.0} bytes of memory", idle["bytes"]);
    goals.print();
    Ok(())
}

type StoreFigures = BTreeMap<String, f64>;

/// The figures that have a goal. They are compared with their goals when the benchmark runs at full scale.
#[derive(Default)]
struct Goals(Vec<(String, f64, f64)>);

impl Goals {
    fn add(&mut self, what: &str, is: f64, most: f64) {
        self.0.push((what.to_owned(), is, most));
    }

    fn print(&self) {
        println!("{:<46}{:>9}{:>9}", "goals (meant for 10,000,000 URLs)", "is", "at most");
        for (what, is, most) in &self.0 {
            println!(
                "{what:<46}{is:>9.2}{most:>9.2}  {}",
                if is <= most { "holds" } else { "DOES NOT HOLD" }
            );
        }
    }
}

/// A child process and the figures that it has printed. Dropping it kills the process.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    figures: StoreFigures,
}

fn start(what: &str, dir: &Path, urls: usize, hosts: usize) -> Result<Running> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["child", what])
        .arg(dir)
        .args([urls.to_string(), hosts.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("no output")?;
    Ok(Running { child, lines: BufReader::new(out).lines(), figures: StoreFigures::new() })
}

impl Running {
    /// Reads figures until the child process has printed the figure `what`. Then waits a little, so that the child is
    /// in the middle of its work.
    fn until(mut self, what: &str) -> Result<Self> {
        while !self.figures.contains_key(what) {
            self.hear()?.ok_or("a process ended early")?;
        }
        std::thread::sleep(Duration::from_millis(700));
        Ok(self)
    }

    fn listen(mut self) -> Result<StoreFigures> {
        while self.hear()?.is_some() {}
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("a process ended with {status}").into());
        }
        Ok(std::mem::take(&mut self.figures))
    }

    fn hear(&mut self) -> Result<Option<()>> {
        let Some(line) = self.lines.next().transpose()? else { return Ok(None) };
        if let Some((what, figure)) = line.split_once(' ') {
            self.figures.insert(what.to_owned(), figure.parse()?);
        }
        Ok(Some(()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
