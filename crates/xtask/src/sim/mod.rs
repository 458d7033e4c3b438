//! `cargo xtask sim`: simulates a million hosts in virtual time. The type `Witness` checks the invariants after every
//! step of a host.
//!
//! The numbers of URLs per host are Zipf-distributed, servers behave in different ways, reports get lost, the actors
//! of hosts crash, and timers fire late. A run with the same seed finds the same errors.

mod common;
mod counts;
mod life;
#[cfg(feature = "mutants")]
mod mutants;
mod server;
mod timeline;
mod urls;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use opilio_core::host::{HostMemo, HostState, Violation};

use common::Common;
use counts::LifeCounts;
use life::Life;

/// The parameters of a run of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SimPlan {
    seed: u64,
    hosts: u64,
    starts: u64,
    only: Option<u64>,
    mutants: bool,
}

impl SimPlan {
    fn read(args: &[String]) -> Result<Self> {
        let mut plan = Self { seed: 108, hosts: 1_000_000, starts: 20_000_000, only: None, mutants: false };
        let mut rest = args.iter();
        while let Some(flag) = rest.next() {
            if flag == "--mutants" {
                plan.mutants = true;
                continue;
            }
            let value = rest.next().with_context(|| format!("{flag} needs a value"))?;
            let number = value.replace('_', "").parse().with_context(|| format!("{flag} {value}"))?;
            match flag.as_str() {
                "--seed" => plan.seed = number,
                "--hosts" => plan.hosts = number,
                "--starts" => plan.starts = number,
                "--host" => plan.only = Some(number),
                other => bail!("sim knows no {other}"),
            }
        }
        if plan.hosts == 0 {
            bail!("--hosts must be at least 1");
        }
        Ok(plan)
    }

    /// Returns the number of URLs of the host with this rank (the first has rank 1). The numbers are
    /// Zipf-distributed, and their sum is about the requested number.
    fn queue(&self, rank: u64, harmonic: f64) -> u32 {
        // The factor 1.2 is for the URLs of parked hosts, which end without a request.
        let share = self.starts as f64 * 1.2 / harmonic / rank as f64;
        // Rounds up or down, depending on a hash of the rank. If all of the many small numbers were rounded down,
        // their sum would be too small.
        let dither = (rank.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / (1_u64 << 24) as f64;
        (share + dither).max(1.0) as u32
    }
}

/// The results of the simulation, which all threads add to.
struct SimFindings {
    counts: LifeCounts,
    violation: Option<(u64, Violation)>,
    wall: Duration,
}

/// Runs the simulation with these arguments.
///
/// # Errors
/// When an invariant is violated, or when the invariants do not show a bug that was planted.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(("--tune", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return tune(rest);
    }
    let plan = SimPlan::read(args)?;
    if plan.mutants {
        return run_mutants(&plan);
    }
    println!("seed {}: {} hosts, about {} starts", plan.seed, plan.hosts, plan.starts);
    let found = simulate(&plan, &Common::new()?);
    print(&found);
    match found.violation {
        None => check_size(&plan, &found.counts),
        Some((rank, violation)) => bail!(
            "host {rank} breaks {violation}\nreplay: cargo xtask sim --seed {} --hosts {} --starts {} --host {rank}",
            plan.seed,
            plan.hosts,
            plan.starts,
        ),
    }
}

#[cfg(feature = "mutants")]
fn run_mutants(plan: &SimPlan) -> Result<()> {
    mutants::run(plan)
}

/// Runs the simulation with planted bugs. This needs a separate build, because only that build contains the bugs.
#[cfg(not(feature = "mutants"))]
fn run_mutants(plan: &SimPlan) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let seed = plan.seed.to_string();
    let args = ["run", "--release", "--package", "xtask", "--features", "mutants", "--"];
    let status = std::process::Command::new(cargo)
        .args(args)
        .args(["sim", "--mutants", "--seed", &seed])
        .status()
        .context("cannot build the simulator with its mutants")?;
    if !status.success() {
        bail!("the mutation control failed");
    }
    Ok(())
}

/// Runs `sim --tune [[--only] NAME [SEEDS]]`: shows for each scenario how well the crawler learns the limits of
/// hosts.
fn tune(args: &[String]) -> Result<()> {
    let args = if args.first().is_some_and(|first| first == "--only") { &args[1..] } else { args };
    let (filter, seeds) = match args {
        [] => ("", TUNE_SEEDS),
        [name] => (name.as_str(), TUNE_SEEDS),
        [name, seeds] => (name.as_str(), seeds.parse().with_context(|| format!("{seeds} seeds"))?),
        _ => bail!("sim --tune takes NAME and SEEDS"),
    };
    let (lines, missed) = crate::tune::run(filter, seeds);
    for line in lines {
        println!("{line}");
    }
    if !missed.is_empty() {
        bail!("missed goals:\n{}", missed.join("\n"));
    }
    Ok(())
}

fn simulate(plan: &SimPlan, common: &Common) -> SimFindings {
    let began = Instant::now();
    let harmonic: f64 = (1..=plan.hosts).map(|rank| 1.0 / rank as f64).sum();
    let ranks = plan.only.map_or(1..=plan.hosts, |rank| rank..=rank);
    let next = AtomicU64::new(*ranks.start());
    let stop = AtomicBool::new(false);
    let sum = Mutex::new((LifeCounts::default(), None::<(u64, Violation)>));
    let work = || {
        let mut counts = LifeCounts::default();
        while !stop.load(Ordering::Relaxed) {
            let rank = next.fetch_add(1, Ordering::Relaxed);
            if rank > *ranks.end() {
                break;
            }
            let seed = mix(plan.seed ^ mix(rank));
            match Life::new(common, plan.queue(rank, harmonic), seed).live() {
                Ok(life) => counts.add(&life),
                Err(violation) => {
                    stop.store(true, Ordering::Relaxed);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.1.get_or_insert((rank, violation));
                }
            }
        }
        sum.lock().unwrap_or_else(PoisonError::into_inner).0.add(&counts);
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    let (counts, violation) = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    SimFindings { counts, violation, wall: began.elapsed() }
}

fn print(found: &SimFindings) {
    let counts = &found.counts;
    let lines = [
        ("hosts", counts.hosts),
        ("URLs", counts.urls),
        ("starts", counts.starts),
        ("  of robots.txt", counts.rules),
        ("  probes", counts.probes),
        ("  second and later attempts", counts.retries),
        ("holds", counts.holds),
        ("parks", counts.parks),
        ("passivations", counts.passivations),
        ("crashes", counts.crashes),
        ("reports lost", counts.lost),
        ("healthy URLs lost", counts.unlucky),
        ("steps", counts.steps),
        ("violations", found.violation.iter().count() as u64),
    ];
    for (what, count) in lines {
        println!("{what:<30} {count:>12}");
    }
    println!("{:<30} {:>12.1} s", "wall time", found.wall.as_secs_f64());
    println!("{:<30} {:>12} bytes", "a host in memory", size_of::<HostState>());
    println!("{:<30} {:>12} bytes", "a passivated host", size_of::<HostMemo>());
}

/// Checks that the simulation had at least as many starts as requested.
fn check_size(plan: &SimPlan, counts: &LifeCounts) -> Result<()> {
    if plan.only.is_some() {
        return Ok(());
    }
    if counts.passivations < counts.hosts || counts.starts < plan.starts {
        bail!("the simulation fell short of its own size");
    }
    Ok(())
}

/// Mixes the bits of a number (splitmix64), so that consecutive numbers give unrelated seeds.
fn mix(x: u64) -> u64 {
    let mut x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

const THREADS: usize = 2;
const TUNE_SEEDS: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_crowd_keeps_every_invariant() -> Result<()> {
        let plan = SimPlan { seed: 7, hosts: 400, starts: 8_000, only: None, mutants: false };
        let found = simulate(&plan, &Common::new()?);
        assert_eq!(found.violation, None);
        assert!(found.counts.holds > 100, "{:?}", found.counts);
        check_size(&plan, &found.counts)
    }

    #[test]
    fn reads_its_flags() -> Result<()> {
        let args = ["--seed", "3", "--hosts", "1_000"].map(str::to_owned);
        assert_eq!(SimPlan::read(&args)?.hosts, 1_000);
        assert!(SimPlan::read(&["--sed".to_owned(), "3".to_owned()]).is_err());
        Ok(())
    }
}
