//! What travels: a record of the frontier, the lease on it, and how it ended.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::canonical::Fingerprint;
use crate::name::{Host, Scheme};
use crate::outcome::Reason;
use crate::time::Timestamp;

/// How urgent a URL is among those of its host: higher goes first, 0 is the default.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Priority(pub i8);

/// One URL of the frontier.
///
/// `extra` is an encoding that the core, the stores and the hosts carry but never read; empty for
/// a plain GET without a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The absolute URL, normalised, without fragment.
    pub url: Arc<str>,
    /// The dedup key.
    pub fingerprint: Fingerprint,
    /// Whose budget a fetch of it is charged to.
    pub host: Host,
    /// http or https.
    pub scheme: Scheme,
    /// Links from a seed; a seed has 0, a redirect target has its origin's.
    pub depth: u16,
    /// Order within the host.
    pub priority: Priority,
    /// Attempts that this URL has used up so far.
    pub attempts: u16,
    /// Whether this record stands for itself or goes on for another one.
    pub kind: RecordKind,
    /// Step, method, body, headers, overrides, origin: for the spider's side only.
    pub extra: Bytes,
}

/// Whether a record counts in the books as a URL of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RecordKind {
    /// A seed or an outlink: counted once when admitted, once when it ends.
    #[default]
    Discovered,
    /// The target of a redirect: it ends in the name of its origin, which was counted already.
    Continuation,
}

/// The number of a lease, unique within one run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {}", self.0)
    }
}

/// A record that a host has the right to fetch, until it is settled.
///
/// Leases are numbered in the order in which the store hands them out, so that the number is also
/// the age of a URL within its priority and depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The lease's number.
    pub id: LeaseId,
    /// What to fetch.
    pub record: Record,
}

/// How a lease ended, as the store is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A page: fetched, parsed, written.
    Page,
    /// Its redirects led to a URL that the crawl already knows.
    Alias,
    /// It goes on as the record of its redirect's target, admitted with this settle.
    Redirected,
    /// No attempt is due any more.
    Failed(Reason),
    /// Due again later; the store keeps it until then.
    Retry {
        /// Not before this instant.
        due: Timestamp,
        /// Attempts that it has used up.
        attempts: u16,
    },
    /// Not tried: back to where it was. Also what the end of a run does with open leases.
    Return,
}
