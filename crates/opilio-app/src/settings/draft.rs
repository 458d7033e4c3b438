//! A crawl before it is built: settings change the draft.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use http::HeaderMap;
use opilio_core::{Backoff, Host, HostPolicy, RetryPolicy, Statuses, Wait};
use opilio_engine::{Crawler, HostCaps, HostSettings, Scope, Spider};
use opilio_fetch::{AddressPolicy, Cache, Limits};
use url::Url;

use super::choice::Format;
use crate::state::StateDir;
use crate::unit;

/// A crawl that is not built yet.
pub struct CrawlDraft<S: Spider> {
    /// The policy of hosts without a section.
    pub host: HostDraft,
    /// Hosts (`name[:port]`, `*.example.com`) with a section of their own, and the settings in it.
    pub hosts: Vec<(String, HostDraft)>,
    /// Which URLs belong to the crawl.
    pub scope: Scope,
    /// The bounds of one fetch.
    pub limits: Limits,
    /// The bounds of each host.
    pub caps: HostCaps,
    /// How the program runs.
    pub run: RunSettings,
    /// Where each setting came from: its name, and the flag, the variable, or the file and line.
    pub sources: Vec<(String, String)>,
    calls: Vec<Call<S>>,
}

/// A change to the crawler, applied later.
type Call<S> = Box<dyn FnOnce(Crawler<S>) -> Crawler<S>>;

impl<S: Spider> Default for CrawlDraft<S> {
    fn default() -> Self {
        Self {
            host: HostDraft::default(),
            hosts: Vec::new(),
            scope: Scope::default(),
            limits: Limits::default(),
            caps: HostCaps::default(),
            run: RunSettings::default(),
            sources: Vec::new(),
            calls: Vec::new(),
        }
    }
}

impl<S: Spider> CrawlDraft<S> {
    /// Adds a change to the crawler.
    pub fn then(&mut self, call: impl FnOnce(Crawler<S>) -> Crawler<S> + 'static) {
        self.calls.push(Box::new(call));
    }

    /// Applies the draft to a crawler.
    ///
    /// # Errors
    /// When the settings of a host contradict each other.
    pub fn apply(self, crawler: Crawler<S>) -> anyhow::Result<Crawler<S>> {
        let default = self.host.settings()?;
        let mut crawler = crawler
            .retry(default.retry.clone().unwrap_or_default())
            .host(default)
            .scope(self.scope)
            .limits(self.limits)
            .host_caps(self.caps);
        for (pattern, host) in self.hosts {
            let settings = host.settings().map_err(|error| error.context(format!("[host.{pattern:?}]")))?;
            crawler = crawler.host_named(&pattern, settings);
        }
        Ok(self.calls.into_iter().fold(crawler, |crawler, call| call(crawler)))
    }
}

/// The settings of a host, before they are built.
#[derive(Clone, Debug, Default)]
pub struct HostDraft {
    /// Rate, in-flight limit, patience.
    pub policy: HostPolicy,
    /// Retries after the first attempt.
    pub retries: u16,
    /// First wait if the server states none.
    pub min_backoff: Option<Duration>,
    /// Longest wait if the server states none.
    pub max_backoff: Option<Duration>,
    /// Statuses that cause a retry.
    pub retry_statuses: Statuses,
    /// Header fields for every request. The values are marked as sensitive, so that no log shows them.
    pub headers: HeaderMap,
    /// Header fields with the host's login.
    pub(crate) login: Option<HeaderMap>,
}

impl HostDraft {
    /// Builds the settings.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn settings(&self) -> anyhow::Result<HostSettings> {
        let backoff = self.backoff()?;
        let retry = RetryPolicy::default().retries(self.retries).wait(Wait::Exponential(backoff));
        let retry = retry.retry_statuses(self.retry_statuses.iter());
        let mut headers = self.headers.clone();
        for (name, value) in self.login.iter().flatten() {
            headers.insert(name, value.clone());
        }
        Ok(HostSettings { policy: self.policy.clone().backoff(backoff), retry: Some(retry), headers })
    }

    /// Adds the bound that is not set: the default, or the other bound if the default contradicts it.
    fn backoff(&self) -> anyhow::Result<Backoff> {
        let default = Backoff::default();
        match (self.min_backoff, self.max_backoff) {
            (Some(min), Some(max)) if max < min => Err(anyhow::anyhow!(
                "the longest backoff ({}) is shorter than the first one ({})",
                unit::show_duration(max),
                unit::show_duration(min)
            )),
            (min, max) => Ok(Backoff {
                min: min.unwrap_or(default.min.min(max.unwrap_or(default.min))),
                max: max.unwrap_or(default.max.max(min.unwrap_or(default.max))),
            }),
        }
    }

    /// Adds a login.
    pub(crate) fn log_in(&mut self, settings: HostSettings) -> Result<(), String> {
        match self.login.replace(settings.headers) {
            None => Ok(()),
            Some(_) => Err("there is a login by basic already".to_owned()),
        }
    }

    /// The settings of all hosts for a host with a section, without secrets: those go to one host only.
    pub(crate) fn for_one_host(&self) -> Self {
        Self { headers: HeaderMap::new(), login: None, ..self.clone() }
    }
}

/// How the program runs, and what it prints.
#[derive(Debug, Default)]
pub struct RunSettings {
    /// The file for items; `None` means stdout.
    pub output: Option<PathBuf>,
    /// The form of the output; `None` follows from the file's ending.
    pub format: Option<Format>,
    /// Whether CSV keeps texts that begin like a formula unchanged.
    pub keep_formulas: bool,
    /// The directory of the development cache.
    pub cache: Option<PathBuf>,
    /// How long cached answers are fresh, whatever servers say.
    pub cache_for: Option<Duration>,
    /// The file for the report.
    pub report: Option<PathBuf>,
    /// The directory that keeps the crawl.
    pub state: Option<PathBuf>,
    /// Whether the run continues the crawl that the state directory holds.
    pub resume: bool,
    /// The user agent, if it is set.
    pub user_agent: Option<String>,
    /// The addresses that may be connected to.
    pub addresses: AddressPolicy,
    /// Requests go through a proxy.
    pub is_proxied: bool,
    /// Pages are merged by their canonical URLs.
    pub merge_canonical: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// Whether only warnings and errors go to stderr.
    pub quiet: bool,
    /// The settings file that was read because it is in this directory.
    pub unasked_file: Option<PathBuf>,
}

impl RunSettings {
    /// A note about settings from a file that no flag names.
    #[must_use]
    pub fn file_hint(&self) -> Option<String> {
        let file = self.unasked_file.as_ref()?;
        Some(format!("settings: {}, which --config none would leave out", file.display()))
    }

    /// A warning for crawls beyond the own machine whose user agent names no contact.
    #[must_use]
    pub fn contact_hint(&self, seeds: &[Url]) -> Option<String> {
        let has_contact =
            |user_agent: &String| ["http://", "https://", "@"].iter().any(|mark| user_agent.contains(mark));
        if self.user_agent.as_ref().is_some_and(has_contact) {
            return None;
        }
        let beyond = seeds.iter().find(|url| !is_loopback(url))?;
        let host = Host::of(beyond).ok()?;
        Some(format!(
            "hint: whoever runs {host} may want to reach you: --user-agent \"yourbot/1.0 (+https://you.example/bot)\""
        ))
    }

    /// Opens the cache, if a setting asks for one.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_cache(&self) -> anyhow::Result<Option<Cache>> {
        let Some(dir) = &self.cache else { return Ok(None) };
        let cache = Cache::open(dir).with_context(|| format!("cannot open the cache {}", dir.display()))?;
        Ok(Some(cache.fresh_for(self.cache_for.unwrap_or_default())))
    }

    /// The directory that keeps the crawl, if a setting names one.
    #[must_use]
    pub fn state(&self) -> Option<StateDir> {
        self.state.as_ref().map(|dir| StateDir { dir: dir.clone(), resume: self.resume })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
