//! The arguments and results of a store's calls. Each batch is one atomic commit.

use std::fmt;
use std::sync::Arc;

pub use opilio_core::scheduling::Want;
use opilio_core::{Attempts, Ending, Fingerprint, LeaseId, Reason, Record, Timestamp, Validators};
use serde::{Deserialize, Serialize};

use crate::chain::Redirect;
use crate::stats::Cause;

/// A discovered URL, and the decision of the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The URL is in scope: it is fetched unless the store knows it. It counts as discovered, whatever the
    /// record's kind.
    Queue(Record),
    /// The URL is out of scope: it is counted once and not fetched.
    Filtered {
        /// The fingerprint of the URL, or of the text when the text is not a URL.
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
        /// Why a discovered URL was not admitted: a stable word for reports, never renamed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Filtered {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Filtered {
            /// All reasons. Durable stores write positions in this list, so it grows only at its end.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the stable word for the reason.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

filtered! {
    /// The URL is on a host that the crawl does not follow links to.
    ScopeHost => "scope_host",
    /// An include or exclude pattern keeps the URL out.
    ScopePattern => "scope_pattern",
    /// The URL is more links away from a seed than allowed.
    MaxDepth => "max_depth",
    /// The scheme is neither http nor https.
    UnsupportedScheme => "unsupported_scheme",
    /// The URL is longer than allowed.
    UrlTooLong => "url_too_long",
    /// The text is not a URL.
    BadUrl => "bad_url",
    /// The page had more links than are taken from one page, and this link came after them.
    TooManyLinks => "too_many_links",
    /// The link is marked `nofollow`, and the crawl obeys that.
    Nofollow => "nofollow",
    /// The host has reached its cap of pages.
    HostPages => "host_pages",
    /// The host has reached its cap of bytes.
    HostBytes => "host_bytes",
    /// The path repeats itself or has too many segments, as in an endless maze of generated pages (a trap).
    TrapPath => "trap_path",
    /// The query repeats itself or has too many parameters, as in a trap.
    TrapQuery => "trap_query",
    /// The URL is a calendar page for a time too far in the future.
    TrapCalendar => "trap_calendar",
    /// The link is on a page whose content the host repeats again and again, as in a trap.
    TrapSameContent => "trap_same_content",
}

impl fmt::Display for Filtered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The result of a batch of admissions: the three counts add up to the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AdmittedCounts {
    /// The number of admitted URLs: the store had not met them before, or had filtered them.
    pub new: u64,
    /// The number of known URLs: they were admitted before, or filtered before and are filtered again.
    pub known: u64,
    /// The number of URLs that were filtered for the first time.
    pub filtered_new: u64,
}

/// How one lease ended.
///
/// Each ending has a constructor, whose parameters are the data that the ending needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub(crate) lease: LeaseId,
    pub(crate) ending: Ending,
    /// Where the URL was redirected to. Boxed, because few settlements have a redirect and thousands are in
    /// memory at once.
    pub(crate) redirect: Option<Box<Redirect>>,
    pub(crate) attempts: u16,
    pub(crate) reported_as: Option<Arc<str>>,
    pub(crate) fetched: Fetched,
    pub(crate) cause: Option<Box<Cause>>,
    /// Why an admitted URL is now filtered. If this is set, `ending` has no effect.
    pub(crate) filtered: Option<Filtered>,
}

/// How a page was fetched, for the caps of its host and for the history.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The length of the page's body in bytes.
    pub body_bytes: u64,
    /// The validators (`ETag` and the like) for a later conditional request.
    pub validators: Validators,
}

impl Settlement {
    /// Settles a lease as a page. Its links must be admitted and its items written.
    #[must_use]
    pub fn page(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Page)
    }

    /// Settles a lease as a page, and records its attempts, its length and its validators.
    #[must_use]
    pub fn fetched_page(lease: LeaseId, attempts: u16, fetched: Fetched) -> Self {
        Self { attempts, fetched, ..Self::page(lease) }
    }

    /// Settles a lease as an alias: another URL of a page that the crawl has. If the alias is listed in the
    /// output, its line must be written.
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

    /// Settles a lease as failed: the URL gets no further attempt. If the lease was on a redirect's target,
    /// `reported_as` is the URL where the redirects began. The store cannot know that URL, because it does not
    /// read `extra`.
    #[must_use]
    pub fn failed(lease: LeaseId, reason: Reason, attempts: u16, reported_as: Option<Arc<str>>) -> Self {
        Self { attempts, reported_as, ..Self::plain(lease, Ending::Failed(reason)) }
    }

    /// Adds the cause of the failure.
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        let cause = (!cause.is_none()).then(|| Box::new(cause));
        Self { cause, ..self }
    }

    /// Settles a lease so that the record is due again at `due`, with the number of requests made so far. The
    /// record keeps its age.
    #[must_use]
    pub fn retry(lease: LeaseId, due: Timestamp, attempts: Attempts) -> Self {
        Self::plain(lease, Ending::Retry { due, attempts })
    }

    /// Gives a lease back without an attempt: the record returns to its old place in the queue.
    #[must_use]
    pub fn give_back(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Return)
    }

    /// Gives a lease back because its URL is out of scope now: a resumed crawl may have a narrower scope. The
    /// URL moves from admitted to filtered. It is admitted again if it is discovered in scope later.
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

    /// Returns the number of the lease.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Returns the ending. For a [filtered](Self::filtered) URL this is `Ending::Return`.
    #[must_use]
    pub fn ending(&self) -> &Ending {
        &self.ending
    }
}

/// The result of a batch of settlements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SettledCounts {
    /// The number of leases that ended.
    pub over: u64,
    /// The number of settlements without effect, because their leases had ended already or never existed.
    pub stale: u64,
}
