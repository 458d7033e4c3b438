//! By which name a page is merged with others, in a crawl that merges.

use opilio_core::Host;
use url::Url;

use crate::page::Page;
use crate::scope::Scope;

/// Whether pages are merged by their names.
#[derive(Clone, Copy)]
pub(crate) enum Naming {
    None,
    Canonical,
}

/// The names of a page.
pub(crate) struct PageName {
    own: Url,
    preferred: Option<Url>,
}

impl Naming {
    pub(crate) fn of<Step>(self, page: &Page<Step>) -> Option<PageName> {
        match self {
            Self::None => None,
            Self::Canonical => Some(PageName { own: page.url().clone(), preferred: page.canonical() }),
        }
    }
}

impl PageName {
    /// The name that holds: the one that the page prefers, if that is the crawl's and of the same
    /// registrable domain (nobody speaks for others), else its own.
    pub(crate) fn settled(self, host: &Host, depth: u16, scope: &Scope) -> Url {
        let prefers = self.preferred.filter(|url| {
            Host::of(url).is_ok_and(|named| {
                named.group() == host.group() && scope.refuses(url, &named, depth).is_none()
            })
        });
        let mut name = prefers.unwrap_or(self.own);
        scope.tidy(&mut name);
        name.set_fragment(None);
        name
    }
}
