//! `cargo xtask frontier-bench`: measures the stores of `opilio-frontier` with many records, and for comparison a
//! bare loop that uses the same database.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Builds and runs the benchmark. It is an example of the crate `opilio-frontier`, so that it needs no crate of its
/// own.
///
/// # Errors
/// When the benchmark cannot be built, or when it fails.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "-q", "-p", "opilio-frontier", "--features", "disk"])
        .args(["--example", "frontier_bench", "--"])
        .args(args)
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the benchmark failed");
    }
    Ok(())
}
