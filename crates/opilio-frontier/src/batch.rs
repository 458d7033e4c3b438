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
    /// In scope: it is fetched unless it is known. It counts as discovered, whatever the record's kind.
    Queue(Record),
    /// Out of scope: it is counted once and not fetched.
    Filtered {
        /// The fingerprint of the URL, or of the text when it is no URL.
        fingerprint: Fingerprint,
        /// Why it was filtered.
        why: Filtered,
    },
}

impl Admission {
    /// The fingerprint of the discovered URL.
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

            /// The stable word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

filtered! {
    /// On a host that the crawl does not follow links to.
    ScopeHost => "scope_host",
    /// Excluded by an include or exclude pattern.
    ScopePattern => "scope_pattern",
    /// More links from a seed than allowed.
    MaxDepth => "max_depth",
    /// Neither http nor https.
    UnsupportedScheme => "unsupported_scheme",
    /// Longer than allowed.
    UrlTooLong => "url_too_long",
    /// No URL at all.
    BadUrl => "bad_url",
    /// Beyond the number of links that are taken from one page.
    TooManyLinks => "too_many_links",
    /// Marked `nofollow`, in a crawl that obeys it.
    Nofollow => "nofollow",
    /// Its host has reached its cap of pages.
    HostPages => "host_pages",
    /// Its host has reached its cap of bytes.
    HostBytes => "host_bytes",
    /// Its path repeats itself or has too many segments, as in a trap.
    TrapPath => "trap_path",
    /// Its query repeats itself or has too many parameters, as in a trap.
    TrapQuery => "trap_query",
    /// A calendar page for a time too far in the future.
    TrapCalendar => "trap_calendar",
    /// Linked from a page whose content the host repeats again and again, as in a trap.
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
    /// Admitted: never met before, or only met as filtered.
    pub new: u64,
    /// Known: admitted before, or counted as filtered before.
    pub known: u64,
    /// Filtered, and counted as such for the first time.
    pub filtered_new: u64,
}

/// How one lease ended.
///
/// Each ending has a constructor, which takes what the ending needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub(crate) lease: LeaseId,
    pub(crate) ending: Ending,
    /// Boxed: few settlements have one, and thousands travel at once.
    pub(crate) redirect: Option<Box<Redirect>>,
    pub(crate) attempts: u16,
    pub(crate) reported_as: Option<Arc<str>>,
    pub(crate) fetched: Fetched,
    pub(crate) cause: Option<Box<Cause>>,
    /// Replaces the ending of a URL that is filtered after it was admitted.
    pub(crate) filtered: Option<Filtered>,
}

/// How a page was fetched, for the caps of its host and for the history.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The bytes of its body.
    pub body_bytes: u64,
    /// The validators for a later conditional request.
    pub validators: Validators,
}

impl Settlement {
    /// A page whose links are admitted and whose items are written.
    #[must_use]
    pub fn page(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Page)
    }

    /// A page, with how it was fetched.
    #[must_use]
    pub fn fetched_page(lease: LeaseId, attempts: u16, fetched: Fetched) -> Self {
        Self { attempts, fetched, ..Self::page(lease) }
    }

    /// Another name of a known URL. Its alias line, if there is one, is written.
    #[must_use]
    pub fn alias(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Alias)
    }

    /// Goes on as the redirect's target. If the crawl knows the target, the URL waits until that has ended,
    /// and [`decided`](crate::Frontier::decided) returns it with the end of the target.
    #[must_use]
    pub fn redirected(lease: LeaseId, redirect: impl Into<Redirect>) -> Self {
        Self { redirect: Some(Box::new(redirect.into())), ..Self::plain(lease, Ending::Redirected) }
    }

    /// A failure: no attempt is due any more. `reported_as` is the URL of the origin when the lease was on a
    /// redirect's target. The store cannot know that URL, because it does not read `extra`.
    #[must_use]
    pub fn failed(lease: LeaseId, reason: Reason, attempts: u16, reported_as: Option<Arc<str>>) -> Self {
        Self { attempts, reported_as, ..Self::plain(lease, Ending::Failed(reason)) }
    }

    /// The same failure, with its cause.
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        let cause = (!cause.is_none()).then(|| Box::new(cause));
        Self { cause, ..self }
    }

    /// Due again later, with the requests made so far. It keeps its age.
    #[must_use]
    pub fn retry(lease: LeaseId, due: Timestamp, attempts: Attempts) -> Self {
        Self::plain(lease, Ending::Retry { due, attempts })
    }

    /// Not tried: the record returns to its old place.
    #[must_use]
    pub fn give_back(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Return)
    }

    /// Not tried and out of scope now, because a resumed crawl has a narrower scope. The URL moves from
    /// admitted to filtered. It is admitted again if it is discovered in scope later.
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

    /// The lease.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// The ending. A [filtered](Self::filtered) URL has the ending of a returned one here.
    #[must_use]
    pub fn ending(&self) -> &Ending {
        &self.ending
    }
}

/// The result of a batch of settlements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SettledCounts {
    /// Leases that ended.
    pub over: u64,
    /// Settlements without effect: their leases were over already or never existed.
    pub stale: u64,
}
