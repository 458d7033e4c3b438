//! Which URLs belong to the crawl, and which of them count as one.

use opilio_spider::naming::Naming;
use opilio_spider::{Scope, Spider};

use super::Crawler;

/// The scope, and the names by which pages are merged.
#[derive(Default)]
pub(super) struct UrlChoices {
    scope: Scope,
    strip_tracking: bool,
    pub(super) merge: Naming,
}

impl UrlChoices {
    /// The scope of a run that begins in this year. Warns of patterns that match nothing.
    pub(super) fn take_scope(&mut self, year: u16) -> Scope {
        let mut scope = std::mem::take(&mut self.scope);
        if self.strip_tracking {
            scope = scope.strip_tracking();
        }
        scope.begin(year);
        for pattern in scope.matchless() {
            tracing::warn!("the pattern {pattern} matches no URL, since none begins so: write *{pattern}*");
        }
        scope
    }
}

/// Which URLs belong to the crawl.
impl<S: Spider> Crawler<S> {
    /// The URLs that belong to the crawl. The hosts of the seeds are added to the scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.urls.scope = scope;
        self
    }

    /// Takes tracking parameters out of every URL, seeds and targets of redirects included:
    /// [`Scope::strip_tracking`]. The URL that is fetched is the one without, since a crawler does not count as
    /// a visitor of a campaign.
    #[must_use]
    pub fn strip_tracking(mut self) -> Self {
        self.urls.strip_tracking = true;
        self
    }

    /// Writes one page of all that name the same canonical URL (`<link rel=canonical>`; the name of a page
    /// without one is its own URL).
    ///
    /// The first that arrives stands for all, the others end as its aliases, and their links are
    /// followed all the same. So nothing depends on whether the canonical URL itself can be fetched: it
    /// is fetched only if something links to it, and is then one of the pages with its name. A name
    /// counts if it is in scope and of the page's registrable domain. Names are kept in memory, up to
    /// a million, and not across a resume: after a resume a name may get one more page.
    #[must_use]
    pub fn merge_canonical(mut self) -> Self {
        self.urls.merge.canonical = true;
        self
    }

    /// Writes one page of all that have equal content, white space and session ids apart: "not found" pages
    /// with status 200, print versions, one article below several categories.
    ///
    /// The first that arrives stands for all of its registrable domain, the others end as its aliases, and
    /// their links are followed all the same. Contents are kept in memory, up to a quarter of a million on
    /// each thread, and not across a resume: after a resume a content may get one more page.
    #[must_use]
    pub fn merge_duplicates(mut self) -> Self {
        self.urls.merge.content = true;
        self
    }
}
