//! The report of a crawl: counts of how its URLs ended. The module `progress` has the numbers of a running crawl.

mod books;
mod progress;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use opilio_core::Reason;
use opilio_extract::FieldCounts;
use opilio_frontier::{Cause, Failure};
use serde::Serialize;

use crate::coverage::{Expectation, Shortfall};
use crate::data::referrer_of;
use crate::scope::{Elsewhere, Follow};

pub use progress::Progress;

/// The counts of a crawl, added up over all its runs.
///
/// `discovered = filtered + admitted` and `admitted = pages + sitemaps + aliases + failures + left` always
/// hold, even after the process was killed. Requests, retries, refusals, bytes and time are stored together
/// with the results of URLs. They include the work for all URLs that have ended. If a run was killed, they
/// lack its work after the last commit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CrawlReport {
    /// Distinct URLs that were found: seeds and links.
    pub discovered: u64,
    /// URLs that were admitted to the crawl: those that no rule has filtered.
    pub admitted: u64,
    /// URLs that ended as a page. Sitemaps are not counted here.
    pub pages: u64,
    /// Sitemaps, and robots.txt files that name sitemaps, that were read to their end.
    pub sitemaps: u64,
    /// URLs that were redirected to a URL which the crawl already knew. With `merge_canonical`, also pages whose
    /// canonical URL is that of an earlier page.
    pub aliases: u64,
    /// URLs that have not ended, because the crawl stopped early.
    pub left: u64,
    /// Requests sent, including robots.txt, redirects and retries.
    pub requests: u64,
    /// Attempts beyond the first attempt of each URL.
    pub retries: u64,
    /// Answers with the status 429 or 503.
    pub refusals: u64,
    /// Items that all outputs have written.
    pub items: u64,
    /// The names of the outputs.
    pub outputs: Vec<String>,
    /// How often a value was found for each field of the structs that `parse` read from pages, by the name
    /// `Struct.field`. Structs of one name count together. A page that ended as a failure counts, too, until
    /// `Crawler::retry_failed` has it read again. A run in which `Crawler::refresh` makes pages due again begins
    /// all counts anew.
    pub coverage: BTreeMap<String, FieldCounts>,
    /// The expectations about fields that the crawl did not meet: see `Crawler::expect_filled`.
    pub shortfalls: Vec<Shortfall>,
    /// Body bytes received, decompressed.
    pub bytes: u64,
    /// Pages and redirects that were read from the cache without a request.
    pub cached: u64,
    /// URLs that ended as a failure. Only the first 10,000 are listed, so that the report of a crawl of
    /// millions of URLs fits into memory. [`failed`](Self::failed) counts all of them, and `opilio failed
    /// --state DIR` lists all of them.
    pub failures: Vec<FailureRecord>,
    /// The number of failures that `failures` leaves out.
    #[serde(rename = "failures_unlisted")]
    pub unlisted: u64,
    /// The number of failures for each reason.
    pub reasons: BTreeMap<Reason, u64>,
    /// URLs that were requested a second time with another step. Only the first request of a URL is sent, so the
    /// other step reads none of these pages. See [`Request::again`](crate::Request::again).
    ///
    /// The crawl remembers the steps of about the last 200,000 URLs, and counts only among these. URLs of earlier
    /// runs are included once they are fetched.
    pub other_step: u64,
    /// The number of filtered URLs for each reason.
    pub filtered: BTreeMap<&'static str, u64>,
    /// The first host that links of this run led to and that is out of the crawl's scope.
    #[serde(skip)]
    pub elsewhere: Option<Elsewhere>,
    /// The reason why the crawl ended.
    pub stopped: Stopped,
    /// Whether this run had nothing to do: earlier runs had ended every URL, and the seeds are the same.
    pub nothing_left: bool,
    /// When the earlier runs ended the last URL, if this run had nothing to do. `None` if an earlier version of
    /// Opilio wrote the state.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_date")]
    pub finished_before: Option<SystemTime>,
    /// The time during which this run started fewer requests than it could, because memory was near its limit.
    #[serde(rename = "slowed_ms", serialize_with = "as_millis")]
    pub slowed: Duration,
    /// The sink that had not finished writing when an interrupted crawl ended; `None` for every other crawl.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unwritten: Option<Unwritten>,
    /// The time for which all runs together were running. The time between runs is not counted.
    #[serde(rename = "elapsed_ms", serialize_with = "as_millis")]
    pub elapsed: Duration,
}

/// The rows that a sink had not written when the crawl ended.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Unwritten {
    /// The name of the sink that was writing; empty if no sink was writing.
    pub sink: String,
    /// Pages whose rows were not written. They count as left. 0 if all rows are written and only the sync to disk has
    /// not finished.
    pub pages: u64,
    /// The size of the rows of these pages, in bytes.
    pub bytes: u64,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sink, pages, bytes } = self;
        let sink = if sink.is_empty() { "the output" } else { sink };
        match pages {
            0 => write!(f, "{sink} is written, and was not synced in time"),
            _ => write!(f, "{sink} did not take {} ({bytes} bytes) in time", plural(*pages, "page", "pages")),
        }
    }
}

impl CrawlReport {
    /// Returns how many URLs ended as a failure, including those for which [`failures`](Self::failures) has no room.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.reasons.values().sum()
    }

    /// Compares what was found for the fields with what was expected, and fills in the
    /// [shortfalls](Self::shortfalls).
    pub fn judge(&mut self, expectations: &[Expectation]) {
        self.shortfalls = expectations.iter().filter_map(|wanted| wanted.judge(&self.coverage)).collect();
    }

    /// Returns the number of items and the outputs, in words. Each output has all items.
    #[must_use]
    pub fn items_taken(&self) -> String {
        let items = plural(self.items, "item", "items");
        match &self.outputs[..] {
            [] if self.items == 0 => items,
            [] => format!("{items} that no output takes (see Crawler::export)"),
            [only] => format!("{items} to {only}"),
            all => format!("{items} to each of {}", all.join(", ")),
        }
    }

    /// Returns, for a run that [had nothing to do](Self::nothing_left), a sentence that says when the crawl had
    /// finished. Returns `None` for any other run.
    #[must_use]
    pub fn why_nothing_left(&self) -> Option<String> {
        self.nothing_left.then(|| match self.finished_before {
            Some(at) => format!("nothing was left to do (finished on {})", httpdate::fmt_http_date(at)),
            None => "nothing was left to do".to_owned(),
        })
    }

    /// Returns, for a crawl that ended without a request, a sentence that says why. Returns `None` for a crawl that
    /// sent requests, or that [had nothing to do](Self::nothing_left).
    #[must_use]
    pub fn why_no_request(&self) -> Option<String> {
        if self.requests > 0 || self.cached > 0 || self.nothing_left || self.left > 0 {
            return None;
        }
        let count = |words: &mut dyn Iterator<Item = (&str, u64)>| {
            words.map(|(word, n)| format!("{n} {word}")).collect::<Vec<_>>().join(", ")
        };
        Some(match (self.discovered, self.failed()) {
            (0, _) => "there are no seeds".to_owned(),
            (_, 0) => {
                let filtered = count(&mut self.filtered.iter().map(|(word, n)| (*word, *n)));
                format!("all seeds were filtered ({filtered})")
            }
            (_, _) => {
                let reasons = count(&mut self.reasons.iter().map(|(word, n)| (word.as_str(), *n)));
                format!("all seeds failed before ({reasons})")
            }
        })
    }

    /// Returns, for a crawl that sent requests and finished without a page and without a failure, a sentence that
    /// says why: all URLs that it found were filtered. Returns `None` for any other crawl.
    #[must_use]
    pub fn why_no_page(&self) -> Option<String> {
        let is_empty = self.pages == 0 && self.aliases == 0 && self.left == 0 && self.failed() == 0;
        if !is_empty || self.filtered.is_empty() || self.nothing_left || self.stopped != Stopped::Finished {
            return None;
        }
        let filtered: Vec<_> = self.filtered.iter().map(|(word, n)| format!("{n} {word}")).collect();
        Some(format!("all that was found was filtered ({})", filtered.join(", ")))
    }

    /// Returns the [host](Self::elsewhere) out of scope that links led to, if the crawl finished with at most
    /// one page.
    #[must_use]
    pub fn leads_elsewhere(&self) -> Option<&Elsewhere> {
        let is_over = self.stopped == Stopped::Finished && !self.nothing_left;
        self.elsewhere.as_ref().filter(|_| is_over && self.pages <= 1)
    }

    /// Returns whether both equations in the description of this type hold, and each failure is listed or counted as
    /// unlisted. Tests and debug builds check this.
    #[must_use]
    pub fn balances(&self) -> bool {
        let failures = self.failed();
        let filtered: u64 = self.filtered.values().sum();
        self.discovered == filtered + self.admitted
            && self.admitted == self.pages + self.sitemaps + self.aliases + failures + self.left
            && failures == self.failures.len() as u64 + self.unlisted
    }
}

/// Prints one line: `512 pages, 1 alias, 8 failures (6 http_4xx, 2 timeout), 498 items to shop.jsonl in 3.7s; 552
/// requests, 4 retries, 2 refusals`.
impl fmt::Display for CrawlReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { left, other_step, .. } = self;
        if let Some(why) = self.why_nothing_left() {
            write!(f, "{why}; all runs: ")?;
        }
        let pages = plural(self.pages, "page", "pages");
        let aliases = plural(self.aliases, "alias", "aliases");
        write!(f, "{pages}, ")?;
        if self.sitemaps > 0 {
            write!(f, "{}, ", plural(self.sitemaps, "sitemap", "sitemaps"))?;
        }
        write!(f, "{aliases}, {}", plural(self.failed(), "failure", "failures"))?;
        for (n, (reason, count)) in self.reasons.iter().enumerate() {
            write!(f, "{}{count} {reason}", if n == 0 { " (" } else { ", " })?;
        }
        f.write_str(if self.reasons.is_empty() { "" } else { ")" })?;
        write!(f, ", {}", self.items_taken())?;
        if *left > 0 {
            write!(f, ", {left} left")?;
        }
        let requests = plural(self.requests, "request", "requests");
        let retries = plural(self.retries, "retry", "retries");
        let refusals = plural(self.refusals, "refusal", "refusals");
        write!(f, " in {}", seconds(self.elapsed))?;
        f.write_str(match self.stopped {
            Stopped::Finished => "",
            Stopped::MaxPages => ", stopped by the limit of pages",
            Stopped::MaxDuration => ", stopped by the limit of time",
            Stopped::Interrupted => ", stopped early",
            Stopped::Signal => ", stopped by a signal",
            Stopped::MemoryLimit => ", stopped by the memory limit",
        })?;
        write!(f, "; {requests}, {retries}, {refusals}")?;
        if *other_step > 0 {
            let urls = plural(*other_step, "URL", "URLs");
            write!(f, "; {urls} requested again with another step (the first one counts)")?;
        }
        if let Some(unwritten) = &self.unwritten {
            write!(f, "; {unwritten}")?;
        }
        for shortfall in &self.shortfalls {
            write!(f, "; {shortfall}")?;
        }
        let listed = self.failures.len().min(FAILURES_NAMED);
        for failure in &self.failures[..listed] {
            write!(f, "; {failure}")?;
        }
        if listed > 0 && self.failed() > listed as u64 {
            write!(f, "; and {}", plural(self.failed() - listed as u64, "more failure", "more failures"))?;
        }
        if let Some(why) = self.why_no_page() {
            write!(f, "; no page, since {why}")?;
        }
        if let Some(Elsewhere { host, follow }) = self.leads_elsewhere() {
            let choice = if *follow == Follow::SameDomain { "SameDomain" } else { "All" };
            write!(f, "; Follow::{choice} would follow what leads to {host}")?;
        }
        Ok(())
    }
}

fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Returns a time span for people: `under 0.1s`, `3.7s`, `2m 5s`, `1h 2m`.
fn seconds(span: Duration) -> String {
    let (millis, secs) = (span.as_millis(), span.as_secs());
    match (millis, secs) {
        (..100, _) => "under 0.1s".to_owned(),
        (_, ..60) => format!("{}.{}s", secs, millis % 1_000 / 100),
        (_, ..3_600) => format!("{}m {}s", secs / 60, secs % 60),
        _ => format!("{}h {}m", secs / 3_600, secs % 3_600 / 60),
    }
}

/// The most failures that the one-line report names, so that the line stays readable.
pub const FAILURES_NAMED: usize = 3;

/// The most failures that a report lists. The limit keeps the report of a large crawl small.
pub const FAILURES_MAX: usize = 10_000;

fn as_millis<S: serde::Serializer>(span: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn as_date<S: serde::Serializer>(at: &Option<SystemTime>, out: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => out.serialize_some(&httpdate::fmt_http_date(*at)),
        None => out.serialize_none(),
    }
}

/// One URL that ended as a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureRecord {
    /// The URL that was requested: the first of a chain of redirects.
    pub url: String,
    /// The reason of the failure, one of a fixed list of words.
    pub reason: Reason,
    /// The number of attempts that were made.
    pub attempts: u16,
    /// The status of the last answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The text of the error, if it says more than the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The page or sitemap on which the URL was found; `None` for a seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
}

/// Prints one line: `http://a.example/b ended as http_4xx with status 404 after 1 attempt, linked from
/// http://a.example/`.
impl fmt::Display for FailureRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended as {}", self.url, self.reason)?;
        match (self.status, &self.error) {
            (Some(status), _) => write!(f, " with status {status}")?,
            (None, Some(error)) => write!(f, " ({error})")?,
            (None, None) => {}
        }
        if self.attempts > 1 {
            write!(f, " after {} attempts", self.attempts)?;
        }
        self.referrer.as_ref().map_or(Ok(()), |page| write!(f, ", linked from {page}"))
    }
}

impl From<Failure> for FailureRecord {
    fn from(failure: Failure) -> Self {
        let referrer = referrer_of(&failure);
        let Failure { url, reason, attempts, cause, .. } = failure;
        let Cause { status, error } = cause;
        let (error, referrer) = (error.map(String::from), referrer.map(String::from));
        Self { url: url.to_string(), reason, attempts, status, error, referrer }
    }
}

/// The reasons why a crawl can end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All URLs have ended.
    #[default]
    Finished,
    /// The page limit was reached.
    MaxPages,
    /// The time limit was reached.
    MaxDuration,
    /// The program called `Handle::stop`.
    Interrupted,
    /// A signal that the crawl catches, such as Ctrl-C, stopped the crawl. The report's JSON has
    /// `interrupted` for this, too.
    #[serde(rename = "interrupted")]
    Signal,
    /// Memory stayed at its limit although no request was in flight and no page was being parsed, so that waiting
    /// could not help.
    MemoryLimit,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use opilio_core::Host;

    #[test]
    fn a_signal_is_an_interruption_in_the_json() {
        let word = |stopped: Stopped| serde_json::to_value(stopped).unwrap();
        assert_eq!(
            (word(Stopped::Signal), word(Stopped::Interrupted)),
            ("interrupted".into(), "interrupted".into())
        );
    }

    #[test]
    fn a_report_is_one_line_for_people() {
        let mut report = CrawlReport { pages: 512, aliases: 32, requests: 552, ..CrawlReport::default() };
        report.elapsed = Duration::from_millis(3_742);
        let text = report.to_string();
        let expected =
            "512 pages, 32 aliases, 0 failures, 0 items in 3.7s; 552 requests, 0 retries, 0 refusals";
        assert_eq!(text, expected);
        report.reasons = [(Reason::Http4xx, 6), (Reason::Timeout, 2)].into();
        report.left = 9;
        let text = report.to_string();
        assert!(text.contains(", 8 failures (") && text.contains("6 http_4xx"), "{text}");
        assert!(text.contains("), 0 items, 9 left in 3.7s; "), "{text}");
    }

    #[test]
    fn the_line_says_why_the_crawl_stopped() {
        let line = |stopped| CrawlReport { stopped, ..CrawlReport::default() }.to_string();
        for (stopped, words) in [
            (Stopped::Signal, "in under 0.1s, stopped by a signal; 0 requests"),
            (Stopped::Interrupted, "stopped early"),
            (Stopped::MaxPages, "stopped by the limit of pages"),
            (Stopped::MaxDuration, "stopped by the limit of time"),
            (Stopped::MemoryLimit, "stopped by the memory limit"),
        ] {
            assert!(line(stopped).contains(words), "{}", line(stopped));
        }
        assert!(!line(Stopped::Finished).contains("stopped"));
    }

    #[test]
    fn one_of_a_kind_is_no_plural_and_no_time_is_zero_nanoseconds() {
        let one =
            CrawlReport { pages: 1, aliases: 1, items: 1, requests: 1, retries: 1, ..Default::default() };
        let one = CrawlReport { refusals: 1, outputs: vec!["a.jsonl".into()], ..one };
        let expected =
            "1 page, 1 alias, 0 failures, 1 item to a.jsonl in under 0.1s; 1 request, 1 retry, 1 refusal";
        assert_eq!(one.to_string(), expected);
        for (secs, text) in [(75, "1m 15s"), (3_725, "1h 2m"), (59, "59.0s")] {
            assert_eq!(seconds(Duration::from_secs(secs)), text);
        }
    }

    #[test]
    fn the_first_failures_are_named_also_where_pages_came() {
        let failure = |n| FailureRecord {
            url: format!("http://a.example/{n}"),
            reason: Reason::Http4xx,
            attempts: 1,
            status: Some(404),
            error: None,
            referrer: Some("http://a.example/".into()),
        };
        let line = |n: u64| {
            let (failures, reasons) = ((1..=n).map(failure).collect(), [(Reason::Http4xx, n)].into());
            CrawlReport { pages: 9, failures, reasons, ..CrawlReport::default() }.to_string()
        };
        let one = "; http://a.example/1 ended as http_4xx with status 404, linked from http://a.example/";
        assert!(line(1).ends_with(one), "{}", line(1));
        assert!(line(3).contains("example/3 ended") && !line(3).contains("more"), "{}", line(3));
        assert!(line(5).ends_with("; and 2 more failures") && !line(5).contains("example/4"), "{}", line(5));
    }

    #[test]
    fn a_crawl_of_another_host_only_names_it() {
        let host = Host::of(&"http://www.a.example/".parse().unwrap()).unwrap();
        let elsewhere = Some(Elsewhere { host, follow: Follow::SameDomain });
        let filtered = [("scope_host", 4)].into();
        let mut report = CrawlReport { sitemaps: 1, filtered, elsewhere, ..CrawlReport::default() };
        let expected = "; no page, since all that was found was filtered (4 scope_host); \
            Follow::SameDomain would follow what leads to www.a.example";
        assert!(report.to_string().ends_with(expected), "{report}");
        report.pages = 2;
        assert!(!report.to_string().contains("www.a.example"), "{report}");
    }

    #[test]
    fn items_are_told_with_their_outputs() {
        let mut report = CrawlReport { items: 3, ..CrawlReport::default() };
        assert!(report.to_string().contains("3 items that no output takes"), "{report}");
        report.outputs = vec!["a.jsonl".into(), "b.csv".into()];
        assert!(report.to_string().contains("3 items to each of a.jsonl, b.csv"), "{report}");
    }
}
