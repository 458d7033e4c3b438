//! Runs the spider: against the stand-in on loopback, or against the real site.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use opilio::prelude::*;
use opilio_sandbox::{HostConfig, Limit, Sandbox};

use crate::check::compare;
use crate::show;
use crate::spider::Catalog108;

/// What the stand-in bears in any second; we ask for less.
const ALLOWED_PER_SECOND: u32 = 200;
const ASKED_PER_SECOND: u32 = 150;

/// Every product of the stand-in, checked against the shop's own books.
pub(crate) async fn crawl_stand_in(output: &Path) -> Result<bool> {
    let limit = Limit::sliding(ALLOWED_PER_SECOND, Duration::from_secs(1));
    let sandbox = Sandbox::builder().host(HostConfig::new().limit(limit)).start()?;
    let base = Url::parse(&sandbox.url(0, "/"))?;
    println!("Catalog108 stands on {base} and allows {ALLOWED_PER_SECOND} requests a second.");

    let crawler = Crawler::new(Catalog108 { base })
        .host(HostPolicy::new().rate(per_second(ASKED_PER_SECOND)).in_flight(16))
        .addresses(AddressPolicy::allow_all())
        .export(JsonLines::create(output)?);
    let report = show::watched(crawler).await?;

    show::summary(&report, output);
    let log = sandbox.log(0);
    show::row(
        "by the shop's log",
        format_args!(
            "{} arrivals, at most {} in a second and {} in flight",
            log.arrivals(),
            log.max_in_window(Duration::from_secs(1)),
            log.max_in_flight(),
        ),
    );
    let catalog = sandbox.catalog(0).context("the stand-in has no catalog")?;
    let compared = compare(output, &sandbox.base(0), &catalog)?;
    show::row("check", format_args!("{compared}"));
    Ok(compared.is_perfect() && report.failures.is_empty())
}

/// The real site, with the polite defaults of Opilio.
pub(crate) async fn crawl_real(base: Url, output: &Path) -> Result<bool> {
    println!("Catalog108 at {base}, one request a second at most.");
    let crawler = Crawler::new(Catalog108 { base }).export(JsonLines::create(output)?);
    let report = show::watched(crawler).await?;
    show::summary(&report, output);
    Ok(report.failures.is_empty())
}
