//! Finds the names by which a crawl recognises duplicates of a page. A name is the page's canonical URL or
//! its content.

use opilio_core::{Fingerprint, Host};
use url::Url;

use crate::page::Page;
use crate::same;
use crate::scope::Scope;

/// The settings that say how a crawl recognises duplicates.
#[derive(Clone, Copy, Default)]
pub struct Naming {
    /// Whether pages with the same canonical URL are duplicates.
    pub canonical: bool,
    /// Whether pages with equal content are duplicates.
    pub content: bool,
}

/// The names by which duplicates of one page are recognised.
pub struct PageName {
    /// The URL of the page itself: where its bytes came from.
    pub own: Url,
    /// The canonical URL that the page states, if any. The outer `Option` is `None` if the crawl does not use
    /// canonical URLs.
    preferred: Option<Option<Url>>,
    /// The hash of the page's content; `None` if the crawl does not compare contents.
    pub content: Option<Fingerprint>,
}

impl Naming {
    /// Returns the names of a page; `None` if the crawl does not look for duplicates.
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
    /// Returns the URL by which the page is compared with others. This is its canonical URL if that URL is in scope
    /// and of the same registrable domain, since no site may speak for another site. Otherwise it is the page's own
    /// URL. Returns `None` if the crawl does not use canonical URLs.
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

/// Returns whether white space has no meaning in the page's content type, as in HTML.
fn is_text<Step>(page: &Page<Step>) -> bool {
    let kind = page.header("content-type").map(str::to_ascii_lowercase);
    kind.is_none_or(|kind| ["text/", "html", "xml"].iter().any(|part| kind.contains(part)))
}
