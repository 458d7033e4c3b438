//! A scenario: servers, the URLs to crawl, the crawler's settings, and the goals.

use opilio::core::{HostPolicy, per_minute};
use opilio::{Limits, Request};
use opilio_sandbox::{HostConfig, Limit, Sandbox, Site};

use super::goals::Goal;

/// Of the default policy.
pub(super) const RETRIES: u16 = 3;

/// One row of the table.
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) hosts: Vec<Server>,
    pub(super) asks: Vec<CrawlAsk>,
    /// The crawler's policy for hosts without one of their own.
    pub(super) policy: HostPolicy,
    pub(super) limits: Limits,
    /// Whether robots.txt is respected, and served by every host.
    pub(super) robots: bool,
    /// The first URLs are listings, on which the others are found in equal parts. With 0 all URLs are seeds.
    pub(super) listings: usize,
    /// Retries of one URL.
    pub(super) retries: u16,
    /// So many pages may be served again, since they are good witnesses of a host's health.
    pub(super) witnesses: u64,
    pub(super) ends: ExpectedEnds,
    pub(super) goals: Vec<Goal>,
}

/// How the URLs of a scenario have to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpectedEnds {
    /// All of them as pages.
    AsPages,
    /// As a page, or as a failure that is named: where the server leaves no choice.
    Accounted,
}

/// One host.
pub(super) struct Server {
    pub(super) config: HostConfig,
    /// The host's limit, as in `config`.
    pub(super) limit: Option<Limit>,
    /// The crawler's policy for this host.
    pub(super) told: Option<HostPolicy>,
}

/// One URL of the list.
#[derive(Clone)]
pub(super) enum CrawlAsk {
    /// A small page of a host.
    Get { host: usize, path: String },
    /// An order, which must not be carried out twice.
    Order { host: usize, body: String },
    /// A page of a host that answers with a redirect to a page of another.
    Redirected { by: usize, to: usize, path: String },
    /// A page of the first host, whose authority is spelt in another way; `{port}` is its port.
    Spelt { authority: &'static str, path: String },
}

impl CrawlAsk {
    /// The request, once it is known where the hosts are. Its step is its place in the list.
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
    /// A host of small pages with a limit.
    pub(super) fn limited(limit: Limit) -> Self {
        let config = HostConfig::new().site(Site::Blank).limit(limit);
        Self { config, limit: Some(limit), told: None }
    }

    /// A host of small pages without any.
    pub(super) fn open() -> Self {
        Self { config: HostConfig::new().site(Site::Blank), limit: None, told: None }
    }

    /// Changes how it behaves, but for the limit.
    pub(super) fn with(mut self, change: impl FnOnce(HostConfig) -> HostConfig) -> Self {
        self.config = change(self.config);
        self
    }

    /// Tells the crawler about it.
    pub(super) fn told(mut self, policy: HostPolicy) -> Self {
        self.told = Some(policy);
        self
    }
}

impl Scenario {
    /// `urls` small pages of one host.
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

    /// Whether its request rate is so high that few such scenarios may run at once.
    pub(super) fn is_fast(&self) -> bool {
        self.name.starts_with("fair/")
    }

    pub(super) fn goals(mut self, goals: impl IntoIterator<Item = Goal>) -> Self {
        self.goals.extend(goals);
        self
    }
}

/// `urls` different pages of a host.
pub(super) fn pages(host: usize, urls: usize) -> Vec<CrawlAsk> {
    (0..urls).map(|n| CrawlAsk::Get { host, path: path(n) }).collect()
}

/// The path of a page.
pub(super) fn path(n: usize) -> String {
    format!("/page/{n}")
}

/// The crawler's settings: starts a minute, and the number in flight.
pub(super) fn told(rate_per_minute: u32, in_flight: u32) -> HostPolicy {
    HostPolicy::new().rate(per_minute(rate_per_minute)).in_flight(in_flight)
}
