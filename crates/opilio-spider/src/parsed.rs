//! The result of one lease: all that its page gave, or its failure, as values that the scheduler settles.

use std::sync::Arc;

use opilio_core::{Ending, Fingerprint, Host, LeaseId, Reason};
use opilio_frontier::{Admission, Cause, Fetched, Redirect, Settlement};

use crate::step::Sample;

/// All that one lease gave, or nothing of it.
#[derive(Debug)]
pub struct Parsed {
    /// The host of the lease.
    pub host: Host,
    /// The lease.
    pub lease: LeaseId,
    /// How its URL ended.
    pub ending: Ending,
    /// The URL that the ending is reported under: where a chain of redirects began.
    pub requested_url: Arc<str>,
    /// Attempts that it used up.
    pub attempts: u16,
    /// Links, each URL once for each step.
    pub links: Vec<Admission>,
    /// The next URL of a chain of redirects.
    pub next: Option<Box<Redirect>>,
    /// A host that a seed led to, and that belongs to the crawl from now on.
    pub grows: Option<Host>,
    /// The names of a page, if the crawl merges pages by names.
    pub names: Vec<Name>,
    /// Its items.
    pub items: EncodedItems,
    /// How a page was fetched.
    pub fetched: Fetched,
    /// What is known about a failure.
    pub cause: Cause,
    /// It is a sitemap, which is no page.
    pub is_list: bool,
    /// A step of each shape that its shard met for the first time.
    pub samples: Vec<Sample>,
}

impl Parsed {
    /// An ending alone: no link, no row, nothing known about a fetch.
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
            fetched: Fetched::default(),
            cause: Cause::default(),
            is_list: false,
            samples: Vec::new(),
        }
    }

    /// The same with the words of an error.
    #[must_use]
    pub fn because(self, error: &str) -> Self {
        Self { cause: Cause::new(None, Some(error)), ..self }
    }
}

/// The items of a page as rows for the sinks.
#[derive(Debug, Default)]
pub struct EncodedItems {
    /// How many items there are.
    pub count: u64,
    /// One buffer for each sink. Empty when the crawl has no sink.
    pub rows: Vec<Vec<u8>>,
}

impl EncodedItems {
    /// Appends the rows to those of a batch.
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

/// A name of a page (its canonical URL, its content), and the rows to write if another page has taken the name.
#[derive(Debug)]
pub struct Name {
    /// Stands for the name.
    pub fingerprint: Fingerprint,
    /// The rows that name the other page, a buffer for each sink.
    pub alias_rows: Vec<Vec<u8>>,
}

/// How the store settles a lease.
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
        // A redirect without a target cannot come here. If one did, its URL must not vanish.
        Ending::Redirected => Settlement::failed(lease, Reason::Internal, attempts, Some(requested_url)),
    }
}
