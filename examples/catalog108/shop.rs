//! Runs the spider against the local copy of the site or against the real site.

use std::time::Duration;

use anyhow::{Context, ensure};
use opilio::App;
use opilio::app::clap::Arg;
use opilio::app::exit::Failure;
use opilio::prelude::*;
use opilio_sandbox::{HostConfig, Limit, Sandbox};

use crate::check::compare;
use crate::show;
use crate::spider::{Catalog108, Product};

const OUTPUT: &str = "products.jsonl";

/// The number of requests that the local copy allows in any second. The example stays below it, at 150 a second.
const ALLOWED_PER_SECOND: u32 = 200;
const STAND_IN: &str = "crawl.allow_private = true\ndefault = { rate = '150/s', in_flight = 16 }";

/// Crawls every product of the local copy, and compares the output with the copy's catalog.
pub(crate) fn crawl_stand_in(args: &[&str]) -> Result<bool, Failure> {
    let limit = Limit::sliding(ALLOWED_PER_SECOND, Duration::from_secs(1));
    let sandbox = Sandbox::builder().host(HostConfig::new().limit(limit)).start().map_err(Failure::run)?;
    let base = Url::parse(&sandbox.url(0, "/")).map_err(Failure::run)?;
    println!("Catalog108 stands on {base} and allows {ALLOWED_PER_SECOND} requests a second.");

    let ended = App::new(Catalog108 { base }).settings(STAND_IN).output(OUTPUT).run(args)?;
    let (Some(report), Some(output)) = (&ended.report, &ended.output) else { return Ok(false) };
    show::summary(report, output);
    let log = sandbox.log(0);
    let (most, flying) = (log.max_in_window(Duration::from_secs(1)), log.max_in_flight());
    let arrivals = format!("{} arrivals, at most {most} in a second and {flying} in flight", log.arrivals());
    show::row("by the shop's log", format_args!("{arrivals}"));
    let catalog = sandbox.catalog(0).context("the stand-in has no catalog").map_err(Failure::Run)?;
    let compared = compare(output, &sandbox.base(0), &catalog).map_err(Failure::Run)?;
    show::row("check", format_args!("{compared}"));
    Ok(compared.is_perfect() && report.failures.is_empty())
}

/// Returns whether the arguments ask for the real site, for help or for the schema, which need no stand-in.
pub(crate) fn is_real(args: &[&str]) -> bool {
    args.iter().any(|arg| arg.starts_with("--base") || ["-h", "--help", "help", "schema"].contains(arg))
}

/// Returns the program that crawls the real site, with the default limits of Opilio.
pub(crate) fn real() -> App<Catalog108> {
    let base = Arg::new("base").long("base").value_name("URL").required(true).value_parser(shop_url);
    let base = base.help("The shop to crawl, instead of the stand-in on loopback");
    let base_of = |base: Option<&Url>| Ok(Catalog108 { base: base.context("--base")?.clone() });
    App::with_flags([base], move |flags| base_of(flags.get_one("base"))).extracts::<Product>().output(OUTPUT)
}

/// Parses the root URL of a shop. The result ends in a slash, since links are appended to it.
fn shop_url(text: &str) -> anyhow::Result<Url> {
    let url: Url = format!("{}/", text.trim_end_matches('/')).parse()?;
    let is_root = matches!(url.scheme(), "http" | "https") && url.query().or(url.fragment()).is_none();
    ensure!(is_root, "write it as https://shop.example/");
    Ok(url)
}
