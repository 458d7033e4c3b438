//! Crawls Catalog108: by default a stand-in on loopback, with `--base URL` the real site.
//!
//! ```text
//! cargo run --example catalog108                 # every product, in seconds
//! cargo run --example catalog108 -- --lab        # 200 URLs at 30 a minute, in real time
//! cargo run --example catalog108 -- --lab --push # asks for more than the server allows
//! ```
//!
//! `spider` is the part to learn from; `shop` runs it, `lab` measures, `recipe` is what people write
//! without a framework.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

mod check;
mod lab;
mod recipe;
mod shop;
mod show;
mod spider;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use opilio::prelude::Url;

const USAGE: &str = "\
usage: catalog108 [--base URL] [--output FILE]
       catalog108 --lab [--push]

  --base URL     crawl this shop, politely (60 requests a minute, robots.txt obeyed),
                 instead of the stand-in on loopback
  --output FILE  where the products go, one JSON object a line [products.jsonl]
  --lab          200 API pages at 30 a minute with 8 in flight; takes 7 minutes
  --lab --push   asks for 100 a minute with 50 in flight where 60 are allowed, first by the
                 usual recipe, then by Opilio; takes 7 minutes";

enum Task {
    Help,
    Shop { base: Option<Url>, output: PathBuf },
    Lab,
    Push,
}

fn task(mut args: impl Iterator<Item = String>) -> Result<Task> {
    let (mut base, mut output, mut lab, mut push) = (None, PathBuf::from("products.jsonl"), false, false);
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--help" | "-h" => return Ok(Task::Help),
            "--base" => base = Some(shop_url(&value()?)?),
            "--output" => output = value()?.into(),
            "--lab" => lab = true,
            "--push" => push = true,
            other => bail!("{other:?} is no option"),
        }
    }
    match (lab, push) {
        (true, _) if base.is_some() => bail!("--lab is measured on loopback only: leave --base out"),
        (true, false) => Ok(Task::Lab),
        (true, true) => Ok(Task::Push),
        (false, true) => bail!("--push is a part of --lab"),
        (false, false) => Ok(Task::Shop { base, output }),
    }
}

/// The root of a shop: links are put together from it, so it ends in a slash.
fn shop_url(text: &str) -> Result<Url> {
    let mut url = Url::parse(text).with_context(|| format!("{text:?} is no URL"))?;
    if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
        bail!("{text:?} is no http(s) URL");
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Runs what was asked for; false when a check failed.
async fn run(task: Task) -> Result<bool> {
    match task {
        Task::Help => {
            println!("{USAGE}");
            Ok(true)
        }
        Task::Shop { base: Some(base), output } => shop::crawl_real(base, &output).await,
        Task::Shop { base: None, output } => shop::crawl_stand_in(&output).await,
        Task::Lab => lab::gentle().await,
        Task::Push => lab::push().await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let task = match task(std::env::args().skip(1)) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("error: {error:#}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(task).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
