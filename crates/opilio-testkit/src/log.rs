//! The requests that arrived at a scripted web, in order, and the log of each host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use opilio::core::{Host, HostPolicy};
use opilio_sandbox::Log;
use url::Url;

use crate::polite;
use crate::web::path_of;

/// A request as it arrived at the scripted web.
#[derive(Clone, Debug)]
pub struct WebRequest {
    /// The time of arrival, counted from the start of the first run.
    pub at: Duration,
    /// The method of the request.
    pub method: Method,
    /// The URL of the request.
    pub url: Url,
    /// The header fields of the request, without those that a connection adds.
    pub headers: HeaderMap,
    /// The body of the request; empty if it has none.
    pub body: Bytes,
    /// The session that the request belongs to; `None` for the crawl's own session.
    pub session: Option<Arc<str>>,
    /// The status of the answer; `None` if there was no answer.
    pub status: Option<u16>,
    /// The body of the answer.
    pub(crate) answer: Bytes,
}

impl WebRequest {
    /// Returns the path and query of the URL.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Returns whether the request went to this target: a path with its query, or a whole URL.
    #[must_use]
    pub fn is_to(&self, target: &str) -> bool {
        if target.starts_with('/') {
            return self.path() == path_of(target);
        }
        Url::parse(target).is_ok_and(|url| url == self.url)
    }

    /// Describes the request in words, as in `GET https://shop.example/lamps at 1.5 s, answered by 200`.
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
    /// The politeness settings that the crawl had for each host.
    pub(crate) policies: BTreeMap<Host, HostPolicy>,
}

impl WebLog {
    pub(crate) fn new(sites: BTreeMap<Host, Log>, requests: Vec<WebRequest>) -> Self {
        Self { sites, requests, home: None, policies: BTreeMap::new() }
    }

    /// Returns all requests, those for robots.txt and repeated attempts included.
    #[must_use]
    pub fn requests(&self) -> &[WebRequest] {
        &self.requests
    }

    /// Returns the requests to this target: a path with its query, or a whole URL.
    pub fn requests_to<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a WebRequest> {
        self.requests.iter().filter(move |request| request.is_to(target))
    }

    /// Returns the log that the home's server kept. The home is the host to which plain paths belong.
    ///
    /// # Panics
    /// If the web has no home.
    #[must_use]
    #[track_caller]
    pub fn home(&self) -> &Log {
        let log = self.home.as_ref().and_then(|home| self.sites.get(home));
        log.unwrap_or_else(|| panic!("the web has no home, since the spider has no seed: see Web::at"))
    }

    /// Returns the log of a host, given as `shop.example`, or with its port unless that is 80 or 443.
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

    /// Checks that the crawl respected each host's demands and its own settings:
    ///
    /// - no request arrived during a wait that a server had stated, and one request came alone after it;
    /// - the requests in flight and the requests per period never exceeded the host's policy;
    /// - robots.txt was requested before any page, and its rules and its crawl delay were kept;
    /// - no host banned the crawl.
    ///
    /// # Panics
    /// If a check fails. The message names each breach, with the requests.
    #[track_caller]
    pub fn assert_polite(&self) {
        let breaches = polite::breaches(self);
        assert!(breaches.is_empty(), "the crawl was not polite:\n  {}", breaches.join("\n  "));
    }

    /// Checks that this target (a path with its query, or a whole URL) was requested.
    ///
    /// # Panics
    /// If the target was not requested. The message names the most similar requests.
    #[track_caller]
    pub fn assert_requested(&self, target: &str) {
        assert!(
            self.requests_to(target).next().is_some(),
            "{target} was not requested; {}",
            self.closest(target)
        );
    }

    /// Checks that this target (a path with its query, or a whole URL) was requested exactly once, whatever
    /// the answer.
    ///
    /// # Panics
    /// If the target was not requested, or was requested more than once.
    #[track_caller]
    pub fn assert_requested_once(&self, target: &str) {
        self.assert_requested(target);
        let all: Vec<_> = self.requests_to(target).map(WebRequest::describe).collect();
        assert!(all.len() == 1, "{target} was requested {} times:\n  {}", all.len(), all.join("\n  "));
    }

    /// Checks that this target (a path with its query, or a whole URL) was never requested.
    ///
    /// # Panics
    /// If the target was requested.
    #[track_caller]
    pub fn assert_not_requested(&self, target: &str) {
        let all: Vec<_> = self.requests_to(target).map(WebRequest::describe).collect();
        assert!(all.is_empty(), "{target} was requested:\n  {}", all.join("\n  "));
    }

    /// Checks that no request that changes data on the server (POST, PATCH, PUT, DELETE) was sent twice with
    /// the same body.
    ///
    /// # Panics
    /// If a request was sent twice. The message names all its attempts.
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

    /// Returns, for a message, the requests that are most similar to a target.
    fn closest(&self, target: &str) -> String {
        let is_path = target.starts_with('/');
        let target = if is_path { path_of(target) } else { target.to_owned() };
        let alike = |request: &WebRequest| {
            let text = if is_path { request.path() } else { request.url.as_str() };
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

/// The most requests that such a message names.
const CLOSEST: usize = 5;
