//! `cargo xtask bench instructions`: counts the instructions of single operations by valgrind.
//!
//! A time depends on what else the machine does; a count is the same every time. Each operation runs in
//! two processes that differ by a number of steps only, so that start-up cancels out.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::micro::{ALL, Operation};

/// Counts the operations of these names; all, when there are none.
///
/// # Errors
/// When there is no valgrind, or no operation of a name.
pub(crate) fn run(names: &[String]) -> Result<()> {
    let wanted = names.iter().map(|name| named(name)).collect::<Result<Vec<_>>>()?;
    println!("| operation | instructions | one step is |\n|---|---|---|");
    for operation in if names.is_empty() { ALL } else { &*wanted } {
        let (few, many) = (count(*operation, FEW)?, count(*operation, MANY)?);
        let each = many.saturating_sub(few) / (MANY - FEW);
        println!("| {} | {each} | {} |", operation.name, operation.about);
    }
    Ok(())
}

/// Repeats an operation; its instructions are counted.
///
/// # Errors
/// When there is no such operation.
pub(crate) fn repeat(args: &[String]) -> Result<()> {
    let [name, times] = args else { bail!("bench-repeat takes a name and a number") };
    let mut step = named(name)?.prepare()?;
    for _ in 0..times.parse::<u64>().context("how often")? {
        step();
    }
    Ok(())
}

fn named(name: &str) -> Result<Operation> {
    Operation::named(name).with_context(|| {
        let names: Vec<&str> = ALL.iter().map(|operation| operation.name).collect();
        format!("no operation {name}; there are {}", names.join(", "))
    })
}

fn count(operation: Operation, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().context("find this program")?)
        .args(["bench-repeat", operation.name, &times.to_string()])
        .output()
        .context("run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {said}");
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = line.with_context(|| format!("valgrind counts nothing: {said}"))?;
    count.trim().parse().context("read valgrind's count")
}

/// Enough that tables have grown and caches are filled.
const FEW: u64 = 64;
const MANY: u64 = 264;
