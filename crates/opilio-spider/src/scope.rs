//! Decides which URLs belong to the crawl, and gives a reason for each refusal.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use opilio_core::{Group, Host, Record, RecordKind, without_session_ids};
use opilio_frontier::Filtered;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::data::{Reads, RequestData};
use crate::pattern::{PatternError, ReadableUrl, UrlPattern};
use crate::trap::{TrapRules, month_of};

/// Which links of a page are followed, by where they lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Follow {
    /// No link: only the seeds are fetched.
    None,
    /// Links to a host that a seed names or redirects to.
    #[default]
    SameHost,
    /// Links to a registrable domain that a seed names or redirects to.
    SameDomain,
    /// All links.
    All,
}

/// A host out of scope that links lead to, and the setting with which the crawl would follow them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elsewhere {
    /// The host.
    pub host: Host,
    /// The narrowest value with which the URLs of this host belong to the crawl.
    pub follow: Follow,
}

/// Whether the hosts of URLs that earlier runs queued are checked again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hosts {
    /// The hosts are checked by the present value of [`Follow`].
    Judged,
    /// The URLs stay in the queue, whatever their host.
    Kept,
}

/// Which URLs belong to a crawl.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
/// use opilio::{Follow, Scope};
///
/// let scope = Scope::new().follow(Follow::SameDomain).include("*/products/*")?.exclude("*?print=*")?.max_depth(8);
/// # Ok::<(), opilio_spider::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scope {
    follow: Follow,
    hosts: HashSet<Host>,
    groups: HashSet<Group>,
    /// Hosts to which seeds were redirected while the crawl ran.
    grown: Arc<RwLock<GrownHosts>>,
    /// The first host whose URLs were refused because of the host alone.
    elsewhere: Arc<OnceLock<Elsewhere>>,
    include: Vec<UrlPattern>,
    exclude: Vec<UrlPattern>,
    max_depth: u16,
    max_url_bytes: usize,
    text_only: bool,
    strip_tracking: bool,
    keep_session_ids: bool,
    traps: TrapRules,
    /// The year in which the crawl began. If it is `None`, no link is refused as a calendar's.
    year: Option<u16>,
}

fn matches_any(patterns: &[UrlPattern], candidate: &ReadableUrl<'_>) -> bool {
    patterns.iter().any(|pattern| pattern.matches(candidate))
}

/// The hosts to which seeds were redirected, and their registrable domains.
#[derive(Debug, Default)]
struct GrownHosts {
    hosts: HashSet<Host>,
    groups: HashSet<Group>,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            follow: Follow::SameHost,
            hosts: HashSet::new(),
            groups: HashSet::new(),
            grown: Arc::default(),
            elsewhere: Arc::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            max_depth: u16::MAX,
            max_url_bytes: 2_083,
            text_only: false,
            strip_tracking: false,
            keep_session_ids: false,
            traps: TrapRules::default(),
            year: None,
        }
    }
}

impl Scope {
    /// Allows the hosts of the seeds, any depth and path, and URLs of up to 2,083 bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses which links are followed, by where they lead.
    #[must_use]
    pub fn follow(mut self, follow: Follow) -> Self {
        self.follow = follow;
        self
    }

    /// Follows only links that match one of the included patterns. Seeds need not match. `*` stands for any
    /// text; `?` has no special meaning. Letters of any alphabet may be written raw or encoded: `*/café/*`
    /// and `*/caf%C3%A9/*`, `*://bücher.example/*` and `*://xn--bcher-kva.example/*`.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn include(mut self, pattern: &str) -> Result<Self, PatternError> {
        self.include.push(UrlPattern::new(pattern)?);
        Ok(self)
    }

    /// Follows no link that matches this pattern, even if it is included.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn exclude(mut self, pattern: &str) -> Result<Self, PatternError> {
        self.exclude.push(UrlPattern::new(pattern)?);
        Ok(self)
    }

    /// Follows at most this many links in a row from a seed; 0 fetches the seeds alone.
    ///
    /// The shortest way counts, whichever page arrives first. In a breadth-first crawl the pages of a host at
    /// one depth wait for those of the depth before, and up to a minute for those of other hosts. They do not
    /// wait for retries that are due after more than a minute.
    #[must_use]
    pub fn max_depth(mut self, links: u16) -> Self {
        self.max_depth = links;
        self
    }

    /// Filters URLs that are longer than this, in bytes (2,083 by default).
    #[must_use]
    pub fn max_url_bytes(mut self, bytes: usize) -> Self {
        self.max_url_bytes = bytes;
        self
    }

    /// Fetches only HTML, XML, JSON and other text. Bodies of other types are not read, and their URLs end as
    /// `not_text`.
    #[must_use]
    pub fn text_only(mut self) -> Self {
        self.text_only = true;
        self
    }

    /// Removes tracking parameters (`utm_source`, `gclid`, …: see [`opilio_core::strip_tracking`]) from every
    /// URL. The crawl knows, matches, fetches and reports URLs without them.
    #[must_use]
    pub fn strip_tracking(mut self) -> Self {
        self.strip_tracking = true;
        self
    }

    /// Normalizes a URL: removes the parts that this crawl does not want, such as tracking parameters.
    pub fn tidy(&self, url: &mut Url) {
        if self.strip_tracking {
            opilio_core::strip_tracking(url);
        }
    }

    /// Treats URLs that differ in their session ids as different.
    ///
    /// By default two URLs are one if they differ only in a known kind of session id
    /// ([`opilio_core::without_session_ids`]). The first one is fetched as it is written. So a server that
    /// writes a new id into each link does not make the crawl endless. A crawl that is resumed with another
    /// choice may fetch pages again whose URLs hold ids.
    #[must_use]
    pub fn keep_session_ids(mut self) -> Self {
        self.keep_session_ids = true;
        self
    }

    /// Returns the URL by which the crawl recognises a page: without session ids.
    pub(crate) fn key_of<'a>(&self, url: &'a Url) -> Cow<'a, Url> {
        if self.keep_session_ids { Cow::Borrowed(url) } else { without_session_ids(url) }
    }

    /// Changes which shapes of URLs count as traps. Links to them are not followed.
    #[must_use]
    pub fn traps(mut self, traps: TrapRules) -> Self {
        self.traps = traps;
        self
    }

    /// Returns how many pages of a host may have the same content before links of further such pages are
    /// refused.
    pub fn same_content_max(&self) -> u32 {
        self.traps.same_content_max
    }

    /// Sets the year in which the crawl begins, and forgets the hosts to which seeds were redirected.
    pub fn begin(&mut self, year: u16) {
        self.year = Some(year);
        // A copy of this scope may belong to another crawl, so the two must not share this set.
        self.grown = Arc::default();
        self.elsewhere = Arc::default();
    }

    /// Returns whether only text is fetched: see [`Scope::text_only`].
    pub fn is_text_only(&self) -> bool {
        self.text_only
    }

    /// Adds a host to the crawl that is not the host of a seed.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.add(host);
        self
    }

    /// Adds the host of a seed.
    pub fn add(&mut self, host: Host) {
        self.groups.insert(host.group());
        self.hosts.insert(host);
    }

    /// Adds a host to which a seed was redirected. Returns whether it is new.
    pub fn grow(&self, host: &Host) -> bool {
        if self.has(host) {
            return false;
        }
        let mut grown = self.grown.write().unwrap_or_else(PoisonError::into_inner);
        grown.groups.insert(host.group());
        grown.hosts.insert(host.clone())
    }

    /// Returns whether this is the host of a seed, or a host to which a seed was redirected.
    fn has(&self, host: &Host) -> bool {
        self.hosts.contains(host) || self.grown().hosts.contains(host)
    }

    /// Locks the set for reading. It is read only for links that lead away from the seeds' hosts, and written a
    /// few times in a crawl.
    fn grown(&self) -> RwLockReadGuard<'_, GrownHosts> {
        self.grown.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns why a link does not belong to the crawl; `None` if it does.
    pub(crate) fn refuses(&self, url: &Url, host: &Host, depth: u16) -> Option<Filtered> {
        if !self.follows(host) {
            self.note_elsewhere(url, host, depth);
            return Some(Filtered::ScopeHost);
        }
        self.refuses_anywhere(url, depth).or_else(|| self.traps.catches(url))
    }

    /// Remembers the first host that would belong to the crawl with another value of [`Follow`].
    fn note_elsewhere(&self, url: &Url, host: &Host, depth: u16) {
        if self.follow == Follow::None
            || self.elsewhere.get().is_some()
            || self.refuses_anywhere(url, depth).is_some()
        {
            return;
        }
        let group = host.group();
        let is_near = self.groups.contains(&group) || self.grown().groups.contains(&group);
        let follow = if is_near { Follow::SameDomain } else { Follow::All };
        self.elsewhere.get_or_init(|| Elsewhere { host: host.clone(), follow });
    }

    /// Returns the first host of this run whose URLs were refused because of the host. `None` if no links are
    /// followed at all.
    pub fn elsewhere(&self) -> Option<&Elsewhere> {
        self.elsewhere.get()
    }

    /// Returns a check for the links of one page. It refuses a link if the page and the link are each about a
    /// month and the link's month is too far ahead. Make it once for each page: few pages are about a month, so
    /// it mostly does nothing.
    pub(crate) fn calendar(&self, from: Option<&Url>) -> impl Fn(&Url) -> Option<Filtered> + use<'_> {
        let year = self.year.filter(|_| from.and_then(month_of).is_some());
        move |to| self.traps.catches_month(to, year?)
    }

    /// Returns why the target of a redirect does not belong to the crawl; `None` if it does. With
    /// [`Follow::None`], redirects may lead to the crawl's own hosts, since they lead to the pages that were
    /// asked for.
    pub fn refuses_redirect(&self, url: &Url, host: &Host, depth: u16) -> Option<Filtered> {
        let stays = self.follow == Follow::None && self.has(host);
        if !stays && !self.follows(host) {
            self.note_elsewhere(url, host, depth);
            return Some(Filtered::ScopeHost);
        }
        self.refuses_anywhere(url, depth).or_else(|| self.traps.catches(url))
    }

    /// Returns why the target of a seed's redirect does not belong to the crawl; `None` if it does. Any host is
    /// allowed, and joins the crawl.
    pub fn refuses_seeds_redirect(&self, url: &Url) -> Option<Filtered> {
        self.refuses_where_a_seed_leads(url).or_else(|| self.traps.catches(url))
    }

    /// Returns why a seed does not belong to the crawl; `None` if it does. Patterns apply to links only.
    pub(crate) fn refuses_seed(&self, url: &Url) -> Option<Filtered> {
        (url.as_str().len() > self.max_url_bytes).then_some(Filtered::UrlTooLong)
    }

    /// Returns why the target of a seed's redirect is refused: it is excluded, or refused in every scope. It
    /// need not match an included pattern, since the seed need not.
    fn refuses_where_a_seed_leads(&self, url: &Url) -> Option<Filtered> {
        let excluded = !self.exclude.is_empty() && matches_any(&self.exclude, &ReadableUrl::new(url));
        self.refuses_seed(url).or(excluded.then_some(Filtered::ScopePattern))
    }

    /// Returns why a sitemap is refused; `None` if it is not. Patterns do not apply, since a sitemap is not a
    /// page. A sitemap may name others on the crawl's hosts or on its own domain; robots.txt may name sitemaps
    /// anywhere.
    pub fn refuses_sitemap(
        &self,
        url: &Url,
        host: &Host,
        depth: u8,
        from: Option<&Host>,
    ) -> Option<Filtered> {
        let near = |from: &Host| self.follows(host) || self.has(host) || host.group() == from.group();
        if depth > SITEMAP_DEPTH_MAX {
            return Some(Filtered::MaxDepth);
        }
        if url.as_str().len() > self.max_url_bytes {
            return Some(Filtered::UrlTooLong);
        }
        if from.is_some_and(|from| !near(from)) {
            return Some(Filtered::ScopeHost);
        }
        None
    }

    /// Returns why a URL that an earlier run queued does not belong to the crawl any more, now that it is
    /// resumed with another scope. The host of the URL is checked only if `hosts` is `Judged`.
    pub fn refuses_queued(&self, record: &Record, hosts: Hosts) -> Option<Filtered> {
        let url = Url::parse(&record.url).ok()?;
        // A record that cannot be read stays: its fetch reports the error.
        let data = RequestData::of(record).ok()?;
        if data.reads != Reads::Page {
            // A sitemap is not a page, so it stays, whatever its host.
            return self.refuses_sitemap(&url, &record.host, 0, None);
        }
        let is_seed = record.depth == 0;
        let stays = match record.kind {
            // The target of a seed's redirect belongs to the crawl, whatever its host.
            RecordKind::Continuation => data.marks.of_seed || self.has(&record.host),
            RecordKind::Discovered => is_seed && self.has(&record.host),
        };
        if hosts == Hosts::Judged && !stays && !self.follows(&record.host) {
            return Some(Filtered::ScopeHost);
        }
        let is_trap = || if is_seed { None } else { self.traps.catches(&url) };
        match record.kind {
            RecordKind::Discovered if data.marks.of_seed => self.refuses_seed(&url),
            RecordKind::Continuation if data.marks.of_seed => self.refuses_where_a_seed_leads(&url),
            _ => self.refuses_anywhere(&url, record.depth).or_else(is_trap),
        }
    }

    /// Returns whether the scope limits the depth.
    pub fn limits_depth(&self) -> bool {
        self.max_depth < u16::MAX
    }

    /// Returns the patterns that can match no URL, because of the way they begin.
    pub fn matchless(&self) -> impl Iterator<Item = &str> {
        self.include
            .iter()
            .chain(&self.exclude)
            .filter(|pattern| pattern.is_matchless())
            .map(UrlPattern::text)
    }

    /// Returns which links are followed.
    pub fn follows_links(&self) -> Follow {
        self.follow
    }

    /// Checks a URL against the rules that hold for every host.
    fn refuses_anywhere(&self, url: &Url, depth: u16) -> Option<Filtered> {
        if depth > self.max_depth {
            return Some(Filtered::MaxDepth);
        }
        if url.as_str().len() > self.max_url_bytes {
            return Some(Filtered::UrlTooLong);
        }
        self.refuses_pattern(url).then_some(Filtered::ScopePattern)
    }

    fn refuses_pattern(&self, url: &Url) -> bool {
        if self.include.is_empty() && self.exclude.is_empty() {
            return false;
        }
        let candidate = ReadableUrl::new(url);
        let any = |patterns: &[UrlPattern]| matches_any(patterns, &candidate);
        any(&self.exclude) || !(self.include.is_empty() || any(&self.include))
    }

    fn follows(&self, host: &Host) -> bool {
        match self.follow {
            Follow::None => false,
            Follow::SameHost => self.has(host),
            Follow::SameDomain => {
                let group = host.group();
                self.has(host) || self.groups.contains(&group) || self.grown().groups.contains(&group)
            }
            Follow::All => true,
        }
    }
}

/// The most levels of sitemap indexes that are followed. sitemaps.org allows one.
const SITEMAP_DEPTH_MAX: u8 = 3;

#[cfg(test)]
mod tests;
