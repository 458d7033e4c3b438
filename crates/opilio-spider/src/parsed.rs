//! The result of one lease, in the form in which the scheduler stores it: the links and items of the page, or
//! the failure.

use std::sync::Arc;

use opilio_core::{Ending, Fingerprint, Host, LeaseId, Reason};
use opilio_frontier::{Admission, Cause, Fetched, Redirect, Settlement};

use crate::coverage::PageCoverage;
use crate::step::Sample;

/// The result of one lease. If a page could not be parsed, its result holds a failure, and no links or items.
#[derive(Debug)]
pub struct Parsed {
    /// The host of the lease's record.
    pub host: Host,
    /// The id of the lease.
    pub lease: LeaseId,
    /// The way in which the URL of the lease ended: as a page, an alias, a failure, a redirect, or to be retried.
    pub ending: Ending,
    /// The URL whose end the store records: the first URL of a chain of redirects.
    pub requested_url: Arc<str>,
    /// The number of attempts that the lease has used up.
    pub attempts: u16,
    /// The links of the page. A URL that the page links several times is listed once for each step.
    pub links: Vec<Admission>,
    /// The record of the redirect's target, if the answer was a redirect.
    pub next: Option<Box<Redirect>>,
    /// A host to be added to the crawl, because a seed was redirected to it.
    pub grows: Option<Host>,
    /// The canonical URL and the content of the page, if the crawl uses them to recognise duplicates.
    pub names: Vec<Name>,
    /// The items of the page, encoded as rows of the outputs.
    pub items: EncodedItems,
    /// What `parse` found for the fields of structs.
    pub coverage: PageCoverage,
    /// The facts about the fetch of a page that the store keeps.
    pub fetched: Fetched,
    /// The known facts about the cause of a failure.
    pub cause: Cause,
    /// Whether the URL is a sitemap. The store counts sitemaps as pages, but the report does not.
    pub is_list: bool,
    /// One step of each shape (the names of its variants and fields) that the shard found for the first time.
    pub samples: Vec<Sample>,
}

impl Parsed {
    /// Makes a result that says only how the URL ended: without links, rows and facts about the fetch.
    #[must_use]
    pub fn bare(host: Host, lease: LeaseId, ending: Ending, requested_url: Arc<str>, attempts: u16) -> Self {
        Self {
            host,
            lease,
            ending,
            requested_url,
            attempts,
            links: Vec::new(),
            next: None,
            grows: None,
            names: Vec::new(),
            items: EncodedItems::default(),
            coverage: PageCoverage::default(),
            fetched: Fetched::default(),
            cause: Cause::default(),
            is_list: false,
            samples: Vec::new(),
        }
    }

    /// Adds the text of an error to the cause of the failure.
    #[must_use]
    pub fn because(self, error: &str) -> Self {
        Self { cause: Cause::new(None, Some(error)), ..self }
    }
}

/// The items of a page, encoded as rows of the outputs.
#[derive(Debug, Default)]
pub struct EncodedItems {
    /// The number of items.
    pub count: u64,
    /// The encoded rows: one buffer for each output, in the order of the outputs.
    pub rows: Vec<Vec<u8>>,
}

impl EncodedItems {
    /// Appends the rows of each output to the rows of that output in a batch.
    pub fn append_to(self, batch: &mut Vec<Vec<u8>>) {
        if batch.len() < self.rows.len() {
            batch.resize_with(self.rows.len(), Vec::new);
        }
        for (all, mut one) in batch.iter_mut().zip(self.rows) {
            if all.is_empty() {
                *all = one;
            } else {
                all.append(&mut one);
            }
        }
    }
}

/// A name by which duplicates of a page are recognised (its canonical URL or its content). If an earlier page has the
/// same name, `alias_rows` are written.
#[derive(Debug)]
pub struct Name {
    /// The fingerprint of the name.
    pub fingerprint: Fingerprint,
    /// The rows that say which page this page is an alias of: one buffer for each output.
    pub alias_rows: Vec<Vec<u8>>,
}

/// Returns how the store records the end of the lease.
#[must_use]
pub fn settlement(
    lease: LeaseId,
    ending: Ending,
    attempts: u16,
    requested_url: Arc<str>,
    fetched: Fetched,
) -> Settlement {
    match ending {
        Ending::Page => Settlement::fetched_page(lease, attempts, fetched),
        Ending::Alias => Settlement::alias(lease),
        Ending::Failed(reason) => Settlement::failed(lease, reason, attempts, Some(requested_url)),
        Ending::Retry { due, attempts } => Settlement::retry(lease, due, attempts),
        Ending::Return => Settlement::give_back(lease),
        // A redirect without a target should not occur here. If it does, its URL ends as a failure, so that
        // it is not lost.
        Ending::Redirected => Settlement::failed(lease, Reason::Internal, attempts, Some(requested_url)),
    }
}
