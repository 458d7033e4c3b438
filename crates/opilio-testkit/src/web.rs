//! The scripted web, as a test describes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use opilio::core::Host;
use opilio_sandbox::{HostConfig, PageWriter, Site};
use url::Url;

/// A web of a few hosts, each with its pages and the rules of `opilio-sandbox`.
///
/// A page is named by its path (`/lamps?page=2`), and then belongs to the *home*: the host of the spider's first
/// seed, or of [`Web::at`]. A page of another host is named by its whole URL. A host that has no page and no site does
/// not exist: its name cannot be resolved.
///
/// ```
/// use opilio_testkit::prelude::*;
///
/// let web = Web::new()
///     .robots("User-agent: *\nDisallow: /private/\n")
///     .page("/", "<a href=https://cdn.example/manual>Manual</a>")
///     .json("/api/lamps", &json::json!([{ "name": "Floor lamp" }]))
///     .answer("/old", 301, [("location", "/new")], "")
///     .page("https://cdn.example/manual", "<h1>Manual</h1>")
///     .site_at("https://cdn.example/", HostConfig::new().site(Site::Empty).limit(Limit::per_minute(6)));
/// # let _ = web;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Web {
    at: Option<Url>,
    home: SiteDraft,
    others: BTreeMap<Host, (Url, SiteDraft)>,
}

/// A site, before it is known where it is.
#[derive(Clone, Debug, Default)]
struct SiteDraft {
    config: Option<HostConfig>,
    pages: Vec<DraftPage>,
}

#[derive(Clone, Debug)]
struct DraftPage {
    path: String,
    status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Web {
    /// A web without a page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says where the home is; without this it is the host of the spider's first seed.
    ///
    /// # Panics
    /// If this is no URL of a host.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        self.at = Some(place(url).0);
        self
    }

    /// A page of HTML at a path of the home, or at a URL.
    ///
    /// # Panics
    /// If the target is neither.
    #[must_use]
    pub fn page(self, target: &str, html: impl Into<Bytes>) -> Self {
        self.put(target, 200, HTML, Vec::new(), html.into())
    }

    /// A document of JSON.
    ///
    /// # Panics
    /// As [`Web::page`].
    #[must_use]
    pub fn json(self, target: &str, value: &serde_json::Value) -> Self {
        self.put(target, 200, "application/json", Vec::new(), value.to_string().into())
    }

    /// The home's robots.txt. Without it there is none, and everything is allowed.
    #[must_use]
    pub fn robots(self, text: impl Into<Bytes>) -> Self {
        self.put("/robots.txt", 200, "text/plain", Vec::new(), text.into())
    }

    /// An answer with a status and header fields of its own: a redirect, a page that is gone, a cookie.
    ///
    /// # Panics
    /// As [`Web::page`].
    #[must_use]
    pub fn answer<V: Into<String>>(
        self,
        target: &str,
        status: u16,
        headers: impl IntoIterator<Item = (&'static str, V)>,
        body: impl Into<Bytes>,
    ) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        self.put(target, status, HTML, headers, body.into())
    }

    /// The home's rules: its limit, refusals, faults, and the site below the pages that were given. A
    /// [`HostConfig`] serves a shop of its own, unless its [`Site`] says otherwise.
    #[must_use]
    pub fn site(mut self, config: HostConfig) -> Self {
        self.home.config = Some(config);
        self
    }

    /// The rules of another host.
    ///
    /// # Panics
    /// If this is no URL of a host.
    #[must_use]
    pub fn site_at(mut self, url: &str, config: HostConfig) -> Self {
        self.other(url).config = Some(config);
        self
    }

    /// The home's pages are written on demand, from their path and query; `None` is answered by 404. For sites without
    /// an end, such as calendars. Call it after [`Web::site`], whose [`Site`] it replaces.
    #[must_use]
    pub fn written(mut self, write: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let config = self.home.config.take().unwrap_or_default();
        self.site(config.site(Site::Written(PageWriter::new(write))))
    }

    fn put(
        mut self,
        target: &str,
        status: u16,
        content_type: &'static str,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Self {
        let (draft, path) = if target.starts_with('/') {
            (&mut self.home, target.to_owned())
        } else {
            let path = place(target).0[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
            (self.other(target), path)
        };
        draft.pages.push(DraftPage { path, status, content_type, headers, body });
        self
    }

    fn other(&mut self, url: &str) -> &mut SiteDraft {
        let (url, host) = place(url);
        &mut self.others.entry(host).or_insert_with(|| (url, SiteDraft::default())).1
    }

    /// The hosts with their rules, and which of them is the home. `seed` is the spider's first one.
    pub(crate) fn build(self, seed: Option<&str>) -> (Option<Host>, Vec<(Host, HostConfig)>) {
        let home = self.at.or_else(|| seed.and_then(|seed| Url::parse(seed).ok()));
        let home = home.and_then(|url| Some((Host::of(&url).ok()?, url)));
        let mut drafts = self.others;
        if let Some((host, url)) = &home {
            let draft =
                &mut drafts.entry(host.clone()).or_insert_with(|| (url.clone(), SiteDraft::default())).1;
            draft.config = self.home.config.or(draft.config.take());
            draft.pages.extend(self.home.pages);
        }
        let built = drafts.into_iter().map(|(host, (url, draft))| (host, draft.build(&url)));
        (home.map(|(host, _)| host), built.collect())
    }
}

impl SiteDraft {
    fn build(self, url: &Url) -> HostConfig {
        let config = self.config.unwrap_or_else(|| HostConfig::new().site(Site::Empty));
        let config = config.base_url(url.origin().ascii_serialization());
        self.pages.into_iter().fold(config, |config, page| {
            let DraftPage { path, status, content_type, headers, body } = page;
            if headers.is_empty() && status == 200 {
                config.page(path, content_type, body)
            } else {
                config.answer(path, status, headers, body)
            }
        })
    }
}

/// A URL and the host that serves it.
#[track_caller]
fn place(text: &str) -> (Url, Host) {
    let url = Url::parse(text);
    let url = url.unwrap_or_else(|error| panic!("{text:?} is neither a path nor a URL of this web: {error}"));
    let host = Host::of(&url).unwrap_or_else(|error| panic!("{text:?} names no host of this web: {error}"));
    (url, host)
}

const HTML: &str = "text/html; charset=utf-8";
