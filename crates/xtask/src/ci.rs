//! `cargo xtask ci`: runs, in a fixed order, all checks that must pass before a change is merged.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// One command line of the checks, with the environment variables that it needs.
struct CiStep {
    command: &'static str,
    env: Option<(&'static str, &'static str)>,
}

const fn step(command: &'static str) -> CiStep {
    CiStep { command, env: None }
}

/// All checks except for the tests.
const CHECKS: &[CiStep] = &[
    step("cargo fmt --all --check"),
    step("cargo clippy --all-targets -- -D warnings"),
    // The crate `opilio` without its default features, that is, without the store on disk and without the command
    // line.
    step("cargo clippy --package opilio --no-default-features --lib -- -D warnings"),
    // The crate `opilio` with the feature `app`, which gives a spider a command line.
    step("cargo clippy --package opilio --features app --lib -- -D warnings"),
    CiStep { command: "cargo doc --no-deps --quiet", env: Some(("RUSTDOCFLAGS", "-D warnings")) },
    // Tests that need a feature: those that plant bugs in `opilio-core`, and those of the store on disk.
    step("cargo test --package opilio-core --features sabotage --lib"),
    step("cargo test --package opilio-frontier --features disk --lib"),
    // Small crawls beside their floors. It fails only if a ratio is so bad that something must be broken.
    step("cargo run --quiet --profile quick --package xtask -- bench --small"),
];

/// Runs every check, and then the test command of the README, unless the argument is `--checks`.
///
/// # Errors
/// When a check fails. The error contains the command line of that check.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let checks_only = match args {
        [] => false,
        [one] if one == "--checks" => true,
        other => bail!("ci knows --checks only, not {other:?}"),
    };
    super::layers::run()?;
    super::tidy::run()?;
    CHECKS.iter().try_for_each(CiStep::run)?;
    super::features::run()?;
    if checks_only { Ok(()) } else { step("cargo test").run() }
}

impl CiStep {
    fn run(&self) -> Result<()> {
        println!("$ {}", self.command);
        let mut words = self.command.split(' ');
        let program = words.next().context("a step has a command")?;
        let status = Command::new(program).args(words).envs(self.env).status();
        let status = status.with_context(|| format!("cannot run {}", self.command))?;
        ensure!(status.success(), "{} failed: {status}", self.command);
        Ok(())
    }
}
