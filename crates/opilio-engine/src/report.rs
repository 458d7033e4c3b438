//! How a crawl ended: the books, which balance.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use opilio_core::Reason;
use opilio_frontier::{Cause, Failure};
use serde::Serialize;

/// The books of a crawl, over all its runs.
///
/// `discovered = filtered + admitted` and `admitted = pages + aliases + failures + left`: these hold
/// whatever was killed when. Requests, retries, refusals, bytes and the time are kept with every
/// settle: they cover at least what has ended, and lack what a killed run did after its last commit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CrawlReport {
    /// Distinct URLs that were met: seeds and outlinks.
    pub discovered: u64,
    /// Those that became the crawl's.
    pub admitted: u64,
    /// Those that ended as a page.
    pub pages: u64,
    /// Those whose redirects (or canonical links, where pages are merged by them) led to a URL that the
    /// crawl already knew.
    pub aliases: u64,
    /// Those that have not ended, since the crawl was stopped early.
    pub left: u64,
    /// Requests sent, robots.txt and redirects and retries included.
    pub requests: u64,
    /// Attempts beyond the first of a URL.
    pub retries: u64,
    /// Answers of 429 or 503.
    pub refusals: u64,
    /// Items that pages gave, and that every exporter has written.
    pub items: u64,
    /// Body bytes received, decompressed.
    pub bytes: u64,
    /// Pages and redirects that were read from the cache, without a request.
    pub cached: u64,
    /// Those that ended as a failure: the first 10,000 of them, so that the report of a crawl of millions
    /// fits into memory. [`failed`](Self::failed) counts all, and `opilio failed --state DIR` lists them.
    pub failures: Vec<FailureRecord>,
    /// How many failures the list leaves out.
    #[serde(rename = "failures_unlisted")]
    pub unlisted: u64,
    /// How many failures for which reason.
    pub reasons: BTreeMap<Reason, u64>,
    /// How many URLs were not the crawl's, and why.
    pub filtered: BTreeMap<&'static str, u64>,
    /// Why the crawl ended.
    pub stopped: Stopped,
    /// How long less was started than could have been, since memory was near its limit; in this run.
    #[serde(rename = "slowed_ms", serialize_with = "as_millis")]
    pub slowed: Duration,
    /// How long the crawl ran, all runs together; the time between them does not count.
    #[serde(rename = "elapsed_ms", serialize_with = "as_millis")]
    pub elapsed: Duration,
}

impl CrawlReport {
    /// How many URLs ended as a failure, whatever [`failures`](Self::failures) has room for.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.reasons.values().sum()
    }

    /// Whether the two equations hold. They do; this is what tests and debug builds ask.
    #[must_use]
    pub fn balances(&self) -> bool {
        let failures = self.failed();
        let filtered: u64 = self.filtered.values().sum();
        self.discovered == filtered + self.admitted
            && self.admitted == self.pages + self.aliases + failures + self.left
            && failures == self.failures.len() as u64 + self.unlisted
    }
}

/// One line: `512 pages, 32 aliases, 8 failures (6 http_4xx, 2 timeout) in 3.7s; 552 requests, 4 retries, 2 refusals`.
impl fmt::Display for CrawlReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pages, aliases, requests, retries, refusals, left, .. } = self;
        write!(f, "{pages} pages, {aliases} aliases, {} failures", self.failed())?;
        for (n, (reason, count)) in self.reasons.iter().enumerate() {
            write!(f, "{}{count} {reason}", if n == 0 { " (" } else { ", " })?;
        }
        f.write_str(if self.reasons.is_empty() { "" } else { ")" })?;
        if *left > 0 {
            write!(f, ", {left} left")?;
        }
        let tenths = Duration::from_millis(100 * u64::try_from(self.elapsed.as_millis() / 100).unwrap_or(0));
        write!(f, " in {tenths:?}; {requests} requests, {retries} retries, {refusals} refusals")
    }
}

/// Failures that a report lists at the most.
pub(crate) const FAILURES_MAX: usize = 10_000;

fn as_millis<S: serde::Serializer>(span: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// One URL that ended as a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureRecord {
    /// The URL that was asked for.
    pub url: String,
    /// The stable word.
    pub reason: Reason,
    /// Attempts it used up.
    pub attempts: u16,
    /// The status of the last answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong, in words, where more is known than the reason says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<Failure> for FailureRecord {
    fn from(failure: Failure) -> Self {
        let Failure { url, reason, attempts, cause, .. } = failure;
        let Cause { status, error } = cause;
        Self { url: url.to_string(), reason, attempts, status, error: error.map(String::from) }
    }
}

/// Why a crawl ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// Every URL has ended.
    #[default]
    Finished,
    /// The page limit was reached.
    MaxPages,
    /// The time limit was reached.
    MaxDuration,
    /// Somebody asked it to stop.
    Interrupted,
    /// Memory stayed at its limit with nothing under way any more, so that waiting could not help.
    MemoryLimit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line_for_people() {
        let mut report = CrawlReport { pages: 512, aliases: 32, requests: 552, ..CrawlReport::default() };
        report.elapsed = Duration::from_millis(3_742);
        let text = report.to_string();
        assert_eq!(text, "512 pages, 32 aliases, 0 failures in 3.7s; 552 requests, 0 retries, 0 refusals");
        report.reasons = [(Reason::Http4xx, 6), (Reason::Timeout, 2)].into();
        report.left = 9;
        let text = report.to_string();
        assert!(text.contains(", 8 failures (") && text.contains("6 http_4xx"), "{text}");
        assert!(text.contains("), 9 left in 3.7s; "), "{text}");
    }
}
