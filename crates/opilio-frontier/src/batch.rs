//! The arguments and results of a store's calls. The store handles each batch in one atomic commit.

use std::fmt;
use std::sync::Arc;

pub use opilio_core::scheduling::Want;
use opilio_core::{Attempts, Ending, Fingerprint, LeaseId, Reason, Record, Timestamp, Validators};
use serde::{Deserialize, Serialize};

use crate::chain::Redirect;
use crate::stats::Cause;

/// A discovered URL, and whether the URL is in the scope of the crawl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The URL is in scope: it is fetched unless the store knows it already. The counters count it as discovered,
    /// whatever the kind of the record.
    Queue(Record),
    /// The URL is out of scope: it is not fetched, and counts once among the filtered URLs.
    Filtered {
        /// The fingerprint of the URL. If the discovered text is not a URL, the fingerprint of the text.
        fingerprint: Fingerprint,
        /// Why the URL was filtered.
        why: Filtered,
    },
}

impl Admission {
    /// Returns the fingerprint of the discovered URL.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Queue(record) => record.fingerprint,
            Self::Filtered { fingerprint, .. } => *fingerprint,
        }
    }
}

macro_rules! filtered {
    ($($(#[$doc:meta])* $name:ident => $word:literal,)*) => {
        /// Why a discovered URL was not admitted. Each reason has a word, used in reports, that never changes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Filtered {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Filtered {
            /// All reasons. Stores on disk write the position of a reason in this list, so a new reason is added at
            /// the end.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the word of the reason, as reports have it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

filtered! {
    /// The crawl does not follow links to the host of the URL.
    ScopeHost => "scope_host",
    /// The URL matches no include pattern, or matches an exclude pattern.
    ScopePattern => "scope_pattern",
    /// The URL needs more links from a seed than the crawl allows.
    MaxDepth => "max_depth",
    /// The scheme of the URL is neither http nor https.
    UnsupportedScheme => "unsupported_scheme",
    /// The URL is longer than the crawl allows.
    UrlTooLong => "url_too_long",
    /// The text that was discovered is not a URL.
    BadUrl => "bad_url",
    /// The page has more links than the crawl takes from one page, and this link came after those that it takes.
    TooManyLinks => "too_many_links",
    /// The link is marked `nofollow`, and the crawl follows no such links.
    Nofollow => "nofollow",
    /// The crawl has taken as many pages of the host as the cap of the host allows.
    HostPages => "host_pages",
    /// The crawl has taken as many bytes of the host as the cap of the host allows.
    HostBytes => "host_bytes",
    /// The path repeats itself or has too many segments, as in an endless maze of generated pages (a trap).
    TrapPath => "trap_path",
    /// The query repeats itself or has too many parameters, as in a trap.
    TrapQuery => "trap_query",
    /// The URL is the page of a calendar for a time too far in the future, as in a trap.
    TrapCalendar => "trap_calendar",
    /// The link is on a page whose content the host repeats again and again, as in a trap.
    TrapSameContent => "trap_same_content",
}

impl fmt::Display for Filtered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The result of a batch of admissions. The sum of the three counts is the size of the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AdmittedCounts {
    /// The number of admitted URLs: URLs that the store had never seen, and URLs that it had filtered until now.
    pub new: u64,
    /// The number of URLs that the store knew already: URLs that were admitted before, and URLs that were filtered
    /// before and are filtered again.
    pub known: u64,
    /// The number of URLs that were filtered for the first time.
    pub filtered_new: u64,
}

/// How one lease ended.
///
/// Each kind of ending has a constructor, and the parameters of the constructor are the data that this ending needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub(crate) lease: LeaseId,
    pub(crate) ending: Ending,
    /// The target of the redirect, if the URL was redirected. Boxed, because few settlements have a redirect and
    /// thousands of settlements are in memory at once.
    pub(crate) redirect: Option<Box<Redirect>>,
    pub(crate) attempts: u16,
    pub(crate) reported_as: Option<Arc<str>>,
    pub(crate) fetched: Fetched,
    pub(crate) cause: Option<Box<Cause>>,
    /// Why an admitted URL is filtered after all. If this is set, `ending` has no effect.
    pub(crate) filtered: Option<Filtered>,
}

/// The data about a fetched page that the store needs for the caps of the page's host and for the history.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The length of the page's body in bytes.
    pub body_bytes: u64,
    /// The validators of the response (such as `ETag`), for a conditional request when the page is fetched again.
    pub validators: Validators,
}

impl Settlement {
    /// Settles a lease as a page. Before this call, the links of the page must be admitted and its items must be
    /// written.
    #[must_use]
    pub fn page(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Page)
    }

    /// Settles a lease as a page. Also stores the number of attempts, the length of the body, and the validators.
    #[must_use]
    pub fn fetched_page(lease: LeaseId, attempts: u16, fetched: Fetched) -> Self {
        Self { attempts, fetched, ..Self::page(lease) }
    }

    /// Settles a lease as an alias: the URL leads to a page that the crawl has under another URL. If the output lists
    /// aliases, the line of this alias must be written before this call.
    #[must_use]
    pub fn alias(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Alias)
    }

    /// Settles a lease as redirected: the store queues the target. If the crawl knows the target already, the
    /// redirected URL waits until the target has ended. Then [`decided`](crate::Frontier::decided) returns it,
    /// with the end of the target.
    #[must_use]
    pub fn redirected(lease: LeaseId, redirect: impl Into<Redirect>) -> Self {
        Self { redirect: Some(Box::new(redirect.into())), ..Self::plain(lease, Ending::Redirected) }
    }

    /// Settles a lease as failed: the URL gets no further attempt. If the lease was on the target of a redirect,
    /// `reported_as` must be the URL where the redirects began. That URL is in the caller's data of the record
    /// ([`Record::extra`]), which the store does not read.
    #[must_use]
    pub fn failed(lease: LeaseId, reason: Reason, attempts: u16, reported_as: Option<Arc<str>>) -> Self {
        Self { attempts, reported_as, ..Self::plain(lease, Ending::Failed(reason)) }
    }

    /// Adds the HTTP status and the error text of the failure.
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        let cause = (!cause.is_none()).then(|| Box::new(cause));
        Self { cause, ..self }
    }

    /// Settles a lease so that the URL is tried again: its record becomes due at `due`, with the number of requests
    /// made so far. The record keeps its age, that is, its place in the order of admissions.
    #[must_use]
    pub fn retry(lease: LeaseId, due: Timestamp, attempts: Attempts) -> Self {
        Self::plain(lease, Ending::Retry { due, attempts })
    }

    /// Settles a lease without an attempt: the record returns to its old place in the queue.
    #[must_use]
    pub fn give_back(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Return)
    }

    /// Settles a lease as filtered, because its URL is out of scope now: a resumed crawl may have a narrower scope
    /// than before. The URL moves from the admitted to the filtered URLs. If it is discovered in scope later, it is
    /// admitted again.
    #[must_use]
    pub fn filtered(lease: LeaseId, why: Filtered) -> Self {
        Self { filtered: Some(why), ..Self::give_back(lease) }
    }

    fn plain(lease: LeaseId, ending: Ending) -> Self {
        Self {
            lease,
            ending,
            redirect: None,
            attempts: 0,
            reported_as: None,
            fetched: Fetched::default(),
            cause: None,
            filtered: None,
        }
    }

    /// Returns the number of the lease that is settled.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Returns how the lease ended. For a [filtered](Self::filtered) URL this is `Ending::Return`.
    #[must_use]
    pub fn ending(&self) -> &Ending {
        &self.ending
    }
}

/// The result of a batch of settlements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SettledCounts {
    /// The number of leases that this batch ended.
    pub over: u64,
    /// The number of settlements without effect: their leases had ended before, or never existed.
    pub stale: u64,
}
