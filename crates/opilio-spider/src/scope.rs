//! Decides which URLs belong to the crawl, and gives a reason for each URL that does not.

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

/// Says which links of a page are followed, depending on the host to which they lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Follow {
    /// No links are followed: only the seeds are fetched.
    None,
    /// Links to the host of a seed, or to a host to which a seed was redirected, are followed.
    #[default]
    SameHost,
    /// Links to the registrable domain of a seed, or to a domain to which a seed was redirected, are followed.
    SameDomain,
    /// All links are followed.
    All,
}

/// A host that links lead to but that is out of scope, and the value of `Follow` that would include this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elsewhere {
    /// The host.
    pub host: Host,
    /// The narrowest value of `Follow` with which the URLs of this host belong to the crawl.
    pub follow: Follow,
}

/// Says whether the hosts of URLs that earlier runs queued are checked again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hosts {
    /// The hosts are checked with the present value of [`Follow`].
    Judged,
    /// The hosts are not checked: the URLs stay in the queue, whatever their host.
    Kept,
}

/// The rules that say which URLs belong to a crawl.
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
    /// The hosts to which seeds were redirected while the crawl ran.
    grown: Arc<RwLock<GrownHosts>>,
    /// The first host whose URLs were refused only because of their host.
    elsewhere: Arc<OnceLock<Elsewhere>>,
    include: Vec<UrlPattern>,
    exclude: Vec<UrlPattern>,
    max_depth: u16,
    max_url_bytes: usize,
    text_only: bool,
    strip_tracking: bool,
    keep_session_ids: bool,
    traps: TrapRules,
    /// The year in which the crawl began. If it is `None`, no link is refused because its calendar month is
    /// too far ahead.
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
    /// Makes a scope that allows the hosts of the seeds, any depth and path, and URLs of up to 2,083 bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets which links are followed, depending on the host to which they lead.
    #[must_use]
    pub fn follow(mut self, follow: Follow) -> Self {
        self.follow = follow;
        self
    }

    /// Follows only links that match this pattern or another included pattern. Seeds need not match. `*` stands for
    /// any text; `?` has no special meaning. Letters of any alphabet may be written as they are or encoded:
    /// `*/café/*` or `*/caf%C3%A9/*`, `*://bücher.example/*` or `*://xn--bcher-kva.example/*`.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn include(mut self, pattern: &str) -> Result<Self, PatternError> {
        self.include.push(UrlPattern::new(pattern)?);
        Ok(self)
    }

    /// Follows no links that match this pattern, even if they match an included pattern.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn exclude(mut self, pattern: &str) -> Result<Self, PatternError> {
        self.exclude.push(UrlPattern::new(pattern)?);
        Ok(self)
    }

    /// Limits the number of links that lead from a seed to a page. 0 means that only the seeds are fetched.
    ///
    /// The shortest way from a seed counts, even if a longer way is found first. In a breadth-first crawl, the pages
    /// of a host at one depth therefore wait for all pages of that host at the previous depth, and up to a minute for
    /// those of other hosts. They do not wait for retries that are due after more than a minute.
    #[must_use]
    pub fn max_depth(mut self, links: u16) -> Self {
        self.max_depth = links;
        self
    }

    /// Filters URLs that are longer than the given number of bytes (2,083 by default).
    #[must_use]
    pub fn max_url_bytes(mut self, bytes: usize) -> Self {
        self.max_url_bytes = bytes;
        self
    }

    /// Fetches only HTML, XML, JSON and other text. Bodies of other types are not read, and their URLs end with the
    /// reason `not_text`.
    #[must_use]
    pub fn text_only(mut self) -> Self {
        self.text_only = true;
        self
    }

    /// Removes tracking parameters (`utm_source`, `gclid`, …: see [`opilio_core::strip_tracking`]) from every URL.
    /// Patterns, duplicate checks, requests and reports all use the shortened URL.
    #[must_use]
    pub fn strip_tracking(mut self) -> Self {
        self.strip_tracking = true;
        self
    }

    /// Normalizes a URL: removes its tracking parameters if the scope says so.
    pub fn tidy(&self, url: &mut Url) {
        if self.strip_tracking {
            opilio_core::strip_tracking(url);
        }
    }

    /// Treats URLs that differ only in session ids as different URLs.
    ///
    /// By default, two URLs that differ only in session ids of a known kind ([`opilio_core::without_session_ids`])
    /// count as the same URL. Only the first of them is fetched, as it is written. This prevents an endless crawl on
    /// a server that writes a new session id into each link. If a crawl is resumed with another value of this
    /// setting, it may fetch pages again whose URLs hold session ids.
    #[must_use]
    pub fn keep_session_ids(mut self) -> Self {
        self.keep_session_ids = true;
        self
    }

    /// Returns the URL without session ids, by which the crawl recognises duplicates.
    pub(crate) fn key_of<'a>(&self, url: &'a Url) -> Cow<'a, Url> {
        if self.keep_session_ids { Cow::Borrowed(url) } else { without_session_ids(url) }
    }

    /// Sets the limits above which a URL counts as a trap. Links to such URLs are not followed.
    #[must_use]
    pub fn traps(mut self, traps: TrapRules) -> Self {
        self.traps = traps;
        self
    }

    /// Returns how many pages of a host may have the same content. The links of further pages with that
    /// content are refused.
    pub fn same_content_max(&self) -> u32 {
        self.traps.same_content_max
    }

    /// Sets the year in which the crawl begins, and removes the hosts to which seeds were redirected.
    pub fn begin(&mut self, year: u16) {
        self.year = Some(year);
        // A copy of this scope may belong to another crawl, so the two scopes must not share these values.
        self.grown = Arc::default();
        self.elsewhere = Arc::default();
    }

    /// Returns whether only text is fetched: see [`Scope::text_only`].
    pub fn is_text_only(&self) -> bool {
        self.text_only
    }

    /// Adds a host to the crawl, in addition to the hosts of the seeds.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.add(host);
        self
    }

    /// Adds the host of a seed to the crawl.
    pub fn add(&mut self, host: Host) {
        self.groups.insert(host.group());
        self.hosts.insert(host);
    }

    /// Adds a host to which a seed was redirected. Returns whether the host is new.
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

    /// Locks the set for reading. The lock is rarely contended: the set is read only for links that lead away from
    /// the seeds' hosts, and it is written a few times in a crawl.
    fn grown(&self) -> RwLockReadGuard<'_, GrownHosts> {
        self.grown.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the reason why a link does not belong to the crawl; `None` if it does belong to the crawl.
    pub(crate) fn refuses(&self, url: &Url, host: &Host, depth: u16) -> Option<Filtered> {
        if !self.follows(host) {
            self.note_elsewhere(url, host, depth);
            return Some(Filtered::ScopeHost);
        }
        self.refuses_anywhere(url, depth).or_else(|| self.traps.catches(url))
    }

    /// Records the host of a refused link, if it is the first host that another value of [`Follow`] would include.
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

    /// Returns the first host of this run whose URLs were refused only because of their host. Returns `None` if there
    /// is none, or if the crawl follows no links at all.
    pub fn elsewhere(&self) -> Option<&Elsewhere> {
        self.elsewhere.get()
    }

    /// Returns a check for the links of one page. If the URLs of the page and of a link both contain a month, the
    /// check refuses the link when its month is too far ahead. The URLs of few pages contain a month, so the check is
    /// made once for each page and mostly does nothing.
    pub(crate) fn calendar(&self, from: Option<&Url>) -> impl Fn(&Url) -> Option<Filtered> + use<'_> {
        let year = self.year.filter(|_| from.and_then(month_of).is_some());
        move |to| self.traps.catches_month(to, year?)
    }

    /// Returns the reason why the target of a redirect does not belong to the crawl; `None` if it does belong to the
    /// crawl. With [`Follow::None`], redirects to the crawl's own hosts are allowed, since they lead to the pages
    /// that were requested.
    pub fn refuses_redirect(&self, url: &Url, host: &Host, depth: u16) -> Option<Filtered> {
        let stays = self.follow == Follow::None && self.has(host);
        if !stays && !self.follows(host) {
            self.note_elsewhere(url, host, depth);
            return Some(Filtered::ScopeHost);
        }
        self.refuses_anywhere(url, depth).or_else(|| self.traps.catches(url))
    }

    /// Returns the reason why the target of a seed's redirect does not belong to the crawl; `None` if it does. Any
    /// host is allowed, and is added to the crawl.
    pub fn refuses_seeds_redirect(&self, url: &Url) -> Option<Filtered> {
        self.refuses_where_a_seed_leads(url).or_else(|| self.traps.catches(url))
    }

    /// Returns the reason why a seed does not belong to the crawl; `None` if it does. The patterns of the scope do
    /// not apply to seeds.
    pub(crate) fn refuses_seed(&self, url: &Url) -> Option<Filtered> {
        (url.as_str().len() > self.max_url_bytes).then_some(Filtered::UrlTooLong)
    }

    /// Returns the reason why the target of a seed's redirect is refused: it matches an excluded pattern, or it is
    /// refused for every host. It need not match an included pattern, just as the seed need not.
    fn refuses_where_a_seed_leads(&self, url: &Url) -> Option<Filtered> {
        let excluded = !self.exclude.is_empty() && matches_any(&self.exclude, &ReadableUrl::new(url));
        self.refuses_seed(url).or(excluded.then_some(Filtered::ScopePattern))
    }

    /// Returns the reason why a sitemap is refused; `None` if it is not refused. Patterns do not apply, since a
    /// sitemap is not a page. A sitemap may name other sitemaps on the crawl's hosts or on its own registrable
    /// domain. A robots.txt may name sitemaps on any host.
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

    /// Returns the reason why a URL that an earlier run queued no longer belongs to the crawl, if the crawl was
    /// resumed with another scope. The host of the URL is checked only if `hosts` is `Judged`.
    pub fn refuses_queued(&self, record: &Record, hosts: Hosts) -> Option<Filtered> {
        let url = Url::parse(&record.url).ok()?;
        // A record that cannot be read stays in the queue. When it is fetched, the error is reported.
        let data = RequestData::of(record).ok()?;
        if data.reads != Reads::Page {
            // A sitemap is not a page, so its host is not checked.
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

    /// Returns the patterns that can match no URL, because no URL begins as they do.
    pub fn matchless(&self) -> impl Iterator<Item = &str> {
        self.include
            .iter()
            .chain(&self.exclude)
            .filter(|pattern| pattern.is_matchless())
            .map(UrlPattern::text)
    }

    /// Returns the setting that says which links are followed.
    pub fn follows_links(&self) -> Follow {
        self.follow
    }

    /// Checks a URL against those rules that do not depend on its host.
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

/// The most levels of sitemap indexes that are followed: more than the one level that sitemaps.org allows.
const SITEMAP_DEPTH_MAX: u8 = 3;

#[cfg(test)]
mod tests;
