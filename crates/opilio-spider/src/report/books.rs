//! Fills in the numbers of a report: the counts of the store, and the totals of all runs.

use std::time::{Duration, UNIX_EPOCH};

use opilio_frontier::{Failure, FrontierStats};

use super::{CrawlReport, FAILURES_MAX, FailureRecord};
use crate::run_history::{RunHistory, Totals};

impl CrawlReport {
    /// Makes a report with the counts of the store, the oldest [`FAILURES_MAX`] failures and the totals of all runs.
    /// The other fields have their defaults.
    #[must_use]
    pub fn of_books(stats: FrontierStats, failures: Vec<Failure>, totals: Totals) -> Self {
        // A list that is not full leaves out no failure. If the counts say otherwise, the counts of the report do not
        // add up, and `CrawlReport::balances` reports that.
        let unlisted = match failures.len() < FAILURES_MAX {
            true => 0,
            false => stats.failures_total().saturating_sub(failures.len() as u64),
        };
        Self {
            discovered: stats.discovered,
            admitted: stats.admitted,
            pages: stats.pages.saturating_sub(totals.sitemaps),
            aliases: stats.aliases,
            left: stats.left,
            requests: totals.requests,
            retries: totals.retries,
            refusals: totals.refusals,
            sitemaps: totals.sitemaps,
            items: totals.items,
            bytes: totals.bytes,
            cached: totals.cached,
            failures: failures.into_iter().map(FailureRecord::from).collect(),
            unlisted,
            reasons: stats.failures,
            other_step: totals.other_step,
            filtered: stats.filtered.iter().map(|(why, count)| (why.as_str(), *count)).collect(),
            elapsed: totals.elapsed,
            ..Self::default()
        }
    }

    /// Compares the report with the earlier runs, and fills in whether they had left nothing to do. Returns whether
    /// this run neither sent a request nor read from the cache, although there was something left to do.
    pub fn compare_with(&mut self, earlier: &RunHistory) -> bool {
        let before = earlier.totals;
        let is_idle = self.requests == before.requests && self.cached == before.cached;
        self.nothing_left = is_idle && self.left == 0 && earlier.was_over == Some(self.discovered);
        if self.nothing_left {
            let since_epoch = |millis| UNIX_EPOCH + Duration::from_millis(millis);
            self.finished_before = before.finished_unix_ms.map(since_epoch);
        }
        is_idle && !self.nothing_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(requests: u64, was_over: Option<u64>) -> RunHistory {
        let totals = Totals { requests, finished_unix_ms: Some(1_000), ..Totals::default() };
        RunHistory { totals, maybe_fetched_until: None, resumed: true, was_over }
    }

    fn report(requests: u64, discovered: u64) -> CrawlReport {
        let stats = FrontierStats { discovered, pages: 7, ..FrontierStats::default() };
        CrawlReport::of_books(stats, Vec::new(), Totals { requests, sitemaps: 2, ..Totals::default() })
    }

    #[test]
    fn sitemaps_are_no_pages() {
        let report = report(9, 3);
        assert_eq!((report.pages, report.sitemaps, report.requests), (5, 2, 9));
    }

    #[test]
    fn a_run_had_nothing_to_do_if_it_sent_nothing_and_met_nothing() {
        let mut idle = report(9, 3);
        assert!(!idle.compare_with(&history(9, Some(3))));
        assert!(idle.nothing_left && idle.finished_before.is_some());

        let mut busy = report(10, 3);
        assert!(!busy.compare_with(&history(9, Some(3))), "it sent a request");
        assert!(!busy.nothing_left && busy.finished_before.is_none());

        let mut filtered = report(9, 4);
        assert!(filtered.compare_with(&history(9, Some(3))), "it met a URL and sent nothing");
        assert!(!filtered.nothing_left);
    }
}
