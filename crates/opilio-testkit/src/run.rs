//! The result of a crawl in a test: its report, its items, its log, and assertions about them.

use std::path::Path;
use std::time::Duration;

use opilio::{CrawlReport, Stopped};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diff;
use crate::log::WebLog;
use crate::snapshot;

/// The result of a crawl that has ended. If the crawl was killed and resumed, all its runs count as one.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// The report of the crawl, with the counts of all its runs.
    pub report: CrawlReport,
    /// The rows that the crawl wrote, as JSON values, in the order of writing.
    pub items: Vec<Value>,
    /// The requests that arrived at the web.
    pub log: WebLog,
    /// The virtual time from the start of the first run to the end of the last run.
    pub took: Duration,
    /// The requests, in words, to which the cassette has no answer.
    pub(crate) unknown: Vec<String>,
}

impl TestRun {
    /// Returns the items, read as values of type `T`.
    ///
    /// # Panics
    /// If an item cannot be read as a `T`.
    #[must_use]
    #[track_caller]
    pub fn items_as<T: DeserializeOwned>(&self) -> Vec<T> {
        let read = |item: &Value| match serde_json::from_value(item.clone()) {
            Ok(value) => value,
            Err(error) => panic!("an item has another shape ({error}): {item}"),
        };
        self.items.iter().map(read).collect()
    }

    /// Checks that the crawl has finished, and that no URL failed.
    ///
    /// # Panics
    /// If the crawl has not finished, or a URL failed. The message names the failures.
    #[track_caller]
    pub fn assert_finished(&self) {
        let report = &self.report;
        assert!(report.balances(), "the books do not balance: {report:?}");
        let failures: Vec<_> = report.failures.iter().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{} URLs failed:\n  {}", report.failed(), failures.join("\n  "));
        assert!(
            report.stopped == Stopped::Finished && report.left == 0,
            "the crawl is not finished: {report}"
        );
    }

    /// Checks that the crawl wrote exactly these items, in any order.
    ///
    /// # Panics
    /// If an item is missing, unexpected, or different. The message shows the differences by field.
    #[track_caller]
    pub fn assert_items<T: Serialize>(&self, expected: impl IntoIterator<Item = T>) {
        let value = |item: T| match serde_json::to_value(item) {
            Ok(value) => value,
            Err(error) => panic!("an expected item is no JSON: {error}"),
        };
        let expected: Vec<Value> = expected.into_iter().map(value).collect();
        let differences = diff::items(&expected, &self.items);
        assert!(differences.is_empty(), "the items are not the expected ones:\n{}", differences.join("\n"));
    }

    /// Compares the items, in any order, with a snapshot: a JSON file of items that were accepted earlier.
    ///
    /// With `OPILIO_ACCEPT=1` in the environment, the items are accepted: they are written to the file, and
    /// nothing is compared.
    ///
    /// # Panics
    /// If an item is missing, new, or different. The message shows the differences by field, and the command
    /// that accepts them.
    ///
    /// ```no_run
    /// # use opilio_testkit::prelude::*;
    /// # fn test<S: Spider>(spider: S) {
    /// let run = crawl(spider).replaying("tests/cassettes/shop.warc").run();
    /// run.assert_snapshot("tests/snapshots/shop.json");
    /// # }
    /// ```
    #[track_caller]
    pub fn assert_snapshot(&self, path: impl AsRef<Path>) {
        if let Err(words) = snapshot::check(path.as_ref(), &self.items) {
            panic!("{words}");
        }
    }

    /// Checks that at least this share (0 to 1) of the items has a value in a field. `null`, an empty text
    /// and an empty list do not count as values. A dot leads to a nested field: `offer.price`.
    ///
    /// # Panics
    /// If there are no items, or if fewer items have a value. The message shows some of the items without a
    /// value.
    #[track_caller]
    pub fn assert_filled(&self, field: &str, share: f64) {
        assert!(!self.items.is_empty(), "there are no items, so that {field} is filled in none");
        let empty: Vec<_> = self.items.iter().filter(|item| !is_filled(item, field)).collect();
        let filled = (self.items.len() - empty.len()) as f64 / self.items.len() as f64;
        let shown: Vec<_> = empty.iter().take(SHOWN).map(|item| diff::brief(item)).collect();
        assert!(
            filled >= share,
            "{field} is filled in {:.1} % of {} items, not in {:.1} %; for instance not in\n  {}",
            filled * 100.0,
            self.items.len(),
            share * 100.0,
            shown.join("\n  ")
        );
    }
}

fn is_filled(item: &Value, field: &str) -> bool {
    let found = field.split('.').try_fold(item, |value, name| value.get(name));
    match found {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => true,
    }
}

/// The most items that a message shows.
const SHOWN: usize = 3;
