//! Crawls Catalog108: by default a local copy of the site, with `--base URL` the real site.
//!
//! ```text
//! cargo run -p opilio --example catalog108                 # every product, in seconds
//! cargo run -p opilio --example catalog108 -- run --help   # all settings, such as --rate and --state
//! cargo run -p opilio --example catalog108 -- --lab        # 200 URLs at 30 a minute, in real time
//! cargo run -p opilio --example catalog108 -- --lab --push # asks for more than the server allows
//! ```
//!
//! The module `spider` is the part to learn from. `shop` runs the spider, `lab` measures how it keeps to rate limits,
//! and `recipe` has the usual code without a framework, for comparison.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

mod check;
mod lab;
mod recipe;
mod shop;
mod show;
mod spider;

use std::process::ExitCode;

use opilio::app::exit::Failure;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let passed = match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--lab"] => lab::gentle().map_err(Failure::Run),
        ["--lab", "--push"] => lab::push().map_err(Failure::Run),
        args if shop::is_real(args) => return shop::real().main(),
        args => shop::crawl_stand_in(args),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => failure.report(),
    }
}
