//! The settings of which URLs belong to the crawl, and which pages count as duplicates.

use opilio_spider::naming::Naming;
use opilio_spider::{Scope, Spider};

use super::Crawler;

/// The scope of the crawl, and the properties of pages by which duplicates are recognised.
#[derive(Clone, Default)]
pub(super) struct UrlChoices {
    scope: Scope,
    strip_tracking: bool,
    pub(super) merge: Naming,
}

impl UrlChoices {
    /// Removes and returns the scope, for a run that begins in this year. Logs a warning for each pattern that can
    /// match no URL.
    pub(super) fn take_scope(&mut self, year: u16) -> Scope {
        let mut scope = std::mem::take(&mut self.scope);
        if self.strip_tracking {
            scope = scope.strip_tracking();
        }
        scope.begin(year);
        for pattern in scope.matchless() {
            tracing::warn!(
                "the pattern {pattern} matches no URL, since no URL begins like this: write *{pattern}*"
            );
        }
        scope
    }
}

/// Settings of which URLs belong to the crawl.
impl<S: Spider> Crawler<S> {
    /// Sets the scope: the rules that decide which URLs belong to the crawl. The hosts of the seeds are added to it.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.choices.urls.scope = scope;
        self
    }

    /// Removes tracking parameters from every URL, also from seeds and targets of redirects:
    /// [`Scope::strip_tracking`]. The URL is fetched without these parameters, since a crawler is not a visitor who
    /// came through a campaign.
    #[must_use]
    pub fn strip_tracking(mut self) -> Self {
        self.choices.urls.strip_tracking = true;
        self
    }

    /// Writes only one page of all pages that have the same canonical URL (`<link rel=canonical>`; for a page
    /// without this link, its own URL).
    ///
    /// The first of these pages that arrives is written. The later ones end as its aliases, but their links
    /// are followed all the same. The canonical URL itself is not fetched for this purpose: it is fetched
    /// only if something links to it, and then its page counts as one of these pages. A canonical URL is
    /// ignored unless it is in scope and has the registrable domain of the page. The crawl remembers up to a
    /// million canonical URLs, in memory only: after a resume, a second page with the same canonical URL may
    /// be written.
    #[must_use]
    pub fn merge_canonical(mut self) -> Self {
        self.choices.urls.merge.canonical = true;
        self
    }

    /// Writes only one page of all pages that have the same content, not counting white space and session
    /// ids. Examples of such pages are "not found" pages with status 200, print versions, and one article
    /// below several categories.
    ///
    /// The first of these pages that arrives from a registrable domain is written. The later ones end as its
    /// aliases, but their links are followed all the same. The crawl remembers up to a quarter of a million
    /// contents on each thread, in memory only: after a resume, a second page with the same content may be
    /// written.
    #[must_use]
    pub fn merge_duplicates(mut self) -> Self {
        self.choices.urls.merge.content = true;
        self
    }
}
