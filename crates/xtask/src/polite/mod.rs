//! The politeness benchmark: the real crawler fetches from real servers, and the logs of the servers show whether it
//! was polite.
//!
//! `table` lists the scenarios, `goals` defines the requirements, and `run` runs a scenario. Scenarios run in real
//! time, because HTTP dates have whole seconds. They spend most of their time waiting, so many of them run in
//! parallel.

mod blame;
mod fair;
mod goals;
mod run;
mod scenario;
mod soak;
mod spider;
mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use run::ScenarioVerdict;
use scenario::Scenario;

/// The most scenarios that run at the same time. Each has some threads of its own, which sleep most of the time.
const AT_ONCE: usize = 80;
/// The most scenarios with 10 requests a second or more that run at the same time.
const FAST_AT_ONCE: usize = 20;
/// The time between the starts of two scenarios, so that they do not send their requests at the same instants.
const STAGGER: Duration = Duration::from_millis(170);

#[derive(Default)]
struct Options {
    only: Option<String>,
    list: bool,
    json: Option<PathBuf>,
}

impl Options {
    fn read(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--only" => options.only = Some(value()?.clone()),
                "--json" => options.json = Some(value()?.into()),
                "--list" => options.list = true,
                other => bail!("polite knows no {other}; it knows --list, --only NAME, --json FILE"),
            }
        }
        Ok(options)
    }
}

/// Runs the scenarios whose name contains the argument of `--only`, and prints every goal with its measured value.
///
/// # Errors
/// When a goal was missed, when an option is unknown, or when the file of results cannot be written.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::read(args)?;
    let wanted = |scenario: &Scenario| options.only.as_ref().is_none_or(|only| scenario.name.contains(only));
    let scenarios: Vec<Scenario> = table::scenarios().into_iter().filter(wanted).collect();
    ensure!(!scenarios.is_empty(), "no scenario is named so: --list shows them");
    if options.list {
        scenarios.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(());
    }
    let began = Instant::now();
    println!("{} scenarios in real time; the longest take 5 to 6 minutes", scenarios.len());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let verdicts = LocalSet::new().block_on(&runtime, side_by_side(scenarios));
    if let Some(path) = &options.json {
        let all: Vec<_> = verdicts.iter().map(ScenarioVerdict::to_json).collect();
        let text = serde_json::to_string(&all)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    conclude(&verdicts, began.elapsed())
}

async fn side_by_side(scenarios: Vec<Scenario>) -> Vec<ScenarioVerdict> {
    let (slow, fast) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(FAST_AT_ONCE)));
    let mut tasks = tokio::task::JoinSet::new();
    for (scenario, turn) in scenarios.into_iter().zip(0..) {
        let places = Arc::clone(if scenario.is_fast() { &fast } else { &slow });
        tasks.spawn_local(async move {
            tokio::time::sleep(STAGGER * turn).await;
            // The semaphores are never closed, so waiting for them cannot fail.
            let _place = places.acquire().await;
            run::run(scenario).await
        });
    }
    let mut verdicts = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(verdict) => {
                print(&verdict);
                verdicts.push(verdict);
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    verdicts
}

fn print(verdict: &ScenarioVerdict) {
    println!("\n{}  ({:.1} s)", verdict.name, verdict.took.as_secs_f64());
    for line in &verdict.lines {
        println!("  {:<4} {:<44} {}", if line.holds { "ok" } else { "FAIL" }, line.goal, line.measured);
    }
}

fn conclude(verdicts: &[ScenarioVerdict], took: Duration) -> Result<()> {
    let goals = verdicts.iter().map(|verdict| verdict.lines.len()).sum::<usize>();
    let held = verdicts.iter().flat_map(|verdict| &verdict.lines).filter(|line| line.holds).count();
    let missed: Vec<&ScenarioVerdict> = verdicts.iter().filter(|verdict| !verdict.holds()).collect();
    println!(
        "\n{held} of {goals} goals met, {} of {} scenarios, {:.0} s",
        verdicts.len() - missed.len(),
        verdicts.len(),
        took.as_secs_f64()
    );
    for verdict in &missed {
        for line in verdict.lines.iter().filter(|line| !line.holds) {
            println!("  FAIL {}: {}: {}", verdict.name, line.goal, line.measured);
        }
    }
    ensure!(missed.is_empty(), "{} goals were missed", goals - held);
    Ok(())
}
