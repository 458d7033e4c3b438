//! Measures Opilio and, in the same run, *floors* (the least that a crawl can cost): `cargo xtask bench`.
//!
//! | module | is |
//! | --- | --- |
//! | `site` | a synthetic site in its own process, which counts the requests for each page |
//! | `floor` | crawls with only reqwest and a parser, a list or a queue, and a set |
//! | `spider` | Opilio through its public interface, with all its rules |
//! | `workload` | which crawler fetches which site, and what it is compared with |
//! | `harness` | runs the crawls in turn, checks them, computes medians |
//! | `report`, `picture` | tables, JSON, SVG |
//! | `memory` | bytes per queued URL, host and request |
//! | `micro` | single operations, for the benchmarks below `benches/` and for counting instructions |
//!
//! The program is `xtask`: it calls `run`, which starts `xtask` again for each measured process (see `child`). Each
//! measurement has a process of its own, because CPU time and peak memory are counted for whole processes.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod args;
mod floor;
mod harness;
mod instructions;
mod measure;
mod memory;
pub mod micro;
mod picture;
mod report;
mod site;
mod spider;
#[cfg(test)]
mod tests;
mod workload;

use anyhow::Result;

pub use harness::run;

/// Runs one of the processes that a benchmark starts. Returns `None` if there is no process with this name.
///
/// # Errors
/// When the arguments are wrong, or when the work of the process fails.
pub fn child(name: &str, args: &[String]) -> Option<Result<()>> {
    match name {
        "bench-site" => Some(site::run(args)),
        "bench-floor" => Some(floor::run(args)),
        "bench-spider" => Some(spider::run(args)),
        "bench-hold" => Some(memory::hold(args)),
        "bench-repeat" => Some(instructions::repeat(args)),
        _ => None,
    }
}
