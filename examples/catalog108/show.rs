//! What a person sees: a bar while it runs, a summary afterwards.

use std::fmt::{Arguments, Display};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use opilio::Progress;
use opilio::prelude::*;

/// Crawls to the end with a progress bar on stderr, if that is a terminal.
pub(crate) async fn watched<S: Spider>(crawler: Crawler<S>) -> Result<CrawlReport> {
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "  {spinner} [{elapsed_precise}] {bar:32} {pos}/{len} pages  {msg}",
    )?);
    let mut crawl = crawler.start()?;
    let handle = crawl.handle();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let report = loop {
        tokio::select! {
            report = &mut crawl => break report,
            _ = ticks.tick() => draw(&bar, &handle.progress()),
        }
    };
    bar.finish_and_clear();
    Ok(report?)
}

fn draw(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.admitted);
    bar.set_position(progress.pages + progress.aliases + progress.failures);
    let held = if progress.held > 0 { ", waiting as the server asked" } else { "" };
    bar.set_message(format!(
        "{} items, {} in flight, {} retries{held}",
        progress.items, progress.in_flight, progress.retries
    ));
}

/// One line of a table: a name and what there is to say.
pub(crate) fn row(name: impl Display, says: Arguments<'_>) {
    println!("  {name:<18} {says}");
}

/// The end of a crawl in five lines.
pub(crate) fn summary(report: &CrawlReport, output: &Path) {
    let seconds = report.elapsed.as_secs_f64();
    println!("\n{} products in {seconds:.1} s, written to {}\n", HumanCount(report.items), output.display());
    row(
        "pages",
        format_args!(
            "{} of {} URLs, {}",
            HumanCount(report.pages),
            HumanCount(report.admitted),
            HumanBytes(report.bytes)
        ),
    );
    row(
        "requests",
        format_args!(
            "{}, {:.0} a second; {} retries, {} refusals",
            HumanCount(report.requests),
            report.requests as f64 / seconds.max(0.001),
            report.retries,
            report.refusals
        ),
    );
    row("failures", format_args!("{}", report.failed()));
    for failure in report.failures.iter().take(SHOWN) {
        println!("    {} {} after {} attempts", failure.url, failure.reason.as_str(), failure.attempts);
    }
    let hidden = report.failures.len().saturating_sub(SHOWN);
    if hidden > 0 {
        println!("    and {hidden} more");
    }
}

/// Failures named one by one.
const SHOWN: usize = 10;
