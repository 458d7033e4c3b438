//! What arrived at a scripted web: every request in order, and the log of each host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use opilio::core::{Host, HostPolicy};
use opilio_sandbox::Log;
use url::Url;

use crate::polite;

/// A request as it arrived at the web.
#[derive(Clone, Debug)]
pub struct WebRequest {
    /// When it arrived, since the first run began.
    pub at: Duration,
    /// Its method.
    pub method: Method,
    /// Its URL.
    pub url: Url,
    /// Its header fields, without those that a connection adds.
    pub headers: HeaderMap,
    /// Its body; empty if it has none.
    pub body: Bytes,
    /// The session that it belongs to; `None` for the crawl's own.
    pub session: Option<Arc<str>>,
    /// The status of its answer; `None` if there was no answer.
    pub status: Option<u16>,
    /// The body of its answer.
    pub(crate) answer: Bytes,
}

impl WebRequest {
    /// Path and query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Whether it went to this path and query, or to this URL.
    #[must_use]
    pub fn is_to(&self, target: &str) -> bool {
        if target.starts_with('/') {
            return self.path() == target;
        }
        Url::parse(target).is_ok_and(|url| url == self.url)
    }

    /// `GET https://shop.example/lamps at 1.5 s, answered by 200`.
    pub(crate) fn describe(&self) -> String {
        let Self { at, method, url, status, .. } = self;
        let answer =
            status.map_or_else(|| "not answered".to_owned(), |status| format!("answered by {status}"));
        format!("{method} {url} at {:.3} s, {answer}", at.as_secs_f64())
    }
}

/// All requests of a test's crawl, over all its runs, in the order of their arrival.
#[derive(Clone, Debug)]
pub struct WebLog {
    sites: BTreeMap<Host, Log>,
    requests: Vec<WebRequest>,
    pub(crate) home: Option<Host>,
    /// What the crawl was told about each host.
    pub(crate) policies: BTreeMap<Host, HostPolicy>,
}

impl WebLog {
    pub(crate) fn new(sites: BTreeMap<Host, Log>, requests: Vec<WebRequest>) -> Self {
        Self { sites, requests, home: None, policies: BTreeMap::new() }
    }

    /// All requests, robots.txt and repeated attempts included.
    #[must_use]
    pub fn requests(&self) -> &[WebRequest] {
        &self.requests
    }

    /// The requests to a path and query, or to a URL.
    pub fn requests_to<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a WebRequest> {
        self.requests.iter().filter(move |request| request.is_to(target))
    }

    /// The log of the home, as its host kept it.
    ///
    /// # Panics
    /// If the web has no home.
    #[must_use]
    #[track_caller]
    pub fn home(&self) -> &Log {
        let log = self.home.as_ref().and_then(|home| self.sites.get(home));
        log.unwrap_or_else(|| panic!("the web has no home, since the spider has no seed: see Web::at"))
    }

    /// The log of a host: `shop.example`, or with its port where that is neither 80 nor 443.
    ///
    /// # Panics
    /// If the web has no such host.
    #[must_use]
    #[track_caller]
    pub fn host(&self, host: &str) -> &Log {
        let found = self.sites.iter().find(|(known, _)| known.as_str() == host);
        found.map_or_else(
            || panic!("the web has no host {host:?}, but {:?}", self.sites.keys()),
            |(_, log)| log,
        )
    }

    pub(crate) fn sites(&self) -> impl Iterator<Item = (&Host, &Log)> {
        self.sites.iter()
    }

    /// Checks that every host was treated as it asked, and as the crawl was told:
    ///
    /// - nothing arrived in the time of a stated wait (`Retry-After` and the like), and one request alone after it;
    /// - no more requests in flight, and no more in the rate's period, than the host's policy allows;
    /// - robots.txt was asked for before a page, and no page that it forbids was asked for; its crawl delay was kept;
    /// - no host banned the crawl.
    ///
    /// # Panics
    /// If something of this does not hold: names each breach, with the requests.
    #[track_caller]
    pub fn assert_polite(&self) {
        let breaches = polite::breaches(self);
        assert!(breaches.is_empty(), "the crawl was not polite:\n  {}", breaches.join("\n  "));
    }

    /// Checks that a path and query, or a URL, was asked for.
    ///
    /// # Panics
    /// If it was not: names the requests that come closest.
    #[track_caller]
    pub fn assert_requested(&self, target: &str) {
        assert!(
            self.requests_to(target).next().is_some(),
            "{target} was not requested; {}",
            self.closest(target)
        );
    }

    /// Checks that a path and query, or a URL, was asked for once, whatever the answer.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn assert_requested_once(&self, target: &str) {
        self.assert_requested(target);
        let all: Vec<_> = self.requests_to(target).map(WebRequest::describe).collect();
        assert!(all.len() == 1, "{target} was requested {} times:\n  {}", all.len(), all.join("\n  "));
    }

    /// Checks that a path and query, or a URL, was never asked for.
    ///
    /// # Panics
    /// If it was.
    #[track_caller]
    pub fn assert_not_requested(&self, target: &str) {
        let all: Vec<_> = self.requests_to(target).map(WebRequest::describe).collect();
        assert!(all.is_empty(), "{target} was requested:\n  {}", all.join("\n  "));
    }

    /// Checks that no request that changes something (POST, PATCH, PUT, DELETE) was sent twice with the same body.
    ///
    /// # Panics
    /// If one was: names all its attempts.
    #[track_caller]
    pub fn assert_nothing_sent_twice(&self) {
        let mut sent: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for request in self.requests.iter().filter(|request| !request.method.is_safe()) {
            let key = (request.method.as_str(), request.url.as_str(), &request.body, &request.session);
            sent.entry(key).or_default().push(request.describe());
        }
        let twice: Vec<_> = sent.into_values().filter(|attempts| attempts.len() > 1).flatten().collect();
        assert!(
            twice.is_empty(),
            "requests that change something were sent twice:\n  {}",
            twice.join("\n  ")
        );
    }

    /// The requests that resemble a target most, for a message.
    fn closest(&self, target: &str) -> String {
        let alike = |request: &WebRequest| {
            let text = if target.starts_with('/') { request.path() } else { request.url.as_str() };
            text.bytes().zip(target.bytes()).take_while(|(a, b)| a == b).count()
        };
        let mut requests: Vec<_> = self.requests.iter().collect();
        requests.sort_by_key(|request| std::cmp::Reverse(alike(request)));
        let named: Vec<_> = requests.iter().take(CLOSEST).map(|request| request.describe()).collect();
        if named.is_empty() {
            return "nothing was".to_owned();
        }
        format!("of {} requests these come closest:\n  {}", requests.len(), named.join("\n  "))
    }
}

/// Requests that a message names.
const CLOSEST: usize = 5;
