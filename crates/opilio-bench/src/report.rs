//! Reports the measurements as a table and as JSON, and fails if a crawl costs far more than the crawl that it is
//! compared with.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::harness::{Run, WorkloadRuns};
use crate::measure::ProcessUsage;
use crate::workload::{BenchCase, Who};

/// The figures of one case: each is the median over the runs of the case.
pub(crate) struct Figures {
    /// The CPU time of the crawler's process, in milliseconds per page.
    pub(crate) cpu_ms: f64,
    least_ms: f64,
    most_ms: f64,
    /// The number of pages per second of wall time. The wall time includes the start and the end of the process.
    pages_per_s: f64,
    peak_mib: f64,
    connections: u64,
    site_ms: f64,
}

impl Figures {
    fn of(case: &BenchCase, runs: &[Run]) -> Self {
        let pages = case.site.all() as f64;
        let cpu = |run: &Run| run.usage.cpu.as_secs_f64() * 1e3 / pages;
        let costs: Vec<f64> = runs.iter().map(cpu).collect();
        Self {
            cpu_ms: median(costs.iter().copied()),
            least_ms: costs.iter().copied().fold(f64::INFINITY, f64::min),
            most_ms: costs.iter().copied().fold(0.0, f64::max),
            pages_per_s: median(runs.iter().map(|run| pages / run.usage.wall.as_secs_f64())),
            peak_mib: median(runs.iter().map(|run| mib(run.usage.peak_bytes))),
            connections: median(runs.iter().map(|run| run.stats.connections as f64)) as u64,
            site_ms: median(runs.iter().map(|run| run.stats.cpu_s * 1e3 / pages)),
        }
    }
}

impl WorkloadRuns {
    /// Returns the figures of each case of the workload.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        self.workload.cases.iter().zip(&self.runs).map(|(case, runs)| Figures::of(case, runs)).collect()
    }

    /// Returns how much CPU time a page takes relative to the case that this case is compared with: the median, over
    /// all rounds, of the ratio within a round. The ratio is computed within a round, because the speed of a machine
    /// changes from round to round. Returns `None` if the case is compared with no other.
    pub(crate) fn ratio(&self, case: usize) -> Option<f64> {
        self.ratio_of(case, |usage| usage.cpu)
    }

    /// Returns the same for the wall time of a page.
    pub(crate) fn wall_ratio(&self, case: usize) -> Option<f64> {
        self.ratio_of(case, |usage| usage.wall)
    }

    fn ratio_of(&self, case: usize, time: impl Fn(&ProcessUsage) -> Duration) -> Option<f64> {
        let beside = self.workload.cases[case].beside?;
        let per_page = |case: usize, run: &Run| {
            time(&run.usage).as_secs_f64() / self.workload.cases[case].site.all() as f64
        };
        let pairs = self.runs[case].iter().zip(&self.runs[beside]);
        Some(median(pairs.map(|(own, other)| per_page(case, own) / per_page(beside, other))))
    }
}

/// Returns a line with the results of one run. The line is printed when the run ends.
pub(crate) fn line(case: &BenchCase, run: &Run) -> String {
    let it = Figures::of(case, std::slice::from_ref(run));
    format!(
        "  {:28} {:.4} ms/page  {:>6.0} pages/s  {:>5.1} MiB  {} connections",
        case.name, it.cpu_ms, it.pages_per_s, it.peak_mib, it.connections
    )
}

/// Returns the table with the results of a workload.
pub(crate) fn table(measured: &WorkloadRuns) -> String {
    let cases = &measured.workload.cases;
    let mut out = String::from(
        "| crawl | CPU ms/page: median (least to most) | beside | wall, beside | pages/s | peak MiB | connections | site's CPU ms/page |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (n, (case, it)) in cases.iter().zip(measured.figures()).enumerate() {
        let ratio = measured.ratio(n).zip(case.beside);
        let ratio = ratio.map_or(String::new(), |(ratio, to)| format!("{ratio:.2} × {}", cases[to].name));
        let wall = measured.wall_ratio(n).map_or(String::new(), |ratio| format!("{ratio:.2} ×"));
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "| {} | {:.4} ({:.4} to {:.4}) | {ratio} | {wall} | {:.0} | {:.1} | {} | {:.4} |",
            case.name,
            it.cpu_ms,
            it.least_ms,
            it.most_ms,
            it.pages_per_s,
            it.peak_mib,
            it.connections,
            it.site_ms
        );
    }
    out
}

/// Returns all runs and the medians as JSON.
///
/// # Errors
/// When the JSON cannot be written. This does not happen, because all values are texts and numbers.
pub(crate) fn json(measured: &[WorkloadRuns]) -> Result<String> {
    let workloads: Vec<Value> = measured.iter().map(workload).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(serde_json::to_string_pretty(&json!({ "cores": cores, "workloads": workloads }))? + "\n")
}

fn workload(measured: &WorkloadRuns) -> Value {
    let cases = measured.workload.cases.iter().zip(&measured.runs).zip(measured.figures());
    let cases: Vec<Value> = cases
        .enumerate()
        .map(|(n, ((case, runs), it))| {
            json!({
                "name": case.name,
                "site": case.site,
                "cpu_ms_per_page": it.cpu_ms,
                "beside": case.beside.map(|beside| &measured.workload.cases[beside].name),
                "ratio": measured.ratio(n),
                "wall_ratio": measured.wall_ratio(n),
                "pages_per_second": it.pages_per_s,
                "peak_mib": it.peak_mib,
                "runs": runs.iter().map(|run| json!({
                    "wall_s": run.usage.wall.as_secs_f64(),
                    "cpu_s": run.usage.cpu.as_secs_f64(),
                    "peak_bytes": run.usage.peak_bytes,
                    "site": run.stats,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "name": measured.workload.name, "about": measured.workload.about, "cases": cases })
}

/// Checks that no case costs far more than the case that it is compared with.
///
/// # Errors
/// When a case costs more than its highest allowed ratio. The error lists all such cases.
pub(crate) fn check(measured: &[WorkloadRuns]) -> Result<()> {
    let mut wrong = String::new();
    for it in measured {
        for (n, case) in it.workload.cases.iter().enumerate() {
            let ratio = it.ratio(n).filter(|ratio| *ratio > case.ratio_max);
            if let Some(ratio) = ratio.filter(|_| !matches!(case.who, Who::Peer(_))) {
                let most = case.ratio_max;
                let _ =
                    write!(wrong, "\n{}, {}: {ratio:.2} ×, at most {most:.2} ×", it.workload.name, case.name);
            }
        }
    }
    if wrong.is_empty() {
        println!("every page was fetched once, and no crawl costs far too much");
        return Ok(());
    }
    bail!("these crawls cost far too much:{wrong}")
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().saturating_sub(1) / 2), values.get(values.len() / 2));
    low.zip(high).map_or(f64::NAN, |(low, high)| f64::midpoint(*low, *high))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
