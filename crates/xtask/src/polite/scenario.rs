//! A scenario: the servers, the URLs to crawl, the settings of the crawler, and the goals.

use opilio::core::{HostPolicy, per_minute};
use opilio::{Limits, Request};
use opilio_sandbox::{HostConfig, Limit, Sandbox, Site};

use super::goals::Goal;

/// The most retries of one URL in the default retry policy.
pub(super) const RETRIES: u16 = 3;

/// One scenario of the benchmark. The module `table` lists all scenarios.
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) hosts: Vec<Server>,
    pub(super) asks: Vec<CrawlAsk>,
    /// The crawler's politeness settings for hosts that have no settings of their own (`Server::told`).
    pub(super) policy: HostPolicy,
    pub(super) limits: Limits,
    /// Whether every host serves a robots.txt and the crawler respects it.
    pub(super) robots: bool,
    /// The number of listings: the first URLs of the scenario are pages that link to the other URLs, each to an equal
    /// part of them. With 0, all URLs are seeds.
    pub(super) listings: usize,
    /// The most retries of one URL.
    pub(super) retries: u16,
    /// The most pages that may be served twice: a witness request asks for such a page again, to learn whether the
    /// host works.
    pub(super) witnesses: u64,
    pub(super) ends: ExpectedEnds,
    pub(super) goals: Vec<Goal>,
}

/// How the URLs of a scenario have to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpectedEnds {
    /// All URLs end as pages.
    AsPages,
    /// Each URL ends as a page or as a failure in the report. Failures are allowed, because the server does not serve
    /// all pages.
    Accounted,
}

/// One host: a server of the crate `opilio-sandbox`, and the crawler's settings for this host.
pub(super) struct Server {
    pub(super) config: HostConfig,
    /// The rate limit of the host, as in `config`.
    pub(super) limit: Option<Limit>,
    /// The crawler's politeness settings for this host. `None` for the settings of the scenario.
    pub(super) told: Option<HostPolicy>,
}

/// One request in the list of the scenario.
#[derive(Clone)]
pub(super) enum CrawlAsk {
    /// Requests a small page of a host.
    Get { host: usize, path: String },
    /// Sends an order by POST. The server must not carry it out twice.
    Order { host: usize, body: String },
    /// Requests a page of the host `by`, which redirects to a page of the host `to`.
    Redirected { by: usize, to: usize, path: String },
    /// Requests a page of the first host by a URL whose host and port are spelt in another way. `{port}` stands for
    /// the port of the host.
    Spelt { authority: &'static str, path: String },
}

impl CrawlAsk {
    /// Makes the request for the crawler. `sandbox` has the addresses of the hosts. The step of the request is
    /// `place`, its index in the scenario's list of requests.
    pub(super) fn request(&self, sandbox: &Sandbox, place: u32) -> Request<u32> {
        match self {
            Self::Get { host, path } => Request::get(sandbox.url(*host, path), place),
            Self::Order { host, body } => {
                Request::get(sandbox.url(*host, "/orders"), place).method("POST").body(body.as_str())
            }
            Self::Redirected { by, to, path } => {
                let target = sandbox.url(*to, path);
                Request::get(sandbox.url(*by, &format!("/go?to={target}")), place)
            }
            Self::Spelt { authority, path } => {
                let authority = authority.replace("{port}", &sandbox.addr(0).port().to_string());
                Request::get(format!("http://{authority}{path}"), place)
            }
        }
    }
}

impl Server {
    /// Creates a host that serves small pages and has this rate limit.
    pub(super) fn limited(limit: Limit) -> Self {
        let config = HostConfig::new().site(Site::Blank).limit(limit);
        Self { config, limit: Some(limit), told: None }
    }

    /// Creates a host that serves small pages and has no rate limit.
    pub(super) fn open() -> Self {
        Self { config: HostConfig::new().site(Site::Blank), limit: None, told: None }
    }

    /// Changes the behaviour of the host. The rate limit of the host stays the same.
    pub(super) fn with(mut self, change: impl FnOnce(HostConfig) -> HostConfig) -> Self {
        self.config = change(self.config);
        self
    }

    /// Sets the crawler's politeness settings for this host.
    pub(super) fn told(mut self, policy: HostPolicy) -> Self {
        self.told = Some(policy);
        self
    }
}

impl Scenario {
    /// Creates a scenario in which one host serves `urls` small pages.
    pub(super) fn one_host(name: impl Into<String>, server: Server, urls: usize, policy: HostPolicy) -> Self {
        Self {
            name: name.into(),
            hosts: vec![server],
            asks: pages(0, urls),
            policy,
            limits: Limits::default(),
            robots: false,
            listings: 0,
            retries: RETRIES,
            witnesses: 0,
            ends: ExpectedEnds::AsPages,
            goals: Vec::new(),
        }
    }

    /// Returns whether the scenario has so many requests a second that only few such scenarios may run at the same
    /// time.
    pub(super) fn is_fast(&self) -> bool {
        self.name.starts_with("fair/")
    }

    pub(super) fn goals(mut self, goals: impl IntoIterator<Item = Goal>) -> Self {
        self.goals.extend(goals);
        self
    }
}

/// Returns requests for `urls` different pages of a host.
pub(super) fn pages(host: usize, urls: usize) -> Vec<CrawlAsk> {
    (0..urls).map(|n| CrawlAsk::Get { host, path: path(n) }).collect()
}

/// Returns the path of the page with this index.
pub(super) fn path(n: usize) -> String {
    format!("/page/{n}")
}

/// Returns politeness settings with this many starts a minute and this many requests in flight.
pub(super) fn told(rate_per_minute: u32, in_flight: u32) -> HostPolicy {
    HostPolicy::new().rate(per_minute(rate_per_minute)).in_flight(in_flight)
}
