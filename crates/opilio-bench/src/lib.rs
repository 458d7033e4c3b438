//! Measures Opilio and, in the same run, *floors* (the least that a crawl can cost): `cargo xtask bench`.
//!
//! | module | contains |
//! | --- | --- |
//! | `site` | a synthetic site in its own process, which counts the requests for each page |
//! | `floor` | the floors: crawls with only the HTTP client reqwest, a parser, and a list or a set of URLs |
//! | `spider` | a crawl with Opilio, as a user would write it, with all rules in force |
//! | `reading` | the ways in which that spider reads a page |
//! | `workload` | which crawler fetches which site, and which floor it is compared with |
//! | `harness` | the code that runs the crawls one after another, and checks them |
//! | `report`, `picture` | the results as a table, as JSON and as an image (SVG) |
//! | `memory` | the memory of one queued URL, one host and one request |
//! | `spacing` | how well a crawl uses the budgets of many hosts |
//! | `micro` | single operations, whose time and instructions are measured |
//!
//! The program is `xtask`: it calls `run`, which starts `xtask` again for each measured process (see `child`). Each
//! measurement has a process of its own, because CPU time and peak memory are counted for whole processes.
//!
//! `--peer NAME=COMMAND` adds another crawler to the comparison. The folder `peers`, beside `src`, contains such
//! crawlers: `scrapy_links.py` is a spider for Scrapy. They run only when a command names them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod args;
mod floor;
mod harness;
mod instructions;
mod measure;
mod memory;
pub mod micro;
mod picture;
mod reading;
mod report;
mod site;
mod spacing;
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
