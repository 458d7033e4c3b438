//! The `opilio` command: reads flags, calls the crate `opilio`, and returns exit codes.
//!
//! Data goes to stdout, everything for people to stderr. Each command ends with one of the codes in
//! [`opilio_app::exit`]. This crate contains no rule of politeness: it prints what the engine decides.

mod args;
mod crawl;
mod document;
mod explain;
mod extract;
mod failed;
mod fetch;
mod links;
mod output;
mod project;
mod robots;
mod sandbox;
mod sitemap;
mod tips;
mod urls;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, ToolCommand};
use opilio_app::exit::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let args: Vec<String> =
                std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
            return match tips::of(&error, &args) {
                Some(line) => Failure::Usage(anyhow::Error::msg(line)).report(),
                None => Failure::Arguments(error).report(),
            };
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let exit = match cli.command {
        ToolCommand::Project(command) => return project::run(&command),
        ToolCommand::Crawl(args) => crawl::run(&args),
        ToolCommand::Explain(args) => explain::run(&args),
        ToolCommand::Extract(args) => extract::run(&args),
        ToolCommand::Failed(args) => failed::run(&args),
        ToolCommand::Links(args) => links::run(&args),
        ToolCommand::Fetch(args) => fetch::run(&args),
        ToolCommand::Robots(args) => robots::run(&args),
        ToolCommand::Sandbox(args) => sandbox::run(&args),
        ToolCommand::Sitemap(args) => sitemap::run(&args),
        ToolCommand::Url(args) => urls::run(&args),
    }?;
    Ok(exit.into())
}
