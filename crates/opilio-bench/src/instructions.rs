//! `cargo xtask bench instructions`: counts the instructions of single operations with valgrind.
//!
//! Unlike a time, the number of instructions does not depend on what else runs on the machine. Each operation runs in
//! two processes that differ only in the number of steps, and the difference of both counts is reported, so that the
//! cost of starting a process does not count.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::micro::{ALL, Operation};

/// Counts the instructions of the operations with these names, or of all operations if no name is given.
///
/// # Errors
/// When valgrind is not installed, or when there is no operation with one of the names.
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

/// Repeats an operation. This is the program of the processes whose instructions are counted.
///
/// # Errors
/// When there is no operation with this name.
pub(crate) fn repeat(args: &[String]) -> Result<()> {
    let [name, times] = args else { bail!("bench-repeat needs a name and a number") };
    let mut step = named(name)?.prepare()?;
    for _ in 0..times.parse::<u64>().context("cannot read the number of repetitions")? {
        step();
    }
    Ok(())
}

fn named(name: &str) -> Result<Operation> {
    Operation::named(name).with_context(|| {
        let names: Vec<&str> = ALL.iter().map(|operation| operation.name).collect();
        format!("there is no operation {name}; there are {}", names.join(", "))
    })
}

fn count(operation: Operation, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().context("cannot find this program")?)
        .args(["bench-repeat", operation.name, &times.to_string()])
        .output()
        .context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {said}");
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = line.with_context(|| format!("the output of valgrind has no count: {said}"))?;
    count.trim().parse().context("cannot read valgrind's count")
}

/// The number of steps in the shorter process. After so many steps, tables have grown and caches are filled.
const FEW: u64 = 64;
const MANY: u64 = 264;
