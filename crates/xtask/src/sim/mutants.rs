//! Tests the simulation itself: for each bug that is planted in the host's state machine, the invariant that the bug
//! violates must be reported.

use anyhow::{Result, bail};
use opilio_core::host::Bug;

use super::common::Common;
use super::{SimPlan, simulate};

/// Plants each bug in turn, and prints which violation is reported.
///
/// # Errors
/// When there is a bug for which no run reports a violation of the expected invariant.
pub(super) fn run(plan: &SimPlan) -> Result<()> {
    println!("{:<24} {:<8} caught as", "bug", "breaks");
    let mut survivors = Vec::new();
    for bug in Bug::ALL {
        let caught = (0..RUNS).find_map(|run| {
            let plan =
                SimPlan { seed: plan.seed + run, hosts: 2_000, starts: 60_000, only: None, mutants: true };
            let mut common = Common::new().ok()?;
            common.bug = Some(bug);
            let (_, violation) = simulate(&plan, &common).violation?;
            (violation.invariant == bug.breaks()).then_some(violation)
        });
        let text = caught.as_ref().map_or("NOT CAUGHT".to_owned(), ToString::to_string);
        println!("{:<24} {:<8} {text}", format!("{bug:?}"), format!("{:?}", bug.breaks()));
        if caught.is_none() {
            survivors.push(bug);
        }
    }
    if !survivors.is_empty() {
        bail!("these bugs survive: {survivors:?}");
    }
    Ok(())
}

/// The most runs for one bug. A run ends at the first violation, which may be a violation of another invariant.
const RUNS: u64 = 12;
