//! Writes the summary of a crawl, for people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opilio_core::{Host, Reason};
use opilio_engine::{CrawlReport, Elsewhere, FAILURES_NAMED, FailureRecord, Follow, Stopped};
use opilio_fetch::AddressPolicy;
use url::Url;

use crate::filled;
use crate::logs::PageErrors;
use crate::progress::Display;
use crate::settings::RunSettings;
use crate::unit::{show_bytes, show_duration};

/// The facts for the summary that are not in the report.
#[derive(Clone, Debug)]
pub struct SummaryFacts {
    /// Whether the crawl could connect to some private addresses.
    pub private_allowed: bool,
    /// The state directory of the crawl, if it has one. With it, failed URLs can be tried again.
    pub state: Option<PathBuf>,
    /// Whether requests went through a proxy.
    pub is_proxied: bool,
    /// Where the errors of pages are told.
    pub page_errors: PageErrors,
}

impl SummaryFacts {
    /// Returns the facts, as the settings of a crawl state them.
    #[must_use]
    pub fn of(run: &RunSettings, display: &Display) -> Self {
        // The log of an earlier run is not that of this one, and its failures are in the same report.
        let page_errors = if run.resume { PageErrors::InSummary } else { display.page_errors };
        Self {
            private_allowed: run.addresses != AddressPolicy::public(),
            state: run.state.clone(),
            is_proxied: run.is_proxied,
            page_errors,
        }
    }
}

/// Returns the lines that are printed after a crawl.
pub fn lines(report: &CrawlReport, closing: &SummaryFacts) -> Vec<String> {
    let mut lines: Vec<String> = report.why_nothing_left().into_iter().collect();
    lines.push(head(report));
    if !report.reasons.is_empty() {
        lines.push(format!(
            "  failures: {}",
            counts(report.reasons.iter().map(|(word, n)| (word.as_str(), *n)))
        ));
    }
    lines.extend(first_failures(report, closing));
    if report.unlisted > 0 {
        let listed = report.failures.len();
        lines.push(format!(
            "  the report lists {listed} of them, and {} more: opilio failed --state {}",
            report.unlisted,
            closing.state.as_deref().unwrap_or(Path::new("DIR")).display()
        ));
    }
    if !report.filtered.is_empty() {
        lines.push(format!("  filtered: {}", counts(report.filtered.iter().map(|(word, n)| (*word, *n)))));
    }
    lines.push(format!(
        "  requests: {} ({}, {})",
        report.requests,
        plural(report.retries, "retry", "retries"),
        plural(report.refusals, "refusal", "refusals")
    ));
    if report.cached > 0 {
        lines.push(format!(
            "  from the cache: {}, without a request",
            plural(report.cached, "answer", "answers")
        ));
    }
    lines.extend(filled::lines(&report.coverage));
    if report.slowed >= SLOWED_SHOWN {
        lines.push(format!("  slowed by --memory-limit: {}", show_duration(report.slowed)));
    }
    lines.extend(report.unwritten.as_ref().map(|unwritten| format!("  not written: {unwritten}")));
    lines.extend(left(report));
    lines.extend(closed_hosts(report));
    if let Some(dir) = &closing.state
        && report.failed() > 0
        && report.stopped == Stopped::Finished
    {
        lines.push(format!(
            "  hint: opilio failed --state {} lists the failures, --resume --retry-failed tries them again",
            dir.display()
        ));
    }
    if report.why_no_page().is_none() {
        lines.extend(elsewhere(report).map(|hint| format!("  hint: {hint}")));
    }
    // If there is not a single page, the error line names the cause, and no hint is needed here.
    if report.pages > 0 && blocked(report) && !closing.private_allowed {
        lines.push(format!("  hint: {PRIVATE_HINT}"));
    }
    lines
}

/// Returns the error line of a crawl without a single page, or of one whose fields were not filled as expected.
pub fn error(report: &CrawlReport, closing: &SummaryFacts) -> Option<String> {
    no_page(report, closing).or_else(|| filled::error(report))
}

fn no_page(report: &CrawlReport, closing: &SummaryFacts) -> Option<String> {
    if let Some(why) = report.why_no_request().filter(|_| report.failures.is_empty()) {
        return Some(format!("error: no request was sent: {why}"));
    }
    if let Some(why) = report.why_no_page() {
        let hint = elsewhere(report).map(|hint| format!("; {hint}")).unwrap_or_default();
        return Some(format!("error: no page was fetched: {why}{hint}"));
    }
    let first = told(report.failures.first().filter(|_| report.pages == 0)?, closing);
    let more = match report.failed() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let hint = match first.reason {
        Reason::BlockedAddress if closing.private_allowed => {
            "; --allow-private does not name its network".to_owned()
        }
        Reason::BlockedAddress => format!("; {PRIVATE_HINT}"),
        // If a proxy accepts connections and sends nothing, that looks like a host that does not answer.
        Reason::Timeout | Reason::Connect | Reason::Reset | Reason::HostClosed if closing.is_proxied => {
            "; the proxy may be what does not answer".to_owned()
        }
        Reason::Proxy => "; look at --proxy, or at proxies in opilio.toml".to_owned(),
        Reason::Robots => "; robots.txt does not allow it".to_owned(),
        _ => String::new(),
    };
    Some(format!("error: no page was fetched: {first}{more}{hint}"))
}

/// Returns lines about the first failures of a crawl that has pages. For a crawl without pages, the error line
/// names a failure.
fn first_failures(report: &CrawlReport, closing: &SummaryFacts) -> Vec<String> {
    if report.pages == 0 {
        return Vec::new();
    }
    // Failures of parked hosts are left out, since parked hosts have lines of their own.
    let named = report.failures.iter().filter(|failure| failure.reason != Reason::HostClosed);
    let mut lines: Vec<_> =
        named.take(FAILURES_NAMED).map(|failure| format!("    {}", told(failure, closing))).collect();
    let closed = report.reasons.get(&Reason::HostClosed).copied().unwrap_or_default();
    let more = report.failed().saturating_sub(closed + lines.len() as u64);
    if more > 0 && !lines.is_empty() {
        lines.push(format!("    and {more} more"));
    }
    lines
}

/// Returns a failure without the credentials in its URLs, since the failure goes to terminals and logs.
pub(crate) fn shown(failure: &FailureRecord) -> FailureRecord {
    let referrer = failure.referrer.as_deref().map(redacted);
    FailureRecord { url: redacted(&failure.url), referrer, ..failure.clone() }
}

/// Returns a [shown] failure without the text of its error if the log has it already.
fn told(failure: &FailureRecord, closing: &SummaryFacts) -> FailureRecord {
    let is_logged = closing.page_errors == PageErrors::Logged
        && matches!(failure.reason, Reason::ParseError | Reason::ParsePanic);
    let shown = shown(failure);
    FailureRecord { error: shown.error.filter(|_| !is_logged), ..shown }
}

/// Returns a hint if the pages link to another host that is not crawled. It names the flag that follows such links.
fn elsewhere(report: &CrawlReport) -> Option<String> {
    let Elsewhere { host, follow } = report.leads_elsewhere()?;
    let word = if *follow == Follow::SameDomain { "same-domain" } else { "all" };
    Some(format!(
        "URLs lead to {host}, which is another host than the crawl's: --follow {word} fetches them, too"
    ))
}

fn head(report: &CrawlReport) -> String {
    let how = match report.stopped {
        Stopped::Finished if report.nothing_left => "all runs",
        Stopped::Finished => "done",
        Stopped::MaxPages => "ended by --max-pages",
        Stopped::MaxDuration => "ended by --max-duration",
        Stopped::Interrupted => "interrupted",
        Stopped::Signal => "stopped by a signal",
        Stopped::MemoryLimit => "ended by --memory-limit",
    };
    let sitemaps = match report.sitemaps {
        0 => String::new(),
        n => format!(", {}", plural(n, "sitemap", "sitemaps")),
    };
    let aliases = match report.aliases {
        0 => String::new(),
        n => format!(", {}", plural(n, "alias", "aliases")),
    };
    format!(
        "{how} in {}: {}{sitemaps}{aliases}, {}, {}, {}",
        show_duration(report.elapsed),
        plural(report.pages, "page", "pages"),
        plural(report.failed(), "failure", "failures"),
        report.items_taken(),
        show_bytes(report.bytes)
    )
}

fn left(report: &CrawlReport) -> Option<String> {
    let why = match report.stopped {
        Stopped::Finished => "not ended",
        Stopped::MaxPages => "the page limit was reached",
        Stopped::MaxDuration => "the time was over",
        Stopped::Interrupted | Stopped::Signal => "the crawl was interrupted",
        Stopped::MemoryLimit => "there was no memory for more",
    };
    (report.left > 0).then(|| format!("  left: {}, since {why}", plural(report.left, "URL", "URLs")))
}

/// Returns lines about the parked hosts, each with the number of its URLs among the listed failures.
fn closed_hosts(report: &CrawlReport) -> Vec<String> {
    let mut closed: BTreeMap<Host, u64> = BTreeMap::new();
    let urls = report.failures.iter().filter(|failure| failure.reason == Reason::HostClosed);
    for host in urls.filter_map(|failure| Host::of(&Url::parse(&failure.url).ok()?).ok()) {
        *closed.entry(host).or_default() += 1;
    }
    let mut hosts: Vec<_> = closed.into_iter().collect();
    hosts.sort_by_key(|(_, urls)| std::cmp::Reverse(*urls));
    let at_least = if report.unlisted > 0 { "at least " } else { "" };
    let beyond = hosts.len().saturating_sub(HOSTS_SHOWN);
    let mut lines: Vec<_> = hosts
        .iter()
        .take(HOSTS_SHOWN)
        .map(|(host, urls)| {
            let urls = plural(*urls, "URL", "URLs");
            format!("  closed: {host} asked for a long wait or did not answer, {at_least}{urls} left")
        })
        .collect();
    if beyond > 0 {
        lines.push(format!("  closed: and {at_least}{beyond} more hosts"));
    }
    lines
}

pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn counts<'a>(words: impl Iterator<Item = (&'a str, u64)>) -> String {
    words.map(|(word, n)| format!("{n} {word}")).collect::<Vec<_>>().join(", ")
}

fn blocked(report: &CrawlReport) -> bool {
    report.reasons.contains_key(&Reason::BlockedAddress)
}

/// Returns a URL without its credentials, since the URL goes to terminals and logs.
fn redacted(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return url.to_owned() };
    // The two calls fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

const HOSTS_SHOWN: usize = 5;
/// The shortest time for which memory slowed the crawl that the summary mentions.
const SLOWED_SHOWN: Duration = Duration::from_secs(1);
/// The hint that the crawl refuses private addresses, with the flag that allows them.
pub const PRIVATE_HINT: &str =
    "private and loopback addresses need --allow-private (or --allow-private=127.0.0.0/8)";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn failed(reason: Reason, urls: &[&str]) -> CrawlReport {
        let records = urls.iter().map(|url| FailureRecord {
            url: (*url).to_owned(),
            reason,
            attempts: 1,
            status: None,
            error: None,
            referrer: None,
        });
        CrawlReport {
            failures: records.collect(),
            reasons: BTreeMap::from([(reason, urls.len() as u64)]),
            ..CrawlReport::default()
        }
    }

    /// The facts of a crawl without a state directory and proxies, whose log has no errors of pages.
    fn plain_facts() -> SummaryFacts {
        SummaryFacts {
            private_allowed: true,
            state: None,
            is_proxied: false,
            page_errors: PageErrors::InSummary,
        }
    }

    #[test]
    fn a_crawl_without_a_page_is_an_error_that_names_the_seed() {
        let closing = SummaryFacts {
            private_allowed: false,
            state: None,
            is_proxied: false,
            page_errors: PageErrors::InSummary,
        };
        let error = |report: &CrawlReport| error(report, &closing);
        let blocked = failed(Reason::BlockedAddress, &["http://me:secret@127.0.0.1/"]);
        let line = error(&blocked).unwrap();
        assert!(line.contains("http://127.0.0.1/ ended as blocked_address"), "{line}");
        assert!(line.contains("--allow-private") && !line.contains("secret"), "{line}");
        assert_eq!(error(&CrawlReport { pages: 1, ..blocked }), None);
        assert_eq!(error(&CrawlReport { requests: 1, ..CrawlReport::default() }), None);
    }

    #[test]
    fn failures_that_a_report_has_no_room_for_are_counted() {
        let urls = ["http://a.example/1", "http://a.example/2"];
        let mut report = CrawlReport { pages: 1, unlisted: 7, ..failed(Reason::HostClosed, &urls) };
        report.reasons.insert(Reason::HostClosed, 9);
        let text = lines(&report, &plain_facts()).join("\n");
        assert!(text.contains("1 page, 9 failures"), "{text}");
        assert!(text.contains("lists 2 of them, and 7 more: opilio failed --state DIR"), "{text}");
        assert!(text.contains("at least 2 URLs left"), "{text}");
    }

    #[test]
    fn whoever_keeps_a_crawl_hears_how_to_try_its_failures_again() {
        let report = CrawlReport { pages: 1, ..failed(Reason::Http5xx, &["http://a.example/1"]) };
        let text = |state| lines(&report, &SummaryFacts { state, ..plain_facts() }).join("\n");
        assert!(text(Some("shop.state".into())).contains("opilio failed --state shop.state"));
        assert!(!text(None).contains("--retry-failed"));
    }

    #[test]
    fn a_proxy_is_thought_of_where_nothing_answers() {
        let line = |reason, is_proxied| {
            let closing = SummaryFacts { is_proxied, ..plain_facts() };
            error(&failed(reason, &["http://a.example/"]), &closing).unwrap()
        };
        for reason in [Reason::Timeout, Reason::Connect, Reason::Reset, Reason::HostClosed] {
            assert!(
                line(reason, true).contains("the proxy may be") && !line(reason, false).contains("proxy")
            );
        }
        assert!(!line(Reason::Http4xx, true).contains("proxy"));
        assert!(line(Reason::Proxy, true).contains("--proxy"));
    }

    #[test]
    fn closed_hosts_are_named() {
        let report =
            failed(Reason::HostClosed, &["http://a.example/1", "https://a.example/2", "http://b.example/"]);
        let text = lines(&report, &plain_facts()).join("\n");
        assert!(text.contains("a.example asked for a long wait or did not answer, 2 URLs left"), "{text}");
        assert!(text.contains("failures: 3 host_closed"), "{text}");
    }
}
