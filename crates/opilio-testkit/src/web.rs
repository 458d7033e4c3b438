//! The scripted web that a test describes.

use std::collections::BTreeMap;

use bytes::Bytes;
use opilio::core::Host;
use opilio_sandbox::{HostConfig, PageWriter, Site};
use url::Url;

/// A web of a few hosts, each with its pages and the behaviour of a server of `opilio-sandbox`.
///
/// A page is given by its path (`/lamps?page=2`) and then belongs to the *home*: the host of the spider's
/// first seed, or of [`Web::at`]. A page of another host is given by its whole URL. A host without pages and
/// without a site does not exist: its name cannot be resolved.
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

/// The description of a site, before its host is known.
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
    /// Creates a web without pages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the home: the host to which plain paths belong. By default this is the host of the spider's first
    /// seed.
    ///
    /// # Panics
    /// If this is not a URL with a host.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        self.at = Some(place(url).0);
        self
    }

    /// Adds an HTML page at a path of the home, or at a whole URL.
    ///
    /// # Panics
    /// If the target is neither a path nor a URL.
    #[must_use]
    pub fn page(self, target: &str, html: impl Into<Bytes>) -> Self {
        self.put(target, 200, HTML, Vec::new(), html.into())
    }

    /// Adds a JSON document at a path of the home, or at a whole URL.
    ///
    /// # Panics
    /// As [`Web::page`].
    #[must_use]
    pub fn json(self, target: &str, value: &serde_json::Value) -> Self {
        self.put(target, 200, "application/json", Vec::new(), value.to_string().into())
    }

    /// Sets the home's robots.txt. Without this call the home has none, and everything is allowed.
    #[must_use]
    pub fn robots(self, text: impl Into<Bytes>) -> Self {
        self.put("/robots.txt", 200, "text/plain", Vec::new(), text.into())
    }

    /// Adds an answer with its own status and header fields: a redirect, a page that is gone, a cookie.
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

    /// Sets the behaviour of the home's server: its limit, refusals and faults, and the site that serves all
    /// paths without a page given by the test. A [`HostConfig`] serves a generated shop by default; its
    /// [`Site`] can be changed.
    #[must_use]
    pub fn site(mut self, config: HostConfig) -> Self {
        self.home.config = Some(config);
        self
    }

    /// Sets the behaviour of another host's server.
    ///
    /// # Panics
    /// If this is not a URL with a host.
    #[must_use]
    pub fn site_at(mut self, url: &str, config: HostConfig) -> Self {
        self.other(url).config = Some(config);
        self
    }

    /// Generates the home's pages on demand, from path and query; for `None` the answer is a 404. This is for
    /// endless sites, such as calendars. Call it after [`Web::site`], whose [`Site`] it replaces.
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
        let path = path_of(target);
        let draft = if target.starts_with('/') { &mut self.home } else { self.other(target) };
        draft.pages.push(DraftPage { path, status, content_type, headers, body });
        self
    }

    fn other(&mut self, url: &str) -> &mut SiteDraft {
        let (url, host) = place(url);
        &mut self.others.entry(host).or_insert_with(|| (url, SiteDraft::default())).1
    }

    /// Returns the hosts with their behaviour, and which host is the home. `seed` is the spider's first seed.
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

/// Returns the path and query of a target, as a request has them: `/lämpe` becomes `/l%C3%A4mpe`.
#[track_caller]
pub(crate) fn path_of(target: &str) -> String {
    let url = match target.starts_with('/') {
        // The host does not matter. Joining would take a path that begins with `//` for a host.
        true => place(&format!("http://home.invalid{target}")).0,
        false => place(target).0,
    };
    url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
}

/// Returns a text as a URL, and the host that serves the URL.
#[track_caller]
fn place(text: &str) -> (Url, Host) {
    let url = Url::parse(text);
    let url = url.unwrap_or_else(|error| panic!("{text:?} is neither a path nor a URL of this web: {error}"));
    let host = Host::of(&url).unwrap_or_else(|error| panic!("{text:?} names no host of this web: {error}"));
    (url, host)
}

const HTML: &str = "text/html; charset=utf-8";
