//! `cargo xtask bench spacing`: how well a crawl of many hosts uses their budgets. The site is the witness: it records
//! when each request arrives.
//!
//! Opilio spaces the starts of a host evenly, half a percent further apart than the rate says, so that changing delays
//! on the way cannot bring too many requests into one window of the host. So each host has a schedule of turns. A start
//! that is late does not move the turns after it, unless it is later than a start may be; then the turns begin anew.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::args::Args;
use crate::harness::{SiteProcess, check_rows};
use crate::measure::{self, ChildOutput};
use crate::site::{SitePlan, Stats, url};

/// The rate of each host, and the time in which its pages are fetched at this rate.
struct SpacingPlan {
    hosts: usize,
    per_minute: u32,
    seconds: u64,
}

/// The figures that are computed from the arrivals at a site.
pub(crate) struct Punctuality {
    /// The percentage of the permitted requests that were made, over all hosts.
    pub(crate) used: f64,
    /// The same of the host with the least percentage.
    pub(crate) used_least: f64,
    /// The most requests that arrived at a host in any minute.
    pub(crate) most: usize,
    /// How much later than its turn each request arrived, in microseconds, in ascending order.
    pub(crate) late: Vec<u64>,
}

/// Crawls hosts at a rate, prints how well their budgets were used, and fails if they were not used well.
///
/// # Errors
/// When the crawl fails, leaves more than 1 % of the permitted requests unused, exceeds the rate of a host in any
/// minute, or when 1 % of the requests or more are 20 ms late.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut plan = SpacingPlan { hosts: 200, per_minute: 300, seconds: 90 };
    let mut args = Args::new(args);
    while let Some(name) = args.name() {
        match name {
            "--hosts" => plan.hosts = args.value()?,
            "--per-minute" => plan.per_minute = args.value()?,
            "--seconds" => plan.seconds = args.value()?,
            other => bail!("bench spacing has no argument {other}"),
        }
    }
    ensure!(plan.per_minute > 0 && plan.seconds > 0, "--per-minute and --seconds must be at least 1");
    let (arrivals, cpu) = crawled(&plan)?;
    let it = Punctuality::of(&arrivals, plan.per_minute);
    let SpacingPlan { hosts, per_minute, .. } = plan;
    println!("{hosts} hosts, {per_minute} requests a minute each; {} requests arrived", it.late.len());
    println!(
        "used: {:.2} % of the budgets; by the host that was used least: {:.2} %",
        it.used, it.used_least
    );
    println!("most requests to a host in any minute: {}", it.most);
    let [half, most_of, all] = [0.5, 0.99, 1.0].map(|share| it.late_ms(share));
    println!("late: half of them {half:.1} ms at most, 99 % {most_of:.1} ms, all {all:.1} ms");
    println!("CPU time of the crawl: {:.1} s", cpu.as_secs_f64());
    let mut faults = Vec::new();
    if it.used < USED_MIN {
        faults.push(format!("less than {USED_MIN} % of the budgets were used"));
    }
    if it.most > per_minute as usize {
        faults.push(format!("a minute had more than {per_minute} requests to a host"));
    }
    if most_of >= LATE_MS_MAX {
        faults.push(format!("1 % of the requests or more were {LATE_MS_MAX} ms late"));
    }
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

/// Runs the crawl. Returns the times at which requests arrived, by host, and the CPU time of the crawl.
fn crawled(plan: &SpacingPlan) -> Result<(Vec<Vec<u64>>, Duration)> {
    let pages = u64::from(plan.per_minute) * plan.seconds / 60;
    let site_plan = SitePlan { timed: true, ..SitePlan::new(plan.hosts, usize::try_from(pages)?.max(1)) };
    let mut site = SiteProcess::start(site_plan)?;
    let work = tempfile::tempdir().context("cannot make a directory for the crawl")?;
    let out = work.path().join("rows.jsonl");
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["bench-spider", "--seed", &url(site.port, 0, 0), "--out"]).arg(&out);
    command.args(["--per-minute", &plan.per_minute.to_string(), "--in-flight", "256"]);
    let patience = Duration::from_secs(120 + 2 * plan.seconds);
    let usage = measure::run(command.current_dir(work.path()), ChildOutput::Own, patience)?;
    let stats: Stats = serde_json::from_str(&site.ask("stats")?).context("cannot read what the site says")?;
    ensure!(
        stats.distinct == site_plan.all() && stats.duplicates == 0,
        "a page was not fetched exactly once"
    );
    check_rows(&out, site_plan)?;
    let arrivals = serde_json::from_str(&site.ask("arrivals")?).context("cannot read the arrivals")?;
    Ok((arrivals, usage.cpu))
}

impl Punctuality {
    /// Reads the arrivals at hosts, in microseconds and in ascending order, at a rate for each of them.
    pub(crate) fn of(hosts: &[Vec<u64>], per_minute: u32) -> Self {
        let interval = MINUTE / u64::from(per_minute);
        let (mut made, mut permitted, mut used_least) = (0.0, 0.0, f64::INFINITY);
        for arrivals in hosts.iter().filter(|arrivals| arrivals.len() > 1) {
            let (own, span) = ((arrivals.len() - 1) as f64, arrivals[arrivals.len() - 1] - arrivals[0]);
            let own_permitted = span as f64 / interval as f64;
            (made, permitted) = (made + own, permitted + own_permitted);
            used_least = used_least.min(100.0 * own / own_permitted);
        }
        let most = hosts.iter().map(|arrivals| most_in_a_minute(arrivals)).max().unwrap_or(0);
        let mut late: Vec<u64> = hosts.iter().flat_map(|arrivals| lateness(arrivals, interval)).collect();
        late.sort_unstable();
        Self { used: 100.0 * made / permitted, used_least, most, late }
    }

    /// Returns the time in milliseconds by which this share of the requests was late at most.
    fn late_ms(&self, share: f64) -> f64 {
        let place = (self.late.len() as f64 * share).ceil() as usize;
        self.late.get(place.saturating_sub(1)).map_or(f64::NAN, |micros| *micros as f64 / 1e3)
    }
}

/// Returns the most arrivals in any half-open span of a minute.
fn most_in_a_minute(arrivals: &[u64]) -> usize {
    let mut first = 0;
    let ends = arrivals.iter().enumerate().map(|(last, at)| {
        while at - arrivals[first] >= MINUTE {
            first += 1;
        }
        last + 1 - first
    });
    ends.max().unwrap_or(0)
}

/// Returns how much later than its turn each request arrived. The earliest request of a schedule, measured by its turn,
/// tells where the turns are, so that no request is early.
fn lateness(arrivals: &[u64], interval: u64) -> Vec<u64> {
    let turn = interval + interval / MARGIN;
    let slack = SLACK.min(turn / 4 * 3) as i64;
    let mut late = Vec::with_capacity(arrivals.len());
    let mut begin = 0;
    while begin < arrivals.len() {
        let offset = |n: usize| arrivals[n] as i64 - ((n - begin) as u64 * turn) as i64;
        let (mut earliest, mut end) = (offset(begin), begin + 1);
        while end < arrivals.len() && offset(end) - earliest <= slack {
            earliest = earliest.min(offset(end));
            end += 1;
        }
        // The first request of a schedule is late by the schedule before, if there is one.
        let first = if begin == 0 { 0 } else { begin + 1 };
        late.extend((first..arrivals.len().min(end + 1)).map(|n| (offset(n) - earliest) as u64));
        begin = end;
    }
    late
}

/// A minute, in microseconds.
const MINUTE: u64 = 60_000_000;
/// The part of an interval by which turns are further apart than the rate says.
const MARGIN: u64 = 200;
/// The most microseconds by which a start at a rate of so many a minute may be late without moving the turns after it,
/// if this is less than three quarters of the time between two turns.
const SLACK: u64 = MINUTE / (2 * MARGIN);
const USED_MIN: f64 = 99.0;
const LATE_MS_MAX: f64 = 20.0;
