//! The project's own tools, run as `cargo xtask …`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod ci;
mod features;
mod flat;
mod frontier;
mod imports;
mod kill;
mod layers;
mod polite;
mod sim;
mod sizes;
mod tidy;
mod tune;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) =
        args.split_first().map_or(("help", &[][..]), |(first, rest)| (first.as_str(), rest));
    // The benchmark starts processes with these commands. Other benchmarks call `bench-spider` directly.
    if let Some(done) = opilio_bench::child(command, rest) {
        return done;
    }
    match command {
        "bench" => opilio_bench::run(rest),
        "ci" => ci::run(rest),
        "features" => features::run(),
        "layers" => layers::run(),
        "settings" => settings(),
        "tidy" => tidy::run(),
        "polite" => polite::run(rest),
        "sim" => sim::run(rest),
        "flat" => flat::run(rest),
        "kill" => kill::run(rest),
        "frontier-bench" => frontier::run(rest),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("xtask knows no {other}\n\n{HELP}"),
    }
}

/// Generates the documentation of `opilio.toml`.
fn settings() -> Result<()> {
    std::fs::write(SETTINGS_PAGE, opilio_app::settings::page())
        .with_context(|| format!("cannot write {SETTINGS_PAGE}"))
}

const SETTINGS_PAGE: &str = "docs/opilio.toml";

const HELP: &str = "\
cargo xtask ci [--checks]                                          everything that has to pass; --checks leaves out `cargo test`
cargo xtask tidy                                                  long files, words off docs/lexicon.md, names of two types
cargo xtask sim [--seed N] [--hosts N] [--starts N] [--mutants]   a million hosts in virtual time, G1-G11 at every step
cargo xtask sim --tune [NAME [SEEDS]]                             what the gate learns, by scenario, in virtual time
cargo xtask polite [--list] [--only NAME] [--json FILE]           the real crawler against the sandbox, by scenario
cargo xtask kill [--small] [--seed N]                             a crawl that is killed twenty times, and resumed
cargo xtask flat [--pages N] [--delay MS] [--state DIR] [--memory-limit MIB]   memory while a sink is slow
cargo xtask frontier-bench [--urls N [--hosts N]]                 what the stores cost beside a bare loop
cargo xtask bench [--small] [--only NAME,...] [--rounds N] [--mimalloc] [--peer NAME=COMMAND]... [--json FILE] [--svg FILE]
cargo xtask bench --list | memory | idle [--hosts N] | spacing [--hosts N] [--per-minute N] [--seconds N] | instructions [NAME...]        Opilio beside the least that a crawl can cost, in one run
cargo xtask layers                                                the dependency rules
cargo xtask features                                              each crate with none, each and all of its features
cargo xtask settings                                              writes docs/opilio.toml from the table of settings
cargo xtask bench-spider --seed URL --out FILE [--dom|--typed|--css|--css-by-hand] [--state DIR] [--in-flight N]   Opilio for benchmarks side by side";
