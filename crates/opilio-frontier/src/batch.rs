//! What goes into a store's calls and what comes out: all in batches, one atomic commit each.

use std::fmt;
use std::sync::Arc;

pub use opilio_core::scheduling::Want;
use opilio_core::{Attempts, Ending, Fingerprint, LeaseId, Reason, Record, Timestamp, Validators};
use serde::{Deserialize, Serialize};

use crate::chain::Redirect;
use crate::stats::Cause;

/// A URL that was discovered, and what the scope says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// In scope: to be fetched unless it is known. It is discovered, whatever the record's kind.
    Queue(Record),
    /// Out of scope: only counted, once.
    Filtered {
        /// The URL's fingerprint; of a text that is no URL, the fingerprint of the text.
        fingerprint: Fingerprint,
        /// What kept it out.
        why: Filtered,
    },
}

impl Admission {
    /// The dedup key of what was discovered.
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
            /// Every why there is; the order is part of what durable stores write, so it only grows
            /// at its end.
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
    /// Kept out by an include or exclude pattern.
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
    /// Marked `nofollow`, in a crawl that heeds it.
    Nofollow => "nofollow",
    /// Its host has given as many pages as the crawl takes of one.
    HostPages => "host_pages",
    /// Its host has given as many bytes as the crawl takes of one.
    HostBytes => "host_bytes",
    /// Its path says the same again and again, or has too many segments: a trap's.
    TrapPath => "trap_path",
    /// Its query says the same again and again, or has too many parameters: a trap's.
    TrapQuery => "trap_query",
    /// A calendar's page about a time that is too far ahead.
    TrapCalendar => "trap_calendar",
    /// Linked from a page whose content its host has shown again and again: a trap's.
    TrapSameContent => "trap_same_content",
}

impl fmt::Display for Filtered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a batch of admissions came to; the three add up to the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Admitted {
    /// Taken on: never seen before, or until now only seen as filtered.
    pub new: u64,
    /// Nothing new: already taken on, or already counted as filtered.
    pub known: u64,
    /// Filtered, and counted as such for the first time.
    pub filtered_new: u64,
}

/// How one lease ended.
///
/// Made by a constructor per ending, so that what an ending needs is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub(crate) lease: LeaseId,
    pub(crate) ending: Ending,
    /// Few have one, and thousands of settlements travel at once.
    pub(crate) redirect: Option<Box<Redirect>>,
    pub(crate) attempts: u16,
    pub(crate) reported_as: Option<Arc<str>>,
    pub(crate) fetched: Fetched,
    pub(crate) cause: Option<Box<Cause>>,
    /// Stands in for the ending of what is filtered after it was taken on.
    pub(crate) filtered: Option<Filtered>,
}

/// What is kept of how a page was fetched: for the caps of its host, and for the history.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Bytes of its body.
    pub body_bytes: u64,
    /// What a later fetch asks with.
    pub validators: Validators,
}

impl Settlement {
    /// A page: its links are admitted, its items written.
    #[must_use]
    pub fn page(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Page)
    }

    /// A page, and how it was fetched.
    #[must_use]
    pub fn fetched_page(lease: LeaseId, attempts: u16, fetched: Fetched) -> Self {
        Self { attempts, fetched, ..Self::page(lease) }
    }

    /// Another name of a known URL: its alias line, if one is written, is written.
    #[must_use]
    pub fn alias(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Alias)
    }

    /// Goes on as the redirect's target, unless the crawl knows that: then it waits until the target has
    /// ended, and [`decided`](crate::Frontier::decided) tells how.
    #[must_use]
    pub fn redirected(lease: LeaseId, redirect: impl Into<Redirect>) -> Self {
        Self { redirect: Some(Box::new(redirect.into())), ..Self::plain(lease, Ending::Redirected) }
    }

    /// No attempt is due any more. `reported_as` is the URL of the origin when the lease was on a
    /// redirect's target: the store cannot know it, since it does not read `extra`.
    #[must_use]
    pub fn failed(lease: LeaseId, reason: Reason, attempts: u16, reported_as: Option<Arc<str>>) -> Self {
        Self { attempts, reported_as, ..Self::plain(lease, Ending::Failed(reason)) }
    }

    /// The same, and what is known of the why.
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        let cause = (!cause.is_none()).then(|| Box::new(cause));
        Self { cause, ..self }
    }

    /// Due again later, with the requests that were made for it; its place by age stays its own.
    #[must_use]
    pub fn retry(lease: LeaseId, due: Timestamp, attempts: Attempts) -> Self {
        Self::plain(lease, Ending::Retry { due, attempts })
    }

    /// Not tried: back to its old place.
    #[must_use]
    pub fn give_back(lease: LeaseId) -> Self {
        Self::plain(lease, Ending::Return)
    }

    /// Not tried, and never will be: a crawl that is gone on with has a narrower scope. It moves from
    /// admitted to filtered, and is taken on again if it is discovered in scope later.
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

    /// Which lease.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// How it ended; what is [filtered](Self::filtered) counts as returned here.
    #[must_use]
    pub fn ending(&self) -> &Ending {
        &self.ending
    }
}

/// What a batch of settlements came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// Leases that are over.
    pub over: u64,
    /// Settlements of leases that were over already, or never were: without effect.
    pub stale: u64,
}
