//! The names by which a crawl merges pages: canonical URLs and content.

use opilio_core::{Fingerprint, Host};
use url::Url;

use crate::page::Page;
use crate::same;
use crate::scope::Scope;

/// Which names merge pages.
#[derive(Clone, Copy, Default)]
pub struct Naming {
    /// By the canonical URL that a page names.
    pub canonical: bool,
    /// By equal content.
    pub content: bool,
}

/// The names of one page.
pub struct PageName {
    /// The URL that its bytes came from.
    pub own: Url,
    /// Its canonical URL, if the crawl merges by it.
    preferred: Option<Option<Url>>,
    /// The hash of its content, if the crawl merges by it.
    pub content: Option<Fingerprint>,
}

impl Naming {
    /// The names of a page; `None` if the crawl does not merge pages.
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
    /// The name that the page gets: its canonical URL if that URL is in scope and of the same registrable
    /// domain (no site may speak for another), otherwise its own URL. `None` if the crawl does not merge by
    /// canonical URLs.
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

/// Whether white space has no meaning in this document.
fn is_text<Step>(page: &Page<Step>) -> bool {
    let kind = page.header("content-type").map(str::to_ascii_lowercase);
    kind.is_none_or(|kind| ["text/", "html", "xml"].iter().any(|part| kind.contains(part)))
}
