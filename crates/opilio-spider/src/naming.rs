//! By which names a page is merged with others, in a crawl that merges.

use opilio_core::{Fingerprint, Host};
use url::Url;

use crate::page::Page;
use crate::same;
use crate::scope::Scope;

/// The names by which pages are merged.
#[derive(Clone, Copy, Default)]
pub struct Naming {
    /// The name that a page prefers for itself.
    pub canonical: bool,
    /// Equal content.
    pub content: bool,
}

/// The names of a page.
pub struct PageName {
    /// Where its bytes came from.
    pub own: Url,
    /// What it prefers, where that is asked for.
    preferred: Option<Option<Url>>,
    /// What stands for its content, where that is asked for.
    pub content: Option<Fingerprint>,
}

impl Naming {
    /// The names of a page; `None` where pages are not merged.
    pub fn of<Step>(self, page: &Page<Step>) -> Option<PageName> {
        if !self.canonical && !self.content {
            return None;
        }
        let host = Host::of(page.url()).ok().filter(|_| self.content && !page.is_not_modified());
        Some(PageName {
            own: page.url().clone(),
            preferred: self.canonical.then(|| page.canonical()),
            content: host.and_then(|host| same::content(&host, page.body(), is_text(page))),
        })
    }
}

impl PageName {
    /// The name that holds: the one that the page prefers, if that is the crawl's and of the same
    /// registrable domain (nobody speaks for others), else its own. `None` where canonical names are not asked
    /// for.
    pub fn settled(&self, host: &Host, depth: u16, scope: &Scope) -> Option<Url> {
        let prefers = self.preferred.as_ref()?.as_ref().filter(|url| {
            Host::of(url).is_ok_and(|named| {
                named.group() == host.group() && scope.refuses(url, &named, depth).is_none()
            })
        });
        let mut name = prefers.unwrap_or(&self.own).clone();
        scope.tidy(&mut name);
        name.set_fragment(None);
        Some(name)
    }
}

/// Whether white space means nothing in it.
fn is_text<Step>(page: &Page<Step>) -> bool {
    let kind = page.header("content-type").map(str::to_ascii_lowercase);
    kind.is_none_or(|kind| ["text/", "html", "xml"].iter().any(|part| kind.contains(part)))
}
