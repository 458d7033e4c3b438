//! `cargo xtask frontier-bench`: measures the stores with many records, and a bare loop over the underlying
//! database for comparison.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Builds and runs the benchmark, an example of `opilio-frontier` so that it needs no other crate.
///
/// # Errors
/// When the benchmark cannot be built, or fails.
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
