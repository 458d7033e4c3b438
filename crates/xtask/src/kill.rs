//! `cargo xtask kill`: runs the test that kills the command line program during a crawl, in its full length.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs the test with twenty kills and 3,000 pages, or with five kills and 400 pages (`--small`). `--seed N` chooses
/// other times for the kills.
///
/// # Errors
/// When the test fails.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut pages, mut kills, mut seed) = ("3000", "20", "108");
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--full" => (pages, kills) = ("3000", "20"),
            "--small" => (pages, kills) = ("400", "5"),
            "--seed" => seed = args.next().context("--seed needs a number")?,
            other => bail!("kill knows no {other}"),
        }
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "-p", "opilio-cli", "--test", "cli", "kill::", "--", "--nocapture"])
        .env("OPILIO_KILL_PAGES", pages)
        .env("OPILIO_KILLS", kills)
        .env("OPILIO_KILL_SEED", seed)
        .status()
        .context("cannot run cargo test")?;
    if !status.success() {
        bail!("the kill test failed");
    }
    Ok(())
}
