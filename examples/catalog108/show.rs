//! Prints the results of a crawl for people.

use std::fmt::{Arguments, Display};
use std::path::Path;

use opilio::app::unit::show_bytes;
use opilio::prelude::*;

/// Prints one line of a table: a name and its value.
pub(crate) fn row(name: impl Display, says: Arguments<'_>) {
    println!("  {name:<18} {says}");
}

/// Returns a number with commas between its thousands.
fn count(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", count(number / 1_000), number % 1_000),
    }
}

/// Prints the result of a crawl in five lines.
pub(crate) fn summary(report: &CrawlReport, output: &Path) {
    let seconds = report.elapsed.as_secs_f64();
    println!("\n{} products in {seconds:.1} s, written to {}\n", count(report.items), output.display());
    row(
        "pages",
        format_args!(
            "{} of {} URLs, {}",
            count(report.pages),
            count(report.admitted),
            show_bytes(report.bytes)
        ),
    );
    row(
        "requests",
        format_args!(
            "{}, {:.0} a second; {} retries, {} refusals",
            count(report.requests),
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

/// The most failures that are printed.
const SHOWN: usize = 10;
